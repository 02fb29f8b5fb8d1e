//! The error codes of HTTP/2 (RFC 9113, section 7) and what each means for a call.

use crate::Code;

pub(crate) const NO_ERROR: u32 = 0x0;
pub(crate) const PROTOCOL_ERROR: u32 = 0x1;
/// Something went wrong at our end.
pub const INTERNAL_ERROR: u32 = 0x2;
/// The server did not look at the stream.
pub const REFUSED_STREAM: u32 = 0x7;
/// The call was given up before its end.
pub const CANCEL: u32 = 0x8;
/// The peer asks for more than it may.
pub const ENHANCE_YOUR_CALM: u32 = 0xb;

/// The name of an HTTP/2 error code and the status a client reports when it ends a call.
///
/// HTTP/2 says that an unknown code is to be treated as INTERNAL_ERROR.
#[must_use]
pub fn describe(reason: u32) -> (&'static str, Code) {
    match reason {
        NO_ERROR => ("NO_ERROR", Code::Internal),
        PROTOCOL_ERROR => ("PROTOCOL_ERROR", Code::Internal),
        INTERNAL_ERROR => ("INTERNAL_ERROR", Code::Internal),
        0x3 => ("FLOW_CONTROL_ERROR", Code::Internal),
        0x4 => ("SETTINGS_TIMEOUT", Code::Internal),
        0x5 => ("STREAM_CLOSED", Code::Internal),
        0x6 => ("FRAME_SIZE_ERROR", Code::Internal),
        REFUSED_STREAM => ("REFUSED_STREAM", Code::Unavailable),
        CANCEL => ("CANCEL", Code::Cancelled),
        0x9 => ("COMPRESSION_ERROR", Code::Internal),
        0xa => ("CONNECT_ERROR", Code::Internal),
        ENHANCE_YOUR_CALM => ("ENHANCE_YOUR_CALM", Code::ResourceExhausted),
        0xc => ("INADEQUATE_SECURITY", Code::PermissionDenied),
        0xd => ("HTTP_1_1_REQUIRED", Code::Internal),
        _ => ("unknown HTTP/2 code", Code::Internal),
    }
}
