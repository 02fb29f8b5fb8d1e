//! Bearer tokens that the program gets for itself.

use std::ffi::{c_char, c_void};
use std::time::{Duration, SystemTime};

use spanwire::bridge::TokenSource;
use spanwire::{Status, Token};

use crate::boundary::{Refused, guard, handle, not_found, optional_text, text};
use crate::hook::code_of;
use crate::tables::tables;
use crate::types::*;

/// Asks for a bearer token, which is told by `spanwire_token_answer`, or `spanwire_token_refuse`: at once, or later from any
/// thread. On a thread of the engine: it must not wait.
pub type spanwire_token_callback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, request: *mut spanwire_token_request)>;

struct Asked {
    callback: unsafe extern "C" fn(*mut c_void, *mut spanwire_token_request),
    user_data: *mut c_void,
}

// SAFETY: the program promises that the callback may run on the threads of the engine.
unsafe impl Send for Asked {}
// SAFETY: as above.
unsafe impl Sync for Asked {}

pub(crate) fn source(callback: spanwire_token_callback, user_data: *mut c_void) -> Option<TokenSource> {
    let asked = Asked { callback: callback?, user_data };
    Some(TokenSource::new(move |request| {
        let asked = &asked;
        // Without room for a handle the request is dropped, which fails the calls that wait.
        if let Ok(number) = tables().token_requests.insert(request) {
            // SAFETY: the program's promise.
            unsafe { (asked.callback)(asked.user_data, handle(number)) };
        }
    }))
}

/// Gives the token that a request asks for; the request is over with it. It is asked for again shortly before `expires_ms`,
/// in milliseconds since 1970; with 0 before the `exp` of a JWT, and for other tokens once a minute.
///
/// # Safety
/// `token` is a string that ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_token_answer(
    request: *mut spanwire_token_request,
    token: *const c_char,
    expires_ms: i64,
) -> spanwire_result {
    guard(|| {
        // SAFETY: the caller's promise.
        let mut token = Token::new(unsafe { text(token, "token") }?);
        if let Ok(ms @ 1..) = u64::try_from(expires_ms) {
            token.expires = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms));
        }
        answer(request, Ok(token))
    })
}

/// Says that there is no token: calls that wait for it fail with this status, and so do those of the next second. The request
/// is over with it.
///
/// # Safety
/// `message` is null, or UTF-8 that ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_token_refuse(
    request: *mut spanwire_token_request,
    code: spanwire_code,
    message: *const c_char,
) -> spanwire_result {
    guard(|| {
        // SAFETY: the caller's promise.
        let text = unsafe { optional_text(message, "message") }?.unwrap_or_default();
        let status = Status::new(code_of(code), text);
        if status.is_ok() {
            return Err(Refused::argument("code: OK is no reason to have no token"));
        }
        answer(request, Err(status))
    })
}

fn answer(
    request: *mut spanwire_token_request,
    token: Result<Token, Status>,
) -> Result<spanwire_result, Refused> {
    let removed = tables().token_requests.remove(request.addr());
    removed.map_err(|lost| not_found(lost, "token request"))?.answer(token);
    Ok(SPANWIRE_DONE)
}
