//! A first pass over JSON that was written by others: no name twice in one object, and no deep nesting.
//!
//! serde_json keeps the last of two equal names without a word, so two readers could see two different models in one
//! manifest. Nothing but the names of the open objects is kept.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Refuses `text` unless it is one JSON value, nested at most `max_depth` deep, whose objects have unique names.
pub(super) fn check(text: &[u8], max_depth: usize) -> serde_json::Result<()> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    Strict { depth_left: max_depth }.deserialize(&mut deserializer)?;
    deserializer.end()
}

#[derive(Clone, Copy)]
struct Strict {
    depth_left: usize,
}

impl Strict {
    fn inside<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth_left = self.depth_left.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))?;
        Ok(Self { depth_left })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        while sequence.next_element_seed(inside)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            map.next_value_seed(inside)?;
            if let Some(twice) = names.replace(name) {
                return Err(A::Error::custom(format!("the name {twice:?} stands twice")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_json_passes() {
        for text in ["null", " {} ", r#"{"a":[1,-2,3.5,true,null,"x"],"b":{"a":{}}}"#] {
            check(text.as_bytes(), 3).unwrap();
        }
    }

    #[test]
    fn doubled_names_depth_and_trailing_text_are_refused() {
        let error = |text: &str| check(text.as_bytes(), 3).unwrap_err().to_string();
        assert!(error(r#"{"a":[{"b":1,"c":2,"b":1}]}"#).contains(r#""b" stands twice"#));
        assert!(error("[[[[1]]]]").contains("deep"));
        assert!(error(r#"{"a":{"a":{"a":{"a":1}}}}"#).contains("deep"));
        assert!(error("{} {}").contains("trailing"));
        assert!(!error(&"[".repeat(1_000_000)).is_empty());
    }
}
