//! `cargo xtask <command>`: what a build needs beyond cargo itself, written in Rust so that it runs wherever the
//! project builds. It depends on nothing heavy: it must compile in seconds before anything else can be tried.

mod bench;
mod checkpoint;
mod declared;
mod demo;
mod e2e;
mod install;
mod markdown;
mod readme_commands;
mod readme_tree;
mod test;
mod wasm_parsers;
mod wasm_toolchain;
mod web;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Builds and tests flagdit")]
struct Args {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs what is missing, then runs every check and every test
    Test,
    /// Builds the browser's engine, the npm package and the page
    Web,
    /// Builds the page and serves it on this machine
    Demo {
        /// Where it listens, on 127.0.0.1
        #[arg(long, default_value_t = 8080)]
        port: u16,
    },
    /// Measures natively and in the browser, beside peers if some are named, and writes the README's tables
    Bench(bench::Args),
    /// Writes a checkpoint of random numbers, as large as a released one: MODEL -o DIR, --help for more
    #[command(disable_help_flag = true)]
    Checkpoint {
        /// What the program in crate/examples/checkpoint is called with
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let result = Workspace::locate().and_then(|workspace| match Args::parse().command {
        Task::Test => test::run(&workspace),
        Task::Web => web::run(&workspace),
        Task::Demo { port } => demo::run(&workspace, port),
        Task::Bench(args) => bench::run(&workspace, &args),
        Task::Checkpoint { arguments } => checkpoint::run(&workspace, &arguments),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{error:#}");
            ExitCode::FAILURE
        }
    }
}
