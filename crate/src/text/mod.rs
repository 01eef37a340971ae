//! Prompt to caption features: tokenizer, then language model.

pub mod language_model;
pub mod sentencepiece;
pub mod tokenizer;
