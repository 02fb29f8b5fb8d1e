//! What a channel's control is told: by its subchannels, and by calls that wait.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::balance::SubchannelState;

/// Something that a policy has to know.
#[derive(Debug)]
pub(crate) enum Event {
    /// A subchannel has another state.
    Changed(u64, SubchannelState),
    /// A call found that a subchannel takes no more calls.
    Lost(u64),
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Mail {
    box_: Mutex<Letters>,
    bell: Notify,
}

/// What is in the box.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    pub(crate) events: Vec<Event>,
    /// Somebody wants a connection.
    pub(crate) wanted: bool,
    /// The addresses are to be asked for at once: the network is another one.
    pub(crate) refresh: bool,
    /// The channel is gone.
    pub(crate) closed: bool,
}

impl Letters {
    fn is_empty(&self) -> bool {
        self.events.is_empty() && !self.wanted && !self.refresh && !self.closed
    }
}

impl Mail {
    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.box_.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, change: impl FnOnce(&mut Letters)) {
        let first = {
            let mut letters = self.lock();
            let first = letters.is_empty();
            change(&mut letters);
            first
        };
        if first {
            self.bell.notify_one();
        }
    }

    pub(crate) fn post(&self, event: Event) {
        self.put(|letters| letters.events.push(event));
    }

    pub(crate) fn want(&self) {
        self.put(|letters| letters.wanted = true);
    }

    pub(crate) fn refresh(&self) {
        self.put(|letters| letters.refresh = true);
    }

    pub(crate) fn close(&self) {
        self.put(|letters| letters.closed = true);
    }

    /// All there is.
    pub(crate) fn take(&self) -> Letters {
        std::mem::take(&mut self.lock())
    }

    /// Ready when there may be something.
    pub(crate) async fn arrival(&self) {
        self.bell.notified().await;
    }
}
