//! HTTP/2 frames (RFC 9113 §4 and §6), right ones and wrong ones.

use bytes::{BufMut, Bytes, BytesMut};

/// What a client says before its first frame (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types.
pub mod kind {
    #![allow(missing_docs, reason = "the names are the RFC's")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Frame flags; `ACK` and `END_STREAM` share a bit.
pub mod flag {
    #![allow(missing_docs, reason = "the names are the RFC's")]
    pub const ACK: u8 = 0x1;
    pub const END_STREAM: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

/// SETTINGS identifiers.
pub mod setting {
    #![allow(missing_docs, reason = "the names are the RFC's")]
    pub const HEADER_TABLE_SIZE: u16 = 1;
    pub const ENABLE_PUSH: u16 = 2;
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    pub const MAX_FRAME_SIZE: u16 = 5;
    pub const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// One frame as it stands on the wire. Nothing is checked: any type, flag, stream and payload can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Frame type, see [`kind`].
    pub kind: u8,
    /// Flag bits, see [`flag`].
    pub flags: u8,
    /// Stream id; the reserved bit is sent as given and masked when read.
    pub stream: u32,
    /// Payload bytes.
    pub payload: Bytes,
    /// The length to announce when it is not the payload's.
    pub claimed_length: Option<u32>,
}

impl Frame {
    /// A frame of any type.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Bytes>) -> Self {
        Self { kind, flags, stream, payload: payload.into(), claimed_length: None }
    }

    /// DATA without END_STREAM.
    pub fn data(stream: u32, payload: impl Into<Bytes>) -> Self {
        Self::new(kind::DATA, 0, stream, payload)
    }

    /// HEADERS with END_HEADERS, holding a finished header block.
    pub fn headers(stream: u32, block: impl Into<Bytes>) -> Self {
        Self::new(kind::HEADERS, flag::END_HEADERS, stream, block)
    }

    /// CONTINUATION without END_HEADERS.
    pub fn continuation(stream: u32, block: impl Into<Bytes>) -> Self {
        Self::new(kind::CONTINUATION, 0, stream, block)
    }

    /// PUSH_PROMISE on `stream` of `promised`, with END_HEADERS.
    pub fn push_promise(stream: u32, promised: u32, block: &[u8]) -> Self {
        let mut payload = BytesMut::new();
        payload.put_u32(promised);
        payload.put_slice(block);
        Self::new(kind::PUSH_PROMISE, flag::END_HEADERS, stream, payload)
    }

    /// RST_STREAM with an error code, see [`crate::reason`].
    pub fn rst(stream: u32, code: u32) -> Self {
        Self::new(kind::RST_STREAM, 0, stream, code.to_be_bytes().to_vec())
    }

    /// SETTINGS with these entries, see [`setting`].
    pub fn settings(entries: &[(u16, u32)]) -> Self {
        let mut payload = BytesMut::new();
        for (id, value) in entries {
            payload.put_u16(*id);
            payload.put_u32(*value);
        }
        Self::new(kind::SETTINGS, 0, 0, payload)
    }

    /// The acknowledgement of SETTINGS.
    pub fn settings_ack() -> Self {
        Self::new(kind::SETTINGS, flag::ACK, 0, Bytes::new())
    }

    /// PING with eight opaque bytes.
    pub fn ping(opaque: [u8; 8]) -> Self {
        Self::new(kind::PING, 0, 0, opaque.to_vec())
    }

    /// The acknowledgement of a PING.
    pub fn ping_ack(opaque: [u8; 8]) -> Self {
        Self::new(kind::PING, flag::ACK, 0, opaque.to_vec())
    }

    /// GOAWAY with the last stream id, an error code and debug data.
    pub fn goaway(last_stream: u32, code: u32, debug: &[u8]) -> Self {
        let mut payload = BytesMut::new();
        payload.put_u32(last_stream);
        payload.put_u32(code);
        payload.put_slice(debug);
        Self::new(kind::GOAWAY, 0, 0, payload)
    }

    /// WINDOW_UPDATE of a stream, or of the connection with stream 0.
    pub fn window_update(stream: u32, increment: u32) -> Self {
        Self::new(kind::WINDOW_UPDATE, 0, stream, increment.to_be_bytes().to_vec())
    }

    /// PRIORITY of a stream, with the default weight.
    pub fn priority(stream: u32) -> Self {
        Self::new(kind::PRIORITY, 0, stream, vec![0, 0, 0, 0, 15])
    }

    /// The same frame with more flag bits.
    pub fn with_flag(mut self, flags: u8) -> Self {
        self.flags |= flags;
        self
    }

    /// The same frame without a flag bit.
    pub fn without_flag(mut self, flags: u8) -> Self {
        self.flags &= !flags;
        self
    }

    /// The same frame as the last one of its stream.
    pub fn end_stream(self) -> Self {
        self.with_flag(flag::END_STREAM)
    }

    /// The same DATA or HEADERS frame with `count` bytes of padding.
    pub fn padded(mut self, count: u8) -> Self {
        let mut payload = BytesMut::new();
        payload.put_u8(count);
        payload.put_slice(&self.payload);
        payload.put_bytes(0, usize::from(count));
        self.payload = payload.freeze();
        self.with_flag(flag::PADDED)
    }

    /// The same frame with a length field that lies.
    pub fn claiming_length(mut self, length: u32) -> Self {
        self.claimed_length = Some(length);
        self
    }

    /// Whether a flag bit is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The bytes for the wire.
    pub fn encode(&self) -> Bytes {
        let length = self.claimed_length.unwrap_or(self.payload.len() as u32);
        let mut wire = BytesMut::with_capacity(9 + self.payload.len());
        wire.put_slice(&length.to_be_bytes()[1..]);
        wire.put_u8(self.kind);
        wire.put_u8(self.flags);
        wire.put_u32(self.stream);
        wire.put_slice(&self.payload);
        wire.freeze()
    }

    /// Takes one frame off the front of `buffer`, `None` while it is not complete.
    pub fn parse(buffer: &mut BytesMut) -> Option<Self> {
        let head = buffer.get(..9)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        if buffer.len() < 9 + length {
            return None;
        }
        let payload = buffer.split_to(9 + length).freeze().slice(9..);
        Some(Self { kind, flags, stream, payload, claimed_length: None })
    }

    /// The payload of DATA or HEADERS without padding and priority fields.
    pub fn content(&self) -> Bytes {
        let mut content = self.payload.clone();
        if self.has(flag::PADDED) && !content.is_empty() {
            let padding = usize::from(content[0]);
            content = content.slice(1..content.len().saturating_sub(padding).max(1));
        }
        if self.kind == kind::HEADERS && self.has(flag::PRIORITY) && content.len() >= 5 {
            content = content.slice(5..);
        }
        content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_survives_the_wire() {
        let frame = Frame::data(3, &b"hello"[..]).end_stream();
        let mut wire = BytesMut::from(&frame.encode()[..]);
        assert_eq!(&wire[..9], &[0, 0, 5, 0, 1, 0, 0, 0, 3]);
        assert_eq!(Frame::parse(&mut wire), Some(frame));
        assert!(wire.is_empty());
    }

    #[test]
    fn a_frame_is_not_taken_before_it_is_complete() {
        let wire = Frame::ping(*b"12345678").encode();
        for end in 0..wire.len() {
            assert_eq!(Frame::parse(&mut BytesMut::from(&wire[..end])), None, "{end} bytes");
        }
    }

    #[test]
    fn padding_is_added_and_taken_off() {
        let frame = Frame::data(1, &b"abc"[..]).padded(255);
        assert_eq!(frame.payload.len(), 1 + 3 + 255);
        assert_eq!(frame.content(), &b"abc"[..]);
        assert_eq!(Frame::data(1, Bytes::new()).padded(0).content(), Bytes::new());
    }

    #[test]
    fn a_length_can_lie() {
        let wire = Frame::data(1, &b"abc"[..]).claiming_length(0x00ff_ffff).encode();
        assert_eq!(&wire[..3], &[0xff, 0xff, 0xff]);
        assert_eq!(wire.len(), 12);
    }
}
