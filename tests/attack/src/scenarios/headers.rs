//! Header blocks without end, and small ones that decode to large ones.

use bytes::Bytes;
use spanwire_faults::frame::{flag, setting};
use spanwire_faults::reason::{COMPRESSION_ERROR, ENHANCE_YOUR_CALM, PROTOCOL_ERROR, REFUSED_STREAM};
use spanwire_faults::{Frame, grpc, indexed_literal, references};

use super::{block, flood, flood_with, headers};
use crate::connection::Batch;
use crate::scenario::{Batches, Promise, Scenario};

const CALM_DOWN: Promise = Promise::GoAway(&[ENHANCE_YOUR_CALM, PROTOCOL_ERROR, COMPRESSION_ERROR]);

/// Nothing can ever be sent back on a stream.
const NO_WINDOW: &[(u16, u32)] = &[(setting::INITIAL_WINDOW_SIZE, 0)];

pub(super) fn table() -> Vec<Scenario> {
    vec![
        flood("continuation_flood", CALM_DOWN, || continuations(16_384)),
        flood("continuation_tiny", CALM_DOWN, || continuations(1)),
        flood("continuation_empty", CALM_DOWN, || continuations(0)),
        // One entry as large as the table holds, 12 000 times: 48 MB.
        flood("hpack_bomb", Promise::StayWell, || bomb(b"x-bomb", &[b'a'; 3900], 12_000)),
        flood_with("http2_bomb", Promise::StayWell, NO_WINDOW, true, || bomb(b"x", b"", 16_000)),
        flood_with("http2_bomb_cookie", Promise::StayWell, NO_WINDOW, true, || {
            bomb(b"cookie", b"a=1", 16_000)
        }),
        // As much as is allowed, on as many streams as are allowed, and none of them ever ends.
        flood_with("http2_bomb_held", Promise::Reset(&[REFUSED_STREAM]), NO_WINDOW, true, || {
            let mut literal = indexed_literal(b"x-crumb", &[b'a'; 90]);
            Box::new(move |streams| {
                let mut frames = Vec::new();
                for _ in 0..300 {
                    let stream = streams.next_id();
                    let whole = [block("Down"), std::mem::take(&mut literal), references(110)].concat();
                    frames.push(Frame::headers(stream, whole));
                    frames.push(Frame::data(stream, grpc::message(b"100 60000")).end_stream());
                }
                Batch::of(frames).hold()
            })
        }),
    ]
}

/// A header block that goes on in pieces of `size` bytes: the name of one field that never ends.
fn continuations(size: usize) -> Batches {
    let piece = Bytes::from(vec![b'a'; size]);
    let mut begun = false;
    Box::new(move |streams| {
        let mut frames = Vec::new();
        if !std::mem::replace(&mut begun, true) {
            frames.push(headers(streams.next_id(), "Wait").without_flag(flag::END_HEADERS));
            // A literal with a name of 2^27 bytes.
            frames.push(Frame::continuation(1, &[0, 127, 0x81, 0xff, 0xff, 0x3f][..]));
        }
        frames.extend(vec![Frame::continuation(1, piece.clone()); 20]);
        Batch::of(frames)
    })
}

/// Calls whose blocks repeat one field so often.
fn bomb(name: &'static [u8], value: &'static [u8], times: usize) -> Batches {
    let mut literal = indexed_literal(name, value);
    Box::new(move |streams| {
        let mut frames = Vec::new();
        for _ in 0..5 {
            let whole = [block("Wait"), std::mem::take(&mut literal), references(times)].concat();
            frames.push(Frame::headers(streams.next_id(), whole));
        }
        Batch::of(frames)
    })
}
