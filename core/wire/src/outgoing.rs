//! A message on its way out, as HTTP/2 takes it.

use std::io::IoSlice;

use bytes::{Buf, Bytes};

use crate::Status;
use crate::frame::{HEADER_LEN, header};

/// One length-prefixed message, ready for the stream: `first`, then `rest`, which is empty where it is not needed.
///
/// It goes to the connection in one piece, so that both parts share a DATA frame.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    first: Bytes,
    rest: Bytes,
}

impl Frame {
    /// Bytes that have their prefixes already.
    #[must_use]
    pub fn whole(bytes: Bytes) -> Self {
        Frame { first: bytes, rest: Bytes::new() }
    }

    /// A message that is not compressed, beside its prefix and not copied behind it.
    ///
    /// # Errors
    /// As [`header`].
    pub fn beside(message: Bytes) -> Result<Self, Status> {
        let header = header(false, message.len())?;
        Ok(Frame { first: Bytes::copy_from_slice(&header), rest: message })
    }

    /// How many bytes are left, with prefixes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    /// What it begins with: whether it is compressed, if it is a whole one.
    #[must_use]
    pub fn first_byte(&self) -> u8 {
        self.first.first().copied().unwrap_or_default()
    }

    /// Takes off the first `len` bytes, or all if there are fewer.
    #[must_use]
    pub fn split_to(&mut self, len: usize) -> Frame {
        let first = self.first.split_to(len.min(self.first.len()));
        let rest = self.rest.split_to((len - first.len()).min(self.rest.len()));
        Frame { first, rest }
    }

    /// The message without its prefix; only for frames that were not compressed.
    #[must_use]
    pub fn into_message(self) -> Bytes {
        if self.rest.is_empty() { self.first.slice(HEADER_LEN..) } else { self.rest }
    }
}

impl Buf for Frame {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn chunk(&self) -> &[u8] {
        if self.first.is_empty() { &self.rest } else { &self.first }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        let parts = [&self.first, &self.rest].into_iter().filter(|part| !part.is_empty());
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, count: usize) {
        let of_first = count.min(self.first.len());
        self.first.advance(of_first);
        self.rest.advance(count - of_first);
    }
}
