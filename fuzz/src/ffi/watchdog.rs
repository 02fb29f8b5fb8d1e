//! Ends the process when one input hangs.

use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The longest that one input may take.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

static UNTIL: Mutex<Option<Instant>> = Mutex::new(None);

/// Stops the watch when it goes.
pub(super) struct Watched(());

fn set(until: Option<Instant>) {
    *UNTIL.lock().unwrap_or_else(PoisonError::into_inner) = until;
}

/// From here on the time counts.
pub(super) fn watch() -> Watched {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(thread::spawn(look)));
    set(Some(Instant::now() + LIMIT));
    Watched(())
}

impl Drop for Watched {
    fn drop(&mut self) {
        set(None);
    }
}

fn look() {
    loop {
        thread::sleep(Duration::from_millis(250));
        let until = *UNTIL.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_some_and(|until| until < Instant::now()) {
            eprintln!("ERROR: one input takes longer than {LIMIT:?}: something waits for ever");
            // For a look at its threads with a debugger.
            if std::env::var_os("FUZZ_HOLD").is_some() {
                thread::sleep(Duration::from_secs(3600));
            }
            std::process::abort();
        }
    }
}
