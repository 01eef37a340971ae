//! The caption grammar: several true ways of saying what is heard. Timbre and pitch are always said, the pattern too
//! unless it is steady.

use super::{Pattern, Pitch, Rng, Sound, Timbre, sample};

/// Captions without their sounds, for training a tokenizer.
pub fn corpus(n: usize, seed: u64) -> impl Iterator<Item = String> {
    let mut rng = Rng::new(seed);
    (0..n).map(move |_| sample(&mut rng).caption)
}

/// Writes one caption that is true of the sound.
pub fn write(sound: &Sound, rng: &mut Rng) -> String {
    let noun = noun(sound.timbre, rng);
    let pitch = pitch_word(sound.pitch, rng);
    let plain = format!("{pitch} {noun}");
    let (after, before) = pattern_words(sound.pattern, rng);
    let sentence = match sound.pattern {
        Pattern::Steady if rng.chance(0.6) => with_article(&plain, rng),
        Pattern::Steady | Pattern::Rising | Pattern::Falling => match rng.uniform() {
            u if u < 0.5 => format!("{}, {after}", with_article(&plain, rng)),
            u if u < 0.75 => with_article(&format!("{before} {plain}"), rng),
            _ => with_article(&format!("{pitch} {before} {noun}"), rng),
        },
        Pattern::Trill | Pattern::Scale => match rng.uniform() {
            u if u < 0.5 => format!("{}, {after}", with_article(&plain, rng)),
            u if u < 0.75 => format!("a {before} on a {plain}"),
            _ => with_article(&format!("{plain} {before}"), rng),
        },
        Pattern::ThreeBeeps => match rng.uniform() {
            u if u < 0.4 => format!("three {plain} beeps"),
            u if u < 0.8 => format!("{}, {after}", with_article(&plain, rng)),
            _ => format!("three beeps of a {plain}"),
        },
    };
    finish(sentence, rng)
}

/// Mostly lower case without a full stop, as prompts are typed.
fn finish(sentence: String, rng: &mut Rng) -> String {
    let mut sentence = sentence;
    if rng.chance(0.2) {
        sentence[..1].make_ascii_uppercase();
    }
    if rng.chance(0.05) {
        sentence.push('.');
    }
    sentence
}

/// No word of the grammar begins with a vowel.
fn with_article(phrase: &str, rng: &mut Rng) -> String {
    match rng.uniform() {
        u if u < 0.08 => format!("one {phrase}"),
        u if u < 0.25 => phrase.into(),
        _ => format!("a {phrase}"),
    }
}

fn noun(timbre: Timbre, rng: &mut Rng) -> &'static str {
    match timbre {
        Timbre::Sine => rng.choose(&["sine tone", "sine tone", "sine wave", "sine"]),
        Timbre::Square => rng.choose(&["square wave", "square wave", "square tone"]),
        Timbre::Pluck => rng.choose(&["pluck", "pluck", "plucked string"]),
        Timbre::Bell => "bell",
        Timbre::Drum => "drum",
        Timbre::Noise => "noise",
    }
}

fn pitch_word(pitch: Pitch, rng: &mut Rng) -> &'static str {
    match pitch {
        Pitch::Low => rng.choose(&["low", "low", "low", "deep"]),
        Pitch::Middle => rng.choose(&["middle", "middle", "middle", "medium"]),
        Pitch::High => "high",
    }
}

/// What follows a comma, and what stands beside the noun.
fn pattern_words(pattern: Pattern, rng: &mut Rng) -> (&'static str, &'static str) {
    match pattern {
        Pattern::Steady => ("steady", "steady"),
        Pattern::Rising => (rng.choose(&["rising", "rising", "going up"]), "rising"),
        Pattern::Falling => (rng.choose(&["falling", "falling", "going down"]), "falling"),
        Pattern::Trill => (rng.choose(&["trill", "trilling"]), "trill"),
        Pattern::ThreeBeeps => ("three beeps", "three beeps"),
        Pattern::Scale => (rng.choose(&["scale", "playing a scale"]), "scale"),
    }
}
