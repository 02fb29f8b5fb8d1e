//! How large header blocks are, as HTTP/2 counts them, and whether the peer takes them.
//!
//! A peer may say with SETTINGS_MAX_HEADER_LIST_SIZE how much it takes. h2 does not look at that when it sends, so it is
//! looked at here, before a block is handed over: a call ends with a reason instead of breaking at the other end.

use std::fmt;

use http::HeaderMap;

use super::stream::SendClosed;

/// No limit, as it is before a peer has named one.
pub(crate) const UNLIMITED: u32 = u32::MAX;

/// What every field counts beside its name and its value.
const PER_FIELD: usize = 32;

/// A header block is larger than the peer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge {
    size: usize,
    limit: u32,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooLarge { size, limit } = self;
        write!(f, "{size} bytes of headers, above the peer's SETTINGS_MAX_HEADER_LIST_SIZE of {limit}")
    }
}

/// Why headers or trailers were not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// The stream is as it was before.
    TooLarge(TooLarge),
    Closed,
}

impl From<TooLarge> for Unsent {
    fn from(excess: TooLarge) -> Self {
        Unsent::TooLarge(excess)
    }
}

impl From<SendClosed> for Unsent {
    fn from(_: SendClosed) -> Self {
        Unsent::Closed
    }
}

/// Whether a peer with this limit takes the request.
pub(super) fn check_request(limit: u32, request: &http::Request<()>) -> Result<(), TooLarge> {
    check(limit, || {
        let uri = request.uri();
        field(":method", request.method().as_str())
            + uri.scheme_str().map_or(0, |scheme| field(":scheme", scheme))
            + uri.authority().map_or(0, |authority| field(":authority", authority.as_str()))
            + uri.path_and_query().map_or(0, |path| field(":path", path.as_str()))
            + fields(request.headers())
    })
}

/// Whether a peer with this limit takes the head.
pub(super) fn check_response(limit: u32, head: &http::Response<()>) -> Result<(), TooLarge> {
    check(limit, || field(":status", head.status().as_str()) + fields(head.headers()))
}

/// Whether a peer with this limit takes the trailers.
pub(super) fn check_trailers(limit: u32, trailers: &HeaderMap) -> Result<(), TooLarge> {
    check(limit, || fields(trailers))
}

fn check(limit: u32, size: impl FnOnce() -> usize) -> Result<(), TooLarge> {
    if limit == UNLIMITED {
        return Ok(());
    }
    let size = size();
    if size <= limit as usize { Ok(()) } else { Err(TooLarge { size, limit }) }
}

fn field(name: &str, value: &str) -> usize {
    name.len() + value.len() + PER_FIELD
}

fn fields(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + PER_FIELD).sum()
}
