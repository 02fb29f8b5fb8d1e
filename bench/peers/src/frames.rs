//! gRPC's framing by hand, as little of it as a benchmark needs.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

/// The length of the prefix of each message, in bytes.
const HEADER_LEN: usize = 5;

/// A message with its prefix.
#[must_use]
pub fn framed(message: &impl Message) -> Bytes {
    let len = message.encoded_len();
    let mut frame = BytesMut::with_capacity(HEADER_LEN + len);
    frame.put_u8(0);
    frame.put_u32(len as u32);
    message.encode_raw(&mut frame);
    frame.freeze()
}

/// Takes a stream of bytes apart into messages.
#[derive(Debug, Default)]
pub struct Deframer {
    buffer: BytesMut,
}

impl Deframer {
    /// Takes bytes in.
    pub fn push(&mut self, bytes: Bytes) {
        // Takes over what nobody shares, which spares a copy, and copies the rest.
        if self.buffer.is_empty() {
            self.buffer = BytesMut::from(bytes);
        } else {
            self.buffer.extend_from_slice(&bytes);
        }
    }

    /// The next message without its prefix, once all of it is there.
    pub fn next_message(&mut self) -> Option<Bytes> {
        let len = u32::from_be_bytes(self.buffer.get(1..HEADER_LEN)?.try_into().ok()?) as usize;
        if self.buffer.len() < HEADER_LEN + len {
            return None;
        }
        self.buffer.advance(HEADER_LEN);
        Some(self.buffer.split_to(len).freeze())
    }
}
