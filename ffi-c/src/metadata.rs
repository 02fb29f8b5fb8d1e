//! Metadata, read and written.

use std::ffi::{CString, c_char, c_void};

use spanwire::{Metadata, Value};

use crate::boundary::{Refused, c_string, guard_value, slice, text};

/// Metadata that arrived. They belong to the event or the call that they came with. Null is a valid pointer to none.
pub struct spanwire_metadata {
    entries: Vec<Entry>,
}

struct Entry {
    key: CString,
    /// With a NUL behind it, for programs that take it for a string.
    value: Vec<u8>,
}

/// One entry of metadata, to send or received. A received one is valid as long as the metadata are.
#[repr(C)]
pub struct spanwire_metadata_entry {
    /// Lower case, of digits, letters, `_`, `-` and `.`; it ends in `-bin` if the value is binary. Ends in NUL.
    pub key: *const c_char,
    /// The value: printable ASCII, or any bytes if the key ends in `-bin`. Received values have a NUL behind them.
    pub value: *const c_void,
    /// Its length in bytes.
    pub value_len: usize,
}

impl spanwire_metadata {
    /// `None` where there is nothing to read.
    pub(crate) fn new(metadata: &Metadata) -> Option<Box<Self>> {
        if metadata.is_empty() {
            return None;
        }
        let entries = metadata.iter().map(|(key, value)| {
            let mut value = match value {
                Value::Ascii(text) => text.to_vec(),
                Value::Binary(bytes) => bytes.to_vec(),
            };
            value.push(0);
            Entry { key: c_string(key), value }
        });
        Some(Box::new(spanwire_metadata { entries: entries.collect() }))
    }
}

impl Entry {
    fn to_c(&self) -> spanwire_metadata_entry {
        spanwire_metadata_entry {
            key: self.key.as_ptr(),
            value: self.value.as_ptr().cast(),
            value_len: self.value.len() - 1,
        }
    }
}

/// Reads metadata of the program.
///
/// # Safety
/// `entries` is null, or `count` entries can be read there, whose fields are what their documentation asks for.
pub(crate) unsafe fn metadata(
    entries: *const spanwire_metadata_entry,
    count: usize,
    what: &str,
) -> Result<Metadata, Refused> {
    let mut metadata = Metadata::new();
    if count == 0 {
        return Ok(metadata);
    }
    if entries.is_null() || count > isize::MAX.unsigned_abs() / size_of::<spanwire_metadata_entry>() {
        return Err(Refused::argument(format!("{what} is null or too long, but its count is {count}")));
    }
    // SAFETY: not null, not too long, and the caller promises the rest.
    for entry in unsafe { std::slice::from_raw_parts(entries, count) } {
        // SAFETY: the caller's promise.
        unsafe { append(&mut metadata, entry) }?;
    }
    Ok(metadata)
}

/// Appends one entry of the program.
///
/// # Safety
/// The entry's fields are what their documentation asks for.
pub(crate) unsafe fn append(metadata: &mut Metadata, entry: &spanwire_metadata_entry) -> Result<(), Refused> {
    // SAFETY: the caller's promise, for both.
    let key = unsafe { text(entry.key, "a metadata key") }?;
    // SAFETY: as above.
    let value = unsafe { slice(entry.value.cast(), entry.value_len, "a metadata value") }?;
    let appended = if key.ends_with("-bin") {
        metadata.append_bin(key, value)
    } else {
        let value = std::str::from_utf8(value).map_err(|_| {
            Refused::argument(format!("metadata {key:?}: the value is not ASCII; binary keys end in -bin"))
        })?;
        metadata.append(key, value)
    };
    appended.map_err(|error| Refused::argument(error.to_string()))
}

/// How many entries there are.
///
/// # Safety
/// `metadata` is null, or came from this library and is still valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_metadata_count(metadata: *const spanwire_metadata) -> usize {
    // SAFETY: the caller's promise.
    guard_value(0, || Ok(unsafe { metadata.as_ref() }.map_or(0, |metadata| metadata.entries.len())))
}

/// Reads the entry at `index`, in the order in which they came; entries of one key stay in order. False if there is none.
///
/// # Safety
/// As `spanwire_metadata_count`; `entry` can be written, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_metadata_at(
    metadata: *const spanwire_metadata,
    index: usize,
    entry: *mut spanwire_metadata_entry,
) -> bool {
    guard_value(false, || {
        // SAFETY: the caller's promise.
        let found = unsafe { metadata.as_ref() }.and_then(|metadata| metadata.entries.get(index));
        // SAFETY: the caller's promise.
        Ok(unsafe { give(found, entry) })
    })
}

/// Reads the `nth` entry (from 0) with this key. False if there is none.
///
/// # Safety
/// As `spanwire_metadata_at`; `key` ends in NUL, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spanwire_metadata_find(
    metadata: *const spanwire_metadata,
    key: *const c_char,
    nth: usize,
    entry: *mut spanwire_metadata_entry,
) -> bool {
    guard_value(false, || {
        // SAFETY: the caller's promise.
        let key = unsafe { text(key, "the key") }?;
        // SAFETY: the caller's promise.
        let found = unsafe { metadata.as_ref() }.and_then(|metadata| {
            metadata
                .entries
                .iter()
                .filter(|entry| entry.key.to_bytes().eq_ignore_ascii_case(key.as_bytes()))
                .nth(nth)
        });
        // SAFETY: the caller's promise.
        Ok(unsafe { give(found, entry) })
    })
}

/// # Safety
/// `out` is null or can be written.
unsafe fn give(found: Option<&Entry>, out: *mut spanwire_metadata_entry) -> bool {
    let Some(found) = found else { return false };
    if !out.is_null() {
        // SAFETY: not null, and the caller promises the rest.
        unsafe { out.write(found.to_c()) };
    }
    true
}
