//! The header names and constant values that gRPC defines, made once so that no call allocates them.

use http::{HeaderName, HeaderValue};

pub(crate) static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) static GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
pub(crate) static GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
pub(crate) static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
pub(crate) static GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
pub(crate) static GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
pub(crate) static GRPC_MESSAGE_TYPE: HeaderName = HeaderName::from_static("grpc-message-type");

pub(crate) static APPLICATION_GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
pub(crate) static TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
pub(crate) static POST: HeaderValue = HeaderValue::from_static("POST");

/// The text of every status code, indexed by its number.
pub(crate) static STATUS_TEXT: [HeaderValue; 17] = [
    HeaderValue::from_static("0"),
    HeaderValue::from_static("1"),
    HeaderValue::from_static("2"),
    HeaderValue::from_static("3"),
    HeaderValue::from_static("4"),
    HeaderValue::from_static("5"),
    HeaderValue::from_static("6"),
    HeaderValue::from_static("7"),
    HeaderValue::from_static("8"),
    HeaderValue::from_static("9"),
    HeaderValue::from_static("10"),
    HeaderValue::from_static("11"),
    HeaderValue::from_static("12"),
    HeaderValue::from_static("13"),
    HeaderValue::from_static("14"),
    HeaderValue::from_static("15"),
    HeaderValue::from_static("16"),
];
