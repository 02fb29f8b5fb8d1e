//! Streams that are opened to be reset, by either side (CVE-2023-44487, CVE-2025-8671), or beyond what is allowed.

use spanwire_faults::reason::{CANCEL, ENHANCE_YOUR_CALM, PROTOCOL_ERROR, REFUSED_STREAM};
use spanwire_faults::{Frame, grpc};

use super::{each_stream, flood, flood_with, headers, honest_calls};
use crate::connection::Batch;
use crate::scenario::{Batches, Promise, Scenario};

const CALM_DOWN: Promise = Promise::GoAway(&[ENHANCE_YOUR_CALM]);

/// The first offence is taken for the connection's, so there is never a second.
const ENDED: Promise = Promise::GoAway(&[ENHANCE_YOUR_CALM, PROTOCOL_ERROR]);

pub(super) fn table() -> Vec<Scenario> {
    vec![
        flood("rapid_reset", CALM_DOWN, rapid_reset),
        Scenario { tls: true, ..flood("rapid_reset_tls", CALM_DOWN, rapid_reset) },
        flood("rapid_reset_inflight", CALM_DOWN, || {
            let mut open = Vec::new();
            Box::new(move |streams| {
                // What the last batch opened was answered in between, so these calls are with their handlers.
                let mut frames: Vec<_> = open.drain(..).map(|stream| Frame::rst(stream, CANCEL)).collect();
                for _ in 0..200 {
                    let stream = streams.next_id();
                    open.push(stream);
                    frames.extend([headers(stream, "Wait"), whole_message(stream)]);
                }
                let mut batch = Batch::of(frames);
                let honest = honest_calls(streams, 1);
                batch.wire.unsplit(honest.wire);
                batch.wait()
            })
        }),
        flood("made_you_reset_wu0", ENDED, || {
            each_stream(100, |stream| [headers(stream, "Wait"), Frame::window_update(stream, 0)])
        }),
        flood("made_you_reset_wu_overflow", CALM_DOWN, overflow),
        flood("made_you_reset_halfclosed", ENDED, || {
            each_stream(100, |stream| {
                [headers(stream, "Wait"), whole_message(stream), Frame::data(stream, &b"more"[..])]
            })
        }),
        flood_with("made_you_reset_noread", Promise::Close, &[], false, overflow),
        flood("max_streams_exceed", Promise::Reset(&[REFUSED_STREAM]), || {
            each_stream(500, |stream| [headers(stream, "Wait")])
        }),
    ]
}

fn rapid_reset() -> Batches {
    each_stream(100, |stream| [headers(stream, "Wait"), Frame::rst(stream, CANCEL)])
}

fn overflow() -> Batches {
    each_stream(100, |stream| [headers(stream, "Wait"), Frame::window_update(stream, 0x7fff_ffff)])
}

fn whole_message(stream: u32) -> Frame {
    Frame::data(stream, grpc::message(b"hello")).end_stream()
}
