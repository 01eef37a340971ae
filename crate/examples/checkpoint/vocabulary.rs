//! A SentencePiece model with as many pieces as a released one, of words that nobody has learnt: `▁ka`, `kamoti`. The files
//! of the released models cannot be had without an agreement; what is read and merged is as much as theirs.

use crate::models::Family;

/// What stands for a space in a piece.
const SPACE: char = '▁';
/// Syllables are pairs of these. Half of Gemma's pieces have letters of more than a byte.
const CONSONANTS: [&str; 2] = ["bdfghjklmnprstvwxzcq", "бвгджзклмнпр"];
const VOWELS: [&str; 2] = ["aeiou", "аеиоу"];
/// The longest words have so many syllables.
const SYLLABLES: u32 = 3;
/// Words that follow one another have little in common: the next one's number is so much larger. It has no factor in common
/// with the number of words, a power of 160.
const STRIDE: usize = 1_234_577;

/// Kinds of pieces, as `sentencepiece_model.proto` counts them.
#[derive(Clone, Copy)]
enum Kind {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    Byte = 6,
}

/// A `tokenizer.model` of `size` pieces.
pub fn model(family: Family, size: usize) -> Vec<u8> {
    let mut file = Vec::new();
    for (id, (piece, kind)) in pieces(family).take(size).enumerate() {
        field(&mut file, 1, &message(&piece, -(id as f32), kind));
    }
    // TrainerSpec: model_type BPE, byte_fallback.
    field(&mut file, 2, &[numbers(3, 2), numbers(35, 1)].concat());
    // NormalizerSpec: add_dummy_prefix, remove_extra_whitespaces.
    field(&mut file, 3, &[numbers(3, u64::from(family.has_dummy_prefix)), numbers(4, 0)].concat());
    file
}

/// Marks, bytes, letters, then words of more and more syllables, each with a space before it too. No text comes twice.
fn pieces(family: Family) -> impl Iterator<Item = (String, Kind)> {
    let mark = |mark: &&str| (mark.to_string(), if *mark == "<unk>" { Kind::Unknown } else { Kind::Control });
    let bytes = (0..=u8::MAX).map(|byte| (format!("<0x{byte:02X}>"), Kind::Byte));
    let beyond_ascii = CONSONANTS.iter().chain(&VOWELS).flat_map(|letters| letters.chars()).filter(|c| !c.is_ascii());
    let letters = ('!'..='~').chain([SPACE]).chain(beyond_ascii);
    let words = (1..=SYLLABLES).flat_map(words).flat_map(|word| [format!("{SPACE}{word}"), word]);
    let normal = |text| (text, Kind::Normal);
    let learnt = letters.map(String::from).chain(words).map(normal);
    family.marks.iter().map(mark).chain(bytes).chain(learnt)
}

/// Every word of `syllables` syllables once.
fn words(syllables: u32) -> impl Iterator<Item = String> {
    let known = self::syllables();
    let count = known.len().pow(syllables);
    (0..count).map(move |number| {
        let number = number * STRIDE % count;
        (0..syllables).map(|place| known[number / known.len().pow(place) % known.len()].as_str()).collect()
    })
}

fn syllables() -> Vec<String> {
    let pairs = |(consonants, vowels): (&'static str, &'static str)| {
        consonants.chars().flat_map(move |first| vowels.chars().map(move |second| format!("{first}{second}")))
    };
    CONSONANTS.into_iter().zip(VOWELS).flat_map(pairs).collect()
}

/// `ModelProto.SentencePiece`.
fn message(piece: &str, score: f32, kind: Kind) -> Vec<u8> {
    let mut message = Vec::new();
    field(&mut message, 1, piece.as_bytes());
    message.extend(varint(2 << 3 | 5));
    message.extend(score.to_le_bytes());
    message.extend(numbers(3, kind as u64));
    message
}

/// A field of bytes.
fn field(message: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    message.extend(varint(number << 3 | 2));
    message.extend(varint(bytes.len() as u64));
    message.extend(bytes);
}

/// A field that is a number.
fn numbers(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
