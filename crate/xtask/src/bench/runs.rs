//! The times of both sides, run by run.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};

/// How far an output of about 1 may be off, which a product with 8-bit inputs is not.
const WRONG: f64 = 0.1;

/// Milliseconds a step, of several steps in a row.
#[derive(Clone, Copy)]
pub struct Times {
    median: f64,
    least: f64,
}

impl Times {
    /// From the fields of these names.
    pub fn read(row: &Value, [median, least]: [&str; 2]) -> Option<Self> {
        Some(Self { median: row[median].as_f64()?, least: row[least].as_f64()? })
    }
}

/// Every run, by who ran it and in which format.
#[derive(Default)]
pub struct Runs(BTreeMap<(String, String), Vec<Times>>);

impl Runs {
    pub fn add(&mut self, who: &str, format: &str, times: Times) {
        println!("{who}, {format}: {:.1} ms a step, {:.1} at best", times.median, times.least);
        self.0.entry((who.to_owned(), format.to_owned())).or_default().push(times);
    }

    /// The median of the runs' medians, and the least of all: `{ who: { format: [median, least] } }`.
    pub fn summary(&self) -> Value {
        let mut all = Map::new();
        for ((who, format), runs) in &self.0 {
            let mut medians: Vec<f64> = runs.iter().map(|run| run.median).collect();
            medians.sort_by(f64::total_cmp);
            let least = runs.iter().map(|run| run.least).fold(f64::INFINITY, f64::min);
            let of_one = all.entry(who.clone()).or_insert_with(|| json!({}));
            of_one[format] = json!([medians[medians.len() / 2], least]);
        }
        Value::Object(all)
    }
}

/// Of several graphs of one format the fastest, as an expert would take it.
#[derive(Default)]
pub struct Best(BTreeMap<(String, &'static str), Times>);

impl Best {
    /// One graph of a peer: its time, and how far its output is off, from that of the weights that it has if that is known.
    /// One that fails or is wrong counts for nothing.
    pub fn add(&mut self, peer: &str, graph: &str, times: Option<Times>, off: [Option<f64>; 2]) {
        let is_right = off.into_iter().flatten().next().is_none_or(|off| off < WRONG);
        let Some(times) = times.filter(|_| is_right) else {
            return println!("{peer}, {graph}: fails or computes something else");
        };
        let format = if graph.contains("q4") { "q4" } else { "f32" };
        let best = self.0.entry((peer.to_owned(), format)).or_insert(times);
        if times.median < best.median {
            *best = times;
        }
    }

    pub fn tell(&self, runs: &mut Runs) -> Result<()> {
        ensure!(!self.0.is_empty(), "no peer computed what PyTorch computed");
        self.0.iter().for_each(|((peer, format), times)| runs.add(peer, format, *times));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_graph_counts_that_computes_the_right_thing() {
        let times = |median| Some(Times { median, least: median - 1.0 });
        let mut best = Best::default();
        best.add("ort", "plain.fp32", times(9.0), [None, Some(1e-6)]);
        best.add("ort", "fused.fp32", times(7.0), [None, Some(1e-6)]);
        best.add("ort", "mha.fp32", times(1.0), [None, Some(3.0)]);
        // 4 bits are far from the f32 weights, not from their own.
        best.add("ort", "plain.q4", times(5.0), [Some(1e-6), Some(0.4)]);
        best.add("ort", "broken.q4", None, [None, None]);
        let mut runs = Runs::default();
        best.tell(&mut runs).unwrap();
        best.add("ort", "plain.fp32", times(3.0), [None, Some(1e-6)]);
        best.tell(&mut runs).unwrap();
        runs.add("ort", "f32", Times { median: 8.0, least: 7.5 });
        assert_eq!(runs.summary(), json!({ "ort": { "f32": [7.0, 2.0], "q4": [5.0, 4.0] } }));
        assert!(Best::default().tell(&mut runs).is_err());
    }
}
