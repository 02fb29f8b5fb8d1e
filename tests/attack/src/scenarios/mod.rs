//! The attacks, by what they do. Each module has the table of its own.

mod calls;
mod control;
mod data;
mod frames;
mod handshakes;
mod headers;
mod resets;

use bytes::Bytes;
use spanwire_faults::{Fields, Frame, grpc};

use crate::connection::{Batch, Streams};
use crate::scenario::{Attack, Batches, Promise, Scenario};

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut all = resets::table();
    all.extend(headers::table());
    all.extend(data::table());
    all.extend(control::table());
    all.extend(frames::table());
    all.extend(handshakes::table());
    all.extend(calls::table());
    all
}

/// Those whose promise is about requests that nobody reads. For a host of another language the engine takes in the message
/// that is next, piece by piece, so there are none.
pub const OF_UNREAD_REQUESTS: &[&str] = &["data_tiny_flood"];

/// A batch of `count` honest calls; the last of them is waited for.
pub fn honest_calls(streams: &mut Streams, count: usize) -> Batch {
    let calls = (0..count).flat_map(|_| {
        let stream = streams.next_id();
        [headers(stream, "Echo"), Frame::data(stream, grpc::message(b"hello")).end_stream()]
    });
    Batch::of(calls).wait()
}

/// The HEADERS of a correct call of the target's `method`.
fn headers(stream: u32, method: &str) -> Frame {
    Frame::headers(stream, block(method))
}

fn block(method: &str) -> Bytes {
    Fields::grpc_request(&format!("/attack.Target/{method}")).encode()
}

/// A flood that reads what the server says.
fn flood(name: &'static str, promise: Promise, batches: fn() -> Batches) -> Scenario {
    flood_with(name, promise, &[], true, batches)
}

fn flood_with(
    name: &'static str,
    promise: Promise,
    settings: &'static [(u16, u32)],
    reads: bool,
    batches: fn() -> Batches,
) -> Scenario {
    Scenario { name, promise, server: &[], tls: false, attack: Attack::Flood { settings, reads, batches } }
}

/// Batches that are all the same frame.
fn repeated(frame: &Frame, times: usize) -> Batches {
    let batch = Batch::of(vec![frame.clone(); times]);
    Box::new(move |_| batch.clone())
}

/// Batches that open `times` streams each, with what `frames` says of each.
fn each_stream<const N: usize>(
    times: usize,
    mut frames: impl FnMut(u32) -> [Frame; N] + Send + 'static,
) -> Batches {
    Box::new(move |streams| {
        let mut all = Vec::with_capacity(times * N);
        for _ in 0..times {
            all.extend(frames(streams.next_id()));
        }
        Batch::of(all)
    })
}
