//! Length-prefixed messages (`doc/PROTOCOL-HTTP2.md`, "Length-Prefixed-Message").
//!
//! ```text
//! message = flag(1 byte: 0 plain, 1 compressed) length(4 bytes, big-endian) payload
//! ```

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::encoding::{self, DecompressError, Encoding};
use crate::{Code, Status};

/// The length of the prefix in front of every message, in bytes.
pub const HEADER_LEN: usize = 5;

/// The prefix of a message whose payload has `len` bytes (after compression).
///
/// # Errors
/// RESOURCE_EXHAUSTED if the length does not fit the four bytes it has.
pub fn header(compressed: bool, len: usize) -> Result<[u8; HEADER_LEN], Status> {
    let Ok(len) = u32::try_from(len) else {
        return Err(Status::resource_exhausted(format!(
            "message of {len} bytes is larger than a gRPC message can be ({} bytes)",
            u32::MAX
        )));
    };
    let [a, b, c, d] = len.to_be_bytes();
    Ok([u8::from(compressed), a, b, c, d])
}

/// A payload, compressed already or plain, with its prefix in front. Copies the payload once.
///
/// # Errors
/// As [`header`].
pub fn frame(message: &[u8], compressed: bool) -> Result<BytesMut, Status> {
    let header = header(compressed, message.len())?;
    let mut out = BytesMut::with_capacity(HEADER_LEN + message.len());
    out.put_slice(&header);
    out.put_slice(message);
    Ok(out)
}

/// Compresses a message and puts the prefix in front; [`Encoding::Identity`] makes a plain one.
///
/// # Errors
/// As [`header`], or INTERNAL if the compressor fails.
pub fn compressed_frame(message: &[u8], encoding: Encoding) -> Result<Bytes, Status> {
    if encoding == Encoding::Identity {
        return frame(message, false).map(BytesMut::freeze);
    }
    let mut out = Vec::with_capacity(HEADER_LEN + message.len() / 2 + 64);
    out.extend_from_slice(&[0; HEADER_LEN]);
    encoding::compress_into(encoding, message, &mut out)?;
    let header = header(true, out.len() - HEADER_LEN)?;
    out[..HEADER_LEN].copy_from_slice(&header);
    Ok(Bytes::from(out))
}

/// Cuts a stream of chunks into messages and decompresses them.
///
/// Chunks may split a message, even its prefix, anywhere, and may hold several messages. A plain message
/// that lies whole in one chunk is a slice of that chunk; others are copied once or twice. Memory grows with
/// what has arrived, to sixteen times that at most, never with what a prefix announces.
///
/// After an error the stream is lost: nothing more comes out, and what is pushed is dropped.
#[derive(Debug)]
pub struct Deframer {
    limit: usize,
    encoding: Encoding,
    /// The prefix of the message whose payload is awaited.
    pending: Option<Prefix>,
    /// Bytes not yet cut, in this order: `chunk` as it was pushed, then `joined`.
    chunk: Bytes,
    joined: BytesMut,
    /// The last look at `chunk` found no whole item, so that it must be joined to what follows.
    starved: bool,
    failed: bool,
    last_compressed: bool,
    last_wire_len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Prefix {
    compressed: bool,
    len: usize,
}

impl Deframer {
    /// A deframer for messages of at most `limit` bytes, decompressed, whose compressed ones are
    /// encoded with `encoding`.
    #[must_use]
    pub fn new(limit: usize, encoding: Encoding) -> Deframer {
        Deframer {
            limit,
            encoding,
            pending: None,
            chunk: Bytes::new(),
            joined: BytesMut::new(),
            starved: false,
            failed: false,
            last_compressed: false,
            last_wire_len: 0,
        }
    }

    /// Says how compressed messages are encoded, once the headers have told.
    pub fn set_encoding(&mut self, encoding: Encoding) {
        self.encoding = encoding;
    }

    /// Takes the next bytes of the stream. Take the messages out with [`next`](Self::next) before pushing
    /// more: what is pushed upon bytes not yet looked at is copied.
    pub fn push(&mut self, bytes: Bytes) {
        if self.failed || bytes.is_empty() {
            return;
        }
        if self.buffered() == 0 {
            self.chunk = bytes;
            self.starved = false;
            return;
        }
        if self.starved && self.joined.is_empty() {
            self.join_chunk(bytes.len());
        }
        self.reserve(bytes.len());
        self.joined.extend_from_slice(&bytes);
    }

    /// The next message, decompressed; `None` if more bytes are needed first.
    ///
    /// # Errors
    /// INTERNAL for a flag above 1, for a compressed message when no encoding was agreed, and for
    /// corrupt compressed data; RESOURCE_EXHAUSTED for a message above the limit. The prefix alone is
    /// enough to refuse a message.
    #[allow(clippy::should_implement_trait, reason = "an iterator would end at None; here more may follow")]
    pub fn next(&mut self) -> Result<Option<Bytes>, Status> {
        let result = self.cut();
        if result.is_err() {
            *self = Deframer { failed: true, ..Deframer::new(self.limit, self.encoding) };
        }
        result
    }

    /// Whether the message that [`next`](Self::next) gave last had come compressed.
    #[must_use]
    pub fn last_compressed(&self) -> bool {
        self.last_compressed
    }

    /// How long the message that [`next`](Self::next) gave last was before it was decompressed, without its prefix.
    #[must_use]
    pub fn last_wire_len(&self) -> usize {
        self.last_wire_len
    }

    /// How many bytes are held that are not part of a message taken out, prefixes read not counted.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.chunk.len() + self.joined.len()
    }

    /// How many bytes are missing until a prefix or a payload is whole; 0 when one is.
    #[must_use]
    pub fn wants_bytes(&self) -> usize {
        let item = self.pending.map_or(HEADER_LEN, |prefix| prefix.len);
        item.saturating_sub(self.buffered())
    }

    /// Says that the stream has ended. Call it when [`next`](Self::next) has returned `None`.
    ///
    /// # Errors
    /// INTERNAL if it ended inside a message.
    pub fn finish(&self) -> Result<(), Status> {
        let have = self.buffered();
        match self.pending {
            Some(prefix) => Err(Status::internal(format!(
                "stream ended inside a message: {have} of {} bytes",
                prefix.len
            ))),
            None if have > 0 => Err(Status::internal(format!(
                "stream ended inside a message: {have} of {HEADER_LEN} bytes of its prefix"
            ))),
            None => Ok(()),
        }
    }

    fn cut(&mut self) -> Result<Option<Bytes>, Status> {
        let prefix = match self.pending {
            Some(prefix) => prefix,
            None => {
                let Some((flag, len)) = self.take_prefix() else { return Ok(None) };
                let prefix = self.check_prefix(flag, len)?;
                self.pending = Some(prefix);
                prefix
            }
        };
        let Some(payload) = self.take(prefix.len) else { return Ok(None) };
        self.pending = None;
        self.last_compressed = prefix.compressed;
        self.last_wire_len = prefix.len;
        if prefix.compressed { self.decompress(&payload).map(Some) } else { Ok(Some(payload)) }
    }

    fn check_prefix(&self, flag: u8, len: usize) -> Result<Prefix, Status> {
        let compressed = match flag {
            0 => false,
            1 if self.encoding == Encoding::Identity => {
                return Err(Status::internal("message is compressed, but no grpc-encoding was agreed"));
            }
            1 => true,
            _ => return Err(Status::internal(format!("message has the invalid compressed-flag {flag}"))),
        };
        // What cannot be compressed grows a little; the limit itself is on the decompressed size.
        let allowance = if compressed { self.limit / 64 + 128 } else { 0 };
        if len > self.limit.saturating_add(allowance) {
            return Err(Status::resource_exhausted(format!(
                "message of {len} bytes is larger than max_recv_message_bytes ({} bytes)",
                self.limit
            )));
        }
        Ok(Prefix { compressed, len })
    }

    fn decompress(&self, payload: &[u8]) -> Result<Bytes, Status> {
        encoding::decompress(self.encoding, payload, self.limit).map_err(|error| match error {
            DecompressError::TooLarge => Status::new(
                Code::ResourceExhausted,
                format!(
                    "message of {} bytes ({}) decompresses to more than max_recv_message_bytes ({} bytes)",
                    payload.len(),
                    self.encoding,
                    self.limit
                ),
            ),
            DecompressError::Corrupt(how) => {
                Status::internal(format!("{} message cannot be decompressed: {how}", self.encoding))
            }
        })
    }

    /// Cuts a prefix off the front.
    fn take_prefix(&mut self) -> Option<(u8, usize)> {
        // The usual case, without a handle on the buffer for five bytes of it.
        if let Some(&[flag, a, b, c, d]) = self.chunk.first_chunk::<HEADER_LEN>() {
            self.chunk.advance(HEADER_LEN);
            return Some((flag, u32::from_be_bytes([a, b, c, d]) as usize));
        }
        let mut header = self.take(HEADER_LEN)?;
        Some((header.get_u8(), header.get_u32() as usize))
    }

    /// Cuts `len` bytes off the front, without a copy if they lie in one piece.
    fn take(&mut self, len: usize) -> Option<Bytes> {
        if self.buffered() < len {
            self.starved = true;
            return None;
        }
        if self.chunk.len() >= len {
            return Some(self.chunk.split_to(len));
        }
        if !self.chunk.is_empty() {
            self.join_chunk(0);
        }
        let taken = self.joined.split_to(len).freeze();
        if self.joined.is_empty() {
            // Let the message own the buffer alone.
            self.joined = BytesMut::new();
        }
        Some(taken)
    }

    /// Moves what is left of `chunk` in front of `joined`, with room for `more` bytes.
    fn join_chunk(&mut self, more: usize) {
        let chunk = std::mem::take(&mut self.chunk);
        let have = chunk.len() + self.joined.len();
        let mut joined = BytesMut::with_capacity(have + self.growth(have, more));
        joined.extend_from_slice(&chunk);
        joined.extend_from_slice(&self.joined);
        self.joined = joined;
    }

    /// Makes room for `more` bytes.
    fn reserve(&mut self, more: usize) {
        let have = self.joined.len();
        if self.joined.capacity() - have < more {
            self.joined.reserve(self.growth(have, more));
        }
    }

    /// By how much to grow for `more` bytes: doubling, but for no more than the awaited message needs. Of a message of up
    /// to 4 MiB, a sixteenth is taken as good evidence for the rest; to go on doubling would copy it all once more.
    fn growth(&self, have: usize, more: usize) -> usize {
        const LEAP: usize = 4 << 20;
        let known = have + more;
        let leap = if known < 64 * 1024 { known } else { known.max(LEAP.min(known.saturating_mul(15))) };
        let missing = self.pending.map_or(0, |prefix| prefix.len.saturating_sub(have));
        more.max(missing.min(leap))
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
