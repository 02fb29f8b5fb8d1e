//! Timers that exist only while something waits for them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::engine::current_handle;

/// `now + span`; a span too long to add is as good as for ever.
pub(crate) fn after(now: Instant, span: Duration) -> Instant {
    const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    now.checked_add(span).unwrap_or(now + FOR_EVER)
}

/// One timer for a moment that may change.
#[derive(Debug, Default)]
pub(crate) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready when `at` has come; without a moment, never.
    pub(crate) fn poll(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = at else {
            self.0 = None;
            return Poll::Pending;
        };
        let timer = self.0.get_or_insert_with(|| {
            // A timer needs a runtime to be made, also where the caller polls from a thread without one.
            let handle = if Handle::try_current().is_err() { current_handle() } else { None };
            let _guard = handle.as_ref().map(Handle::enter);
            Box::pin(sleep_until(at))
        });
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        timer.as_mut().poll(cx)
    }
}

/// A call's deadline: watched only when something waits.
#[derive(Debug)]
pub(crate) struct Deadline {
    at: Option<Instant>,
    timer: Timer,
}

impl Deadline {
    pub(crate) fn new(at: Option<Instant>) -> Self {
        Deadline { at, timer: Timer::default() }
    }

    pub(crate) fn at(&self) -> Option<Instant> {
        self.at
    }

    pub(crate) fn passed(&self) -> bool {
        self.at.is_some_and(|at| at <= Instant::now())
    }

    /// Whether it has passed; if not, wakes the task when it does.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.poll(self.at, cx)
    }
}
