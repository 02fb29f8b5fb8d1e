//! The deadline of the call that is being handled on this thread, for the calls made inside it.

use std::cell::Cell;

use tokio::time::Instant;

thread_local! {
    static CURRENT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The deadline that a handler is running under, if this is called from one.
pub(crate) fn current() -> Option<Instant> {
    CURRENT.get()
}

/// Runs `body` (one poll of a handler) under `deadline`.
pub(crate) fn scope<R>(deadline: Option<Instant>, body: impl FnOnce() -> R) -> R {
    /// Puts the outer deadline back, also when `body` panics.
    struct Restore(Option<Instant>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _restore = Restore(CURRENT.replace(deadline));
    body()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_nest_and_restore_on_panic() {
        let outer = Some(Instant::now());
        scope(outer, || {
            let caught = std::panic::catch_unwind(|| scope(None, || panic!("inside")));
            assert!(caught.is_err());
            assert_eq!(current(), outer);
        });
        assert_eq!(current(), None);
    }
}
