//! Prompt to caption features: tokenizer, then language model.

pub mod embeddings;
pub mod language_model;
pub mod sentencepiece;
pub mod tokenizer;
mod tokenizer_json;
