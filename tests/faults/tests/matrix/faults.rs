//! The faults, and what each kind of call gets from them, without a retry policy and with one.

use std::time::Duration;

use spanwire_faults::frame::{flag, kind};
use spanwire_faults::proxy::{Fault, Passage, Side};
use spanwire_faults::{Frame, reason};

/// One row: the outcomes are those of the kinds, in their order.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) fault: Fault,
    pub(crate) tls: bool,
    /// Messages larger than a window.
    pub(crate) large: bool,
    pub(crate) deadline: Duration,
    pub(crate) plain: [&'static str; 4],
    pub(crate) retried: [&'static str; 4],
}

/// Three more attempts, a second after each other.
pub(crate) const POLICY: &str = r#"{"methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 4, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1,
    "retryableStatusCodes": ["UNAVAILABLE"]}}]}"#;

/// Beyond what any fault needs, retries included.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Before keepalive notices anything.
const SHORT: Duration = Duration::from_secs(5);

const OK: &str = "OK, 1 attempt";
const OK2: &str = "OK, 2 attempts";

impl Row {
    /// The same for every kind, with a policy and without.
    fn always(name: &'static str, outcome: &'static str, fault: Fault) -> Self {
        Row {
            name,
            fault,
            tls: false,
            large: false,
            deadline: LONG,
            plain: [outcome; 4],
            retried: [outcome; 4],
        }
    }

    /// The same for every kind.
    fn each(name: &'static str, plain: &'static str, retried: &'static str, fault: Fault) -> Self {
        Row { plain: [plain; 4], retried: [retried; 4], ..Row::always(name, OK, fault) }
    }
}

/// Passes all frames but the first request's headers, and does something when they come; the connections that follow are
/// left alone.
macro_rules! at_request {
    (|$passage:ident, $frame:ident| $act:block) => {
        Fault {
            frame: |$passage, from, $frame| {
                if $passage.requests != 1 || !begins(from, &$frame) {
                    return $passage.pass(from, &$frame);
                }
                $act
            },
            ..Fault::NONE
        }
    };
}

/// The same for the headers of an answer.
macro_rules! at_answer {
    (|$passage:ident, $frame:ident| $act:block) => {
        Fault {
            frame: |$passage, from, $frame| {
                if $passage.connection > 0 || from == Side::Client || $frame.kind != kind::HEADERS {
                    return $passage.pass(from, &$frame);
                }
                $act
            },
            ..Fault::NONE
        }
    };
}

/// Spoils an encrypted record of the first connection, which the server answers with an alert. The first is the client's
/// end of the handshake.
macro_rules! spoiled {
    ($behind:literal) => {
        Fault {
            begin: |passage| match passage.connection {
                0 => passage.spoil_record($behind),
                _ => passage.leave_alone(),
            },
            ..Fault::NONE
        }
    };
}

fn begins(from: Side, frame: &Frame) -> bool {
    from == Side::Client && frame.kind == kind::HEADERS
}

fn tell(passage: &mut Passage, frame: &Frame) {
    passage.tell_client(&frame.encode());
}

const SILENT_FROM_THE_START: Fault = Fault {
    begin: |passage| {
        if passage.connection == 0 {
            passage.fall_silent();
        }
    },
    ..Fault::NONE
};

const SILENT_FROM_THE_REQUEST: Fault = at_request!(|passage, _frame| { passage.fall_silent() });

/// GOAWAY of a server that still answers whatever it has.
const ANY_STREAM: u32 = 0x7fff_ffff;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        Row::always("none", OK, Fault::NONE),
        Row::always(
            "GOAWAY that names an earlier stream, then the end",
            OK2,
            at_request!(|passage, _frame| {
                tell(passage, &Frame::goaway(0, reason::NO_ERROR, b""));
                passage.end();
            }),
        ),
        Row::always(
            "GOAWAY that names an earlier stream, then silence",
            OK2,
            at_request!(|passage, _frame| {
                tell(passage, &Frame::goaway(0, reason::NO_ERROR, b""));
                passage.fall_silent();
            }),
        ),
        Row::always(
            "GOAWAY that names the call's stream, then its answer",
            OK,
            at_request!(|passage, frame| {
                tell(passage, &Frame::goaway(frame.stream, reason::NO_ERROR, b""));
                passage.pass(Side::Client, &frame);
            }),
        ),
        Row::each(
            "GOAWAY that names the call's stream, then the end",
            "UNAVAILABLE, 1 attempt, maybe sent",
            OK2,
            at_request!(|passage, frame| {
                tell(passage, &Frame::goaway(frame.stream, reason::NO_ERROR, b""));
                passage.end();
            }),
        ),
        Row::each(
            "GOAWAY that names no stream yet, then silence",
            "UNAVAILABLE, 1 attempt, maybe sent",
            OK2,
            at_request!(|passage, _frame| {
                tell(passage, &Frame::goaway(ANY_STREAM, reason::NO_ERROR, b""));
                passage.fall_silent();
            }),
        ),
        Row::always(
            "REFUSED_STREAM",
            OK2,
            Fault {
                frame: |passage, from, frame| {
                    refuse(passage, from, &frame, 1, reason::REFUSED_STREAM);
                },
                ..Fault::NONE
            },
        ),
        Row::each(
            "REFUSED_STREAM, and the second attempt too",
            "UNAVAILABLE, 2 attempts, not sent",
            "OK, 3 attempts",
            Fault {
                frame: |passage, from, frame| {
                    refuse(passage, from, &frame, 2, reason::REFUSED_STREAM);
                },
                ..Fault::NONE
            },
        ),
        Row::each(
            "end of the connection before the answer",
            "UNAVAILABLE, 1 attempt, maybe sent",
            OK2,
            at_request!(|passage, _frame| { passage.end() }),
        ),
        Row::always(
            "end of the connection within the answer",
            "UNAVAILABLE, 1 attempt, answered",
            at_answer!(|passage, frame| {
                passage.pass(Side::Server, &frame);
                passage.end();
            }),
        ),
        Row::each(
            "FIN of the server while the answer is due, and it still listens",
            "UNAVAILABLE, 1 attempt, maybe sent",
            OK2,
            at_request!(|passage, frame| {
                passage.pass(Side::Client, &frame);
                passage.end_for(Side::Client);
            }),
        ),
        Row::each(
            "FIN towards the server within the request, and nothing towards the channel",
            "UNAVAILABLE, 1 attempt, maybe sent",
            OK2,
            at_request!(|passage, frame| {
                passage.pass(Side::Client, &frame);
                passage.end_for(Side::Server);
            }),
        ),
        Row::each(
            "reset of the connection in the middle of the answer's headers",
            "UNAVAILABLE, 1 attempt, maybe sent",
            OK2,
            at_answer!(|passage, frame| {
                let wire = frame.encode();
                passage.tell_client(&wire[..wire.len() / 2]);
                passage.reset();
            }),
        ),
        Row::each(
            "header block that never ends, then a reset",
            "UNAVAILABLE, 1 attempt, maybe sent",
            OK2,
            at_answer!(|passage, frame| {
                tell(passage, &frame.without_flag(flag::END_HEADERS));
                passage.reset();
            }),
        ),
        Row::always(
            "RST_STREAM of a proxy on the way (INTERNAL_ERROR) before the answer",
            "INTERNAL, 1 attempt, maybe sent",
            Fault {
                frame: |passage, from, frame| {
                    refuse(passage, from, &frame, 1, reason::INTERNAL_ERROR);
                },
                ..Fault::NONE
            },
        ),
        // The next attempt to connect follows that which ran out of time at once.
        Row::always("black hole from the connection's first byte on", OK, SILENT_FROM_THE_START),
        Row {
            deadline: SHORT,
            ..Row::always(
                "the same, with a deadline before connect_timeout",
                "DEADLINE_EXCEEDED, 1 attempt, not sent",
                SILENT_FROM_THE_START,
            )
        },
        Row::each(
            "black hole from the request on",
            "UNAVAILABLE, 1 attempt, maybe sent",
            OK2,
            SILENT_FROM_THE_REQUEST,
        ),
        Row {
            deadline: SHORT,
            ..Row::always(
                "the same, with a deadline before keepalive notices",
                "DEADLINE_EXCEEDED, 1 attempt, maybe sent",
                SILENT_FROM_THE_REQUEST,
            )
        },
        Row::always(
            "black hole from the answer's headers on",
            "UNAVAILABLE, 1 attempt, answered",
            at_answer!(|passage, frame| {
                passage.pass(Side::Server, &frame);
                passage.fall_silent();
            }),
        ),
        Row {
            large: true,
            ..Row::always(
                "windows that open by 1 KiB at a time",
                OK,
                Fault { frame: open_slowly, ..Fault::NONE },
            )
        },
        Row {
            tls: true,
            ..Row::each(
                "TLS alert for an answer to the first ClientHello",
                "UNAVAILABLE, 1 attempt, not sent",
                OK2,
                Fault {
                    begin: |passage| match passage.connection {
                        0 => {
                            // A record of kind alert: fatal, internal_error (RFC 8446 section 6).
                            passage.tell_client(&[21, 3, 3, 0, 2, 2, 80]);
                            passage.end();
                        }
                        _ => passage.leave_alone(),
                    },
                    ..Fault::NONE
                },
            )
        },
        // To the client of TLS 1.3 its handshake is complete before the server has seen the end of it: so comes the alert of a
        // server that refuses a certificate.
        Row {
            tls: true,
            ..Row::each(
                "TLS alert for an answer to the client's end of the handshake",
                "UNAVAILABLE, 1 attempt, not sent",
                OK2,
                spoiled!(0),
            )
        },
        Row {
            tls: true,
            ..Row::each(
                "TLS alert for an answer to the request",
                "UNAVAILABLE, 1 attempt, maybe sent",
                OK2,
                spoiled!(4),
            )
        },
    ]
}

/// Resets the first so many requests, all on one connection. The server is shown each and takes it back at once: it never
/// handles it, and both sides still have the same table of header fields.
fn refuse(passage: &mut Passage, from: Side, frame: &Frame, requests: u32, code: u32) {
    let newest = 2 * requests - 1;
    if passage.connection > 0 || frame.stream == 0 || frame.stream > newest {
        return passage.pass(from, frame);
    }
    if begins(from, frame) {
        tell(passage, &Frame::rst(frame.stream, code));
        passage.pass(from, frame);
        passage.pass(from, &Frame::rst(frame.stream, reason::CANCEL));
    }
}

/// Cuts every WINDOW_UPDATE into many.
fn open_slowly(passage: &mut Passage, from: Side, frame: Frame) {
    const STEP: u32 = 1024;
    if frame.kind != kind::WINDOW_UPDATE {
        return passage.pass(from, &frame);
    }
    let bytes = frame.payload.get(..4).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
    let mut left = u32::from_be_bytes(bytes);
    while left > 0 {
        passage.pass(from, &Frame::window_update(frame.stream, left.min(STEP)));
        left = left.saturating_sub(STEP);
    }
}
