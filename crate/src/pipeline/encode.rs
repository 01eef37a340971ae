//! What a request asks for, to what the denoiser is given: captions through the text encoder, or the number of a class.

use burn::tensor::Tensor;

use super::Pipeline;
use crate::{
    error::{Error, Result},
    model::{Caption, Condition},
    plan::Plan,
    progress::Settings,
    text::{
        embeddings::{Gathered, gather},
        language_model::batch_ids,
        tokenizer::{Encoded, Tokenizer},
    },
};

impl Pipeline {
    /// What to make, then what the transitions make, then what to lead away from; and what was cut.
    pub(super) async fn encode(&self, settings: &Settings, plan: &Plan) -> Result<(Condition, Vec<String>)> {
        if let Some(labels) = self.labels(settings) {
            return Ok((Condition::Labels(Tensor::from_ints(labels, self.device.burn())), Vec::new()));
        }
        let (prompts, warnings) = self.prompts(settings)?;
        if let Some((_, caption)) = self.encoded.borrow().as_ref().filter(|(of, _)| *of == prompts) {
            return Ok((Condition::Caption(caption.clone()), warnings));
        }
        let text = self.text(plan).await?;
        let device = self.device.burn();
        let Gathered { table, ids } = gather(&self.reader, &prompts, device).await?;
        // Padding may be any row: nothing that is made of it is looked at.
        let (ids, mask) = batch_ids(&ids, 0, device);
        let caption = Caption { features: text.forward_from(table, ids), mask };
        self.encoded.replace(Some((prompts, caption.clone())));
        Ok((Condition::Caption(caption), warnings))
    }

    /// Whether [`Self::encode`] will ask the text encoder.
    pub(super) fn needs_encoder(&self, settings: &Settings) -> Result<bool> {
        if self.labels(settings).is_some() {
            return Ok(false);
        }
        let (prompts, _) = self.prompts(settings)?;
        Ok(self.encoded.borrow().as_ref().is_none_or(|(of, _)| *of != prompts))
    }

    /// Rows of the conditioning, and tokens of the longest caption among them.
    pub(super) fn condition_extent(&self, settings: &Settings) -> Result<(usize, usize)> {
        if let Some(labels) = self.labels(settings) {
            return Ok((labels.len(), 0));
        }
        let (prompts, _) = self.prompts(settings)?;
        Ok((prompts.len(), prompts.iter().map(Vec::len).max().unwrap_or(0)))
    }

    /// The class, and the row behind the last, which stands for none (`LabelEmbedder`).
    fn labels(&self, settings: &Settings) -> Option<[i32; 2]> {
        let (class, count) = settings.class.zip(self.blueprint.denoiser.num_classes)?;
        Some([class as i32, count as i32])
    }

    /// The ids of the prompts (the transitions' behind the first) and of the negative prompt, and what was cut. Before
    /// each stands what tells the text encoder the kind of output.
    fn prompts(&self, settings: &Settings) -> Result<(Vec<Vec<u32>>, Vec<String>)> {
        let mut warnings = Vec::new();
        let mut rows = Vec::new();
        let sampling = self.manifest().sampling.get(settings.kind.name());
        let prefix = sampling.and_then(|sampling| sampling.prompt_prefix.as_deref()).unwrap_or_default();
        let later = settings.transitions.iter().map(|transition| ("prompt of a transition", &transition.prompt));
        let prompts = std::iter::once(("prompt", &settings.prompt)).chain(later);
        let tokenizer = self.tokenizer()?;
        let mut add = |name: &str, encoded: Encoded| {
            if let Some(cut) = encoded.cut {
                let most = encoded.ids.len();
                warnings.push(format!("the {name} is longer than {most} tokens; not used: {}", excerpt(&cut)));
            }
            rows.push(encoded.ids);
            rows.iter().map(Vec::len).max().unwrap_or(0)
        };
        let mut longest = 0;
        for (name, text) in prompts {
            longest = add(name, tokenizer.encode(&format!("{prefix}{text}"))?);
        }
        let negative = format!("{prefix}{}", settings.negative_prompt);
        add("negative prompt", tokenizer.encode_negative(&negative, longest)?);
        Ok((rows, warnings))
    }

    fn tokenizer(&self) -> Result<&Tokenizer> {
        let tokenizer = self.tokenizer.as_ref();
        tokenizer.ok_or_else(|| Error::bad_model("components.text").expected("a tokenizer").found("none"))
    }
}

/// The beginning of a text, and how long it is where that is not all.
fn excerpt(text: &str) -> String {
    const SHOWN: usize = 60;
    let text = text.trim();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("\"{}…\" ({} characters)", &text[..end], text.chars().count()),
        None => format!("\"{text}\""),
    }
}
