//! Calls that a server received.

use std::borrow::Cow;
use std::ffi::{CString, c_char, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use spanwire::bridge::{Answer, OpError, ServerCallRef};
use spanwire::{Claims, Metadata, Status, TlsIdentity};

use crate::boundary::{
    Refused, c_string, copy_text, find, guard, guard_value, not_found, optional_text, sized, slice,
};
use crate::bytes::{outgoing, spanwire_buffer};
use crate::call::room;
use crate::hook::code_of;
use crate::metadata::{metadata, spanwire_metadata, spanwire_metadata_entry};
use crate::options::encoding;
use crate::tables::tables;
use crate::types::*;

/// What a program may ask of a call again and again, and what it keeps with it. Most calls need none of it.
#[derive(Default)]
struct Kept {
    data: AtomicPtr<c_void>,
    method: OnceLock<CString>,
    metadata: OnceLock<Option<Box<spanwire_metadata>>>,
}

fn kept(call: &ServerCallRef) -> Result<&Kept, Refused> {
    let kept = call.attached(|| Arc::new(Kept::default()));
    // It is never anything else.
    kept.downcast_ref().ok_or_else(|| Refused::argument("the call belongs to another binding"))
}

/// What goes with an answer. Zeros are nothing. All is copied.
#[repr(C)]
pub struct spanwire_answer {
    /// `sizeof(spanwire_answer)`.
    pub size: usize,
    /// The leading metadata. They go out with the first message, or by `spanwire_server_call_headers`; later ones are lost.
    pub headers: *const spanwire_metadata_entry,
    /// How many entries.
    pub header_count: usize,
    /// The metadata that come with the status.
    pub trailers: *const spanwire_metadata_entry,
    /// How many entries.
    pub trailer_count: usize,
    /// Details of the status: an encoded `google.rpc.Status`.
    pub details: *const c_void,
    /// Their length in bytes.
    pub details_len: usize,
    /// Compresses the messages, if the client can read that. To be chosen before the first one.
    pub compression: spanwire_encoding,
}

impl Default for spanwire_answer {
    fn default() -> Self {
        // SAFETY: null pointers and zeros are valid in all of its fields.
        unsafe { std::mem::zeroed() }
    }
}

struct Extras {
    answer: Answer,
    trailers: Metadata,
    details: Bytes,
}

/// # Safety
/// `answer` is null, or as the documentation of its fields asks.
unsafe fn extras(answer: *const spanwire_answer) -> Result<Extras, Refused> {
    if answer.is_null() {
        return Ok(Extras { answer: Answer::default(), trailers: Metadata::new(), details: Bytes::new() });
    }
    // SAFETY: the caller's promise, for all that is read below.
    unsafe {
        let answer = sized(answer, "spanwire_answer")?;
        Ok(Extras {
            answer: Answer {
                headers: metadata(answer.headers, answer.header_count, "headers")?,
                compression: encoding(answer.compression)?,
            },
            trailers: metadata(answer.trailers, answer.trailer_count, "trailers")?,
            details: Bytes::copy_from_slice(slice(answer.details.cast(), answer.details_len, "details")?),
        })
    }
}

fn with_call(
    call: *mut spanwire_server_call,
    operate: impl FnOnce(&ServerCallRef) -> Result<spanwire_result, OpError>,
) -> spanwire_result {
    guard(|| Ok(operate(&find(&tables().server_calls, call, "server call")?)?))
}

/// Sends the leading metadata of `answer` now instead of with the first message, and chooses the compression.
///
/// Answers `SPANWIRE_OVER` when the call has ended, was answered, or its metadata were sent before.
///
/// # Safety
/// `answer` is null or as its documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_server_call_headers(
    call: *mut spanwire_server_call,
    answer: *const spanwire_answer,
) -> spanwire_result {
    guard(|| {
        // SAFETY: the caller's promise.
        let extras = unsafe { extras(answer) }?;
        find(&tables().server_calls, call, "server call")?.headers(extras.answer)?;
        Ok(SPANWIRE_DONE)
    })
}

/// Sends a message of a stream. It is taken at once, and sent as there is room; the answers are those of
/// `spanwire_call_send`. On a unary method use `spanwire_server_call_respond`.
///
/// # Safety
/// `message` is as its documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_server_call_send(
    call: *mut spanwire_server_call,
    message: *const spanwire_buffer,
) -> spanwire_result {
    guard(|| {
        // SAFETY: the caller's promise.
        let message = unsafe { outgoing(message) }?;
        Ok(room(find(&tables().server_calls, call, "server call")?.send(message)?))
    })
}

/// Lets `messages` more request messages arrive. No more than were granted ever come.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_server_call_grant(
    call: *mut spanwire_server_call,
    messages: u32,
) -> spanwire_result {
    with_call(call, |call| call.grant(messages).map(|()| SPANWIRE_DONE))
}

/// Answers the call in one: leading metadata, `message`, and OK with the trailers. `answer` may be null. If this answers 0
/// the call is over for the program, and no CANCELLED follows; the handle is still to be freed.
///
/// Answers `SPANWIRE_OVER` when the call has ended or was answered; `SPANWIRE_INVALID_ARGUMENT` for a message above
/// `max_send_message_bytes`, after which the call waits for another answer.
///
/// # Safety
/// `message` and `answer` are as their documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_server_call_respond(
    call: *mut spanwire_server_call,
    message: *const spanwire_buffer,
    answer: *const spanwire_answer,
) -> spanwire_result {
    guard(|| {
        // SAFETY: the caller's promise.
        let message = unsafe { outgoing(message) }?;
        // SAFETY: the caller's promise.
        let extras = unsafe { extras(answer) }?;
        let entry = find(&tables().server_calls, call, "server call")?;
        entry.respond(message, extras.answer, extras.trailers)?;
        Ok(SPANWIRE_DONE)
    })
}

/// Ends the call with a status, behind what was sent. `message` is UTF-8 that ends in NUL, or null; `answer` may be null. If
/// this answers 0 the call is over for the program, and no CANCELLED follows; the handle is still to be freed.
///
/// # Safety
/// `message` and `answer` are as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_server_call_finish(
    call: *mut spanwire_server_call,
    code: spanwire_code,
    message: *const c_char,
    answer: *const spanwire_answer,
) -> spanwire_result {
    guard(|| {
        // SAFETY: the caller's promise.
        let text = unsafe { optional_text(message, "message") }?.unwrap_or_default();
        // SAFETY: the caller's promise.
        let extras = unsafe { extras(answer) }?;
        let status =
            Status::new(code_of(code), text).with_details(extras.details).with_metadata(extras.trailers);
        find(&tables().server_calls, call, "server call")?.finish(status, extras.answer)?;
        Ok(SPANWIRE_DONE)
    })
}

/// Resets the call's stream: the client sees CANCELLED, and nothing of what waits to be sent. If this answers 0 the call is
/// over for the program.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_server_call_cancel(call: *mut spanwire_server_call) -> spanwire_result {
    with_call(call, |call| call.cancel().map(|()| SPANWIRE_DONE))
}

/// Keeps a pointer of the program with the call, until it is freed.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_server_call_set_data(
    call: *mut spanwire_server_call,
    data: *mut c_void,
) -> spanwire_result {
    guard(|| {
        kept(&find(&tables().server_calls, call, "server call")?)?.data.store(data, Ordering::Release);
        Ok(SPANWIRE_DONE)
    })
}

/// The pointer that the program keeps with the call; null before, and for a call that was freed.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_server_call_data(call: *mut spanwire_server_call) -> *mut c_void {
    guard_value(std::ptr::null_mut(), || {
        Ok(kept(&find(&tables().server_calls, call, "server call")?)?.data.load(Ordering::Acquire))
    })
}

/// The method, `/package.Service/Method`, which ends in NUL; `len`, if not null, gets its length. Valid until the call is
/// freed; null for one that was.
///
/// # Safety
/// `len` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_server_call_method(
    call: *mut spanwire_server_call,
    len: *mut usize,
) -> *const c_char {
    guard_value(std::ptr::null(), || {
        if !len.is_null() {
            // SAFETY: not null, and the caller promises the rest.
            unsafe { len.write(0) };
        }
        let entry = find(&tables().server_calls, call, "server call")?;
        let method = kept(&entry)?.method.get_or_init(|| c_string(entry.method()));
        if !len.is_null() {
            // SAFETY: not null, and the caller promises the rest.
            unsafe { len.write(method.as_bytes().len()) };
        }
        Ok(method.as_ptr())
    })
}

/// The request's metadata, without the entries that are gRPC's own. Valid until the call is freed; null if there are none.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_server_call_metadata(call: *mut spanwire_server_call) -> *const spanwire_metadata {
    guard_value(std::ptr::null(), || {
        let entry = find(&tables().server_calls, call, "server call")?;
        let metadata = kept(&entry)?.metadata.get_or_init(|| spanwire_metadata::new(entry.metadata()));
        Ok(metadata.as_deref().map_or(std::ptr::null(), std::ptr::from_ref))
    })
}

/// How long the client still waits, in milliseconds; `INT64_MAX` without a deadline. Negative: a `spanwire_result`.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_server_call_time_remaining_ms(call: *mut spanwire_server_call) -> i64 {
    guard_value(SPANWIRE_INVALID_HANDLE.into(), || {
        let entry = find(&tables().server_calls, call, "server call")?;
        let remaining = entry.time_remaining();
        Ok(remaining.map_or(i64::MAX, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
    })
}

/// Writes the client's address into `text`, as `snprintf` would. Returns the length of the whole; 0 on failure.
///
/// # Safety
/// `text` is null, or `capacity` bytes can be written there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_server_call_peer(
    call: *mut spanwire_server_call,
    text: *mut c_char,
    capacity: usize,
) -> usize {
    guard_value(0, || {
        let entry = find(&tables().server_calls, call, "server call")?;
        // SAFETY: the caller's promise.
        Ok(unsafe { copy_text(&entry.peer().to_string(), text, capacity) })
    })
}

/// Writes where in a trace the call is into `text`, as `snprintf` would: the value of `traceparent`, for calls that are made
/// for this one without `parent`. Returns its length; 0 without telemetry, and on failure.
///
/// # Safety
/// `text` is null, or `capacity` bytes can be written there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_server_call_traceparent(
    call: *mut spanwire_server_call,
    text: *mut c_char,
    capacity: usize,
) -> usize {
    guard_value(0, || {
        let entry = find(&tables().server_calls, call, "server call")?;
        // SAFETY: the caller's promise.
        Ok(unsafe { copy_text(&entry.traceparent().unwrap_or_default(), text, capacity) })
    })
}

/// The certificate at `index` of the chain that the client proved to own, the client's own first: points `der` to it and
/// returns its length. 0: there is none. Valid until the call is freed.
///
/// # Safety
/// `der` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_server_call_peer_certificate(
    call: *mut spanwire_server_call,
    index: usize,
    der: *mut *const u8,
) -> usize {
    guard_value(0, || {
        let entry = find(&tables().server_calls, call, "server call")?;
        let identity = entry.tls_identity();
        let Some(certificate) = identity.and_then(|identity| identity.certificates().get(index)) else {
            return Ok(0);
        };
        if !der.is_null() {
            // SAFETY: not null, and the caller promises the rest. The chain lives as long as the call's connection, which the
            // call keeps.
            unsafe { der.write(certificate.as_ptr()) };
        }
        Ok(certificate.len())
    })
}

/// Writes a name in the certificate that the client proved to own into `text`, as `snprintf` would: that at `index` among those
/// of its kind. Returns the length of the whole; 0: there is none.
///
/// # Safety
/// `text` is null, or `capacity` bytes can be written there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_server_call_peer_name(
    call: *mut spanwire_server_call,
    kind: spanwire_name,
    index: usize,
    text: *mut c_char,
    capacity: usize,
) -> usize {
    guard_value(0, || {
        let entry = find(&tables().server_calls, call, "server call")?;
        let name = match entry.tls_identity() {
            Some(identity) => name(identity, kind, index)?,
            None => None,
        };
        // SAFETY: the caller's promise.
        Ok(unsafe { copy_text(&name.unwrap_or_default(), text, capacity) })
    })
}

fn name(identity: &TlsIdentity, kind: spanwire_name, index: usize) -> Result<Option<Cow<'_, str>>, Refused> {
    let only = |name| Some(name).filter(|_| index == 0).map(Cow::Borrowed);
    let listed = |names: &[String]| names.get(index).cloned().map(Cow::Owned);
    Ok(match kind {
        SPANWIRE_NAME_DNS => listed(identity.dns_names()),
        SPANWIRE_NAME_EMAIL => listed(identity.emails()),
        SPANWIRE_NAME_IP => identity.ip_addresses().get(index).map(|ip| Cow::Owned(ip.to_string())),
        SPANWIRE_NAME_SPIFFE_ID => identity.spiffe_id().and_then(only),
        SPANWIRE_NAME_SUBJECT => only(identity.subject()),
        SPANWIRE_NAME_URI => listed(identity.uris()),
        _ => return Err(Refused::argument(format!("kind: {kind} is no SPANWIRE_NAME_…"))),
    })
}

/// Writes who calls, the claim `sub` of the token, into `text`, as `snprintf` would. Returns the length of the whole; 0: no token
/// was asked for, or it does not say.
///
/// # Safety
/// `text` is null, or `capacity` bytes can be written there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_server_call_subject(
    call: *mut spanwire_server_call,
    text: *mut c_char,
    capacity: usize,
) -> usize {
    guard_value(0, || {
        let entry = find(&tables().server_calls, call, "server call")?;
        let subject = entry.claims().and_then(Claims::subject).unwrap_or_default();
        // SAFETY: the caller's promise.
        Ok(unsafe { copy_text(subject, text, capacity) })
    })
}

/// Writes what the caller's token says, the JSON object that was signed, into `text`, as `snprintf` would. Returns the length of
/// the whole; 0: no token was asked for.
///
/// # Safety
/// `text` is null, or `capacity` bytes can be written there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_server_call_claims(
    call: *mut spanwire_server_call,
    text: *mut c_char,
    capacity: usize,
) -> usize {
    guard_value(0, || {
        let entry = find(&tables().server_calls, call, "server call")?;
        let claims = entry.claims().map_or("", Claims::json);
        // SAFETY: the caller's promise.
        Ok(unsafe { copy_text(claims, text, capacity) })
    })
}

/// Frees the handle; a call that was not answered fails with INTERNAL. Events of it that are still in the queue are dropped.
/// Null and freed ones do nothing.
#[unsafe(no_mangle)]
pub extern "C" fn spanwire_server_call_free(call: *mut spanwire_server_call) {
    guard_value((), || {
        if !call.is_null() {
            let call = tables().server_calls.remove(call.addr());
            call.map_err(|lost| not_found(lost, "server call"))?.let_go();
        }
        Ok(())
    });
}
