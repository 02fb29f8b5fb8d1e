//! The deframer, fed in pieces of any size, finds what is found in the whole body at once.

use bytes::Bytes;
use spanwire_wire::Encoding;
use spanwire_wire::frame::Deframer;

use crate::Input;
use crate::body::{self, Ending};
use crate::input::pieces;

/// One body, cut as the input says.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let encoding = input.pick(&Encoding::ALL);
    let limit = input.pick(&[0, 16, 300, 1 << 20, usize::MAX]);
    let eager = input.byte();
    let cuts = input.bytes();
    let stream = input.rest();
    let (messages, ending) = body::split(stream, limit, encoding);

    let mut deframer = Deframer::new(limit, encoding);
    let mut found = Found::default();
    let mut pushed = 0;
    for (at, piece) in pieces(stream, cuts).enumerate() {
        // Whether the messages are taken out before more is pushed must not matter.
        deframer.push(Bytes::copy_from_slice(piece));
        pushed += piece.len();
        assert!(deframer.buffered() <= pushed);
        if eager & 1 << (at % 8) == 0 {
            found.take_from(&mut deframer);
        }
    }
    found.take_from(&mut deframer);
    assert_eq!(found.messages, messages);
    let seen = match (found.failed, deframer.finish()) {
        (Some(code), _) => Ending::Bad(code),
        (None, Ok(())) => Ending::Whole,
        (None, Err(status)) => {
            assert_eq!(status.code(), spanwire_wire::Code::Internal);
            Ending::Cut
        }
    };
    assert_eq!(seen, ending);
}

#[derive(Default)]
struct Found {
    messages: Vec<Bytes>,
    failed: Option<spanwire_wire::Code>,
}

impl Found {
    fn take_from(&mut self, deframer: &mut Deframer) {
        loop {
            match deframer.next() {
                Ok(Some(message)) => {
                    assert!(self.failed.is_none(), "a message behind an error");
                    self.messages.push(message);
                }
                Ok(None) => break,
                Err(status) => {
                    assert!(self.failed.replace(status.code()).is_none(), "two errors");
                }
            }
        }
        if self.failed.is_some() {
            assert_eq!(deframer.buffered(), 0, "bytes are kept of a stream that is lost");
        } else {
            assert!(deframer.wants_bytes() > 0, "nothing comes out, and nothing is missing");
        }
    }
}
