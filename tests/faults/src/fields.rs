//! Header fields, and as much HPACK (RFC 7541) as a script needs.
//!
//! Encoding is by hand: literals without indexing and without Huffman coding, so that a field can be anything.
//! Decoding is a library's, because the engine under test uses the whole of HPACK.

use bytes::{BufMut, Bytes, BytesMut};
use std::fmt;

/// An ordered list of header fields; duplicates and impossible names are fine.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(Vec<u8>, Vec<u8>)>);

impl Fields {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a correct gRPC client sends for a call of `path`.
    pub fn grpc_request(path: &str) -> Self {
        Self::new()
            .with(":method", "POST")
            .with(":scheme", "http")
            .with(":path", path)
            .with(":authority", "test.invalid")
            .with("te", "trailers")
            .with("content-type", "application/grpc")
            .with("user-agent", "raw-client/1")
    }

    /// What a correct gRPC server sends before its first message.
    pub fn grpc_response() -> Self {
        Self::new().with(":status", "200").with("content-type", "application/grpc")
    }

    /// Trailers with a status and, unless empty, a message that is sent as it stands.
    pub fn grpc_trailers(code: u32, message: &str) -> Self {
        let fields = Self::new().with("grpc-status", code.to_string());
        if message.is_empty() { fields } else { fields.with("grpc-message", message) }
    }

    /// These fields and one more at the end.
    pub fn with(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.0.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// These fields with the first `name` changed, in its place; added at the end if there is none.
    pub fn set(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        match self.0.iter_mut().find(|field| field.0 == name.as_bytes()) {
            Some(field) => {
                field.1 = value.as_ref().to_vec();
                self
            }
            None => self.with(name, value),
        }
    }

    /// These fields without `name`.
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|field| field.0 != name.as_bytes());
        self
    }

    /// The first value of `name`, if it is there and is UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|field| field.0 == name.as_bytes())?;
        std::str::from_utf8(value).ok()
    }

    /// All UTF-8 values of `name`, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |field| field.0 == name.as_bytes())
            .filter_map(|field| std::str::from_utf8(&field.1).ok())
    }

    /// Whether `name` is there, whatever its value.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|field| field.0 == name.as_bytes())
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The size that SETTINGS_MAX_HEADER_LIST_SIZE limits: name + value + 32 for each field.
    pub fn list_size(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len() + 32).sum()
    }

    /// The header block: every field a literal that is not indexed.
    pub fn encode(&self) -> Bytes {
        let mut block = BytesMut::new();
        for (name, value) in &self.0 {
            block.put_u8(0x00);
            put_string(&mut block, name);
            put_string(&mut block, value);
        }
        block.freeze()
    }

    /// Decodes a block with the connection's decoder.
    ///
    /// # Errors
    /// The decoder's own text, when the block is not HPACK.
    pub(crate) fn decode(decoder: &mut fluke_hpack::Decoder<'_>, block: &[u8]) -> Result<Self, String> {
        decoder.decode(block).map(Self).map_err(|error| format!("{error:?}"))
    }
}

/// A literal that enters the dynamic table (RFC 7541 §6.2.1); its index is then 62.
pub fn indexed_literal(name: &[u8], value: &[u8]) -> Bytes {
    let mut block = BytesMut::new();
    block.put_u8(0x40);
    put_string(&mut block, name);
    put_string(&mut block, value);
    block.freeze()
}

/// `count` references of one byte each to the newest entry of the dynamic table: what makes a header bomb.
pub fn references(count: usize) -> Bytes {
    Bytes::from(vec![0x80 | 62; count])
}

fn put_string(block: &mut BytesMut, text: &[u8]) {
    // An integer with a prefix of 7 bits (RFC 7541 §5.1); the eighth bit says "not Huffman".
    if text.len() < 127 {
        block.put_u8(text.len() as u8);
    } else {
        block.put_u8(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            block.put_u8((rest % 128) as u8 | 0x80);
            rest /= 128;
        }
        block.put_u8(rest as u8);
    }
    block.put_slice(text);
}

impl fmt::Debug for Fields {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.iter().enumerate() {
            let gap = if index == 0 { "" } else { ", " };
            let shown = &value[..value.len().min(80)];
            write!(out, "{gap}{}: {}", name.escape_ascii(), shown.escape_ascii())?;
            if shown.len() < value.len() {
                write!(out, "… ({} bytes)", value.len())?;
            }
            if index == 19 && self.len() > 20 {
                return write!(out, ", … ({} fields)", self.len());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_survive_encoding_whatever_their_length() {
        let mut decoder = fluke_hpack::Decoder::new();
        for length in [0, 1, 126, 127, 128, 254, 255, 256, 16_384, 100_000] {
            let fields = Fields::new().with(":path", vec![b'a'; length]).with("x", "é").with("x", "");
            assert_eq!(Fields::decode(&mut decoder, &fields.encode()), Ok(fields));
        }
    }

    #[test]
    fn references_repeat_the_newest_entry() {
        let mut decoder = fluke_hpack::Decoder::new();
        let mut block = indexed_literal(b"cookie", b"crumb").to_vec();
        block.extend_from_slice(&references(3));
        let fields = Fields::decode(&mut decoder, &block).unwrap();
        assert_eq!(fields.get_all("cookie").count(), 4);
    }

    #[test]
    fn set_keeps_the_place_and_without_removes_all() {
        let fields = Fields::grpc_request("/a/b").set(":path", "c").with("te", "again").without("te");
        assert_eq!(fields.iter().nth(2), Some((&b":path"[..], &b"c"[..])));
        assert!(!fields.contains("te"));
        assert_eq!(fields.get("content-type"), Some("application/grpc"));
    }

    #[test]
    fn the_list_size_counts_32_for_each_field() {
        assert_eq!(Fields::new().with("ab", "cde").with("f", "").list_size(), 5 + 32 + 1 + 32);
    }
}
