//! Custom metadata: what an application adds to a call beside its messages.
//!
//! [`Metadata`] wraps an `http::HeaderMap` without copying it. Values of names that end in `-bin` stay
//! base64 text inside and are decoded when they are asked for.
//!
//! Rules (`doc/PROTOCOL-HTTP2.md`, "Custom-Metadata"): names are `0-9 a-z _ - .`; values are printable
//! ASCII, or any bytes under a name that ends in `-bin`; `grpc-` and a few other names belong to the
//! protocol. What is *sent* is checked against them. What is *received* is kept as it came: a value
//! that HTTP allows and gRPC does not must not fail a call.

use std::fmt;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::header as names;

/// Emits no padding; accepts any, and accepts stray low bits as the reference implementations do.
static BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Per-field overhead in the size of a header list (RFC 9113, section 6.5.2).
const FIELD_OVERHEAD: usize = 32;

const BINARY_SUFFIX: &str = "-bin";

/// The metadata of a request, of response headers or of trailers.
///
/// A name may have several values; their order is kept. Lookups ignore the case of the name.
///
/// ```
/// use spanwire_wire::Metadata;
///
/// let mut metadata = Metadata::new();
/// metadata.insert("tenant", "north")?;
/// metadata.append_bin("trace-bin", [0xab, 0xab])?;
/// assert_eq!(metadata.get("tenant"), Some("north"));
/// assert_eq!(metadata.get_bin("trace-bin").as_deref(), Some(&[0xab, 0xab][..]));
/// assert!(metadata.insert("grpc-timeout", "1S").is_err(), "reserved for the protocol");
/// # Ok::<(), spanwire_wire::MetadataError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata(HeaderMap);

impl Metadata {
    /// No metadata. Does not allocate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a header block as received, whole and unchecked.
    #[must_use]
    pub fn from_headers(headers: HeaderMap) -> Self {
        Self(headers)
    }

    /// The header block inside, `-bin` values as base64 text.
    #[must_use]
    pub fn as_headers(&self) -> &HeaderMap {
        &self.0
    }

    /// Gives the header block away, `-bin` values as base64 text.
    #[must_use]
    pub fn into_headers(self) -> HeaderMap {
        self.0
    }

    /// How many fields there are; a name with two values counts twice.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no field at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a value under this name.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Every name once, in lower case.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(HeaderName::as_str)
    }

    /// The first value under a name, as text. `None` if there is none or if it is not visible ASCII.
    ///
    /// Under a `-bin` name this is the base64 text; [`get_bin`](Self::get_bin) decodes it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    /// The first value under a name as it is on the wire, whatever its bytes.
    #[must_use]
    pub fn get_bytes(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(HeaderValue::as_bytes)
    }

    /// Every value under a name, in order; those that are not visible ASCII are left out.
    pub fn get_all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get_all(key).into_iter().filter_map(|value| value.to_str().ok())
    }

    /// The first decodable value under a `-bin` name.
    #[must_use]
    pub fn get_bin(&self, key: &str) -> Option<Bytes> {
        self.get_all_bin(key).next()
    }

    /// Every value under a `-bin` name, decoded, in order.
    ///
    /// Padded and unpadded base64 is read, and a field that a proxy joined with commas is split again
    /// before decoding. A piece that is not base64 is skipped. A name without `-bin` yields nothing.
    pub fn get_all_bin(&self, key: &str) -> impl Iterator<Item = Bytes> {
        let values = ends_in_bin(key).then(|| self.0.get_all(key));
        values.into_iter().flatten().flat_map(decode_all)
    }

    /// Sets a text value, in place of all values under this name. The name is made lower case, blanks
    /// at both ends of the value are dropped (HTTP/2 forbids them).
    ///
    /// # Errors
    /// The name is reserved, has characters gRPC does not allow or ends in `-bin`, or the value is not
    /// printable ASCII. Nothing is changed then.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<(), MetadataError> {
        let (name, value) = text_field(key, value)?;
        self.put(name, value, true)
    }

    /// Adds a text value after those that are already under this name.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn append(&mut self, key: &str, value: &str) -> Result<(), MetadataError> {
        let (name, value) = text_field(key, value)?;
        self.put(name, value, false)
    }

    /// Sets a binary value, in place of all values under this name. The bytes are copied as base64.
    ///
    /// # Errors
    /// The name is reserved, has characters gRPC does not allow or does not end in `-bin`.
    pub fn insert_bin(&mut self, key: &str, value: impl AsRef<[u8]>) -> Result<(), MetadataError> {
        let (name, value) = binary_field(key, value.as_ref())?;
        self.put(name, value, true)
    }

    /// Adds a binary value after those that are already under this name.
    ///
    /// # Errors
    /// As [`insert_bin`](Self::insert_bin).
    pub fn append_bin(&mut self, key: &str, value: impl AsRef<[u8]>) -> Result<(), MetadataError> {
        let (name, value) = binary_field(key, value.as_ref())?;
        self.put(name, value, false)
    }

    /// Removes every value under a name; says how many there were.
    pub fn remove(&mut self, key: &str) -> usize {
        let count = self.0.get_all(key).iter().count();
        self.0.remove(key);
        count
    }

    /// Every value with its name. Values of one name come together and in order; binary ones are
    /// decoded, split at commas, and left out when they are not base64.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.0.iter().flat_map(|(name, value)| {
            let name = name.as_str();
            let binary = ends_in_bin(name);
            let text = (!binary).then(|| Value::Ascii(value.as_bytes()));
            let decoded = binary.then(|| decode_all(value).map(Value::Binary));
            text.into_iter().chain(decoded.into_iter().flatten()).map(move |value| (name, value))
        })
    }

    /// The size that peers count against their limit, in bytes: each field's name, its value as on the
    /// wire (base64 for `-bin`), and 32.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of_headers(&self.0)
    }

    /// Adds all of `other` after what is here.
    pub fn extend(&mut self, other: Metadata) {
        if self.0.is_empty() {
            self.0 = other.0;
        } else {
            append_headers(&mut self.0, other.0, |_| true);
        }
    }

    fn put(&mut self, name: HeaderName, value: HeaderValue, replace: bool) -> Result<(), MetadataError> {
        let result = if replace {
            self.0.try_insert(name.clone(), value).map(drop)
        } else {
            self.0.try_append(name.clone(), value).map(drop)
        };
        result.map_err(|_| MetadataError { key: name.as_str().to_owned(), reason: Reason::TooMany })
    }
}

/// Shows every field, but not what authenticates the caller.
impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.0.iter().map(|(name, value)| {
            let secret = value.is_sensitive()
                || [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE, header::SET_COOKIE]
                    .contains(name);
            (
                name.as_str(),
                if secret { "(hidden)".into() } else { String::from_utf8_lossy(value.as_bytes()) },
            )
        });
        f.debug_map().entries(fields).finish()
    }
}

/// One metadata value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A value under an ordinary name, as received: usually, but not surely, printable ASCII.
    Ascii(&'a [u8]),
    /// A decoded value under a `-bin` name.
    Binary(Bytes),
}

/// Why a name or a value cannot be sent as metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataError {
    key: String,
    reason: Reason,
}

impl MetadataError {
    /// The name that was to be set.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The rule that it breaks.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }
}

/// The rule of metadata that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The name is empty or has characters other than `0-9 a-z _ - .` (and upper case, made lower).
    BadKey,
    /// The value has bytes outside 0x20-0x7E.
    BadValue,
    /// A text value was given under a name that ends in `-bin`.
    NeedsBinary,
    /// Bytes were given under a name that does not end in `-bin`.
    NeedsText,
    /// The name belongs to the protocol.
    Reserved,
    /// There are more fields than a header block can hold.
    TooMany,
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = match self.reason {
            Reason::BadKey => "names are made of 0-9, a-z, '_', '-' and '.'",
            Reason::BadValue => "values are printable ASCII; use a name ending in -bin for other bytes",
            Reason::NeedsBinary => "a name ending in -bin takes bytes: use insert_bin or append_bin",
            Reason::NeedsText => "bytes need a name ending in -bin",
            Reason::Reserved => "the name is reserved for the protocol",
            Reason::TooMany => "there are too many fields",
        };
        write!(f, "metadata {:?}: {rule}", self.key)
    }
}

impl std::error::Error for MetadataError {}

/// Whether a name (in lower case) belongs to gRPC or HTTP/2, so that no application may set it.
///
/// `grpc-previous-rpc-attempts` and `grpc-retry-pushback-ms` are not reserved: retry policies outside
/// of this library use them.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    match name {
        "grpc-previous-rpc-attempts" | "grpc-retry-pushback-ms" => false,
        "te" | "content-type" | "content-length" | "user-agent" | "host" => true,
        // Connection-specific fields make an HTTP/2 message malformed (RFC 9113, section 8.2.2).
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => true,
        _ => name.starts_with("grpc-") || name.starts_with(':'),
    }
}

/// Leaves of a received header block what the application may see: takes out what the protocol itself
/// uses. `user-agent` stays, and so do unknown `grpc-` names.
pub fn strip_reserved(headers: &mut HeaderMap) {
    let used: [&HeaderName; 11] = [
        &header::CONTENT_TYPE,
        &names::GRPC_STATUS,
        &names::GRPC_ACCEPT_ENCODING,
        &header::TE,
        &names::GRPC_TIMEOUT,
        &names::GRPC_ENCODING,
        &names::GRPC_MESSAGE,
        &names::GRPC_STATUS_DETAILS,
        &names::GRPC_MESSAGE_TYPE,
        &header::HOST,
        &header::CONTENT_LENGTH,
    ];
    // Looking at the few names that are there is cheaper than asking the map for each that could be.
    let mut left = headers.keys().filter(|name| used.contains(name)).count();
    if left == headers.keys_len() {
        return headers.clear();
    }
    for name in used {
        if left == 0 {
            return;
        }
        left -= usize::from(headers.remove(name).is_some());
    }
}

/// Adds the fields of `from` that an application may set. Anything else, such as the whole of a
/// received block passed on by a proxy, must not disturb what the protocol itself writes.
pub(crate) fn append_unreserved(to: &mut HeaderMap, from: HeaderMap) {
    append_headers(to, from, |name| !is_reserved(name.as_str()));
}

fn append_headers(to: &mut HeaderMap, from: HeaderMap, keep: impl Fn(&HeaderName) -> bool) {
    let mut current = None;
    for (name, value) in from {
        // The iterator names only the first of the values under one name.
        current = name.or(current);
        if let Some(name) = current.as_ref().filter(|name| keep(name)) {
            // More fields than a block can hold could not be sent anyway.
            let _ = to.try_append(name, value);
        }
    }
}

pub(crate) fn size_of_headers(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| size_of_field(name.as_str(), value)).sum()
}

pub(crate) fn size_of_field(name: &str, value: &HeaderValue) -> usize {
    name.len() + value.len() + FIELD_OVERHEAD
}

pub(crate) fn encode_base64(bytes: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from(BASE64.encode(bytes))).ok()
}

pub(crate) fn decode_base64(text: &[u8]) -> Option<Bytes> {
    BASE64.decode(text.trim_ascii()).ok().map(Bytes::from)
}

fn decode_all(value: &HeaderValue) -> impl Iterator<Item = Bytes> {
    value.as_bytes().split(|&byte| byte == b',').filter_map(decode_base64)
}

fn ends_in_bin(name: &str) -> bool {
    name.len() >= BINARY_SUFFIX.len()
        && name.as_bytes()[name.len() - BINARY_SUFFIX.len()..].eq_ignore_ascii_case(BINARY_SUFFIX.as_bytes())
}

fn text_field(key: &str, value: &str) -> Result<(HeaderName, HeaderValue), MetadataError> {
    let error = |reason| MetadataError { key: key.to_owned(), reason };
    let name = field_name(key)?;
    if ends_in_bin(key) {
        return Err(error(Reason::NeedsBinary));
    }
    let value = value.trim_matches(' ');
    if !value.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
        return Err(error(Reason::BadValue));
    }
    let value = HeaderValue::from_str(value).map_err(|_| error(Reason::BadValue))?;
    Ok((name, value))
}

fn binary_field(key: &str, value: &[u8]) -> Result<(HeaderName, HeaderValue), MetadataError> {
    let error = |reason| MetadataError { key: key.to_owned(), reason };
    let name = field_name(key)?;
    if !ends_in_bin(key) {
        return Err(error(Reason::NeedsText));
    }
    let value = encode_base64(value).ok_or_else(|| error(Reason::BadValue))?;
    Ok((name, value))
}

fn field_name(key: &str) -> Result<HeaderName, MetadataError> {
    let error = |reason| MetadataError { key: key.to_owned(), reason };
    if key.starts_with(':') {
        return Err(error(Reason::Reserved));
    }
    if !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')) {
        return Err(error(Reason::BadKey));
    }
    let name = HeaderName::from_bytes(key.as_bytes()).map_err(|_| error(Reason::BadKey))?;
    if is_reserved(name.as_str()) { Err(error(Reason::Reserved)) } else { Ok(name) }
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
