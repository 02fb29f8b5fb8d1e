//! What a peer reads, one event for each frame; CONTINUATION is joined to its HEADERS.

use crate::{Fields, Frame, reason};
use bytes::Bytes;
use std::fmt;

/// A decoded header block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// The stream it opens or answers.
    pub stream: u32,
    /// The decoded fields.
    pub fields: Fields,
    /// Whether nothing follows on this half of the stream.
    pub end_stream: bool,
}

/// Something that the other side sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// HEADERS with all its CONTINUATION frames.
    Headers(Headers),
    /// DATA without its padding.
    Data {
        /// The stream.
        stream: u32,
        /// The payload without padding.
        data: Bytes,
        /// Whether this is the last frame of its half.
        end_stream: bool,
    },
    /// RST_STREAM.
    Reset {
        /// The stream.
        stream: u32,
        /// The error code, see [`crate::reason`].
        code: u32,
    },
    /// SETTINGS; they were acknowledged unless `Link::acknowledge` is off.
    Settings(Vec<(u16, u32)>),
    /// The acknowledgement of our SETTINGS.
    SettingsAck,
    /// PING; it was acknowledged unless `Link::acknowledge` is off.
    Ping([u8; 8]),
    /// The acknowledgement of our PING.
    PingAck([u8; 8]),
    /// GOAWAY.
    GoAway {
        /// The last stream that was or will be processed.
        last_stream: u32,
        /// The error code, see [`crate::reason`].
        code: u32,
        /// Debug data.
        debug: Bytes,
    },
    /// WINDOW_UPDATE.
    WindowUpdate {
        /// The stream, 0 for the connection.
        stream: u32,
        /// By how much.
        increment: u32,
    },
    /// Any other frame.
    Other(Frame),
    /// The end of the connection, and nothing after it: true for a clean end, false for a TCP reset.
    Closed {
        /// Whether it was an orderly end of file.
        clean: bool,
    },
}

impl Event {
    /// The stream that the event belongs to, `None` for events of the connection.
    pub fn stream(&self) -> Option<u32> {
        match self {
            Self::Headers(headers) => Some(headers.stream),
            Self::Data { stream, .. } | Self::Reset { stream, .. } => Some(*stream),
            Self::WindowUpdate { stream, .. } if *stream != 0 => Some(*stream),
            _ => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |end_stream: &bool| if *end_stream { " END_STREAM" } else { "" };
        match self {
            Self::Headers(Headers { stream, fields, end_stream }) => {
                write!(out, "HEADERS {stream}{} {fields:?}", end(end_stream))
            }
            Self::Data { stream, data, end_stream } => {
                let shown = data.slice(..data.len().min(48));
                write!(
                    out,
                    "DATA {stream}{} {} bytes \"{}\"",
                    end(end_stream),
                    data.len(),
                    shown.escape_ascii()
                )
            }
            Self::Reset { stream, code } => write!(out, "RST_STREAM {stream} {}", reason::name(*code)),
            Self::Settings(entries) => write!(out, "SETTINGS {entries:?}"),
            Self::SettingsAck => write!(out, "SETTINGS ACK"),
            Self::Ping(opaque) => write!(out, "PING \"{}\"", opaque.escape_ascii()),
            Self::PingAck(opaque) => write!(out, "PING ACK \"{}\"", opaque.escape_ascii()),
            Self::GoAway { last_stream, code, debug } => {
                write!(out, "GOAWAY {last_stream} {} \"{}\"", reason::name(*code), debug.escape_ascii())
            }
            Self::WindowUpdate { stream, increment } => write!(out, "WINDOW_UPDATE {stream} +{increment}"),
            Self::Other(frame) => write!(out, "{frame:?}"),
            Self::Closed { clean: true } => write!(out, "END OF FILE"),
            Self::Closed { clean: false } => write!(out, "CONNECTION RESET"),
        }
    }
}
