//! Interceptors: the program's own functions around each call.

use std::ffi::{CString, c_char, c_void};
use std::sync::{Arc, PoisonError, RwLock};

use spanwire::bridge::Methods;
use spanwire::{Code, Metadata, Status};

use crate::boundary::{Refused, c_string, find, guard, guard_value, sized, text};
use crate::event::{SPANWIRE_EVENT_NONE, SPANWIRE_EVENT_REQUEST, spanwire_event};
use crate::metadata::{append, spanwire_metadata_entry};
use crate::options::texts;
use crate::server_call::spanwire_server_call_free;
use crate::tables::tables;
use crate::types::*;

/// A call that is about to be made, for the time of a `start` hook.
pub struct spanwire_draft {
    method: CString,
    pub(crate) metadata: Metadata,
    pub(crate) timeout_ms: i64,
    message: String,
}

/// See `spanwire_interceptor`.
pub type spanwire_start_hook =
    Option<unsafe extern "C" fn(user_data: *mut c_void, draft: *mut spanwire_draft) -> spanwire_code>;
/// See `spanwire_interceptor`.
pub type spanwire_event_hook =
    Option<unsafe extern "C" fn(user_data: *mut c_void, event: *mut spanwire_event)>;
/// See `spanwire_interceptor`.
pub type spanwire_release_hook = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// Functions around each call of a channel or a server. They run on the program's own threads, in the order in which they
/// were added, and may call every function of the library.
#[repr(C)]
pub struct spanwire_interceptor {
    /// `sizeof(spanwire_interceptor)`.
    pub size: usize,
    /// For the functions below.
    pub user_data: *mut c_void,
    /// Channel: in `spanwire_call_unary` and `spanwire_call_start`, before the call begins. It may add metadata and change the
    /// timeout. A code other than OK ends the call with it, and with the text of `spanwire_draft_set_message`.
    pub start: spanwire_start_hook,
    /// Channel and server: with each event, in the function that hands it out, before the program sees it. It may read and
    /// change it. Set to `SPANWIRE_EVENT_NONE`, the program does not see it; of a REQUEST the call is freed then, so answer
    /// it before.
    pub event: spanwire_event_hook,
    /// When neither function will be called any more.
    pub release: spanwire_release_hook,
    /// The functions run around calls of these methods alone, "/package.Service/Method", or all of a service,
    /// "/package.Service/*"; of all methods if there are none. They are copied.
    pub only: *const *const c_char,
    /// How many.
    pub only_count: usize,
}

impl Default for spanwire_interceptor {
    fn default() -> Self {
        spanwire_interceptor {
            size: 0,
            user_data: std::ptr::null_mut(),
            start: None,
            event: None,
            release: None,
            only: std::ptr::null(),
            only_count: 0,
        }
    }
}

struct Hook {
    functions: spanwire_interceptor,
    /// Those that it is for; all without.
    only: Option<Methods>,
}

impl Hook {
    fn is_for(&self, method: &str) -> bool {
        self.only.as_ref().is_none_or(|methods| methods.contain(method))
    }
}

// SAFETY: the program promises that its functions may be called from any of its threads.
unsafe impl Send for Hook {}
// SAFETY: as above.
unsafe impl Sync for Hook {}

impl Drop for Hook {
    fn drop(&mut self) {
        if let Some(release) = self.functions.release {
            // SAFETY: the program's own function, with what it is for.
            unsafe { release(self.functions.user_data) }
        }
    }
}

/// The interceptors of a channel or a server.
#[derive(Default)]
pub(crate) struct Hooks(RwLock<Vec<Arc<Hook>>>);

impl Hooks {
    fn list(&self) -> Vec<Arc<Hook>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Those that are for calls of `method`; `None` if there are none.
    pub(crate) fn of(self: &Arc<Self>, method: &str) -> Option<Arc<Self>> {
        let list = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if list.iter().all(|hook| hook.only.is_none()) {
            return (!list.is_empty()).then(|| self.clone());
        }
        let those: Vec<_> = list.iter().filter(|hook| hook.is_for(method)).cloned().collect();
        (!those.is_empty()).then(|| Arc::new(Hooks(RwLock::new(those))))
    }

    /// # Safety
    /// `interceptor` is null or as its documentation asks.
    unsafe fn add(&self, interceptor: *const spanwire_interceptor) -> Result<(), Refused> {
        if interceptor.is_null() {
            return Err(Refused::argument("the interceptor is null"));
        }
        // SAFETY: not null, and the caller promises the rest.
        let interceptor = unsafe { sized(interceptor, "interceptor") }?;
        // SAFETY: the caller's promise.
        let only = unsafe { texts(interceptor.only, interceptor.only_count, "only") }?;
        let only = if only.is_empty() { None } else { Some(Methods::new(&only)?) };
        let mut list = self.0.write().unwrap_or_else(PoisonError::into_inner);
        list.push(Arc::new(Hook { functions: interceptor, only }));
        Ok(())
    }

    /// Runs the start hooks; the status that one of them ends the call with.
    pub(crate) fn start(
        &self,
        method: &str,
        metadata: &mut Metadata,
        timeout_ms: &mut i64,
    ) -> Option<Status> {
        let mut draft = spanwire_draft {
            method: c_string(method),
            metadata: std::mem::take(metadata),
            timeout_ms: *timeout_ms,
            message: String::new(),
        };
        let refused = self.list().iter().find_map(|hook| {
            let start = hook.functions.start?;
            // SAFETY: the program's own function; the draft lives for the time of the call.
            let code = unsafe { start(hook.functions.user_data, &raw mut draft) };
            (code != SPANWIRE_CODE_OK).then(|| code_of(code))
        });
        *metadata = draft.metadata;
        *timeout_ms = draft.timeout_ms;
        refused.map(|code| Status::new(code, draft.message))
    }

    /// Shows an event to the hooks. False: it is not for the program, and released.
    pub(crate) fn show(&self, event: &mut spanwire_event) -> bool {
        let (kind, call) = (event.r#type, event.server_call);
        for hook in self.list() {
            let Some(show) = hook.functions.event else { continue };
            // Those of a channel are for its call, or they would not be here.
            if hook.only.is_some() && !call.is_null() {
                let found = find(&tables().server_calls, call, "server call");
                if !found.is_ok_and(|call| hook.is_for(call.method())) {
                    continue;
                }
            }
            // SAFETY: the program's own function; the event lives for the time of the call.
            unsafe { show(hook.functions.user_data, &raw mut *event) };
            if event.r#type == SPANWIRE_EVENT_NONE {
                event.release();
                if kind == SPANWIRE_EVENT_REQUEST {
                    spanwire_server_call_free(call);
                }
                return false;
            }
        }
        event.r#type = kind;
        true
    }
}

/// A code of the program; numbers that are none are UNKNOWN, as they are on the wire.
pub(crate) fn code_of(code: spanwire_code) -> Code {
    u32::try_from(code).ok().and_then(Code::from_u32).unwrap_or(Code::Unknown)
}

/// The method of the draft, `/package.Service/Method`; valid during the hook.
///
/// # Safety
/// `draft` is null, or the one that a hook was called with, during that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_draft_method(draft: *const spanwire_draft) -> *const c_char {
    guard_value(c"".as_ptr(), || {
        // SAFETY: the caller's promise.
        Ok(unsafe { draft.as_ref() }.map_or(c"".as_ptr(), |draft| draft.method.as_ptr()))
    })
}

/// Adds an entry to the request's metadata. It is copied.
///
/// Answers `SPANWIRE_INVALID_ARGUMENT` for a key or a value that gRPC does not allow.
///
/// # Safety
/// As `spanwire_draft_method`; `entry` is null or an entry.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_draft_append_metadata(
    draft: *mut spanwire_draft,
    entry: *const spanwire_metadata_entry,
) -> spanwire_result {
    guard(|| {
        // SAFETY: the caller's promise.
        let (Some(draft), Some(entry)) = (unsafe { draft.as_mut() }, unsafe { entry.as_ref() }) else {
            return Err(Refused::argument("the draft or the entry is null"));
        };
        // SAFETY: the caller's promise.
        unsafe { append(&mut draft.metadata, entry) }?;
        Ok(SPANWIRE_DONE)
    })
}

/// Sets the call's timeout in milliseconds; 0 for none, negative: it has passed.
///
/// # Safety
/// As `spanwire_draft_method`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_draft_set_timeout_ms(
    draft: *mut spanwire_draft,
    timeout_ms: i64,
) -> spanwire_result {
    guard(|| {
        // SAFETY: the caller's promise.
        let draft = unsafe { draft.as_mut() }.ok_or_else(|| Refused::argument("the draft is null"))?;
        draft.timeout_ms = timeout_ms;
        Ok(SPANWIRE_DONE)
    })
}

/// Sets the message of the status that the hook is about to end the call with. It is copied.
///
/// # Safety
/// As `spanwire_draft_method`; `message` is a string that ends in NUL, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_draft_set_message(
    draft: *mut spanwire_draft,
    message: *const c_char,
) -> spanwire_result {
    guard(|| {
        // SAFETY: the caller's promise.
        let draft = unsafe { draft.as_mut() }.ok_or_else(|| Refused::argument("the draft is null"))?;
        // SAFETY: the caller's promise.
        draft.message = unsafe { text(message, "the message") }?.to_owned();
        Ok(SPANWIRE_DONE)
    })
}

/// Adds an interceptor to the calls that the channel makes from now on. The struct is copied.
///
/// # Safety
/// `interceptor` is null or an interceptor, whose functions may be called from any thread that uses the channel or drains
/// its calls' queues.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_channel_intercept(
    channel: *mut spanwire_channel,
    interceptor: *const spanwire_interceptor,
) -> spanwire_result {
    guard(|| {
        let entry = find(&tables().channels, channel, "channel")?;
        // SAFETY: the caller's promise.
        unsafe { entry.hooks.add(interceptor) }?;
        Ok(SPANWIRE_DONE)
    })
}

/// Adds an interceptor to the server's calls. The struct is copied. `start` is not used.
///
/// # Safety
/// As `spanwire_channel_intercept`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_server_intercept(
    server: *mut spanwire_server,
    interceptor: *const spanwire_interceptor,
) -> spanwire_result {
    guard(|| {
        let entry = find(&tables().servers, server, "server")?;
        // SAFETY: the caller's promise.
        unsafe { entry.hooks.add(interceptor) }?;
        Ok(SPANWIRE_DONE)
    })
}
