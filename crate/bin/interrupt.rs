//! Ctrl-C: the first asks to stop after the step at hand, the second ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};

use flagdit::error::{Error, ErrorKind, Result};

static IS_REQUESTED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C (and SIGTERM, SIGHUP) asks to stop.
pub fn install() -> Result<()> {
    let handle = || {
        if IS_REQUESTED.swap(true, Ordering::Relaxed) {
            std::process::exit(ErrorKind::Aborted.exit_code().into());
        }
    };
    ctrlc::set_handler(handle).map_err(|error| Error::new(ErrorKind::Unsupported, "Ctrl-C").found(error.to_string()))
}

/// # Errors
/// `aborted` if the user asked to stop.
pub fn check() -> Result<()> {
    if IS_REQUESTED.load(Ordering::Relaxed) { Err(Error::new(ErrorKind::Aborted, "interrupted")) } else { Ok(()) }
}
