//! HTTP/2 error codes (RFC 9113 §7).

/// Graceful shutdown, or "I need no more of your request".
pub const NO_ERROR: u32 = 0x0;
/// A rule of the protocol was broken.
pub const PROTOCOL_ERROR: u32 = 0x1;
/// The peer failed by its own fault.
pub const INTERNAL_ERROR: u32 = 0x2;
/// More was sent than the window allowed.
pub const FLOW_CONTROL_ERROR: u32 = 0x3;
/// SETTINGS were not acknowledged in time.
pub const SETTINGS_TIMEOUT: u32 = 0x4;
/// A frame for a stream that is closed.
pub const STREAM_CLOSED: u32 = 0x5;
/// A frame of an impossible size.
pub const FRAME_SIZE_ERROR: u32 = 0x6;
/// Not processed: may be sent again.
pub const REFUSED_STREAM: u32 = 0x7;
/// No longer wanted.
pub const CANCEL: u32 = 0x8;
/// The header compression state is broken.
pub const COMPRESSION_ERROR: u32 = 0x9;
/// The tunnel behind CONNECT is broken.
pub const CONNECT_ERROR: u32 = 0xa;
/// The peer is generating too much load.
pub const ENHANCE_YOUR_CALM: u32 = 0xb;
/// The transport's security is too weak.
pub const INADEQUATE_SECURITY: u32 = 0xc;
/// Use HTTP/1.1 for this request.
pub const HTTP_1_1_REQUIRED: u32 = 0xd;

/// The name of an error code as the RFC writes it, `UNKNOWN` for a number it does not list.
pub fn name(code: u32) -> &'static str {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    NAMES.get(code as usize).copied().unwrap_or("UNKNOWN")
}
