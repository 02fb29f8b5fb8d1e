//! gRPC-Web: what browsers send and get instead of gRPC (`doc/PROTOCOL-WEB.md`).
//!
//! A request is one of gRPC under another content type. An answer carries its trailers in its body, as a last frame whose
//! flag has the bit 0x80. In text mode bodies are base64, in pieces that may each end with padding, anywhere.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};

use crate::frame::HEADER_LEN;

const GRPC: &[u8] = b"application/grpc";
const WEB: &[u8] = b"-web";
const TEXT: &[u8] = b"-text";

/// The flag of the frame that holds trailers.
const TRAILERS: u8 = 0x80;

/// A form of gRPC-Web, as a content type names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Bodies are base64.
    pub text: bool,
    /// The content type that the request would have in gRPC.
    pub grpc: HeaderValue,
    /// The content type of the answer.
    pub answer: HeaderValue,
}

impl Form {
    /// What `content_type` names: `application/grpc-web` or `application/grpc-web-text`, alone or followed by `+` (the
    /// message format) or `;` (parameters), in any letter case.
    #[must_use]
    pub fn of(content_type: &HeaderValue) -> Option<Form> {
        let rest = after(after(content_type.as_bytes(), GRPC)?, WEB)?;
        let (text, rest) = after(rest, TEXT).map_or((false, rest), |rest| (true, rest));
        let format = match rest.split(|byte| *byte == b';').next()?.trim_ascii() {
            b"" => b"+proto",
            format if format.starts_with(b"+") => format,
            _ => return None,
        };
        let kind = if text { TEXT } else { b"" };
        Some(Form {
            text,
            grpc: HeaderValue::from_bytes(&[GRPC, rest].concat()).ok()?,
            answer: HeaderValue::from_bytes(&[GRPC, WEB, kind, format].concat()).ok()?,
        })
    }
}

/// What stands behind `word`.
fn after<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(word.len())?;
    head.eq_ignore_ascii_case(word).then_some(rest)
}

/// Trailers as the last frame of a body. Names of an [`HeaderMap`] are in lower case already, and no value has a line
/// break.
#[must_use]
pub fn trailers_frame(trailers: &HeaderMap) -> Bytes {
    let len: usize = trailers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let mut frame = BytesMut::with_capacity(HEADER_LEN + len);
    frame.put_u8(TRAILERS);
    // Trailers of 4 GiB are held by nobody.
    frame.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    for (name, value) in trailers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            frame.put_slice(part);
        }
    }
    frame.freeze()
}

/// Why a body in text mode cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadText {
    /// It is no base64.
    NoBase64,
    /// It ends inside a group of four characters.
    Cut,
}

impl fmt::Display for BadText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadText::NoBase64 => "the body is no base64",
            BadText::Cut => "the base64 of the body ends inside a group of four characters",
        })
    }
}

/// Reads a body in text mode, piece by piece.
#[derive(Debug, Default)]
pub struct TextDecoder {
    /// The beginning of a group that is not whole.
    group: [u8; 4],
    have: usize,
}

impl TextDecoder {
    /// Decodes as much as is whole.
    ///
    /// # Errors
    /// [`BadText::NoBase64`]; what follows means nothing then.
    pub fn decode(&mut self, mut text: &[u8]) -> Result<Bytes, BadText> {
        let mut bytes = Vec::with_capacity((self.have + text.len()) / 4 * 3);
        if self.have > 0 {
            let missing = text.len().min(self.group.len() - self.have);
            let (head, rest) = text.split_at(missing);
            self.group[self.have..self.have + missing].copy_from_slice(head);
            self.have += missing;
            text = rest;
            if self.have < self.group.len() {
                return Ok(Bytes::new());
            }
            self.have = 0;
            append(&self.group, &mut bytes)?;
        }
        let (mut whole, begun) = text.split_at(text.len() / 4 * 4);
        // Padding may end a group anywhere: what was encoded by itself ends there.
        while !whole.is_empty() {
            let padding = whole.iter().position(|byte| *byte == b'=');
            let (piece, rest) = whole.split_at(padding.map_or(whole.len(), |at| at / 4 * 4 + 4));
            append(piece, &mut bytes)?;
            whole = rest;
        }
        self.group[..begun.len()].copy_from_slice(begun);
        self.have = begun.len();
        Ok(bytes.into())
    }

    /// The body has ended.
    ///
    /// # Errors
    /// [`BadText::Cut`].
    pub fn finish(&self) -> Result<(), BadText> {
        if self.have == 0 { Ok(()) } else { Err(BadText::Cut) }
    }
}

fn append(text: &[u8], bytes: &mut Vec<u8>) -> Result<(), BadText> {
    STANDARD.decode_vec(text, bytes).map_err(|_| BadText::NoBase64)
}

/// Encodes a piece of a body for text mode, with padding behind it.
#[must_use]
pub fn encode_text(bytes: &[u8]) -> Bytes {
    STANDARD.encode(bytes).into()
}

#[cfg(test)]
#[path = "web_tests.rs"]
mod tests;
