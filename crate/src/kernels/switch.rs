//! The switch between our kernels and Burn's own operations, which benches put side by side.

use std::cell::Cell;

use super::stock;
use crate::error::{Error, Result};

thread_local! {
    static IS_ON: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, what this thread computes it computes with Burn's own operations, on every device, and what it loads it
/// loads for them: matrices are expanded.
#[derive(Debug)]
pub struct Stock(());

impl Stock {
    /// Turns it on.
    ///
    /// # Errors
    ///
    /// `bad-request` in a browser's GPU engine that was not built for it (feature `stock`): Burn's kernels are not in it.
    pub fn turn_on() -> Result<Self> {
        if !stock::IS_THERE {
            return Err(Error::bad_request("stock")
                .expected("an engine with Burn's kernels, as cargo xtask bench --stock builds one")
                .found("one without"));
        }
        IS_ON.set(true);
        Ok(Self(()))
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        IS_ON.set(false);
    }
}

pub(super) fn is_on() -> bool {
    // Where it is known not to be, nothing of what it would call is linked.
    stock::IS_THERE && IS_ON.get()
}
