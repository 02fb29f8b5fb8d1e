//! The frame watcher's scanner, fed in pieces of any size, sees what is seen in all bytes at once.

use spanwire_faults::frame::PREFACE;

use self::scanner::{FrameHead, FrameScanner, FrameSink};
use crate::Input;
use crate::input::pieces;

// It is private to the engine, so it is compiled here from its source.
#[allow(dead_code, missing_docs, unreachable_pub, reason = "it is another crate's")]
#[path = "../../core/src/transport/watch/scan.rs"]
mod scanner;

/// One direction of a connection.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let preface = input.byte();
    let cuts = input.bytes();
    let mut stream = if preface & 2 != 0 { PREFACE.to_vec() } else { Vec::new() };
    // Lengths in headers would mostly lie beyond the end: a script of frames gets further than plain bytes.
    if preface & 4 != 0 {
        while !input.is_empty() {
            let (kind, flags, id) = (input.byte(), input.byte(), input.number());
            let payload = input.bytes();
            let lie = if input.byte() == 255 { 1 } else { 0 };
            stream.extend_from_slice(&(payload.len() as u32 + lie).to_be_bytes()[1..]);
            stream.extend([kind, flags]);
            stream.extend(id.to_be_bytes());
            stream.extend(payload);
        }
    }
    stream.extend(input.rest());

    let mut scanner = if preface & 1 != 0 { FrameScanner::after_preface() } else { FrameScanner::default() };
    let mut seen = Seen::default();
    for piece in pieces(&stream, cuts) {
        let (frames, room) = (seen.heads.len(), scanner.bytes_to_boundary());
        scanner.scan(piece, &mut seen);
        if piece.len() <= room {
            assert!(seen.heads.len() <= frames + 1, "more than the rest of a header began a frame");
        }
    }
    assert_eq!(seen, model(&stream, preface & 1 != 0));
}

/// Which payloads are asked for.
fn wanted(head: &FrameHead) -> bool {
    head.kind % 3 == 1
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    heads: Vec<FrameHead>,
    payloads: Vec<(Vec<u8>, bool)>,
}

impl FrameSink for Seen {
    fn frame(&mut self, head: FrameHead) -> bool {
        assert!(self.payloads.last().is_none_or(|last| last.1), "a payload has no end");
        self.heads.push(head);
        let wanted = wanted(&head);
        if wanted {
            self.payloads.push((Vec::new(), false));
        }
        wanted
    }

    fn payload(&mut self, bytes: &[u8], last: bool) {
        let payload = self.payloads.last_mut().expect("it was asked for");
        assert!(!payload.1, "a payload goes on behind its end");
        payload.0.extend_from_slice(bytes);
        payload.1 = last;
    }
}

fn model(mut stream: &[u8], preface: bool) -> Seen {
    let mut seen = Seen::default();
    if preface {
        let length = PREFACE.len().min(stream.len());
        if stream[..length] != PREFACE[..length] {
            return seen;
        }
        stream = &stream[length..];
    }
    while let Some((&[a, b, c, kind, flags, s0, s1, s2, s3], rest)) = stream.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, a, b, c]);
        let head = FrameHead { length, kind, flags, stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]) };
        seen.heads.push(head);
        let payload = &rest[..rest.len().min(length as usize)];
        if wanted(&head) {
            seen.payloads.push((payload.to_vec(), payload.len() == length as usize));
        }
        stream = &rest[payload.len()..];
    }
    seen
}
