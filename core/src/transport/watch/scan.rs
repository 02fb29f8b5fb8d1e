//! Finds the frame headers in a stream of HTTP/2 bytes, wherever the pieces of it are cut.
//!
//! Sans-IO: bytes go in, headers come out. Payloads are skipped by count, never looked at, so the cost is per frame
//! and not per byte. Only a frame whose header asks for it has its payload handed on.
//!
//! ```text
//! stream  = [ preface ] *frame          ; the preface is what a client sends first
//! frame   = header(9) payload(length)
//! ```

/// What a client sends before its first frame (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The length of a frame header.
const HEADER: usize = 9;

/// Frame types (RFC 9113, section 6).
pub(super) mod kind {
    pub(crate) const DATA: u8 = 0x0;
    pub(crate) const HEADERS: u8 = 0x1;
    pub(crate) const RST_STREAM: u8 = 0x3;
    pub(crate) const SETTINGS: u8 = 0x4;
    pub(crate) const PUSH_PROMISE: u8 = 0x5;
    pub(crate) const PING: u8 = 0x6;
    pub(crate) const GOAWAY: u8 = 0x7;
    pub(crate) const WINDOW_UPDATE: u8 = 0x8;
    pub(crate) const CONTINUATION: u8 = 0x9;
}

/// The header of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// Payload bytes that follow.
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// Without the reserved bit.
    pub(super) stream: u32,
}

impl FrameHead {
    fn parse(bytes: &[u8; HEADER]) -> Self {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = *bytes;
        Self {
            length: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
        }
    }

    /// Whether a PING or SETTINGS is an acknowledgement.
    pub(super) fn is_ack(self) -> bool {
        self.flags & 0x1 != 0
    }

    /// Whether a DATA or HEADERS frame is the last of its stream.
    pub(super) fn ends_stream(self) -> bool {
        self.flags & 0x1 != 0
    }

    /// Whether a header block ends with this HEADERS, PUSH_PROMISE or CONTINUATION frame.
    pub(super) fn ends_headers(self) -> bool {
        self.flags & 0x4 != 0
    }
}

/// Takes what a [`FrameScanner`] finds.
pub(super) trait FrameSink {
    /// A frame begins. `true` asks for its payload.
    fn frame(&mut self, head: FrameHead) -> bool;

    /// A piece of a payload that was asked for; `last` marks its end. Called at least once per such frame.
    fn payload(&mut self, bytes: &[u8], last: bool);
}

/// Where in the stream of frames one direction stands.
#[derive(Debug, Default)]
pub(super) struct FrameScanner {
    /// Payload bytes to pass over before the next header.
    payload_left: u32,
    /// Bytes of a header that was cut off.
    partial: [u8; HEADER],
    partial_len: u8,
    preface_left: u8,
    wanted: bool,
    /// The peer does not speak HTTP/2: there are no frames to find.
    foreign: bool,
}

impl FrameScanner {
    /// Scans a direction that begins with the client's preface.
    pub(super) fn after_preface() -> Self {
        Self { preface_left: PREFACE.len() as u8, ..Self::default() }
    }

    /// Whether the peer does not speak HTTP/2.
    pub(super) fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// Passes over `bytes`, which follow those of the last call.
    pub(super) fn scan(&mut self, mut bytes: &[u8], sink: &mut impl FrameSink) {
        if self.preface_left > 0 {
            bytes = self.skip_preface(bytes);
        }
        if self.foreign {
            return;
        }
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                bytes = self.skip_payload(bytes, sink);
                continue;
            }
            let head = match bytes.split_first_chunk() {
                Some((header, rest)) if self.partial_len == 0 => {
                    bytes = rest;
                    FrameHead::parse(header)
                }
                _ => match self.complete_header(&mut bytes) {
                    Some(head) => head,
                    None => return,
                },
            };
            self.payload_left = head.length;
            self.wanted = sink.frame(head);
            if self.wanted && head.length == 0 {
                sink.payload(&[], true);
            }
        }
    }

    fn skip_preface<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (preface, rest) = bytes.split_at(bytes.len().min(usize::from(self.preface_left)));
        let at = PREFACE.len() - usize::from(self.preface_left);
        self.foreign |= !PREFACE[at..].starts_with(preface);
        self.preface_left -= preface.len() as u8;
        rest
    }

    fn skip_payload<'a>(&mut self, bytes: &'a [u8], sink: &mut impl FrameSink) -> &'a [u8] {
        let (payload, rest) = bytes.split_at(bytes.len().min(self.payload_left as usize));
        self.payload_left -= payload.len() as u32;
        if self.wanted {
            sink.payload(payload, self.payload_left == 0);
        }
        rest
    }

    /// Collects a header that lies across two calls. `None` until it is whole.
    fn complete_header(&mut self, bytes: &mut &[u8]) -> Option<FrameHead> {
        let have = usize::from(self.partial_len);
        let (part, rest) = bytes.split_at(bytes.len().min(HEADER - have));
        self.partial[have..have + part.len()].copy_from_slice(part);
        self.partial_len += part.len() as u8;
        *bytes = rest;
        if usize::from(self.partial_len) < HEADER {
            return None;
        }
        self.partial_len = 0;
        Some(FrameHead::parse(&self.partial))
    }

    /// How many bytes may follow, at most, without beginning another frame. 0 between two frames.
    pub(super) fn bytes_to_boundary(&self) -> usize {
        match (self.preface_left, self.payload_left, self.partial_len) {
            (0, 0, 0) => 0,
            (0, 0, partial) => HEADER - usize::from(partial),
            (0, payload, _) => payload as usize,
            (preface, ..) => usize::from(preface),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::frame;
    use super::*;

    /// Notes what it is told, payloads joined.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Notes {
        heads: Vec<FrameHead>,
        payloads: Vec<Vec<u8>>,
        current: Vec<u8>,
    }

    impl FrameSink for Notes {
        fn frame(&mut self, head: FrameHead) -> bool {
            self.heads.push(head);
            head.kind == kind::GOAWAY
        }

        fn payload(&mut self, bytes: &[u8], last: bool) {
            self.current.extend_from_slice(bytes);
            if last {
                self.payloads.push(std::mem::take(&mut self.current));
            }
        }
    }

    /// Small, deterministic and good enough to cut bytes by.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % limit as u64) as usize
        }
    }

    fn conversation(random: &mut Random, frames: usize) -> (Vec<u8>, Notes) {
        let mut bytes = PREFACE.to_vec();
        let mut expected = Notes::default();
        for _ in 0..frames {
            let payload: Vec<u8> = (0..random.below(40)).map(|n| n as u8).collect();
            let (kind, flags, stream) =
                (random.below(12) as u8, random.below(256) as u8, random.below(1 << 31) as u32);
            // The reserved bit is set now and then, and must not show.
            bytes.extend(frame(kind, flags, stream | (u32::from(flags & 1) << 31), &payload));
            expected.heads.push(FrameHead { length: payload.len() as u32, kind, flags, stream });
            if kind == super::kind::GOAWAY {
                expected.payloads.push(payload);
            }
        }
        (bytes, expected)
    }

    fn scan_in_pieces(bytes: &[u8], mut next: impl FnMut() -> usize) -> Notes {
        let (mut scanner, mut notes, mut rest) = (FrameScanner::after_preface(), Notes::default(), bytes);
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(next().min(rest.len()));
            // The promise of `bytes_to_boundary`: so many bytes begin no further frame.
            let (frames, room) = (notes.heads.len(), scanner.bytes_to_boundary());
            scanner.scan(piece, &mut notes);
            if piece.len() <= room {
                assert!(notes.heads.len() <= frames + 1);
            }
            rest = later;
        }
        assert_eq!(scanner.bytes_to_boundary(), 0);
        notes
    }

    #[test]
    fn frames_are_found_byte_by_byte() {
        let (bytes, expected) = conversation(&mut Random(7), 200);
        assert_eq!(scan_in_pieces(&bytes, || 1), expected);
    }

    #[test]
    fn frames_are_found_wherever_the_bytes_are_cut() {
        let mut random = Random(42);
        for _ in 0..300 {
            let (bytes, expected) = conversation(&mut random, 30);
            let largest = 1 + random.below(100);
            assert_eq!(scan_in_pieces(&bytes, || random.below(largest) + 1), expected);
        }
    }

    #[test]
    fn the_boundary_is_known_inside_every_part() {
        let mut scanner = FrameScanner::after_preface();
        let mut notes = Notes::default();
        assert_eq!(scanner.bytes_to_boundary(), 24);
        scanner.scan(&PREFACE[..20], &mut notes);
        assert_eq!(scanner.bytes_to_boundary(), 4);
        scanner.scan(&PREFACE[20..], &mut notes);
        assert_eq!(scanner.bytes_to_boundary(), 0);
        let bytes = frame(kind::DATA, 0, 1, &[0; 10]);
        scanner.scan(&bytes[..2], &mut notes);
        assert_eq!(scanner.bytes_to_boundary(), 7);
        scanner.scan(&bytes[2..12], &mut notes);
        assert_eq!(scanner.bytes_to_boundary(), 7);
        scanner.scan(&bytes[12..], &mut notes);
        assert_eq!(scanner.bytes_to_boundary(), 0);
    }

    #[test]
    fn a_stream_without_the_preface_has_no_frames() {
        for at in 0..24 {
            let mut bytes = PREFACE.to_vec();
            bytes[at] ^= 1;
            bytes.extend(frame(kind::DATA, 0, 1, &[0; 100]));
            let (mut scanner, mut notes) = (FrameScanner::after_preface(), Notes::default());
            bytes.iter().for_each(|byte| scanner.scan(&[*byte], &mut notes));
            assert_eq!(notes, Notes::default());
        }
    }
}
