//! The toybox's tokenizer: a byte-level BPE trained on captions.

use std::path::Path;

use anyhow::{Result, anyhow};
use flagdit::{
    request::Kind,
    text::tokenizer::{Tokenizer, TokenizerRules},
};
use tokenizers::{
    AddedToken, TokenizerBuilder,
    decoders::byte_level::ByteLevel as Decoder,
    models::bpe::{BPE, BpeTrainerBuilder},
    normalizers::utils::Lowercase,
    pre_tokenizers::byte_level::ByteLevel,
};

use crate::{
    train::recipe::Recipe,
    world::{captions, sound, video, views},
};

/// Captions of each kind that it is trained on.
const CAPTIONS: usize = 20_000;
/// Special tokens, in the order of their ids.
const SPECIAL: [&str; 3] = ["<pad>", "<s>", "</s>"];
/// Longer prompts are cut; the longest caption of the world has less than half of it.
const MAX_TOKENS: usize = 64;

/// A tokenizer with the toybox's rules.
pub struct CaptionTokenizer {
    tokenizer: Tokenizer,
    vocabulary: usize,
}

/// BOS and EOS around every caption, as Lumina-T2I has it.
pub fn rules() -> TokenizerRules {
    TokenizerRules { bos: Some(1), eos: Some(2), pad: 0, max_tokens: MAX_TOKENS, ..TokenizerRules::default() }
}

impl CaptionTokenizer {
    /// From a `tokenizer.json`, trained first if it does not exist.
    pub fn load_or_train(path: &Path, recipe: &Recipe) -> Result<Self> {
        if !path.exists() {
            train(path, recipe)?;
        }
        let json = std::fs::read(path)?;
        let count = tokenizers::Tokenizer::from_bytes(&json).map_err(|error| anyhow!(error))?.get_vocab_size(true);
        let tokenizer = Tokenizer::new(&json, rules(), count)?;
        Ok(Self { tokenizer, vocabulary: count })
    }

    /// Ids it knows.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Fills shorter rows.
    pub fn pad(&self) -> u32 {
        self.tokenizer.rules().pad
    }

    /// A caption's ids.
    pub fn encode(&self, caption: &str) -> Result<Vec<u32>> {
        Ok(self.tokenizer.encode(caption)?.ids)
    }
}

/// Captions of everything that the recipe makes, as its prompts have them.
fn corpus(recipe: &Recipe) -> impl Iterator<Item = String> + Send {
    let of_kind = |&kind: &Kind| {
        let prefix = recipe.prefix(kind).to_owned();
        let captions: Box<dyn Iterator<Item = String> + Send> = match kind {
            Kind::Image => Box::new(captions::corpus(CAPTIONS, recipe.seed)),
            Kind::Video => Box::new(video::corpus(CAPTIONS, recipe.seed)),
            Kind::Views => Box::new(views::corpus(CAPTIONS, recipe.seed)),
            Kind::Audio => Box::new(sound::corpus(CAPTIONS, recipe.seed)),
        };
        captions.map(move |caption| format!("{prefix}{caption}"))
    };
    recipe.modalities.keys().map(of_kind).collect::<Vec<_>>().into_iter().flatten()
}

fn train(path: &Path, recipe: &Recipe) -> Result<()> {
    let mut trainer = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(recipe.text.vocab_size)
        .min_frequency(2)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(SPECIAL.iter().map(|&token| AddedToken::from(token, true)).collect())
        .build();
    let bytes = ByteLevel::new(true, false, true);
    let mut tokenizer = TokenizerBuilder::new()
        .with_model(BPE::default())
        .with_normalizer(Some(Lowercase))
        .with_pre_tokenizer(Some(bytes))
        .with_post_processor(Some(bytes))
        .with_decoder(Some(Decoder::default()))
        .build()
        .map_err(|error| anyhow!(error))?;
    tokenizer
        .train(&mut trainer, corpus(recipe))
        .and_then(|tokenizer| tokenizer.save(path, true))
        .map_err(|error| anyhow!(error))
}
