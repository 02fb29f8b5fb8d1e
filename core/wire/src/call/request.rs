//! The header block of a request: made on the client, checked on the server.

use std::borrow::Cow;
use std::time::Duration;

use http::header::{self as http_header, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri};

use super::response::{refusal, trailers_only};
use crate::encoding::{Encoding, EncodingSet};
use crate::metadata::{Metadata, append_unreserved, size_of_field, size_of_headers};
use crate::{Status, content_type, header, reset, timeout};

/// Everything in front of the messages of a request.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The path, such as `/shop.v1.Orders/Get`. A static one costs no allocation.
    pub method: PathAndQuery,
    /// The virtual host, for `:authority`.
    pub authority: Authority,
    /// `http` or `https`.
    pub scheme: Scheme,
    /// What is left until the deadline; `None` for no limit.
    pub timeout: Option<Duration>,
    /// How compressed request messages are encoded.
    pub encoding: Encoding,
    /// The encodings the client can read.
    pub accept: EncodingSet,
    /// The `user-agent`.
    pub user_agent: HeaderValue,
    /// Custom metadata; reserved names in it are not sent.
    pub metadata: Metadata,
}

impl RequestHead {
    /// The HTTP/2 request: POST, `te: trailers` (some servers insist on it), then the fields of gRPC, and
    /// custom metadata last, as the specification asks for.
    #[must_use]
    pub fn into_http(self) -> Request<()> {
        let RequestHead { method, authority, scheme, timeout, encoding, accept, user_agent, metadata } = self;
        RequestTemplate::new(scheme, authority, accept, user_agent)
            .request(method, timeout, encoding, metadata)
    }
}

/// What is the same in all requests of a channel, made once: copying it costs half of writing it anew.
#[derive(Clone, Debug)]
pub struct RequestTemplate {
    scheme: Scheme,
    authority: Authority,
    headers: HeaderMap,
}

impl RequestTemplate {
    /// See the fields of [`RequestHead`].
    #[must_use]
    pub fn new(scheme: Scheme, authority: Authority, accept: EncodingSet, user_agent: HeaderValue) -> Self {
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(http_header::TE, header::TRAILERS.clone());
        headers.insert(http_header::CONTENT_TYPE, header::APPLICATION_GRPC.clone());
        let (name, value) = accept.field();
        headers.insert(name, value);
        headers.insert(http_header::USER_AGENT, user_agent);
        RequestTemplate { scheme, authority, headers }
    }

    /// The head of one request, as [`RequestHead::into_http`] makes it.
    #[must_use]
    pub fn request(
        &self,
        method: PathAndQuery,
        timeout: Option<Duration>,
        encoding: Encoding,
        metadata: Metadata,
    ) -> Request<()> {
        let mut headers = self.headers.clone();
        if let Some(limit) = timeout {
            headers.insert(header::GRPC_TIMEOUT.clone(), timeout::encode(limit));
        }
        if encoding != Encoding::Identity {
            headers.insert(header::GRPC_ENCODING.clone(), encoding.header_value());
        }
        if !metadata.is_empty() {
            append_unreserved(&mut headers, metadata.into_headers());
        }

        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(self.scheme.clone());
        uri.authority = Some(self.authority.clone());
        uri.path_and_query = Some(method);
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        // Only a missing part could fail, and none is missing.
        *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
        *request.headers_mut() = headers;
        request
    }
}

/// How much metadata one header block may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all fields but the pseudo-headers, each counted as name + value + 32. 16 KiB by default.
    pub max_metadata_bytes: usize,
    /// Number of fields, every cookie crumb and duplicate counted. 128 by default.
    pub max_metadata_fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_metadata_bytes: 16 * 1024, max_metadata_fields: 128 }
    }
}

impl Limits {
    /// Checks a received header block.
    ///
    /// # Errors
    /// The limit that it exceeds.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Excess> {
        self.exceeded(headers.len(), size_of_headers(headers)).map_or(Ok(()), Err)
    }

    fn exceeded(&self, fields: usize, bytes: usize) -> Option<Excess> {
        if fields > self.max_metadata_fields {
            return Some(Excess::Fields(fields));
        }
        (bytes > self.max_metadata_bytes).then_some(Excess::Bytes(bytes))
    }
}

/// The limit that a header block exceeded, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// So many bytes, where [`Limits::max_metadata_bytes`] are allowed.
    Bytes(usize),
    /// So many fields, where [`Limits::max_metadata_fields`] are allowed.
    Fields(usize),
}

impl Excess {
    /// RESOURCE_EXHAUSTED naming the limit and both sizes.
    pub fn status(self, limits: &Limits) -> Status {
        Status::resource_exhausted(match self {
            Excess::Bytes(bytes) => format!(
                "metadata of {bytes} bytes is larger than max_metadata_bytes ({} bytes)",
                limits.max_metadata_bytes
            ),
            Excess::Fields(fields) => format!(
                "metadata of {fields} fields is larger than max_metadata_fields ({})",
                limits.max_metadata_fields
            ),
        })
    }
}

/// A request that is a well-formed gRPC call.
#[derive(Clone, Debug)]
pub struct Accepted<'a> {
    /// The path, with its leading slash.
    pub method: &'a PathAndQuery,
    /// `:authority`, or the `host` field of a request without one.
    pub authority: Cow<'a, Authority>,
    /// The caller's time limit, never zero; `None` for no limit.
    pub timeout: Option<Duration>,
    /// How compressed request messages are encoded.
    pub encoding: Encoding,
    /// What the caller can read; the response must use one of these.
    pub accept: EncodingSet,
}

/// A request that is answered without a handler.
#[derive(Debug)]
pub struct Refusal {
    /// What to answer.
    pub response: Response<()>,
    /// The body of the answer: a sentence for whoever came with a browser. Empty for gRPC clients, whose answer ends
    /// with its headers.
    pub body: &'static str,
    /// If set, answer nothing and reset the stream with this HTTP/2 error code.
    pub reset: Option<u32>,
    /// The limit that was exceeded, if that is the reason.
    pub excess: Option<Excess>,
}

const NOT_A_WEB_SERVER: &str = "This is a gRPC server: its calls are made by gRPC clients, with POST.\n";

impl Refusal {
    fn http(status: StatusCode, message: impl Into<String>) -> Refusal {
        Refusal { response: refusal(status, &Status::internal(message)), body: "", reset: None, excess: None }
    }

    fn status(status: Status) -> Refusal {
        Refusal { response: trailers_only(&status), body: "", reset: None, excess: None }
    }
}

/// Checks the head of a request, HTTP's own rules first. A refused request must not reach any interceptor
/// or handler.
///
/// # Errors
/// A [`Refusal`], in this order: a `connection` field (reset, PROTOCOL_ERROR); not POST (HTTP 405); not
/// gRPC (HTTP 415); no authority, an unreadable one or two of them (HTTP 400); a path without a leading
/// slash (UNIMPLEMENTED); too much metadata (RESOURCE_EXHAUSTED); an unknown encoding (UNIMPLEMENTED,
/// with `grpc-accept-encoding`); an unreadable `grpc-timeout` (INTERNAL); a timeout of zero
/// (DEADLINE_EXCEEDED). The HTTP refusals carry the gRPC status INTERNAL with the reason; HTTP 405, which no gRPC
/// client ever meets, says it in a body too.
pub fn accept_request<'a>(
    parts: &'a Parts,
    supported: EncodingSet,
    limits: &Limits,
) -> Result<Accepted<'a>, Box<Refusal>> {
    let fields = Fields::of(&parts.headers);
    if fields.connection {
        let mut refusal =
            Refusal::http(StatusCode::BAD_REQUEST, "connection header is not allowed in HTTP/2");
        refusal.reset = Some(reset::PROTOCOL_ERROR);
        return Err(Box::new(refusal));
    }
    if parts.method != Method::POST {
        let message = format!("gRPC needs the method POST, not {}", parts.method);
        let mut refusal = Refusal::http(StatusCode::METHOD_NOT_ALLOWED, message);
        let headers = refusal.response.headers_mut();
        headers.insert(http_header::ALLOW, header::POST.clone());
        if parts.method != Method::HEAD {
            headers.insert(http_header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            refusal.body = NOT_A_WEB_SERVER;
        }
        return Err(Box::new(refusal));
    }
    check_content_type(fields.content_type)?;
    let authority = authority(parts, &fields)?;
    let method = match parts.uri.path_and_query() {
        Some(path) if path.as_str().starts_with('/') => path,
        path => {
            let path = path.map_or("", PathAndQuery::as_str);
            return Err(status(Status::unimplemented(format!("path {path:?} has no leading slash"))));
        }
    };
    if let Some(excess) = limits.exceeded(parts.headers.len(), fields.bytes) {
        return Err(Box::new(Refusal { excess: Some(excess), ..Refusal::status(excess.status(limits)) }));
    }
    let encoding =
        if fields.encoded { request_encoding(&parts.headers, supported)? } else { Encoding::Identity };
    let timeout = fields.timeout.map_or(Ok(None), request_timeout)?;
    let accept = if fields.accept { EncodingSet::from_headers(&parts.headers) } else { EncodingSet::none() };
    Ok(Accepted { method, authority, timeout, encoding, accept })
}

/// What the fields of a request say to gRPC, found in one walk: a map asked for each name costs several.
#[derive(Default)]
struct Fields<'a> {
    connection: bool,
    content_type: Option<&'a HeaderValue>,
    host: Option<&'a HeaderValue>,
    two_hosts: bool,
    encoded: bool,
    timeout: Option<&'a HeaderValue>,
    accept: bool,
    /// Their size, as [`Limits`] counts it.
    bytes: usize,
}

impl<'a> Fields<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let mut fields = Fields::default();
        for (name, value) in headers {
            let name = name.as_str();
            fields.bytes += size_of_field(name, value);
            // Of several values of one name, the first counts.
            match name {
                "connection" => fields.connection = true,
                "content-type" => fields.content_type = fields.content_type.or(Some(value)),
                "host" => fields.two_hosts |= fields.host.replace(value).is_some(),
                "grpc-encoding" => fields.encoded = true,
                "grpc-timeout" => fields.timeout = fields.timeout.or(Some(value)),
                "grpc-accept-encoding" => fields.accept = true,
                _ => {}
            }
        }
        fields
    }
}

fn status(status: Status) -> Box<Refusal> {
    Box::new(Refusal::status(status))
}

fn http_refusal(http_status: StatusCode, message: impl Into<String>) -> Box<Refusal> {
    Box::new(Refusal::http(http_status, message))
}

fn check_content_type(found: Option<&HeaderValue>) -> Result<(), Box<Refusal>> {
    if found.is_some_and(content_type::is_grpc) {
        return Ok(());
    }
    let message = match found {
        Some(value) => format!("content-type \"{}\" is not gRPC", value.as_bytes().escape_ascii()),
        None => "content-type is missing".to_owned(),
    };
    Err(http_refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
}

/// `:authority` counts and drops `host`; a lone `host` takes its place (gRFC A41). Either twice is an
/// error: two readers of the request could choose differently.
fn authority<'a>(parts: &'a Parts, fields: &Fields<'_>) -> Result<Cow<'a, Authority>, Box<Refusal>> {
    let bad = |message: &str| http_refusal(StatusCode::BAD_REQUEST, message);
    if fields.two_hosts {
        return Err(bad("request has two host headers"));
    }
    let authority = match (parts.uri.authority(), fields.host) {
        (Some(authority), _) => Cow::Borrowed(authority),
        (None, Some(host)) => Authority::from_maybe_shared(bytes::Bytes::copy_from_slice(host.as_bytes()))
            .map(Cow::Owned)
            .map_err(|_| bad("host header is not an authority"))?,
        (None, None) => return Err(bad("request has no :authority")),
    };
    if authority.as_str().is_empty() { Err(bad("request has an empty :authority")) } else { Ok(authority) }
}

fn request_encoding(headers: &HeaderMap, supported: EncodingSet) -> Result<Encoding, Box<Refusal>> {
    let name = match Encoding::from_headers(headers) {
        Ok(encoding) if supported.contains(encoding) => return Ok(encoding),
        Ok(encoding) => encoding.name().to_owned(),
        Err(name) => name,
    };
    let message = format!("grpc-encoding \"{name}\" is not supported; grpc-accept-encoding lists what is");
    let mut refusal = Refusal::status(Status::unimplemented(message));
    let (name, value) = supported.field();
    refusal.response.headers_mut().insert(name, value);
    Err(Box::new(refusal))
}

fn request_timeout(value: &HeaderValue) -> Result<Option<Duration>, Box<Refusal>> {
    match timeout::parse(value.as_bytes()) {
        Ok(Some(Duration::ZERO)) => {
            Err(status(Status::deadline_exceeded("deadline had passed before the call arrived")))
        }
        Ok(timeout) => Ok(timeout),
        Err(error) => {
            let text = value.as_bytes().escape_ascii();
            Err(status(Status::internal(format!("grpc-timeout \"{text}\" cannot be read: {error}"))))
        }
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
