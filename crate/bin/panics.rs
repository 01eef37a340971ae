//! Panics are mistakes of ours or of a driver: the user gets one sentence, not a dump. Those that the library catches
//! (a driver that panics where it should refuse) are not shown at all.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};

/// EX_SOFTWARE of sysexits.h.
pub const EXIT_CODE: u8 = 70;

/// How many panics are told: the last one, and what may have led to it.
const TOLD: usize = 3;

/// The panics so far, with their places.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps messages for [`catch`]; RUST_BACKTRACE still shows all there is.
pub fn keep_quiet() {
    let show = std::env::var_os("RUST_BACKTRACE").map(|_| panic::take_hook());
    panic::set_hook(Box::new(move |info| {
        let message = info.payload_as_str().unwrap_or("a panic without a message");
        let place = info.location().map(|place| format!(" ({place})")).unwrap_or_default();
        PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{message}{place}"));
        if let Some(show) = &show {
            show(info);
        }
    }));
}

/// The result of `work`, or the message of its panic.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        let panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
        panics.iter().rev().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("; before that: ")
    })
}
