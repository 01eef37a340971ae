//! The command line program: arguments → requests → pipeline → files. `args.rs` is the first file to read.
//!
//! A failure is one sentence on stderr and an exit code that says of which kind it was (`ErrorKind::exit_code`).

mod args;
mod bench;
mod check;
mod convert;
mod devices;
mod generate;
mod inspect;
mod interrupt;
mod jobs;
mod model;
mod panics;
mod progress_bar;
mod terminal;

use std::process::ExitCode;

use clap::error::ErrorKind as ClapKind;
use clap::{CommandFactory as _, Parser as _};
use flagdit::error::{Error, Result};

use args::{Args, Command};
use terminal::Terminal;

// A step on the CPU makes and drops hundreds of tensors of megabytes. The system's allocator gives each back to the kernel,
// which clears its pages when they are asked for again; and it aligns them to 16 bytes, where vectors have 64.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    silence_mesa();
    panics::keep_quiet();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let terminal = Terminal::new(args.json, args.quiet);
    let result = panics::catch(|| interrupt::install().and_then(|()| run(args.command, &terminal)));
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            terminal.error(error.kind().code(), &error.to_string());
            ExitCode::from(error.kind().exit_code())
        }
        Err(message) => {
            terminal.error("internal", &format!("{message}; this is a mistake in flagdit, please report it"));
            ExitCode::from(panics::EXIT_CODE)
        }
    }
}

fn run(command: Command, terminal: &Terminal) -> Result<()> {
    match command {
        Command::Generate(args) => generate::run(&args, terminal),
        Command::Convert(args) => convert::run(&args, terminal),
        Command::Inspect(args) => inspect::run(&args, terminal),
        Command::Check(args) => check::run(&args, terminal),
        Command::Bench(args) => bench::run(&args, terminal),
        Command::Devices => devices::run(terminal),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "flagdit", &mut script);
            terminal.print(String::from_utf8_lossy(&script).trim_end())
        }
    }
}

/// Without a desktop session, Mesa's implicit Vulkan layer "device select" looks for one and complains on stderr. It
/// sorts GPUs by a desktop's preferences, so nothing is lost by turning it off where there is no desktop.
fn silence_mesa() {
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: no other thread runs yet that could read the environment meanwhile.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

/// Prints help where it was asked for; anything else is an error of one line.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print(); // A closed pipe has nobody to be told.
        return ExitCode::SUCCESS;
    }
    let error = match error.kind() {
        ClapKind::DisplayHelpOnMissingArgumentOrSubcommand => Error::bad_request("flagdit")
            .expected("generate, convert, inspect, check, bench, devices or completions")
            .found("no command")
            .remedy("flagdit --help shows what there is"),
        _ => Error::bad_request(args::one_line(&error.render().to_string())),
    };
    let is_json = std::env::args_os().any(|arg| arg == "--json");
    Terminal::new(is_json, false).error(error.kind().code(), &error.to_string());
    ExitCode::from(error.kind().exit_code())
}
