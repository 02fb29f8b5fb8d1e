//! Message compression (`doc/compression.md` of grpc/grpc). Every message is compressed by itself.

use std::fmt;
use std::io::{self, Read as _, Write as _};

use bytes::Bytes;
use flate2::{Compression, Decompress, FlushDecompress};
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::{Status, header};

/// A way to compress messages, by its name in `grpc-encoding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Encoding {
    /// Not compressed.
    #[default]
    Identity = 0,
    /// gzip (RFC 1952).
    Gzip = 1,
    /// "deflate" as HTTP means it: the zlib format (RFC 1950).
    Deflate = 2,
    /// Zstandard (RFC 8878).
    Zstd = 3,
}

impl Encoding {
    /// Every encoding, in the order in which they are announced.
    pub const ALL: [Encoding; 4] = [Encoding::Identity, Encoding::Gzip, Encoding::Deflate, Encoding::Zstd];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Encoding::Identity => "identity",
            Encoding::Gzip => "gzip",
            Encoding::Deflate => "deflate",
            Encoding::Zstd => "zstd",
        }
    }

    /// The encoding of a name on the wire; `None` if it is not one of ours.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Encoding> {
        Encoding::ALL.into_iter().find(|encoding| encoding.name() == name)
    }

    /// What a header block says its messages are encoded with: `Ok(Identity)` when it says nothing.
    ///
    /// # Errors
    /// The name that was sent, when it is not one of ours.
    pub fn from_headers(headers: &HeaderMap) -> Result<Encoding, String> {
        let Some(value) = headers.get(&header::GRPC_ENCODING) else { return Ok(Encoding::Identity) };
        let known = value.to_str().ok().and_then(Encoding::from_name);
        known.ok_or_else(|| value.as_bytes().escape_ascii().to_string())
    }

    pub(crate) fn header_value(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A set of encodings, such as those a peer accepts. [`Encoding::Identity`] is in every set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EncodingSet(u8);

/// What each set looks like in `grpc-accept-encoding`, indexed by its bits.
static ANNOUNCED: [HeaderValue; 8] = [
    HeaderValue::from_static("identity"),
    HeaderValue::from_static("identity,gzip"),
    HeaderValue::from_static("identity,deflate"),
    HeaderValue::from_static("identity,gzip,deflate"),
    HeaderValue::from_static("identity,zstd"),
    HeaderValue::from_static("identity,gzip,zstd"),
    HeaderValue::from_static("identity,deflate,zstd"),
    HeaderValue::from_static("identity,gzip,deflate,zstd"),
];

impl EncodingSet {
    /// Identity alone.
    #[must_use]
    pub const fn none() -> EncodingSet {
        EncodingSet(0)
    }

    /// Every encoding this crate has.
    #[must_use]
    pub const fn all() -> EncodingSet {
        EncodingSet(0b111)
    }

    /// The set with one more encoding in it.
    #[must_use]
    pub const fn with(self, encoding: Encoding) -> EncodingSet {
        EncodingSet(self.0 | bit(encoding))
    }

    /// Reads a list such as `gzip, zstd`. Unknown names are passed over.
    #[must_use]
    pub fn parse(list: &str) -> EncodingSet {
        let known = list.split(',').filter_map(|name| Encoding::from_name(name.trim()));
        known.fold(EncodingSet::none(), EncodingSet::with)
    }

    /// Reads every `grpc-accept-encoding` of a header block.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> EncodingSet {
        let lists = headers.get_all(&header::GRPC_ACCEPT_ENCODING).into_iter();
        let sets = lists.filter_map(|value| value.to_str().ok()).map(EncodingSet::parse);
        sets.fold(EncodingSet::none(), |all, set| EncodingSet(all.0 | set.0))
    }

    /// The value for `grpc-accept-encoding`. Does not allocate.
    #[must_use]
    pub fn to_header(self) -> HeaderValue {
        ANNOUNCED[usize::from(self.0)].clone()
    }

    /// Whether an encoding is in the set.
    #[must_use]
    pub const fn contains(self, encoding: Encoding) -> bool {
        self.0 & bit(encoding) == bit(encoding)
    }

    /// What to send to a peer that accepts this set: the wish if the peer listed it, else identity.
    #[must_use]
    pub const fn choose(self, wish: Encoding) -> Encoding {
        if self.contains(wish) { wish } else { Encoding::Identity }
    }

    pub(crate) fn field(self) -> (HeaderName, HeaderValue) {
        (header::GRPC_ACCEPT_ENCODING.clone(), self.to_header())
    }
}

impl FromIterator<Encoding> for EncodingSet {
    fn from_iter<I: IntoIterator<Item = Encoding>>(encodings: I) -> Self {
        encodings.into_iter().fold(EncodingSet::none(), EncodingSet::with)
    }
}

const fn bit(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::Identity => 0,
        Encoding::Gzip => 0b001,
        Encoding::Deflate => 0b010,
        Encoding::Zstd => 0b100,
    }
}

/// Compresses one message. Identity copies it.
///
/// # Errors
/// The compressor failed, which only a lack of memory brings about.
pub fn compress(encoding: Encoding, message: &[u8]) -> Result<Bytes, CompressError> {
    let mut out = Vec::with_capacity(message.len() / 2 + 64);
    compress_into(encoding, message, &mut out)?;
    Ok(Bytes::from(out))
}

/// Compresses one message behind what is already in `out`.
///
/// # Errors
/// As [`compress`]; `out` then holds some of the compressed bytes.
pub fn compress_into(encoding: Encoding, message: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
    let level = Compression::default();
    let result = match encoding {
        Encoding::Identity => {
            out.extend_from_slice(message);
            Ok(())
        }
        Encoding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(out, level);
            encoder.write_all(message).and_then(|()| encoder.try_finish())
        }
        Encoding::Deflate => {
            let mut encoder = flate2::write::ZlibEncoder::new(out, level);
            encoder.write_all(message).and_then(|()| encoder.try_finish())
        }
        Encoding::Zstd => zstd_compress(message, out),
    };
    result.map_err(|error| CompressError(error.to_string()))
}

fn zstd_compress(message: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let mut encoder = zstd::stream::write::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
    // With the size in its header the frame needs no larger window than the message itself, and the
    // receiver can refuse it before inflating.
    encoder.set_pledged_src_size(Some(message.len() as u64))?;
    encoder.write_all(message)?;
    encoder.finish().map(drop)
}

/// A message could not be compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompressError(String);

impl fmt::Display for CompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message could not be compressed: {}", self.0)
    }
}

impl std::error::Error for CompressError {}

impl From<CompressError> for Status {
    fn from(error: CompressError) -> Status {
        Status::internal(error.to_string())
    }
}

/// Decompresses one message of at most `limit` bytes.
///
/// The limit is checked while inflating: at most `limit + 1` bytes come out of the decompressor,
/// whatever the input promises, so that a small message cannot fill the memory.
///
/// # Errors
/// [`DecompressError::TooLarge`] beyond the limit; [`DecompressError::Corrupt`] if the bytes are not in
/// the format, are cut off, or go on behind its end.
pub fn decompress(encoding: Encoding, message: &[u8], limit: usize) -> Result<Bytes, DecompressError> {
    let out = match encoding {
        Encoding::Identity if message.len() > limit => return Err(DecompressError::TooLarge),
        Encoding::Identity => return Ok(Bytes::copy_from_slice(message)),
        // Several gzip members in a row are one gzip file; bytes that are no member are an error.
        Encoding::Gzip => read_limited(flate2::bufread::MultiGzDecoder::new(message), message.len(), limit)?,
        Encoding::Deflate => inflate_zlib(message, limit)?,
        Encoding::Zstd => {
            let announced = zstd::zstd_safe::get_frame_content_size(message).ok().flatten();
            if announced.is_some_and(|size| size > limit as u64) {
                return Err(DecompressError::TooLarge);
            }
            let mut decoder = zstd::stream::read::Decoder::with_buffer(message).map_err(corrupt)?;
            decoder.window_log_max(window_log_max(limit)).map_err(corrupt)?;
            read_limited(decoder, message.len(), limit)?
        }
    };
    Ok(Bytes::from(out))
}

/// The window that a zstd frame may ask for: the 8 MiB that every decoder should support (RFC 8878),
/// or as much as a message of the largest size needs. The library's own bound is 128 MiB.
fn window_log_max(limit: usize) -> u32 {
    (usize::BITS - limit.leading_zeros()).clamp(23, 27)
}

/// A first guess at the decompressed size, so that an ordinary message needs one allocation.
fn first_capacity(compressed: usize, limit: usize) -> usize {
    compressed.saturating_mul(3).min(limit.saturating_add(1))
}

fn read_limited(
    mut reader: impl io::Read,
    compressed: usize,
    limit: usize,
) -> Result<Vec<u8>, DecompressError> {
    let mut out = Vec::with_capacity(first_capacity(compressed, limit));
    loop {
        let room = room(&mut out, limit);
        let read = reader.by_ref().take(room as u64).read_to_end(&mut out).map_err(corrupt)?;
        if out.len() > limit {
            return Err(DecompressError::TooLarge);
        }
        if read < room {
            return Ok(out);
        }
    }
}

/// Makes room to go on when `out` is full, twice as much as there is, but never for more than one byte above the limit:
/// a vector left to itself would take up to twice the limit. Gives the room there is.
fn room(out: &mut Vec<u8>, limit: usize) -> usize {
    let most = limit.saturating_add(1) - out.len();
    if out.len() == out.capacity() {
        out.reserve_exact(out.len().max(64).min(most));
    }
    (out.capacity() - out.len()).min(most)
}

/// The reader of flate2 takes a cut-off zlib stream for a complete one, so the end is looked for here.
fn inflate_zlib(message: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
    let mut inflater = Decompress::new(true);
    let mut out = Vec::with_capacity(first_capacity(message.len(), limit));
    loop {
        let (read, written) = (inflater.total_in(), out.len());
        let rest = &message[read as usize..];
        let state = inflater.decompress_vec(rest, &mut out, FlushDecompress::None).map_err(corrupt)?;
        if out.len() > limit {
            return Err(DecompressError::TooLarge);
        }
        if state == flate2::Status::StreamEnd {
            return if inflater.total_in() == message.len() as u64 {
                Ok(out)
            } else {
                Err(DecompressError::Corrupt("bytes follow the end of the compressed data".into()))
            };
        }
        if out.len() == out.capacity() {
            room(&mut out, limit);
        } else if inflater.total_in() == read && out.len() == written {
            return Err(DecompressError::Corrupt("the compressed data is cut off".into()));
        }
    }
}

fn corrupt(error: impl Into<io::Error>) -> DecompressError {
    DecompressError::Corrupt(error.into().to_string())
}

/// Why a message could not be decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecompressError {
    /// The message is larger than the limit.
    TooLarge,
    /// The bytes are not what the encoding says; the text says how.
    Corrupt(String),
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecompressError::TooLarge => f.write_str("the decompressed message is too large"),
            DecompressError::Corrupt(how) => write!(f, "the compressed message is corrupt: {how}"),
        }
    }
}

impl std::error::Error for DecompressError {}

#[cfg(test)]
#[path = "encoding_tests.rs"]
mod tests;
