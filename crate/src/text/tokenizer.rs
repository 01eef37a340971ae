//! Text to token ids, by the `tokenizers` library from a `tokenizer.json`.

use super::tokenizer_json::{self, Read, refuse};
use crate::error::{Error, Result};

/// The most tokens a prompt may have: attention over them takes memory by their square.
const MAX_TOKENS: usize = 1024;

/// What surrounds and limits the ids of a prompt; part of the manifest, for every model family has its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TokenizerRules {
    /// Put before the prompt (LLaMA: 1).
    #[serde(default)]
    pub bos: Option<u32>,
    /// Put after the prompt (Lumina-T2I: 2).
    #[serde(default)]
    pub eos: Option<u32>,
    /// Fills shorter rows of a batch.
    #[serde(default)]
    pub pad: u32,
    /// Longer prompts are cut to this many ids, BOS and EOS included.
    pub max_tokens: usize,
    /// Whether prompts are lower-cased first.
    #[serde(default)]
    pub lowercase: bool,
    /// How the negative prompt is treated.
    #[serde(default, skip_serializing_if = "NegativePrompt::is_alike")]
    pub negative: NegativePrompt,
}

/// How a model treats its negative prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NegativePrompt {
    /// As the prompt.
    #[default]
    Alike,
    /// As `LuminaPipeline` of diffusers: its letters stay as they are, and it is cut to the prompt's length, filled up to a
    /// multiple of 8. Prompts lose the spaces around them.
    Diffusers,
}

impl NegativePrompt {
    /// To this many tokens diffusers fills up.
    const MULTIPLE: usize = 8;

    fn is_alike(&self) -> bool {
        *self == Self::Alike
    }
}

/// A tokenizer with its rules.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    rules: TokenizerRules,
}

/// A prompt's ids, and how many of its tokens did not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// With BOS and EOS where the rules ask for them.
    pub ids: Vec<u32>,
    /// The part of the prompt that was cut off, if any.
    pub cut: Option<String>,
}

impl Tokenizer {
    /// From the bytes of a `tokenizer.json` for a vocabulary of `vocab_size`.
    ///
    /// # Errors
    ///
    /// `bad-model` if the file is no tokenizer, knows ids beyond the vocabulary, or the rules leave no room.
    pub fn new(json: &[u8], rules: TokenizerRules, vocab_size: usize) -> Result<Self> {
        let Read { tokenizer: mut inner, highest_id } = tokenizer_json::read(json)?;
        // The rules say what is cut and padded; what the file says of it may be of any size.
        inner.with_padding(None).with_truncation(None).map_err(refuse)?;
        let ids = [highest_id, Some(rules.pad), rules.bos, rules.eos].into_iter().flatten();
        match ids.max() {
            Some(id) if id as usize >= vocab_size => {
                return Err(refuse(format!("id {id} for a vocabulary of {vocab_size}")));
            }
            _ => {}
        }
        let around = usize::from(rules.bos.is_some()) + usize::from(rules.eos.is_some());
        if rules.max_tokens <= around || rules.max_tokens > MAX_TOKENS {
            return Err(refuse(format!("max_tokens {} instead of {} to {MAX_TOKENS}", rules.max_tokens, around + 1)));
        }
        Ok(Self { inner, rules })
    }

    /// The rules.
    pub fn rules(&self) -> &TokenizerRules {
        &self.rules
    }

    /// A prompt to ids. An empty prompt is the null caption.
    ///
    /// # Errors
    ///
    /// `bad-request` if the tokenizer cannot encode the text.
    pub fn encode(&self, prompt: &str) -> Result<Encoded> {
        let prompt = if self.rules.negative == NegativePrompt::Diffusers { prompt.trim() } else { prompt };
        let text = if self.rules.lowercase { prompt.to_lowercase() } else { prompt.to_owned() };
        self.encode_text(&text, self.rules.max_tokens)
    }

    /// A negative prompt to ids, beside a prompt of so many.
    ///
    /// # Errors
    ///
    /// Those of [`Self::encode`].
    pub fn encode_negative(&self, prompt: &str, beside: usize) -> Result<Encoded> {
        match self.rules.negative {
            NegativePrompt::Alike => self.encode(prompt),
            NegativePrompt::Diffusers => {
                let most = beside.next_multiple_of(NegativePrompt::MULTIPLE);
                self.encode_text(prompt, most.min(self.rules.max_tokens))
            }
        }
    }

    /// Text as it is, cut to `max_tokens`.
    fn encode_text(&self, text: &str, max_tokens: usize) -> Result<Encoded> {
        let encoding =
            self.inner.encode(text, false).map_err(|error| Error::bad_request("prompt").found(error.to_string()))?;
        let around = usize::from(self.rules.bos.is_some()) + usize::from(self.rules.eos.is_some());
        let room = max_tokens.saturating_sub(around);
        let kept = encoding.get_ids().iter().copied().take(room);
        let mut ids: Vec<u32> = self.rules.bos.into_iter().chain(kept).chain(self.rules.eos).collect();
        if ids.is_empty() {
            ids.push(self.rules.pad); // a caption without tokens has no mean
        }
        let rest = |&(start, _): &(usize, usize)| text.get(start..).unwrap_or("its end").to_owned();
        let cut = encoding.get_offsets().get(room).map(rest);
        Ok(Encoded { ids, cut })
    }
}
