//! Calls of a client.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use spanwire::bridge::{self, Attachment, Call, CallOptions, OpError, ReportTo, Room, ServerCallRef};
use spanwire::{Connectivity, Kind};

use crate::boundary::{Refused, find, guard, guard_value, handle, not_found, text};
use crate::bytes::{outgoing, spanwire_buffer};
use crate::channel::ChannelEntry;
use crate::event::spanwire_event;
use crate::options::{self, spanwire_call_options};
use crate::queue;
use crate::tables::tables;
use crate::types::*;

/// A call as its handle knows it.
pub(crate) struct CallEntry {
    call: Call,
}

thread_local! {
    /// Where the blocking calls of this thread report to.
    static BLOCKING: std::cell::RefCell<Option<bridge::Queue>> = const { std::cell::RefCell::new(None) };
}

/// What a call is made of, after the start hooks have seen it.
struct Start {
    channel: Arc<ChannelEntry>,
    options: CallOptions,
    parent: Option<ServerCallRef>,
    report: ReportTo,
    refused: Option<spanwire::Status>,
}

impl Start {
    /// # Safety
    /// `options` is null or as its documentation asks.
    unsafe fn new(
        channel: *mut spanwire_channel,
        method: &str,
        options: *const spanwire_call_options,
        queue: bridge::Queue,
        tag: *mut c_void,
    ) -> Result<Self, Refused> {
        let channel = find(&tables().channels, channel, "channel")?;
        // SAFETY: the caller's promise.
        let (mut options, parent) = unsafe { options::call(options) }?;
        let parent = (!parent.is_null())
            .then(|| find(&tables().server_calls, parent, "parent call of spanwire_call_options"))
            .transpose()?;
        let hooks = channel.hooks.of(method);
        let refused = hooks
            .as_ref()
            .and_then(|hooks| hooks.start(method, &mut options.metadata, &mut options.timeout_ms));
        let report = ReportTo { queue, tag: tag.addr(), attachment: hooks.map(|hooks| hooks as Attachment) };
        Ok(Start { channel, options, parent, report, refused })
    }

    fn parent(&self) -> Option<&ServerCallRef> {
        self.parent.as_ref()
    }
}

/// Makes a handle for a call and gives it to the program, before the call begins: its events may come at once.
///
/// # Safety
/// `out` can be written.
unsafe fn give(call: Call, out: *mut *mut spanwire_call) -> Result<Arc<CallEntry>, Refused> {
    let entry = Arc::new(CallEntry { call });
    let number = tables().calls.insert(entry.clone())?;
    entry.call.set_handle(number as u64);
    // SAFETY: the caller's promise.
    unsafe { out.write(handle(number)) };
    Ok(entry)
}

/// # Safety
/// `out` can be written.
unsafe fn take_back(out: *mut *mut spanwire_call) {
    // SAFETY: the caller's promise.
    let handle = unsafe { out.replace(std::ptr::null_mut()) };
    drop(tables().calls.remove(handle.addr()));
}

/// Makes a unary call of `method` (`/package.Service/Method`): one function, and one DONE event in `queue` with everything
/// that came back. It comes exactly once if this answers 0 or more, and never otherwise.
///
/// `call` may be null: then there is no handle to free, and the call cannot be cancelled. Otherwise the handle is written
/// there before the call begins, and `spanwire_call_free` while it runs cancels it. `options` may be null.
///
/// # Safety
/// `method` is a string that ends in NUL; `request` and `options` are as their documentation asks; `call` is null or can be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_call_unary(
    channel: *mut spanwire_channel,
    method: *const c_char,
    request: *const spanwire_buffer,
    options: *const spanwire_call_options,
    queue: *mut spanwire_queue,
    tag: *mut c_void,
    call: *mut *mut spanwire_call,
) -> spanwire_result {
    guard(|| {
        if !call.is_null() {
            // SAFETY: the caller's promise.
            unsafe { call.write(std::ptr::null_mut()) };
        }
        // SAFETY: the caller's promise.
        let request = unsafe { outgoing(request) }?;
        // SAFETY: the caller's promise.
        let method = unsafe { text(method, "method") }?;
        let queue = find(&tables().queues, queue, "queue")?.queue.clone();
        // SAFETY: the caller's promise.
        let start = unsafe { Start::new(channel, method, options, queue, tag) }?;
        // SAFETY: the caller's promise.
        unsafe { unary(start, method, request, call) }
    })
}

/// Waits until the state of the channel's connections is another than `known`: one DONE event in `queue`, with a message of
/// one byte, the `SPANWIRE_CONNECTIVITY_…` that it is in, and the code OK. States that last only a moment may be missed. The
/// code is DEADLINE_EXCEEDED when `timeout_ms` (0: without a limit) have passed, and CANCELLED when the channel is freed or
/// the wait is cancelled: `call` is its handle, as that of `spanwire_call_unary`. No thread waits.
///
/// # Safety
/// `call` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_channel_connectivity_changed(
    channel: *mut spanwire_channel,
    known: spanwire_connectivity,
    timeout_ms: i64,
    queue: *mut spanwire_queue,
    tag: *mut c_void,
    call: *mut *mut spanwire_call,
) -> spanwire_result {
    guard(|| {
        if !call.is_null() {
            // SAFETY: the caller's promise.
            unsafe { call.write(std::ptr::null_mut()) };
        }
        let channel = find(&tables().channels, channel, "channel")?;
        let queue = find(&tables().queues, queue, "queue")?.queue.clone();
        let known = u8::try_from(known).ok().and_then(Connectivity::from_u8);
        let known = known.ok_or_else(|| Refused::argument("known is no state of a channel".to_owned()))?;
        let report = ReportTo { queue, tag: tag.addr(), attachment: None };
        let entry = if call.is_null() {
            None
        } else {
            // SAFETY: not null, and the caller promises the rest.
            Some(unsafe { give(channel.channel.unary_call(), call) }?)
        };
        let handle = entry.as_ref().map(|entry| &entry.call);
        let begun = channel.channel.connectivity_changed(known, timeout_ms, report, handle);
        if begun.is_err() && entry.is_some() {
            // SAFETY: as above.
            unsafe { take_back(call) };
        }
        begun?;
        Ok(SPANWIRE_DONE)
    })
}

/// # Safety
/// `out` is null or can be written.
unsafe fn unary(
    mut start: Start,
    method: &str,
    request: bridge::Outgoing,
    out: *mut *mut spanwire_call,
) -> Result<spanwire_result, Refused> {
    let channel = start.channel.clone();
    let entry = if out.is_null() {
        None
    } else {
        // SAFETY: not null, and the caller promises the rest.
        Some(unsafe { give(channel.channel.unary_call(), out) }?)
    };
    let call = entry.as_ref().map(|entry| &entry.call);
    let (options, report) = (std::mem::take(&mut start.options), start.report.clone());
    let made = match start.refused.take() {
        Some(status) => channel.channel.refuse(status, report, call),
        None => channel.channel.unary(method, request, options, report, call, start.parent()),
    };
    if let Err(error) = made {
        if entry.is_some() {
            // SAFETY: as above.
            unsafe { take_back(out) };
        }
        return Err(error.into());
    }
    Ok(SPANWIRE_DONE)
}

/// Makes a unary call and waits for its end on this thread; `done` is filled as its DONE event and is to be freed. It is
/// `SPANWIRE_EVENT_NONE` if this fails, or if a hook keeps the event. Needs no queue. A timeout in `options` bounds the wait.
///
/// # Safety
/// As `spanwire_call_unary`; `done` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_call_unary_blocking(
    channel: *mut spanwire_channel,
    method: *const c_char,
    request: *const spanwire_buffer,
    options: *const spanwire_call_options,
    done: *mut spanwire_event,
) -> spanwire_result {
    guard(|| {
        if !done.is_null() {
            // SAFETY: it is not null, and the caller promises the rest.
            unsafe { done.write(spanwire_event::empty()) };
        }
        // SAFETY: the caller's promise.
        let request = unsafe { outgoing(request) }?;
        if done.is_null() {
            return Err(Refused::argument("done is null"));
        }
        // SAFETY: the caller's promise.
        let method = unsafe { text(method, "method") }?;
        // Taken for the time of the call: a hook may make another one on this thread.
        let queue = BLOCKING
            .try_with(|cell| cell.borrow_mut().take())
            .ok()
            .flatten()
            .filter(|queue| queue.descends_here())
            .unwrap_or_default();
        // SAFETY: the caller's promise.
        let start = unsafe { Start::new(channel, method, options, queue.clone(), std::ptr::null_mut()) }?;
        // SAFETY: there is no handle to write.
        unsafe { unary(start, method, request, std::ptr::null_mut()) }?;
        // Once: a hook may keep the only event that comes.
        // SAFETY: one event can be written.
        unsafe { queue::round(&queue, done, 1, None) }?;
        let _ = BLOCKING.try_with(|cell| *cell.borrow_mut() = Some(queue));
        Ok(SPANWIRE_DONE)
    })
}

/// Starts a call of any kind. Its events are HEADERS, MESSAGES as they are granted, WRITABLE, and DONE, which comes exactly
/// once if this answers 0 or more. The handle is written to `call` before the call begins. Kinds with one request take one
/// `spanwire_call_send`, which half-closes them. `options` may be null.
///
/// # Safety
/// As `spanwire_call_unary`; `call` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_call_start(
    channel: *mut spanwire_channel,
    method: *const c_char,
    kind: spanwire_kind,
    options: *const spanwire_call_options,
    queue: *mut spanwire_queue,
    tag: *mut c_void,
    call: *mut *mut spanwire_call,
) -> spanwire_result {
    guard(|| {
        if call.is_null() {
            return Err(Refused::argument("call is null: a stream needs its handle"));
        }
        // SAFETY: the caller's promise.
        unsafe { call.write(std::ptr::null_mut()) };
        // SAFETY: the caller's promise.
        let method = unsafe { text(method, "method") }?;
        let kind = kind_of(kind)?;
        let queue = find(&tables().queues, queue, "queue")?.queue.clone();
        // SAFETY: the caller's promise.
        let mut start = unsafe { Start::new(channel, method, options, queue, tag) }?;
        let (options, report) = (std::mem::take(&mut start.options), start.report.clone());
        let channel = &start.channel.channel;
        let (started, prepared) = channel.stream(method, kind, options, report.clone(), start.parent())?;
        // SAFETY: not null, and the caller promises the rest.
        let entry = unsafe { give(started, call) }?;
        match start.refused.take() {
            Some(status) => channel.refuse(status, report, Some(&entry.call)).inspect_err(|_| {
                // SAFETY: as above.
                unsafe { take_back(call) }
            })?,
            None => prepared.begin(),
        }
        Ok(SPANWIRE_DONE)
    })
}

pub(crate) fn kind_of(kind: spanwire_kind) -> Result<Kind, Refused> {
    Ok(match kind {
        SPANWIRE_KIND_UNARY => Kind::Unary,
        SPANWIRE_KIND_SERVER_STREAMING => Kind::ServerStreaming,
        SPANWIRE_KIND_CLIENT_STREAMING => Kind::ClientStreaming,
        SPANWIRE_KIND_BIDI => Kind::Bidi,
        _ => return Err(Refused::argument(format!("kind: {kind} is no SPANWIRE_KIND_…"))),
    })
}

pub(crate) fn room(room: Room) -> spanwire_result {
    match room {
        Room::Ready => SPANWIRE_DONE,
        Room::Full => SPANWIRE_FULL,
    }
}

fn with_call(
    call: *mut spanwire_call,
    operate: impl FnOnce(&Call) -> Result<spanwire_result, OpError>,
) -> spanwire_result {
    guard(|| Ok(operate(&find(&tables().calls, call, "call")?.call)?))
}

/// Sends a message. It is taken at once, and sent as there is room.
///
/// Answers `SPANWIRE_FULL` when it was taken and the next one has to wait for WRITABLE; `SPANWIRE_BLOCKED` when one is sent
/// all the same; `SPANWIRE_OVER` when the call has ended or is half-closed; `SPANWIRE_INVALID_ARGUMENT` for a message above
/// `max_send_message_bytes`, after which the call goes on.
///
/// # Safety
/// `message` is as its documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_call_send(
    call: *mut spanwire_call,
    message: *const spanwire_buffer,
) -> spanwire_result {
    guard(|| {
        // SAFETY: the caller's promise.
        let message = unsafe { outgoing(message) }?;
        Ok(room(find(&tables().calls, call, "call")?.call.send(message)?))
    })
}

/// Says that no more messages follow; the server may still answer. A second time does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_call_half_close(call: *mut spanwire_call) -> spanwire_result {
    with_call(call, |call| call.half_close().map(|()| SPANWIRE_DONE))
}

/// Lets `messages` more messages arrive. No more than were granted ever come.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_call_grant(call: *mut spanwire_call, messages: u32) -> spanwire_result {
    with_call(call, |call| call.grant(messages).map(|()| SPANWIRE_DONE))
}

/// Ends the call with CANCELLED, from any thread, at any time, as often as one likes. DONE follows. A call that has ended
/// stays as it is.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_call_cancel(call: *mut spanwire_call) -> spanwire_result {
    with_call(call, |call| call.cancel().map(|()| SPANWIRE_DONE))
}

/// Frees the handle; a call that still runs is cancelled. Its DONE comes all the same, maybe with `call` null. Null and
/// freed ones do nothing.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_call_free(call: *mut spanwire_call) {
    guard_value((), || {
        if !call.is_null() {
            tables().calls.remove(call.addr()).map_err(|lost| not_found(lost, "call"))?;
        }
        Ok(())
    });
}
