//! The messages of a body, read in one piece: the plainest reading there is, to hold the real one against.

use bytes::Bytes;
use spanwire_wire::encoding::{self, DecompressError};
use spanwire_wire::{Code, Encoding};

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With its last message.
    Whole,
    /// Inside of a message.
    Cut,
    /// With a message that cannot be taken.
    Bad(Code),
}

/// The messages of `body`, decompressed, up to the first that is cut or bad.
#[must_use]
pub fn split(mut body: &[u8], limit: usize, encoding: Encoding) -> (Vec<Bytes>, Ending) {
    let mut messages = Vec::new();
    while !body.is_empty() {
        let Some((&[flag, a, b, c, d], rest)) = body.split_first_chunk::<5>() else {
            return (messages, Ending::Cut);
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let most = match flag {
            0 => limit,
            1 if encoding != Encoding::Identity => limit.saturating_add(limit / 64 + 128),
            _ => return (messages, Ending::Bad(Code::Internal)),
        };
        if length > most {
            return (messages, Ending::Bad(Code::ResourceExhausted));
        }
        let Some((payload, rest)) = rest.split_at_checked(length) else { return (messages, Ending::Cut) };
        body = rest;
        let message = match flag {
            0 => Ok(Bytes::copy_from_slice(payload)),
            _ => encoding::decompress(encoding, payload, limit),
        };
        match message {
            Ok(message) => messages.push(message),
            Err(DecompressError::TooLarge) => return (messages, Ending::Bad(Code::ResourceExhausted)),
            Err(DecompressError::Corrupt(_)) => return (messages, Ending::Bad(Code::Internal)),
        }
    }
    (messages, Ending::Whole)
}
