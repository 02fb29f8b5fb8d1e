//! Virtual time beside real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// Tokio's clock, stopped: it moves only by [`FrozenClock::advance`].
///
/// A paused clock normally jumps to the next timer as soon as every task waits, which with real sockets is
/// before the kernel delivers anything. It does not while a blocking task runs, so this keeps one running.
pub struct FrozenClock {
    _release: mpsc::Sender<()>,
    thawed: Arc<AtomicBool>,
}

impl FrozenClock {
    /// Stops the clock of the current runtime, which must be of the current-thread kind.
    pub fn new() -> Self {
        tokio::time::pause();
        let (release, held) = mpsc::channel::<()>();
        let thawed = Arc::new(AtomicBool::new(false));
        let melt = thawed.clone();
        // A test that waits for something that never comes has no timer to end it. So time starts to jump after
        // a while, which runs the waits out of patience; and the test has failed, even if it helps.
        tokio::task::spawn_blocking(move || {
            let waited = held.recv_timeout(Duration::from_secs(15));
            melt.store(waited == Err(mpsc::RecvTimeoutError::Timeout), Ordering::SeqCst);
        });
        Self { _release: release, thawed }
    }

    /// Moves time forward; timers due until then have fired when this returns and their tasks are ready.
    pub async fn advance(&self, by: Duration) {
        // A timer rings at the next whole millisecond.
        tokio::time::advance(by + Duration::from_millis(1)).await;
    }
}

impl Drop for FrozenClock {
    fn drop(&mut self) {
        let thawed = self.thawed.load(Ordering::SeqCst);
        assert!(
            !thawed || std::thread::panicking(),
            "something came only when time jumped, and not by `advance`"
        );
    }
}
