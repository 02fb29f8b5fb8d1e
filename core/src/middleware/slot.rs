//! A place for one message between a sender and [`Messages`]: the sender waits until it was taken.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::messages::{Item, Messages, Source};
use crate::Status;

/// The sending end. Dropping it without an end makes the messages end with CANCELLED.
#[derive(Debug)]
pub(crate) struct SlotSender(Arc<Mutex<Slot>>);

struct SlotSource(Arc<Mutex<Slot>>);

#[derive(Debug, Default)]
struct Slot {
    message: Option<Bytes>,
    end: Option<Status>,
    reader_gone: bool,
    sender: Option<Waker>,
    reader: Option<Waker>,
}

/// A sender, and the messages that it will feed.
pub(crate) fn slot() -> (SlotSender, Messages) {
    let slot = Arc::new(Mutex::new(Slot::default()));
    (SlotSender(slot.clone()), Messages::from_source(SlotSource(slot)))
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SlotSender {
    /// Ready when there is room for a message; an error when nobody reads any more.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        let mut slot = lock(&self.0);
        if slot.reader_gone || slot.end.is_some() {
            return Poll::Ready(Err(()));
        }
        if slot.message.is_none() {
            return Poll::Ready(Ok(()));
        }
        slot.sender = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Puts a message in; call it after [`SlotSender::poll_ready`].
    pub(crate) fn put(&self, message: Bytes) {
        let mut slot = lock(&self.0);
        slot.message = Some(message);
        wake(slot.reader.take());
    }

    /// Ends the messages.
    pub(crate) fn end(&self, status: Status) {
        let mut slot = lock(&self.0);
        slot.end.get_or_insert(status);
        wake(slot.reader.take());
    }
}

impl Drop for SlotSender {
    fn drop(&mut self) {
        self.end(Status::cancelled("the sender of these messages was dropped"));
    }
}

impl Source for SlotSource {
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        let mut slot = lock(&self.0);
        if let Some(message) = slot.message.take() {
            wake(slot.sender.take());
            return Poll::Ready(Item::Message(message));
        }
        if let Some(status) = slot.end.clone() {
            return Poll::Ready(Item::End(status));
        }
        slot.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for SlotSource {
    fn drop(&mut self) {
        let mut slot = lock(&self.0);
        slot.reader_gone = true;
        wake(slot.sender.take());
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
