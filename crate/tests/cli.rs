//! The program as a user meets it: built, started, and judged by its exit code, its files and what it prints.
//!
//! Everything runs on the CPU with the model that ships; without `weights-quantized/toybox` these tests fail.

#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/check.rs"]
mod check;
#[path = "cli/convert.rs"]
mod convert;
#[path = "cli/harness.rs"]
mod harness;
#[path = "cli/interrupt.rs"]
mod interrupt;
#[path = "cli/kinds.rs"]
mod kinds;
#[path = "support/labels.rs"]
mod labels;
#[path = "cli/memory.rs"]
mod memory;
#[path = "cli/models.rs"]
mod models;
#[path = "cli/pictures.rs"]
mod pictures;
#[path = "cli/requests.rs"]
mod requests;
#[path = "cli/tools.rs"]
mod tools;
