//! What a child process must know after `fork`: threads do not come along, and locks may be held for ever.
//!
//! Hosts that can fork register [`in_child`] with the system (`pthread_atfork`, `os.register_at_fork`). Everything that
//! was made before a fork remembers the [`generation`] it was made in and refuses to work in another one, before it
//! touches a lock.

use std::sync::atomic::{AtomicU32, Ordering};

use super::lane::forget_batch;

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// To be called in the child, before anything else of the engine is. Safe in a fork handler: it takes no lock. A fork within
/// a batch ends the batch in the child.
pub fn in_child() {
    GENERATION.fetch_add(1, Ordering::SeqCst);
    forget_batch();
}

/// How many forks lie between this process and the one that loaded the engine.
#[must_use]
pub fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}
