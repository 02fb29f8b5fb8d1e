//! What every exported function does: stop panics, check handles, remember the error.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use spanwire::bridge::OpError;
use spanwire::bridge::handle::{Lost, Table};

use crate::types::*;

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::new(CString::default());
}

/// Why a function does nothing.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) result: spanwire_result,
    pub(crate) text: String,
}

impl Refused {
    pub(crate) fn argument(text: impl Into<String>) -> Self {
        Refused { result: SPANWIRE_INVALID_ARGUMENT, text: text.into() }
    }
}

impl From<OpError> for Refused {
    fn from(error: OpError) -> Self {
        let result = match &error {
            OpError::Argument(_) => SPANWIRE_INVALID_ARGUMENT,
            OpError::Over(_) => SPANWIRE_OVER,
            OpError::Blocked => SPANWIRE_BLOCKED,
            OpError::Forked => SPANWIRE_FORKED,
            OpError::ShutDown(_) => SPANWIRE_SHUT_DOWN,
            _ => SPANWIRE_SYSTEM,
        };
        Refused { result, text: error.to_string() }
    }
}

/// Runs the body of an exported function. A panic in it is an answer, and the process goes on.
pub(crate) fn guard(body: impl FnOnce() -> Result<spanwire_result, Refused>) -> spanwire_result {
    caught(body).unwrap_or_else(|result| result)
}

/// The same for functions that give a handle: null on failure.
pub(crate) fn guard_pointer<T>(body: impl FnOnce() -> Result<*mut T, Refused>) -> *mut T {
    caught(body).unwrap_or(std::ptr::null_mut())
}

/// The same for functions that cannot say that they failed.
pub(crate) fn guard_value<T>(failed: T, body: impl FnOnce() -> Result<T, Refused>) -> T {
    caught(body).unwrap_or(failed)
}

fn caught<T>(body: impl FnOnce() -> Result<T, Refused>) -> Result<T, spanwire_result> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(refused)) => {
            set_last_error(&refused.text);
            Err(refused.result)
        }
        Err(_) => {
            set_last_error("a fault in the engine, stopped at the boundary: please report it");
            Err(SPANWIRE_PANIC)
        }
    }
}

pub(crate) fn set_last_error(text: &str) {
    // A thread that is ending has none to remember.
    let _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = c_string(text));
}

pub(crate) fn last_error() -> *const c_char {
    LAST_ERROR.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

/// A text for C; a NUL in it ends it there, as C would have it.
pub(crate) fn c_string(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

/// Finds what a handle stands for.
pub(crate) fn find<T: Clone, H>(table: &Table<T>, handle: *const H, what: &str) -> Result<T, Refused> {
    table.get(handle.addr()).map_err(|lost| not_found(lost, what))
}

pub(crate) fn not_found(lost: Lost, what: &str) -> Refused {
    let (result, text) = match lost {
        Lost::Null => (SPANWIRE_INVALID_HANDLE, format!("the {what} is null")),
        Lost::Stale => {
            (SPANWIRE_INVALID_HANDLE, format!("this is no {what}: it was freed, or never was one"))
        }
        Lost::Forked => return OpError::Forked.into(),
    };
    Refused { result, text }
}

/// Makes a handle of a number.
pub(crate) fn handle<H>(number: usize) -> *mut H {
    std::ptr::without_provenance_mut(number)
}

/// The text of a C string that must be there.
///
/// # Safety
/// `text` is null, or a string that ends in NUL and stays as it is for the life of the result.
pub(crate) unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str, Refused> {
    // SAFETY: the caller's promise is the one that is asked for.
    let text = unsafe { optional_text(text, what) }?;
    text.ok_or_else(|| Refused::argument(format!("{what} is null")))
}

/// The text of a C string that may be missing.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn optional_text<'a>(text: *const c_char, what: &str) -> Result<Option<&'a str>, Refused> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: it is not null, and the caller promises the rest.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| Refused::argument(format!("{what} is not UTF-8")))
}

/// The bytes at a pointer that comes with a length.
///
/// # Safety
/// `data` is null, or `len` bytes can be read there for the life of the result.
pub(crate) unsafe fn slice<'a>(data: *const u8, len: usize, what: &str) -> Result<&'a [u8], Refused> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Refused::argument(format!("{what} is null, but its length is {len}")));
    }
    if len > isize::MAX.unsigned_abs() {
        return Err(Refused::argument(format!("{what}: its length {len} is no length")));
    }
    // SAFETY: it is not null, its length is possible, and the caller promises the rest.
    Ok(unsafe { std::slice::from_raw_parts(data, len) })
}

/// Copies a text for C as `snprintf` does: as much as fits, a NUL behind it, and the length of the whole.
///
/// # Safety
/// `out` is null, or `capacity` bytes can be written there.
pub(crate) unsafe fn copy_text(text: &str, out: *mut c_char, capacity: usize) -> usize {
    if !out.is_null() && capacity > 0 {
        let len = text.len().min(capacity - 1);
        // SAFETY: `len` is below `capacity`, which the caller promises to be there; the text is elsewhere.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr(), out.cast(), len);
            out.add(len).write(0);
        }
    }
    text.len()
}

/// Reads a struct whose first field is the size that the program knows it with: older ones are shorter.
///
/// # Safety
/// `options` is null, or as many bytes as its first field says can be read there. All bit patterns of zeros are valid
/// in `T`, which begins with that field.
pub(crate) unsafe fn sized<T: Default>(options: *const T, what: &str) -> Result<T, Refused> {
    let mut copy = T::default();
    if options.is_null() {
        return Ok(copy);
    }
    // SAFETY: not null, and the first field can be read.
    let size = unsafe { options.cast::<usize>().read_unaligned() };
    // A size that is none of a struct could end within a pointer.
    if size < size_of::<usize>() || size > 64 * 1024 || !size.is_multiple_of(align_of::<T>()) {
        return Err(Refused::argument(format!("{what}.size is {size}: set it to sizeof of the struct")));
    }
    let len = size.min(size_of::<T>());
    // SAFETY: `len` bytes can be read by the caller's promise and written because `T` has as many; they are plain data.
    unsafe { std::ptr::copy_nonoverlapping(options.cast::<u8>(), (&raw mut copy).cast::<u8>(), len) };
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_is_an_answer() {
        assert_eq!(guard(|| panic!("boom")), SPANWIRE_PANIC);
        assert!(guard_pointer::<u8>(|| panic!("boom")).is_null());
        // SAFETY: the text of this thread's last error ends in NUL.
        let text = unsafe { CStr::from_ptr(last_error()) };
        assert!(text.to_str().unwrap().contains("please report it"));
    }

    #[test]
    fn text_is_cut_where_c_would_cut_it() {
        assert_eq!(c_string("a\0b").as_c_str(), c"a");
        let mut out = [1; 4];
        // SAFETY: it has four bytes.
        assert_eq!(unsafe { copy_text("hello", out.as_mut_ptr(), out.len()) }, 5);
        assert_eq!(out.map(|byte| byte as u8), *b"hel\0");
    }

    #[test]
    fn shorter_structs_of_older_programs_are_filled_up() {
        #[derive(Default)]
        #[repr(C)]
        struct Options {
            size: usize,
            old: usize,
            new: usize,
        }
        let given = Options { size: 2 * size_of::<usize>(), old: 7, new: 9 };
        // SAFETY: it is as large as it says, and plain data.
        let read = unsafe { sized(&raw const given, "options") }.unwrap();
        assert_eq!((read.old, read.new), (7, 0));
        for size in [0, 2 * size_of::<usize>() + 1, 1 << 20] {
            let given = Options { size, old: 7, new: 9 };
            // SAFETY: as above; what its size says beyond that is refused.
            assert!(unsafe { sized(&raw const given, "options") }.is_err(), "{size}");
        }
    }
}
