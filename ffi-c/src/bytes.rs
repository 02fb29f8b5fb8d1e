//! Bytes that arrived, and bytes to send.

use std::ffi::c_void;

use bytes::Bytes;
use spanwire::bridge::{Outgoing, Received};

use crate::boundary::{Refused, guard_value, slice};

/// Flag of `spanwire_bytes`: the message came compressed. What `data` points to never is.
pub const SPANWIRE_BYTES_COMPRESSED: u32 = 1;
/// Flag of `spanwire_buffer`: do not compress this message.
pub const SPANWIRE_SEND_PLAIN: u32 = 1;
/// Flag of `spanwire_buffer`: half-close the call behind this message.
pub const SPANWIRE_SEND_LAST: u32 = 2;

/// Bytes that arrived. They belong to the event that they came with and are released with it, unless they are taken out by
/// `spanwire_bytes_take`; then they belong to whoever took them and are released once by `spanwire_bytes_free`. They are
/// shared, not copied: keeping a small message may keep the larger buffer that it was read into.
///
/// Copying the struct does not copy the right to release it.
#[repr(C)]
pub struct spanwire_bytes {
    /// The bytes. Null if there is no message; not null for a message of no bytes.
    pub data: *const u8,
    /// How many.
    pub len: usize,
    /// `SPANWIRE_BYTES_COMPRESSED`.
    pub flags: u32,
    /// Private.
    pub owner: [usize; 4],
}

const _: () =
    assert!(size_of::<Bytes>() <= size_of::<[usize; 4]>() && align_of::<Bytes>() <= align_of::<usize>());

impl spanwire_bytes {
    pub(crate) const NONE: spanwire_bytes =
        spanwire_bytes { data: std::ptr::null(), len: 0, flags: 0, owner: [0; 4] };

    pub(crate) fn new(received: Received) -> Self {
        let mut this = spanwire_bytes {
            data: received.bytes.as_ptr(),
            len: received.bytes.len(),
            flags: if received.compressed { SPANWIRE_BYTES_COMPRESSED } else { 0 },
            owner: [0; 4],
        };
        // SAFETY: the place is large enough and aligned, which is checked above.
        unsafe { this.owner.as_mut_ptr().cast::<Bytes>().write(received.bytes) };
        this
    }

    fn bytes(&self) -> Option<&Bytes> {
        // SAFETY: `data` is only set where a `Bytes` was put into `owner`, and cleared when it is taken out.
        (!self.data.is_null()).then(|| unsafe { &*self.owner.as_ptr().cast::<Bytes>() })
    }

    pub(crate) fn take(&mut self) -> Option<Bytes> {
        if self.data.is_null() {
            return None;
        }
        let owner = std::mem::replace(self, spanwire_bytes::NONE).owner;
        // SAFETY: as in `bytes`; the original is void now.
        Some(unsafe { owner.as_ptr().cast::<Bytes>().read() })
    }
}

/// Called when handed-over bytes are no longer needed, once, from any thread. It may not use the call that sends them.
pub type spanwire_release = Option<unsafe extern "C" fn(context: *mut c_void)>;

/// Bytes to send.
///
/// Without `release` they are copied before the function comes back. With it they are handed over without a copy:
/// `release(context)` is called once when they are no longer needed, also when the function fails, maybe before it comes
/// back. Handing over pays from some 8 KiB on; below, a copy is cheaper.
#[repr(C)]
pub struct spanwire_buffer {
    /// The bytes; may be null if there are none.
    pub data: *const c_void,
    /// How many.
    pub len: usize,
    /// `SPANWIRE_SEND_PLAIN`, `SPANWIRE_SEND_LAST`.
    pub flags: u32,
    /// See above; null to have them copied.
    pub release: spanwire_release,
    /// For `release`.
    pub context: *mut c_void,
}

/// Memory of the program, until nothing needs it any more.
struct Lent {
    data: *const u8,
    len: usize,
    release: unsafe extern "C" fn(*mut c_void),
    context: *mut c_void,
}

// SAFETY: the program promises that the bytes stay as they are until `release`, which may be called from any thread.
unsafe impl Send for Lent {}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: checked when it was made; the program promises the rest.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // SAFETY: it is called once, as promised.
        unsafe { (self.release)(self.context) }
    }
}

/// The message in a buffer.
///
/// # Safety
/// `buffer` is null, or a buffer whose fields are what their documentation asks for.
pub(crate) unsafe fn outgoing(buffer: *const spanwire_buffer) -> Result<Outgoing, Refused> {
    // SAFETY: the caller's promise.
    let Some(buffer) = (unsafe { buffer.as_ref() }) else {
        return Err(Refused::argument("the message is null"));
    };
    let lent = buffer.release.map(|release| Lent {
        data: buffer.data.cast(),
        len: buffer.len,
        release,
        context: buffer.context,
    });
    // SAFETY: the caller's promise. It also checks what `Lent` will read; if it fails, `lent` is released.
    let bytes = unsafe { slice(buffer.data.cast(), buffer.len, "message.data") }?;
    let known = SPANWIRE_SEND_PLAIN | SPANWIRE_SEND_LAST;
    if buffer.flags & !known != 0 {
        return Err(Refused::argument(format!("message.flags: {:#x} has unknown bits", buffer.flags)));
    }
    let mut message = match lent {
        Some(lent) => Bytes::from_owner(lent).into(),
        None => Outgoing::copied(bytes),
    };
    message.plain = buffer.flags & SPANWIRE_SEND_PLAIN != 0;
    message.last = buffer.flags & SPANWIRE_SEND_LAST != 0;
    Ok(message)
}

/// Moves bytes out of an event or another struct: they are the caller's, and the source is empty. Of null or empty bytes
/// it gives empty ones.
///
/// # Safety
/// `bytes` is null or points to bytes that came from this library. One thread at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_bytes_take(bytes: *mut spanwire_bytes) -> spanwire_bytes {
    // SAFETY: the caller's promise.
    guard_value(spanwire_bytes::NONE, || Ok(unsafe { bytes.as_mut() }.map_or(spanwire_bytes::NONE, take)))
}

fn take(bytes: &mut spanwire_bytes) -> spanwire_bytes {
    std::mem::replace(bytes, spanwire_bytes::NONE)
}

/// Shares bytes: the result is released by itself and needs no copy of the data.
///
/// # Safety
/// As `spanwire_bytes_take`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_bytes_clone(bytes: *const spanwire_bytes) -> spanwire_bytes {
    guard_value(spanwire_bytes::NONE, || {
        // SAFETY: the caller's promise.
        let Some((bytes, flags)) =
            unsafe { bytes.as_ref() }.and_then(|source| Some((source.bytes()?.clone(), source.flags)))
        else {
            return Ok(spanwire_bytes::NONE);
        };
        let compressed = flags & SPANWIRE_BYTES_COMPRESSED != 0;
        Ok(spanwire_bytes::new(Received { bytes, compressed }))
    })
}

/// Releases bytes that were taken, shared or moved, and leaves the struct empty. Null and empty bytes are fine.
///
/// # Safety
/// As `spanwire_bytes_take`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_bytes_free(bytes: *mut spanwire_bytes) {
    guard_value((), || {
        // SAFETY: the caller's promise.
        if let Some(bytes) = unsafe { bytes.as_mut() } {
            drop(bytes.take());
        }
        Ok(())
    });
}

/// Makes a buffer to send of bytes that arrived, without a copy: for echoes and proxies. The source is empty then; the
/// buffer is to be sent once, which releases it.
///
/// # Safety
/// As `spanwire_bytes_take`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_bytes_buffer(bytes: *mut spanwire_bytes, flags: u32) -> spanwire_buffer {
    unsafe extern "C" fn release(context: *mut c_void) {
        // SAFETY: it is the box made below, and is released once.
        drop(unsafe { Box::from_raw(context.cast::<Bytes>()) });
    }
    let empty = || spanwire_buffer {
        data: std::ptr::null(),
        len: 0,
        flags,
        release: None,
        context: std::ptr::null_mut(),
    };
    guard_value(empty(), || {
        // SAFETY: the caller's promise.
        let Some(bytes) = unsafe { bytes.as_mut() }.and_then(spanwire_bytes::take) else {
            return Ok(empty());
        };
        let boxed = Box::new(bytes);
        Ok(spanwire_buffer {
            data: boxed.as_ptr().cast(),
            len: boxed.len(),
            flags,
            release: Some(release),
            context: Box::into_raw(boxed).cast(),
        })
    })
}
