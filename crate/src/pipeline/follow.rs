//! Work that tells how far it is while it goes on.

use std::{cell::Cell, future::poll_fn, pin::Pin, task::Poll};

/// Goes on with `work` until it has told something or is done: what it told last, and what came of it.
pub(super) async fn follow<W: Future, T>(
    mut work: Pin<&mut W>,
    told: &Cell<Option<T>>,
) -> (Option<T>, Option<W::Output>) {
    poll_fn(|context| {
        let state = work.as_mut().poll(context);
        match (told.take(), state) {
            (None, Poll::Pending) => Poll::Pending,
            (news, Poll::Pending) => Poll::Ready((news, None)),
            (news, Poll::Ready(done)) => Poll::Ready((news, Some(done))),
        }
    })
    .await
}
