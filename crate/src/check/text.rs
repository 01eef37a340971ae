//! A text encoder with its tokenizer.
//!
//! Inputs: `input_ids` `[B, T]`; an `attention_mask` or `mask` `[B, T]` of ones and zeros. With `prompts` in `case.json` (or
//! `config.json`) the ids and the mask are compared with what the tokenizer makes of them. A batch padded on the left may
//! stand behind the prefix `left_`.
//!
//! | stored | what it is |
//! |---|---|
//! | `hidden_state_<i>` | the embeddings (0), and each layer's output without the final norm |
//! | `features` | what the denoiser is given |
//! | `last_hidden_state` | after the final norm |
//!
//! Where upstream was given an `attention_mask`, what it makes of padding carries no meaning and is not compared.

use burn::tensor::{Device, Int, Tensor};

use super::{Comparing, Stored, comparing::numbers};
use crate::{
    error::Result,
    text::{
        embeddings::{Gathered, TABLE, gather},
        language_model::{LanguageModel, batch_ids},
        tokenizer::Tokenizer,
    },
    weights::Reader,
};

/// Rows of ids as a reference has them: without padding, and where they stand among it.
pub(super) struct Batch {
    rows: Vec<Vec<u32>>,
    /// The first column of each row.
    starts: Vec<usize>,
    /// Columns T.
    tokens: usize,
}

/// Compares all that the reference says of a text encoder, whose embeddings `reader` has if it was built without.
///
/// # Errors
///
/// `bad-model` if the reference is of another model.
pub async fn check(
    comparing: &Comparing<'_>,
    model: &LanguageModel,
    reader: Option<&Reader>,
    tokenizer: &Tokenizer,
) -> Result<()> {
    let prompts: Vec<String> =
        serde_json::from_value(comparing.reference().call("prompts").clone()).unwrap_or_default();
    let prompts = prompts.iter().map(|prompt| Ok(tokenizer.encode(prompt)?.ids)).collect::<Result<Vec<_>>>()?;
    for prefix in ["", "left_"].into_iter().filter(|prefix| comparing.has(&format!("{prefix}input_ids"))) {
        let batch = Batch::read(comparing, prefix, vocabulary(model, reader))?;
        if !prompts.is_empty() {
            let side = if prefix == "left_" { Side::Left } else { Side::Right };
            Batch::padded(&prompts, batch.tokens, side).compare_ids(comparing, prefix, tokenizer.rules().pad)?;
        }
        features(comparing, model, reader, prefix, &batch).await?;
    }
    Ok(())
}

/// Where the padding is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

impl Batch {
    /// Rows in so many columns, or in more if one is longer.
    pub fn padded(rows: &[Vec<u32>], columns: usize, side: Side) -> Self {
        let tokens = rows.iter().map(Vec::len).max().unwrap_or(0).max(columns);
        let start = |row: &Vec<u32>| if side == Side::Left { tokens - row.len() } else { 0 };
        Self { rows: rows.to_vec(), starts: rows.iter().map(start).collect(), tokens }
    }

    fn read(comparing: &Comparing, prefix: &str, vocabulary: usize) -> Result<Self> {
        let name = format!("{prefix}input_ids");
        let Stored { shape, values } = comparing.stored(&name)?;
        let [rows, tokens] = **shape else {
            return Err(comparing.refusal(&name).expected("the shape [B, T]").found(format!("{shape:?}")));
        };
        if rows == 0 || tokens == 0 || values.iter().any(|&id| id < 0.0 || id >= vocabulary as f32) {
            return Err(comparing.refusal(&name).expected(format!("ids below {vocabulary}")).found("others"));
        }
        let mask = format!("{prefix}attention_mask");
        let mask = if comparing.has(&mask) { Some(comparing.stored(&mask)?) } else { None };
        if mask.is_some_and(|mask| mask.shape != *shape) {
            return Err(comparing.refusal(&name).expected("the shape of its mask").found(format!("{shape:?}")));
        }
        let mut batch = Self { rows: Vec::new(), starts: Vec::new(), tokens };
        for row in 0..rows {
            let counts = |column: &usize| mask.is_none_or(|mask| mask.values[row * tokens + column] != 0.0);
            let columns: Vec<usize> = (0..tokens).filter(counts).collect();
            let (Some(&first), Some(&last)) = (columns.first(), columns.last()) else {
                return Err(comparing
                    .refusal(&name)
                    .expected("a token in every row")
                    .found(format!("none in row {row}")));
            };
            batch.rows.push((first..=last).map(|column| values[row * tokens + column] as u32).collect());
            batch.starts.push(first);
        }
        Ok(batch)
    }

    /// The ids as numbers of the rows of a table, and the table: `reader`'s, or the model's own.
    pub async fn embeddings(
        &self,
        model: &LanguageModel,
        reader: Option<&Reader>,
        device: &Device,
    ) -> Result<(Tensor<2>, Tensor<2, Int>)> {
        let Gathered { table, ids } = match reader {
            Some(reader) => gather(reader, &self.rows, device).await?,
            None => Gathered { table: model.table(), ids: self.rows.clone() },
        };
        Ok((table, batch_ids(&ids, 0, device).0))
    }

    /// Compares ids and mask.
    pub fn compare_ids(&self, comparing: &Comparing, prefix: &str, pad: u32) -> Result<()> {
        let mut ids = vec![pad as f32; self.rows.len() * self.tokens];
        let mut mask = vec![0.0; ids.len()];
        for (number, (row, start)) in self.rows.iter().zip(&self.starts).enumerate() {
            for (place, &id) in row.iter().enumerate() {
                let at = number * self.tokens + start + place;
                (ids[at], mask[at]) = (id as f32, 1.0);
            }
        }
        for (name, found) in [("input_ids", &ids), ("attention_mask", &mask), ("mask", &mask)] {
            let name = format!("{prefix}{name}");
            if comparing.has(&name) {
                let expected = comparing.expected(&name, &[self.rows.len(), self.tokens])?;
                comparing.compare_values(&name, found, expected);
            }
        }
        Ok(())
    }

    /// Compares what is made of the tokens, `[B, longest, C]`: what is made of padding carries no meaning.
    pub fn compare(&self, comparing: &Comparing, name: &str, found: Tensor<3>) -> Result<()> {
        if !comparing.has(name) {
            return Ok(());
        }
        let [rows, longest, width] = found.dims();
        let stored = comparing.expected(name, &[rows, self.tokens, width])?;
        let ours = numbers(name, found)?;
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        for (row, (ids, start)) in self.rows.iter().zip(&self.starts).enumerate() {
            let count = ids.len() * width;
            found.extend_from_slice(&ours[row * longest * width..][..count]);
            expected.extend_from_slice(&stored[(row * self.tokens + start) * width..][..count]);
        }
        comparing.compare_values(name, &found, &expected);
        Ok(())
    }
}

/// How many tokens there are.
fn vocabulary(model: &LanguageModel, reader: Option<&Reader>) -> usize {
    let stored = reader.and_then(|reader| reader.manifest().tensors.get(TABLE));
    stored.map_or_else(|| model.table().dims()[0], |table| table.rows())
}

async fn features(
    comparing: &Comparing<'_>,
    model: &LanguageModel,
    reader: Option<&Reader>,
    prefix: &str,
    batch: &Batch,
) -> Result<()> {
    let (table, ids) = batch.embeddings(model, reader, comparing.device()).await?;
    let compare = |name: String, states: Tensor<3>| batch.compare(comparing, &name, states);
    for (i, state) in model.hidden_states(table.clone(), ids.clone()).into_iter().enumerate() {
        compare(format!("{prefix}hidden_state_{i}"), state)?;
    }
    compare(format!("{prefix}features"), model.forward_from(table.clone(), ids.clone()))?;
    compare(format!("{prefix}last_hidden_state"), model.last_hidden_state(table, ids))
}
