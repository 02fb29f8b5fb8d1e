//! The records that cross between JavaScript and the engine, many at once in one buffer.
//!
//! A record is a few words of 32 bits in the machine's byte order, then bytes, each run of them filled up to a whole word.
//! The low byte of the first word says what it is, the bits above are flags. Numbers are exported: JavaScript reads them
//! from here.
//!
//! ```text
//! down  Unary Begin    call channel method timeout compression max_recv max_send parent metadata-length length-or-credit
//!       Send Reply     call length
//!       HalfClose Cancel   call                       Grant GrantRequests   call count
//!       Respond        call compression headers-length trailers-length length
//!       SendHeaders    call compression headers-length
//!       ConnectivityChanged   call channel known timeout
//!       Finish         call code compression headers-length trailers-length text-length details-length
//! up    Peer           number length
//!       Headers Message RequestMessage               call length
//!       Writable RequestsEnd RepliesWritable Cancelled   call          ServerClosed   server
//!       Done           call code attempts sent peer headers-length trailers-length text-length details-length length
//!       Request        call handler timeout peer metadata-length length
//! ```
//!
//! A message with [`Flag::Blob`] lies outside the buffer: down in the array beside it, up behind `blob()`, in order. The same
//! is true of the texts and metadata of a record with [`Flag::BodyBlob`].

use napi_derive::napi;

/// What JavaScript asks of the engine.
#[napi]
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Operation {
    /// Makes a unary call.
    Unary = 1,
    /// Begins a call of any kind.
    Begin = 2,
    /// Client: a request message.
    Send = 3,
    /// Client: no more requests.
    HalfClose = 4,
    /// Client: ends the call.
    Cancel = 5,
    /// Client: lets messages arrive.
    Grant = 6,
    /// Server: the whole answer.
    Respond = 7,
    /// Server: a response message.
    Reply = 8,
    /// Server: lets messages arrive.
    GrantRequests = 9,
    /// Server: the leading metadata.
    SendHeaders = 10,
    /// Server: the end of the answer.
    Finish = 11,
    /// Waits for another state of a channel.
    ConnectivityChanged = 12,
}

/// What the engine tells JavaScript.
#[napi]
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Happening {
    /// The address that a number stands for from here on.
    Peer = 1,
    /// Client: leading metadata.
    Headers = 2,
    /// Client: a message.
    Message = 3,
    /// Client: there is room to send again.
    Writable = 4,
    /// Client: the call is over.
    Done = 5,
    /// Server: a call begins.
    Request = 6,
    /// Server: a message.
    RequestMessage = 7,
    /// Server: the client sends no more.
    RequestsEnd = 8,
    /// Server: there is room to send again.
    RepliesWritable = 9,
    /// Server: nobody waits for the answer any more.
    Cancelled = 10,
    /// Server: a shutdown is complete.
    ServerClosed = 11,
}

/// What a record has beside its kind. Several may be set.
#[napi]
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Flag {
    /// The message lies outside.
    Blob = 1,
    /// Texts and metadata lie outside.
    BodyBlob = 2,
    /// There is a message.
    HasMessage = 4,
    /// It came compressed.
    Compressed = 8,
    /// It is to be sent uncompressed.
    Plain = 16,
    /// The call waits for a connection.
    WaitForReady = 32,
}

/// In the place of a timeout: it has passed already.
pub(crate) const TIMEOUT_PASSED: u32 = u32::MAX;

/// What is longer than this lies outside of the buffer.
pub(crate) const INLINE_BYTES: usize = 2048;

const WORD: usize = 4;

fn padded(len: usize) -> usize {
    len.next_multiple_of(WORD)
}

/// Reads records. What is cut off reads as nothing: the other side is our own code.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn word(&mut self) -> u32 {
        let Some((word, rest)) = self.0.split_first_chunk() else { return 0 };
        self.0 = rest;
        u32::from_ne_bytes(*word)
    }

    pub(crate) fn bytes(&mut self, len: u32) -> &'a [u8] {
        let len = (len as usize).min(self.0.len());
        let bytes = &self.0[..len];
        self.0 = &self.0[padded(len).min(self.0.len())..];
        bytes
    }
}

/// Writes records into a buffer of JavaScript.
pub(crate) struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut [u8], at: usize) -> Self {
        Writer { at: at.min(out.len()), out }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Whether a record of so many words and runs of bytes still finds room.
    pub(crate) fn fits(&self, words: usize, bytes: &[usize]) -> bool {
        self.out.len() - self.at >= words * WORD + bytes.iter().map(|len| padded(*len)).sum::<usize>()
    }

    pub(crate) fn words<const N: usize>(&mut self, words: [u32; N]) {
        let (out, _) = self.out[self.at..].as_chunks_mut::<WORD>();
        for (out, word) in out.iter_mut().zip(words) {
            *out = word.to_ne_bytes();
        }
        self.at += N * WORD;
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.out[self.at..][..bytes.len()].copy_from_slice(bytes);
        self.at += padded(bytes.len());
    }
}
