//! The engine of the process. Environments share it: the first one starts it, and it ends with the last.

use std::sync::{Mutex, PoisonError};

use spanwire::bridge::{Engine, EngineOptions, OpError};

struct Shared {
    engine: Engine,
    users: usize,
}

static SHARED: Mutex<Option<Shared>> = Mutex::new(None);

/// The engine, for as long as an environment has this.
pub(crate) struct Lease(Engine);

impl Lease {
    /// # Errors
    /// [`OpError::System`]: the system refused threads.
    pub(crate) fn take() -> Result<Self, OpError> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = match &mut *shared {
            Some(shared) => shared,
            // One lane: it is JavaScript that is busy, not the sockets.
            none => none.insert(Shared {
                engine: Engine::new(&EngineOptions {
                    lanes: 1,
                    on_thread_start: None,
                    client_language: Some("node"),
                })?,
                users: 0,
            }),
        };
        shared.users += 1;
        Ok(Lease(shared.engine.clone()))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left) = shared.as_mut() else { return };
        left.users -= 1;
        let last = if left.users == 0 { shared.take() } else { None };
        drop(last);
    }
}
