//! DATA that carries nothing or next to nothing, and answers that nobody takes.

use bytes::Bytes;
use spanwire_faults::frame::setting;
use spanwire_faults::reason::{
    CANCEL, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, PROTOCOL_ERROR, REFUSED_STREAM,
};
use spanwire_faults::{Fields, Frame, grpc};

use super::{flood, flood_with, headers};
use crate::connection::{Batch, Streams};
use crate::scenario::{Batches, Promise, Scenario};

const CALM_DOWN: Promise = Promise::GoAway(&[ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, PROTOCOL_ERROR]);

const NO_WINDOW: &[(u16, u32)] = &[(setting::INITIAL_WINDOW_SIZE, 0)];

pub(super) fn table() -> Vec<Scenario> {
    vec![
        flood("data_empty_flood", CALM_DOWN, || {
            on_one_stream("Up", |stream| Frame::data(stream, Bytes::new()))
        }),
        flood("data_padding_flood", CALM_DOWN, || {
            on_one_stream("Up", |stream| Frame::data(stream, Bytes::new()).padded(0))
        }),
        // A byte a frame, to handlers that do not read, and never more than the windows allow.
        flood("data_tiny_flood", CALM_DOWN, || {
            Box::new(|streams| {
                let stream = streams.next_id();
                let mut frames = vec![headers(stream, "Stall"), Frame::data(stream, &[0, 0, 16, 0, 0][..])];
                frames.extend(vec![Frame::data(stream, &b"x"[..]); 10_000]);
                Batch::of(frames)
            })
        }),
        // Answers that are complete for the server, of handlers and of none, and that nobody takes.
        flood_with("answers_untaken", Promise::Reset(&[REFUSED_STREAM]), NO_WINDOW, true, || {
            Box::new(|streams| {
                let message = grpc::message(&[7; 10_000]);
                let mut frames = Vec::new();
                for n in 0..400 {
                    let stream = streams.next_id();
                    if n % 2 == 0 {
                        let request = Fields::new().with(":method", "GET").with(":scheme", "http");
                        let request = request.with(":path", "/").with(":authority", "attack.test");
                        frames.push(Frame::headers(stream, request.encode()).end_stream());
                    } else {
                        // As much as the connection's window lets pass.
                        let message = if n < 12 { message.clone() } else { grpc::message(b"hello") };
                        frames.extend([headers(stream, "Echo"), Frame::data(stream, message).end_stream()]);
                    }
                }
                Batch::of(frames).hold()
            })
        }),
        // Each call is answered before it is reset: that is no rapid reset, and costs the attacker as much.
        flood_with("answers_reset", Promise::StayWell, NO_WINDOW, true, || {
            let mut open = Vec::new();
            Box::new(move |streams| {
                let mut frames: Vec<_> = open.drain(..).map(|stream| Frame::rst(stream, CANCEL)).collect();
                for _ in 0..50 {
                    let stream = streams.next_id();
                    open.push(stream);
                    let message = Frame::data(stream, grpc::message(&[7; 1000])).end_stream();
                    frames.extend([headers(stream, "Echo"), message]);
                }
                Batch::of(frames).wait()
            })
        }),
        flood_with("slow_reader", Promise::StayWell, NO_WINDOW, true, || {
            Box::new(|streams| Batch::of(open_downs(streams)).hold())
        }),
        flood_with("slow_reader_noread", Promise::StayWell, WIDE_OPEN, false, || {
            Box::new(|streams| {
                let mut frames = vec![Frame::window_update(0, 1 << 30)];
                frames.extend(open_downs(streams));
                Batch::of(frames).hold()
            })
        }),
        // One byte of window at a time, which makes a frame of one byte each time.
        flood_with("slow_reader_drip", Promise::StayWell, NO_WINDOW, true, || {
            let mut begun = false;
            Box::new(move |streams| {
                if !std::mem::replace(&mut begun, true) {
                    return Batch::of(open_downs(streams));
                }
                Batch::of((0..200).map(|call| Frame::window_update(call * 2 + 1, 1)))
            })
        }),
    ]
}

const WIDE_OPEN: &[(u16, u32)] = &[(setting::INITIAL_WINDOW_SIZE, 1 << 30)];

/// 200 calls whose answers are 100 messages of 60 kB each.
fn open_downs(streams: &mut Streams) -> Vec<Frame> {
    let mut frames = Vec::new();
    for _ in 0..200 {
        let stream = streams.next_id();
        frames.push(headers(stream, "Down"));
        frames.push(Frame::data(stream, grpc::message(b"100 60000")).end_stream());
    }
    frames
}

/// One call of `method`, and frames on it.
fn on_one_stream(method: &'static str, frame: fn(u32) -> Frame) -> Batches {
    let mut stream = None;
    Box::new(move |streams| {
        let opening = stream.is_none();
        let stream = *stream.get_or_insert_with(|| streams.next_id());
        let frames = opening.then(|| headers(stream, method)).into_iter();
        Batch::of(frames.chain(vec![frame(stream); 500]))
    })
}
