//! What must hold, whatever a script does:
//!
//! - a function answers what its documentation says; after a negative result there is a reason in words;
//! - a handle that was freed, made up or is of another kind is never taken, one that is live always;
//! - a call that was accepted ends with one DONE, and nothing follows it; one that was refused has no events;
//! - a server's call ends once: by an answer that was accepted, or by CANCELLED;
//! - no more messages come than were granted, and no WRITABLE that was not waited for;
//! - what is handed over is released once; hooks too;
//! - when everything is freed there are no handles, and nothing runs any more.

use std::collections::HashMap;
use std::sync::Arc;

use spanwire_c::*;

use super::shelf::Item;
use super::world::{Queue, ServerCall};

/// What was asked for under a tag.
pub(super) enum Asked {
    Call(CallBook),
    Method { kind: i32, credit: u32 },
    Shutdown { queue: Option<Arc<Item<Queue>>>, accepted: Option<bool>, closed: u32 },
}

/// Of one call of a client.
pub(super) struct CallBook {
    pub(super) queue: Option<Arc<Item<Queue>>>,
    /// Made in one, so that all of it comes in one event.
    pub(super) whole: bool,
    pub(super) accepted: Option<bool>,
    pub(super) granted: u64,
    pub(super) full: u64,
    messages: u64,
    writable: u64,
    headers: u32,
    done: u32,
    /// A hook kept some of its events for itself, so their order is not known.
    hidden: bool,
}

impl CallBook {
    pub(super) fn new(queue: Option<Arc<Item<Queue>>>, whole: bool, granted: u32) -> Self {
        CallBook {
            queue,
            whole,
            accepted: None,
            granted: granted.into(),
            full: 0,
            messages: 0,
            writable: 0,
            headers: 0,
            done: 0,
            hidden: false,
        }
    }
}

/// Of one call of a server.
#[derive(Default)]
pub(super) struct ServerCallBook {
    pub(super) item: Option<Arc<Item<ServerCall>>>,
    pub(super) queue: Option<Arc<Item<Queue>>>,
    pub(super) granted: u64,
    pub(super) full: u64,
    messages: u64,
    writable: u64,
    requests: u32,
    answered: u32,
    cancelled: u32,
    ended: bool,
    hidden: bool,
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct Books {
    asked: HashMap<usize, Asked>,
    server_calls: HashMap<usize, ServerCallBook>,
}

/// How an event came to be seen.
#[derive(Clone, Copy)]
pub(super) struct Seen<'s> {
    pub(super) queue: Option<&'s Arc<Item<Queue>>>,
    /// Nobody else empties the queue, so that its order is that of the events.
    pub(super) ordered: bool,
    /// A hook keeps it for itself.
    pub(super) hidden: bool,
    /// When the library was asked for it.
    pub(super) asked_at: u64,
}

impl Books {
    /// A new tag.
    pub(super) fn begin(&mut self, asked: Asked) -> usize {
        let tag = self.asked.len() + 1;
        self.asked.insert(tag, asked);
        tag
    }

    /// What came of asking. Events may have come before this is known.
    pub(super) fn answered(&mut self, tag: usize, result: i32) {
        let (accepted, events) = match self.asked.get_mut(&tag) {
            Some(Asked::Call(call)) => (&mut call.accepted, call.done + call.headers),
            Some(Asked::Shutdown { accepted, closed, .. }) => (accepted, *closed),
            _ => return,
        };
        *accepted = Some(result >= 0);
        assert!(result >= 0 || events == 0, "what was refused has an event");
    }

    pub(super) fn call(&mut self, tag: usize) -> Option<&mut CallBook> {
        match self.asked.get_mut(&tag) {
            Some(Asked::Call(call)) => Some(call),
            _ => None,
        }
    }

    pub(super) fn method(&self, tag: usize) -> Option<(i32, u32)> {
        match self.asked.get(&tag) {
            Some(&Asked::Method { kind, credit }) => Some((kind, credit)),
            _ => None,
        }
    }

    /// The book of a server's call, which may be a new one.
    pub(super) fn server_call(&mut self, handle: usize, tag: usize) -> &mut ServerCallBook {
        let (_, credit) = self.method(tag).expect("the tag of a method");
        let new = || ServerCallBook { granted: credit.into(), ..ServerCallBook::default() };
        self.server_calls.entry(handle).or_insert_with(new)
    }

    /// Enters an event.
    pub(super) fn see(&mut self, event: &spanwire_event, seen: Seen<'_>) {
        let tag = event.tag.addr();
        match self.asked.get_mut(&tag) {
            Some(Asked::Call(call)) => call.see(event, seen),
            Some(Asked::Shutdown { accepted, closed, .. }) => {
                assert_eq!(event.r#type, SPANWIRE_EVENT_SERVER_CLOSED, "of a shutdown");
                assert_ne!(*accepted, Some(false), "a shutdown that was refused is complete");
                *closed += 1;
                assert_eq!(*closed, 1, "a shutdown is complete twice");
            }
            Some(&mut Asked::Method { kind, .. }) => {
                assert!(event.call.is_null());
                let call = event.server_call.addr();
                assert_ne!(call, 0, "a server's event without its call");
                self.server_call(call, tag).see(event, kind, seen);
            }
            None => panic!("an event with a tag that nobody gave: {tag:#x}"),
        }
    }

    /// What still has to come before everything is in order.
    pub(super) fn missing(&self) -> Vec<String> {
        let live = |queue: &Option<Arc<Item<Queue>>>| queue.as_ref().is_some_and(|queue| !queue.ending());
        let mut missing = Vec::new();
        for (tag, asked) in &self.asked {
            match asked {
                Asked::Call(call) if call.accepted == Some(true) && call.done == 0 && live(&call.queue) => {
                    missing.push(format!("the DONE of call {tag}"));
                }
                Asked::Shutdown { queue, accepted: Some(true), closed: 0 } if live(queue) => {
                    missing.push(format!("the end of shutdown {tag}"));
                }
                _ => {}
            }
        }
        for (handle, call) in &self.server_calls {
            let freed = call.item.as_ref().is_some_and(|item| item.ending());
            if call.answered + call.cancelled == 0 && !freed && live(&call.queue) {
                missing.push(format!("the end of the server's call {handle:#x}"));
            }
        }
        missing
    }
}

impl CallBook {
    /// Whether its DONE was seen.
    pub(super) fn is_done(&self) -> bool {
        self.done > 0
    }

    /// A hook has changed an event of the call.
    pub(super) fn changed(&mut self) {
        self.hidden = true;
    }

    fn see(&mut self, event: &spanwire_event, seen: Seen<'_>) {
        assert!(event.server_call.is_null());
        assert_ne!(self.accepted, Some(false), "a call that was refused has an event");
        if seen.ordered && !self.hidden && !seen.hidden {
            assert_eq!(self.done, 0, "an event behind DONE");
        }
        self.hidden |= seen.hidden;
        match event.r#type {
            SPANWIRE_EVENT_HEADERS => {
                self.headers += 1;
                assert_eq!(self.headers, 1, "headers come once");
                assert!(self.messages == 0 || !seen.ordered || self.hidden, "headers come first");
            }
            SPANWIRE_EVENT_MESSAGES => {
                assert!(event.message_count > 0, "no messages");
                self.messages += event.message_count as u64;
                assert!(self.messages <= self.granted, "{} messages of {}", self.messages, self.granted);
            }
            SPANWIRE_EVENT_WRITABLE => {
                self.writable += 1;
                assert!(self.writable <= self.full, "WRITABLE that nobody waits for");
            }
            SPANWIRE_EVENT_DONE => {
                self.done += 1;
                assert_eq!(self.done, 1, "DONE comes once");
                check_status(event);
                let message = !event.message.data.is_null();
                let one = self.whole && event.status.code == SPANWIRE_CODE_OK;
                assert!(message == one || self.hidden, "the answer of a call that is OK");
            }
            other => panic!("event {other} of a client's call"),
        }
        assert!(!self.whole || event.r#type == SPANWIRE_EVENT_DONE, "a unary call has one event");
    }
}

impl ServerCallBook {
    /// An answer that ends the call was accepted.
    pub(super) fn answered(&mut self) {
        self.answered += 1;
        self.check();
    }

    /// A hook has changed an event of the call.
    pub(super) fn changed(&mut self) {
        self.hidden = true;
    }

    fn check(&self) {
        let ends = (self.answered, self.cancelled);
        assert!(
            self.answered + self.cancelled <= 1,
            "a server's call ends twice: answered, cancelled: {ends:?}"
        );
    }

    fn see(&mut self, event: &spanwire_event, kind: i32, seen: Seen<'_>) {
        if let Some(item) = &self.item {
            assert!(!item.ended_before(seen.asked_at), "an event of a server's call that was freed");
        }
        self.queue = self.queue.take().or_else(|| seen.queue.cloned());
        if seen.ordered && !self.hidden && !seen.hidden {
            assert!(!self.ended, "an event behind CANCELLED");
            let begins = event.r#type == SPANWIRE_EVENT_REQUEST;
            assert!(begins || self.requests == 1, "an event before REQUEST");
        }
        self.hidden |= seen.hidden;
        match event.r#type {
            SPANWIRE_EVENT_REQUEST => {
                self.requests += 1;
                assert_eq!(self.requests, 1, "REQUEST comes once");
                let one = [SPANWIRE_KIND_UNARY, SPANWIRE_KIND_SERVER_STREAMING].contains(&kind);
                assert!(event.end == one || self.hidden, "the end of a request");
                let message = !event.message.data.is_null();
                assert!(message == one || self.hidden, "the request of a method that has one");
            }
            SPANWIRE_EVENT_MESSAGES => {
                assert!(event.message_count > 0 || event.end || self.hidden, "no messages");
                self.messages += event.message_count as u64;
                assert!(self.messages <= self.granted, "{} messages of {}", self.messages, self.granted);
            }
            SPANWIRE_EVENT_WRITABLE => {
                self.writable += 1;
                assert!(self.writable <= self.full, "WRITABLE that nobody waits for");
            }
            SPANWIRE_EVENT_CANCELLED => {
                self.cancelled += 1;
                self.ended = true;
                self.check();
            }
            other => panic!("event {other} of a server's call"),
        }
    }
}

/// What every status is like.
pub(super) fn check_status(event: &spanwire_event) {
    let status = &event.status;
    assert!(
        (SPANWIRE_CODE_OK..=SPANWIRE_CODE_UNAUTHENTICATED).contains(&status.code),
        "code {}",
        status.code
    );
    assert!((SPANWIRE_SENT_NOT_SENT..=SPANWIRE_SENT_ANSWERED).contains(&status.sent), "sent {}", status.sent);
    assert!(!status.message.is_null());
    assert!(status.details_len == 0 || !status.details.is_null());
}
