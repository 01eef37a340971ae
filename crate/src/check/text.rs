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

use burn::tensor::Tensor;

use super::{Comparing, Stored};
use crate::{
    error::{Error, Result},
    text::{
        embeddings::{Gathered, TABLE, gather},
        language_model::{LanguageModel, batch_ids},
        tokenizer::Tokenizer,
    },
    weights::Reader,
};

/// A stored batch: its rows of ids without what is ignored, and where they stand.
struct Batch {
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
            tokens(comparing, prefix, &batch, &prompts, tokenizer.rules().pad)?;
        }
        features(comparing, model, reader, prefix, &batch).await?;
    }
    Ok(())
}

impl Batch {
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
}

/// What the tokenizer makes of the prompts, placed as the stored rows are.
fn tokens(comparing: &Comparing, prefix: &str, batch: &Batch, prompts: &[Vec<u32>], pad: u32) -> Result<()> {
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
    if prompts.len() != batch.rows.len() || longest > batch.tokens {
        return Err(comparing
            .refusal(&format!("{prefix}input_ids"))
            .expected(format!("{} prompts of at most {} tokens", batch.rows.len(), batch.tokens))
            .found(format!("{} of up to {longest}", prompts.len())));
    }
    let is_left = prefix == "left_";
    let mut ids = vec![pad as f32; prompts.len() * batch.tokens];
    let mut mask = vec![0.0; ids.len()];
    for (row, prompt) in prompts.iter().enumerate() {
        let start = row * batch.tokens + if is_left { batch.tokens - prompt.len() } else { 0 };
        for (place, &id) in prompt.iter().enumerate() {
            (ids[start + place], mask[start + place]) = (id as f32, 1.0);
        }
    }
    for (name, found) in [("input_ids", &ids), ("attention_mask", &mask), ("mask", &mask)] {
        let name = format!("{prefix}{name}");
        if comparing.has(&name) {
            let expected = comparing.stored(&name)?;
            if expected.values.len() != found.len() {
                return Err(comparing.refusal(&name).expected("as many as ids").found(format!("{:?}", expected.shape)));
            }
            comparing.compare_values(&name, found, &expected.values);
        }
    }
    Ok(())
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
    let Gathered { table, ids } = match reader {
        Some(reader) => gather(reader, &batch.rows, comparing.device()).await?,
        None => Gathered { table: model.table(), ids: batch.rows.clone() },
    };
    let (ids, _) = batch_ids(&ids, 0, comparing.device());
    let compare = |name: String, states: Tensor<3>| compare(comparing, &name, states, batch);
    for (i, state) in model.hidden_states(table.clone(), ids.clone()).into_iter().enumerate() {
        compare(format!("{prefix}hidden_state_{i}"), state)?;
    }
    compare(format!("{prefix}features"), model.forward_from(table.clone(), ids.clone()))?;
    compare(format!("{prefix}last_hidden_state"), model.last_hidden_state(table, ids))
}

/// Compares what belongs to tokens.
fn compare(comparing: &Comparing, name: &str, found: Tensor<3>, batch: &Batch) -> Result<()> {
    if !comparing.has(name) {
        return Ok(());
    }
    let Stored { shape, values } = comparing.stored(name)?;
    let [rows, longest, width] = found.dims();
    if *shape != [rows, batch.tokens, width] {
        return Err(comparing
            .refusal(name)
            .expected(format!("the shape [{rows}, {}, {width}]", batch.tokens))
            .found(format!("{shape:?}"))
            .remedy("the reference is of another model"));
    }
    let data = found.try_into_data().map_err(|error| Error::device_lost(name, format!("{error:?}")))?;
    let ours: Vec<f32> = data.iter::<f32>().collect();
    let (mut found, mut expected) = (Vec::new(), Vec::new());
    for (row, (ids, start)) in batch.rows.iter().zip(&batch.starts).enumerate() {
        let count = ids.len() * width;
        found.extend_from_slice(&ours[row * longest * width..][..count]);
        expected.extend_from_slice(&values[(row * batch.tokens + start) * width..][..count]);
    }
    comparing.compare_values(name, &found, &expected);
    Ok(())
}
