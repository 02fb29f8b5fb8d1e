//! Events as C sees them.

use std::ffi::{CString, c_char, c_void};
use std::mem::MaybeUninit;
use std::sync::Arc;

use spanwire::bridge::{Attachment, Event, EventKind, Outcome, Received};
use spanwire::{PeerAddr, Sent, Status};

use crate::boundary::{c_string, copy_text, guard_value, handle};
use crate::bytes::spanwire_bytes;
use crate::hook::Hooks;
use crate::metadata::spanwire_metadata;
use crate::tables::tables;
use crate::types::*;

/// What happened.
pub type spanwire_event_type = i32;
/// Nothing: the event is empty, or was freed.
pub const SPANWIRE_EVENT_NONE: i32 = 0;
/// Client streams: the leading metadata arrived; `metadata`.
pub const SPANWIRE_EVENT_HEADERS: i32 = 1;
/// Streams of both sides: `messages`, as many as were granted at most. On a server `end` says that no more follow.
pub const SPANWIRE_EVENT_MESSAGES: i32 = 2;
/// Streams of both sides: a send that answered `SPANWIRE_FULL` has room again.
pub const SPANWIRE_EVENT_WRITABLE: i32 = 3;
/// Client: the call is over; `status`. Of a unary call also `message` and `metadata`. Exactly one for each call, the last.
pub const SPANWIRE_EVENT_DONE: i32 = 4;
/// Server: a call begins; `server_call` is yours to free. Of kinds with one request `message` is that request.
pub const SPANWIRE_EVENT_REQUEST: i32 = 5;
/// Server: the client, a deadline or the end of the server ended the call before it was answered. Its last event.
pub const SPANWIRE_EVENT_CANCELLED: i32 = 6;
/// Server: the shutdown with this `tag` is complete.
pub const SPANWIRE_EVENT_SERVER_CLOSED: i32 = 7;

/// How a call ended. The pointers belong to the event.
#[repr(C)]
pub struct spanwire_status {
    /// The code.
    pub code: spanwire_code,
    /// Whether the request may have reached a server's application.
    pub sent: spanwire_sent,
    /// How many attempts were begun.
    pub attempts: u32,
    /// What the other side says of it, in words: UTF-8 that ends in NUL, never null; with OK as a rule empty.
    pub message: *const c_char,
    /// Its length in bytes.
    pub message_len: usize,
    /// Details: an encoded `google.rpc.Status` (`grpc-status-details-bin`); null without.
    pub details: *const u8,
    /// Their length in bytes.
    pub details_len: usize,
    /// The metadata that came with the status.
    pub trailers: *const spanwire_metadata,
}

/// Something that happened to a call or a server. What it points to belongs to it until `spanwire_event_free`.
#[repr(C)]
pub struct spanwire_event {
    /// Which of the fields below mean something: `SPANWIRE_EVENT_…`.
    pub r#type: spanwire_event_type,
    /// Server: the client sends no more.
    pub end: bool,
    /// What the program gave the operation; of server calls, what it gave the method.
    pub tag: *mut c_void,
    /// Client: the call, if the program keeps a handle of it.
    pub call: *mut spanwire_call,
    /// Server: the call. The same in all of its events.
    pub server_call: *mut spanwire_server_call,
    /// One message; its `data` is null if there is none.
    pub message: spanwire_bytes,
    /// Messages of a stream.
    pub messages: *mut spanwire_bytes,
    /// How many.
    pub message_count: usize,
    /// Client: the leading metadata of a response. Those of a REQUEST are had by `spanwire_server_call_metadata`.
    pub metadata: *const spanwire_metadata,
    /// How the call ended.
    pub status: spanwire_status,
    /// Private.
    pub owner: [usize; 16],
}

/// Which word of the private part says that the others hold an [`Owner`].
const OWNED: usize = 15;

/// What the pointers of an event point to. It lies in the event's private part.
#[derive(Default)]
struct Owner {
    metadata: Option<Box<spanwire_metadata>>,
    trailers: Option<Box<spanwire_metadata>>,
    text: Option<CString>,
    /// Has the details, and the address of a server that failed.
    status: Status,
    peer: Option<PeerAddr>,
    messages: Vec<spanwire_bytes>,
}

const _: () =
    assert!(size_of::<Owner>() <= size_of::<[usize; OWNED]>() && align_of::<Owner>() <= align_of::<usize>());

impl Drop for Owner {
    fn drop(&mut self) {
        for message in &mut self.messages {
            drop(message.take());
        }
    }
}

impl spanwire_event {
    pub(crate) fn empty() -> Self {
        spanwire_event {
            r#type: SPANWIRE_EVENT_NONE,
            end: false,
            tag: std::ptr::null_mut(),
            call: std::ptr::null_mut(),
            server_call: std::ptr::null_mut(),
            message: spanwire_bytes::NONE,
            messages: std::ptr::null_mut(),
            message_count: 0,
            metadata: std::ptr::null(),
            status: spanwire_status {
                code: SPANWIRE_CODE_OK,
                sent: SPANWIRE_SENT_NOT_SENT,
                attempts: 0,
                message: c"".as_ptr(),
                message_len: 0,
                details: std::ptr::null(),
                details_len: 0,
                trailers: std::ptr::null(),
            },
            owner: [0; 16],
        }
    }

    /// Makes the event for C in its place, and shows it to the hooks. False: it is not for the program, and the place is as
    /// good as empty.
    pub(crate) fn put(event: Event, place: &mut MaybeUninit<spanwire_event>) -> bool {
        let this = place.write(spanwire_event::empty());
        this.tag = std::ptr::without_provenance_mut(event.tag());
        this.call = handle(event.call_handle() as usize);
        let mut entry = None;
        if let Some(reporter) = event.server_call() {
            let table = &tables().server_calls;
            // Without room for a handle the call is dropped, which fails it.
            let Ok(number) = reporter.handle_ref(|call| table.insert(call)) else {
                return false;
            };
            // A call that the program has freed has nothing more to say to it. A new one it has not seen yet.
            if !matches!(event.kind, EventKind::Request(_)) {
                let Ok(found) = table.get(number) else { return false };
                entry = Some(found);
            }
            this.server_call = handle(number);
        }
        let hooks = event.attachment().and_then(hooks_of);
        // A request has its message and nothing else.
        if let EventKind::Request(mut request) = event.kind {
            this.r#type = SPANWIRE_EVENT_REQUEST;
            this.end = request.end;
            this.fill_message(request.message.take());
        } else {
            let owner = this.fill(event.kind);
            // SAFETY: the place is large enough and aligned, which is checked above.
            unsafe { this.owner.as_mut_ptr().cast::<Owner>().write(owner) };
            this.owner[OWNED] = 1;
        }
        drop(entry);
        hooks.is_none_or(|hooks| hooks.show(this))
    }

    fn fill(&mut self, kind: EventKind) -> Owner {
        let mut owner = Owner::default();
        self.r#type = match kind {
            EventKind::Headers(headers) => {
                owner.metadata = spanwire_metadata::new(&headers);
                SPANWIRE_EVENT_HEADERS
            }
            EventKind::Messages { messages, end } => {
                owner.messages = messages.into_iter().map(spanwire_bytes::new).collect();
                self.end = end;
                SPANWIRE_EVENT_MESSAGES
            }
            EventKind::Writable => SPANWIRE_EVENT_WRITABLE,
            EventKind::Done(outcome) => {
                self.fill_outcome(outcome, &mut owner);
                SPANWIRE_EVENT_DONE
            }
            EventKind::Cancelled => SPANWIRE_EVENT_CANCELLED,
            EventKind::ServerClosed => SPANWIRE_EVENT_SERVER_CLOSED,
            _ => SPANWIRE_EVENT_NONE,
        };
        self.messages = owner.messages.as_mut_ptr();
        self.message_count = owner.messages.len();
        self.metadata = pointer(owner.metadata.as_deref());
        owner
    }

    fn fill_message(&mut self, message: Option<Received>) {
        self.message = message.map_or(spanwire_bytes::NONE, spanwire_bytes::new);
    }

    fn fill_outcome(&mut self, outcome: Outcome, owner: &mut Owner) {
        let Outcome { status, headers, message, peer, attempts } = outcome;
        self.fill_message(message);
        owner.metadata = headers.and_then(|headers| spanwire_metadata::new(&headers));
        owner.peer = peer;
        self.status.code = status.code() as i32;
        self.status.sent = sent(&status);
        self.status.attempts = attempts;
        if !status.message().is_empty() {
            let text = owner.text.insert(c_string(status.message()));
            self.status.message = text.as_ptr();
            self.status.message_len = text.as_bytes().len();
        }
        if !status.details().is_empty() {
            self.status.details = status.details().as_ptr();
            self.status.details_len = status.details().len();
        }
        owner.trailers = spanwire_metadata::new(status.metadata());
        self.status.trailers = pointer(owner.trailers.as_deref());
        owner.status = status;
    }

    fn owner(&self) -> Option<&Owner> {
        if self.r#type == SPANWIRE_EVENT_NONE || self.owner[OWNED] == 0 {
            return None;
        }
        // SAFETY: `put` put it there, and says so.
        Some(unsafe { &*self.owner.as_ptr().cast::<Owner>() })
    }

    /// Releases everything; the program's hooks may have set the type to NONE before.
    pub(crate) fn release(&mut self) {
        let message = self.message.take();
        let owned = self.owner[OWNED] != 0;
        // SAFETY: `put` put it there and says so; the word that says it is cleared below.
        let owner = owned.then(|| unsafe { self.owner.as_ptr().cast::<Owner>().read() });
        *self = spanwire_event::empty();
        drop((message, owner));
    }
}

/// The interceptors of a call, if there are any.
fn hooks_of(attachment: &Attachment) -> Option<Arc<Hooks>> {
    let hooks = attachment.downcast_ref::<Hooks>()?;
    if hooks.is_empty() { None } else { attachment.clone().downcast().ok() }
}

fn pointer<T>(owned: Option<&T>) -> *const T {
    owned.map_or(std::ptr::null(), std::ptr::from_ref)
}

fn sent(status: &Status) -> spanwire_sent {
    match status.sent() {
        Sent::NotSent => SPANWIRE_SENT_NOT_SENT,
        Sent::MaybeSent => SPANWIRE_SENT_MAYBE_SENT,
        Sent::Answered => SPANWIRE_SENT_ANSWERED,
    }
}

/// Releases what an event owns and was not taken out of it, and leaves it `SPANWIRE_EVENT_NONE`. The `server_call` of a
/// REQUEST is not part of that: it is the program's. Null, empty and freed events are fine.
///
/// # Safety
/// `event` is null, all zeros, or came from this library and was not changed but by it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_event_free(event: *mut spanwire_event) {
    // SAFETY: the caller's promise.
    unsafe { spanwire_events_free(event, 1) }
}

/// Frees `count` events; see `spanwire_event_free`.
///
/// # Safety
/// `events` is null, or there are `count` events that are as `spanwire_event_free` asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_events_free(events: *mut spanwire_event, count: usize) {
    guard_value((), || {
        for index in 0..if events.is_null() { 0 } else { count } {
            // SAFETY: the caller's promise.
            let event = unsafe { &mut *events.add(index) };
            if event.r#type != SPANWIRE_EVENT_NONE {
                event.release();
            }
        }
        Ok(())
    });
}

/// Writes the address of the server that answered a DONE event into `text`, as `snprintf` would: at most `capacity` bytes
/// with the NUL. Returns the length of the whole; 0 if there is none.
///
/// # Safety
/// As `spanwire_event_free`; `text` is null, or `capacity` bytes can be written there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_event_peer(
    event: *const spanwire_event,
    text: *mut c_char,
    capacity: usize,
) -> usize {
    guard_value(0, || {
        // SAFETY: the caller's promise.
        let owner = unsafe { event.as_ref() }.and_then(spanwire_event::owner);
        let peer = owner.and_then(|owner| match &owner.peer {
            Some(address) => Some(address.to_string()),
            None => owner.status.peer().map(str::to_owned),
        });
        // SAFETY: the caller's promise.
        Ok(unsafe { copy_text(&peer.unwrap_or_default(), text, capacity) })
    })
}
