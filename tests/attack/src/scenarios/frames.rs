//! Frames that break a rule of HTTP/2, again and again on new connections.

use spanwire_faults::Frame;
use spanwire_faults::frame::setting;
use spanwire_faults::reason::{FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR, STREAM_CLOSED};

use super::{flood, headers};
use crate::connection::Batch;
use crate::scenario::{Batches, Promise, Scenario};

const PROTOCOL: Promise = Promise::GoAway(&[PROTOCOL_ERROR]);
const FLOW_CONTROL: Promise = Promise::GoAway(&[FLOW_CONTROL_ERROR]);

pub(super) fn table() -> Vec<Scenario> {
    vec![
        flood("frame_too_big", Promise::GoAway(&[FRAME_SIZE_ERROR]), || {
            once(|| vec![headers(1, "Stall"), Frame::data(1, vec![0; 72 * 1024 + 1])])
        }),
        flood("conn_window_overflow", FLOW_CONTROL, || once(|| vec![Frame::window_update(0, 0x7fff_ffff)])),
        flood("flow_control_violation", Promise::Reset(&[FLOW_CONTROL_ERROR]), || {
            once(|| {
                let mut frames = vec![headers(1, "Stall")];
                // More than any window, the connection's too.
                frames.extend(vec![Frame::data(1, vec![0; 16_384]); 300]);
                frames
            })
        }),
        flood("stream_id_even", PROTOCOL, || once(|| vec![headers(2, "Echo")])),
        flood("stream_id_lower", Promise::GoAway(&[PROTOCOL_ERROR, STREAM_CLOSED]), || {
            once(|| vec![headers(5, "Wait"), headers(3, "Wait")])
        }),
        flood("stream_id_zero", PROTOCOL, || once(|| vec![Frame::data(0, &b"x"[..])])),
        flood("stream_id_idle", PROTOCOL, || once(|| vec![Frame::data(5, &b"x"[..])])),
        flood("settings_max_frame_0", PROTOCOL, || {
            once(|| vec![Frame::settings(&[(setting::MAX_FRAME_SIZE, 0)])])
        }),
        flood("settings_window_2_31", Promise::GoAway(&[FLOW_CONTROL_ERROR, PROTOCOL_ERROR]), || {
            once(|| vec![Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 31)])])
        }),
        flood("settings_push_2", PROTOCOL, || once(|| vec![Frame::settings(&[(setting::ENABLE_PUSH, 2)])])),
    ]
}

/// These frames, and then silence.
fn once(frames: fn() -> Vec<Frame>) -> Batches {
    Box::new(move |_| Batch::of(frames()).hold())
}
