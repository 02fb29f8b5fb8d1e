//! Virtual time beside real sockets.

use std::sync::mpsc;
use std::time::Duration;

/// Tokio's clock, stopped: it moves only by [`FrozenClock::advance`].
///
/// A paused clock normally jumps to the next timer as soon as every task waits, which with real sockets is
/// before the kernel delivers anything. It does not while a blocking task runs, so this keeps one running.
pub struct FrozenClock {
    _release: mpsc::Sender<()>,
}

impl FrozenClock {
    /// Stops the clock of the current runtime, which must be of the current-thread kind.
    pub fn new() -> Self {
        tokio::time::pause();
        let (release, held) = mpsc::channel::<()>();
        // A test that waits for something that never comes has no timer to save it; this bounds its life.
        tokio::task::spawn_blocking(move || held.recv_timeout(Duration::from_secs(20)));
        Self { _release: release }
    }

    /// Moves time forward; timers due until then have fired when this returns and their tasks are ready.
    pub async fn advance(&self, by: Duration) {
        // A timer rings at the next whole millisecond.
        tokio::time::advance(by + Duration::from_millis(1)).await;
    }
}
