//! One direction of a call as middleware sees it: plain messages, then exactly one end.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::Status;

/// What comes out of [`Messages`]: any number of messages, then one end, then nothing.
#[derive(Debug)]
pub enum Item {
    /// One whole message, decompressed, without its five-byte prefix.
    Message(Bytes),
    /// The end. On requests: OK when the client half-closed, else why the call failed. On responses: the
    /// call's status; its metadata are the trailers.
    End(Status),
}

/// Where [`Messages`] come from. Polled until it gives [`Item::End`], never after.
pub(crate) trait Source: Send {
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Item>;
}

/// The messages of one direction of a call, in order.
///
/// Reading is by demand: nothing is taken from the peer that was not asked for, so a middleware that stops
/// reading stops the sender.
pub struct Messages {
    repr: Repr,
}

enum Repr {
    Buffered { message: Option<Bytes>, end: Option<Status> },
    Source(Box<dyn Source>),
    Ended,
}

impl Messages {
    /// No message, then an end with `status`.
    #[must_use]
    pub fn empty(status: Status) -> Self {
        Messages { repr: Repr::Buffered { message: None, end: Some(status) } }
    }

    /// One message, then an end with OK.
    #[must_use]
    pub fn one(message: Bytes) -> Self {
        Messages { repr: Repr::Buffered { message: Some(message), end: Some(Status::ok()) } }
    }

    /// One message, then an end with `status`.
    #[must_use]
    pub fn one_with_status(message: Bytes, status: Status) -> Self {
        Messages { repr: Repr::Buffered { message: Some(message), end: Some(status) } }
    }

    pub(crate) fn from_source(source: impl Source + 'static) -> Self {
        Messages { repr: Repr::Source(Box::new(source)) }
    }

    /// Messages taken from a function that is polled until it gives [`Item::End`].
    pub fn from_poll_fn(poll: impl FnMut(&mut Context<'_>) -> Poll<Item> + Send + 'static) -> Self {
        struct Function<F>(F);
        impl<F: FnMut(&mut Context<'_>) -> Poll<Item> + Send> Source for Function<F> {
            fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
                (self.0)(cx)
            }
        }
        Messages::from_source(Function(poll))
    }

    /// The next item. After the end it gives the end again, as OK.
    pub fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        match &mut self.repr {
            Repr::Buffered { message, end } => {
                if let Some(message) = message.take() {
                    return Poll::Ready(Item::Message(message));
                }
                let status = end.take().unwrap_or_default();
                self.repr = Repr::Ended;
                Poll::Ready(Item::End(status))
            }
            Repr::Source(source) => {
                let item = std::task::ready!(source.poll_item(cx));
                if matches!(item, Item::End(_)) {
                    self.repr = Repr::Ended;
                }
                Poll::Ready(item)
            }
            Repr::Ended => Poll::Ready(Item::End(Status::ok())),
        }
    }

    /// The next item, awaited. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Item {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    /// Passes every message through `map`; an error ends the direction with that status.
    ///
    /// ```
    /// # use spanwire::middleware::Messages;
    /// # use bytes::Bytes;
    /// let shouted = Messages::one(Bytes::from_static(b"hi"))
    ///     .map(|message| Ok(Bytes::from(message.to_ascii_uppercase())));
    /// ```
    #[must_use]
    pub fn map(mut self, mut map: impl FnMut(Bytes) -> Result<Bytes, Status> + Send + 'static) -> Self {
        Messages::from_poll_fn(move |cx| {
            Poll::Ready(match std::task::ready!(self.poll_item(cx)) {
                Item::Message(message) => match map(message) {
                    Ok(message) => Item::Message(message),
                    Err(status) => Item::End(status),
                },
                end @ Item::End(_) => end,
            })
        })
    }

    /// Calls `seen` with the status when the direction ends; it may change it.
    ///
    /// It is not called when the call is dropped before its end.
    #[must_use]
    pub fn on_end(mut self, seen: impl FnOnce(&mut Status) + Send + 'static) -> Self {
        let mut seen = Some(seen);
        Messages::from_poll_fn(move |cx| {
            let mut item = std::task::ready!(self.poll_item(cx));
            if let Item::End(status) = &mut item
                && let Some(seen) = seen.take()
            {
                seen(status);
            }
            Poll::Ready(item)
        })
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.repr {
            Repr::Buffered { .. } => "buffered",
            Repr::Source(_) => "flowing",
            Repr::Ended => "ended",
        };
        f.debug_tuple("Messages").field(&state).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn map_sees_messages_and_on_end_sees_the_status_once() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut messages = Messages::one_with_status(Bytes::from_static(b"a"), Status::aborted("x"))
            .map(|message| Ok([&message[..], b"!"].concat().into()))
            .on_end(move |status| sender.send(status.code()).unwrap());
        assert!(matches!(messages.next().await, Item::Message(m) if m == "a!"));
        assert!(matches!(messages.next().await, Item::End(s) if s.code() == crate::Code::Aborted));
        assert_eq!(receiver.recv().unwrap(), crate::Code::Aborted);
    }

    #[tokio::test]
    async fn error_in_map_ends_the_direction() {
        let mut messages = Messages::one(Bytes::new()).map(|_| Err(Status::invalid_argument("no")));
        assert!(matches!(messages.next().await, Item::End(s) if s.message() == "no"));
    }
}
