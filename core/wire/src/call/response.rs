//! The header blocks of a response.

use std::sync::LazyLock;

use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Response, StatusCode};

use crate::encoding::{Encoding, EncodingSet};
use crate::metadata::{Metadata, append_unreserved};
use crate::{Status, header};

/// The head of a response that will carry messages: HTTP 200, the encoding its compressed messages use
/// (it must be one the caller listed, see [`EncodingSet::choose`]), what the server accepts unless that is
/// [`EncodingSet::none`], and custom metadata without reserved names.
#[must_use]
pub fn response_head(encoding: Encoding, accept: EncodingSet, metadata: Metadata) -> Response<()> {
    /// What every response begins with.
    static PLAIN: LazyLock<HeaderMap> = LazyLock::new(|| {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, header::APPLICATION_GRPC.clone());
        headers
    });
    let mut response = Response::new(());
    let headers = response.headers_mut();
    *headers = PLAIN.clone();
    if encoding != Encoding::Identity {
        headers.insert(header::GRPC_ENCODING.clone(), encoding.header_value());
    }
    if accept != EncodingSet::none() {
        let (name, value) = accept.field();
        headers.insert(name, value);
    }
    if !metadata.is_empty() {
        append_unreserved(headers, metadata.into_headers());
    }
    response
}

/// A Trailers-Only response, to be sent with END_STREAM and no body: what a call that fails before its
/// first message should get, because clients may then retry it.
#[must_use]
pub fn trailers_only(status: &Status) -> Response<()> {
    refusal(StatusCode::OK, status)
}

/// The trailers behind the messages of a response: the status and its own metadata without reserved names.
#[must_use]
pub fn trailers(status: &Status) -> HeaderMap {
    /// The trailers of nearly every call.
    static OK: LazyLock<HeaderMap> = LazyLock::new(|| {
        let mut trailers = HeaderMap::new();
        Status::ok().write_trailers(&mut trailers);
        trailers
    });
    if status.is_plain_ok() {
        return OK.clone();
    }
    let mut trailers = HeaderMap::new();
    status.write_trailers(&mut trailers);
    trailers
}

/// A response that ends a request before its call began: an HTTP status with a gRPC status beside it,
/// so that both kinds of peer can read the reason.
pub(super) fn refusal(http_status: StatusCode, status: &Status) -> Response<()> {
    let mut response = grpc_response(http_status);
    status.write_trailers(response.headers_mut());
    response
}

fn grpc_response(http_status: StatusCode) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = http_status;
    response.headers_mut().insert(CONTENT_TYPE, header::APPLICATION_GRPC.clone());
    response
}
