//! How the thread of an environment is woken: one weak thread-safe function, called when the queue stops being empty.

use std::sync::{Arc, Mutex, PoisonError};

use napi::bindgen_prelude::Function;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Result, Status, sys};

type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

/// Rings on any thread, until its environment takes it away.
#[derive(Clone)]
pub(crate) struct Bell(Arc<Mutex<Option<Wake>>>);

impl Bell {
    pub(crate) fn new(wake: &Function<'_, (), ()>) -> Result<Self> {
        let wake = wake.build_threadsafe_function().callee_handled::<false>().weak::<true>().build()?;
        Ok(Bell(Arc::new(Mutex::new(Some(wake)))))
    }

    /// Has the environment's thread take its events. Never waits.
    pub(crate) fn ring(&self) {
        if let Some(wake) = &*self.lock() {
            // It is refused only while the environment ends.
            wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    /// Whether the bell keeps the event loop from ending. On the environment's thread.
    pub(crate) fn keep_alive(&self, env: &Env, alive: bool) {
        if let Some(wake) = &*self.lock() {
            // SAFETY: the function lives as long as `wake`, which is held under the lock, and this is the thread of `env`,
            // to which it belongs. A failure would leave things as they are.
            unsafe {
                if alive {
                    sys::napi_ref_threadsafe_function(env.raw(), wake.raw());
                } else {
                    sys::napi_unref_threadsafe_function(env.raw(), wake.raw());
                }
            }
        }
    }

    /// Nobody rings from here on: Node is about to tear the function down, on versions that do not bear a ring meanwhile.
    pub(crate) fn silence(&self) {
        let wake = self.lock().take();
        drop(wake);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Wake>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
