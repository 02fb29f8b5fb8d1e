//! Metadata as one run of bytes: for each entry the length of its name, that of its value with the highest bit set for a
//! binary one, the name and the value. JavaScript reads it when somebody looks.

use napi::bindgen_prelude::{Result, Uint8ArraySlice};
use napi_derive::napi;
use spanwire::{Metadata, MetadataError, Value};

use super::error::argument;

const BINARY: u32 = 1 << 31;

/// Appends the metadata; how many bytes that took.
pub(crate) fn pack(metadata: &Metadata, out: &mut Vec<u8>) -> u32 {
    let before = out.len();
    if !metadata.is_empty() {
        for (name, value) in metadata.iter() {
            match value {
                Value::Ascii(value) => entry(name, value, 0, out),
                Value::Binary(value) => entry(name, &value, BINARY, out),
            }
        }
    }
    (out.len() - before) as u32
}

fn entry(name: &str, value: &[u8], flag: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&(name.len() as u32).to_le_bytes());
    out.extend_from_slice(&(value.len() as u32 | flag).to_le_bytes());
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(value);
}

/// The metadata in `bytes`.
///
/// # Errors
/// Which entry cannot be sent, and why.
pub(crate) fn unpack(mut bytes: &[u8]) -> std::result::Result<Metadata, MetadataError> {
    let mut metadata = Metadata::new();
    while let Some((name_len, rest)) = bytes.split_first_chunk()
        && let Some((value_len, rest)) = rest.split_first_chunk()
    {
        let (name_len, value_len) = (u32::from_le_bytes(*name_len), u32::from_le_bytes(*value_len));
        let Some((name, rest)) = rest.split_at_checked(name_len as usize) else { break };
        let Some((value, rest)) = rest.split_at_checked((value_len & !BINARY) as usize) else { break };
        let name = String::from_utf8_lossy(name);
        if value_len & BINARY == 0 {
            metadata.append(&name, &String::from_utf8_lossy(value))?;
        } else {
            metadata.append_bin(&name, value)?;
        }
        bytes = rest;
    }
    Ok(metadata)
}

/// Checks packed metadata by the rules of gRPC.
///
/// # Errors
/// Which entry cannot be sent, and why.
#[napi(catch_unwind)]
pub(crate) fn check_metadata(packed: Uint8ArraySlice<'_>) -> Result<()> {
    unpack(&packed)
        .map(drop)
        .map_err(|error| argument(error.to_string().replace(": use insert_bin or append_bin", "")))
}
