//! Frames that cost the sender nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, and those of no known type.

use spanwire_faults::frame::setting;
use spanwire_faults::reason::ENHANCE_YOUR_CALM;
use spanwire_faults::{Frame, grpc};

use super::{flood, flood_with, headers, repeated};
use crate::connection::Batch;
use crate::scenario::{Promise, Scenario};

const CALM_DOWN: Promise = Promise::GoAway(&[ENHANCE_YOUR_CALM]);

pub(super) fn table() -> Vec<Scenario> {
    vec![
        flood("ping_flood", CALM_DOWN, || repeated(&Frame::ping(*b"flooding"), 1000)),
        flood_with("ping_flood_noread", Promise::Close, &[], false, || {
            repeated(&Frame::ping(*b"flooding"), 1000)
        }),
        // The first ping sets the clock, two come too early, the next is one too many.
        flood("ping_strikes", CALM_DOWN, || {
            Box::new(|_| Batch::of(vec![Frame::ping(*b"impolite"); 4]).hold())
        }),
        flood("settings_flood", CALM_DOWN, || repeated(&Frame::settings(&[]), 1000)),
        flood_with("settings_flood_noread", Promise::Close, &[], false, || {
            repeated(&Frame::settings(&[]), 1000)
        }),
        flood("settings_many_entries", CALM_DOWN, || repeated(&Frame::settings(&[(0xf000, 1); 2000]), 1)),
        flood("settings_window_flip", CALM_DOWN, || {
            let mut begun = false;
            Box::new(move |streams| {
                let mut frames = Vec::new();
                if !std::mem::replace(&mut begun, true) {
                    for _ in 0..200 {
                        let stream = streams.next_id();
                        frames.push(headers(stream, "Down"));
                        frames.push(Frame::data(stream, grpc::message(b"100 60000")).end_stream());
                    }
                }
                for window in [0, 0x7fff_ffff] {
                    frames.push(Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, window)]));
                }
                Batch::of(frames)
            })
        }),
        flood("priority_flood", CALM_DOWN, || repeated(&Frame::priority(1), 1000)),
        flood("window_update_flood", CALM_DOWN, || repeated(&Frame::window_update(0, 1), 1000)),
        flood("unknown_frame_flood", CALM_DOWN, || repeated(&Frame::new(0xfa, 0, 0, &b"what?"[..]), 1000)),
        flood("ack_flood", CALM_DOWN, || repeated(&Frame::ping_ack(*b"nothing."), 1000)),
    ]
}
