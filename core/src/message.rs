//! Messages as the engine sees them: something that becomes bytes and comes back.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use spanwire_wire::encoding::Encoding;
use spanwire_wire::frame;
pub(crate) use spanwire_wire::outgoing::Frame;

use crate::Status;
use crate::transport::outbox::GATHERED_BYTES;

/// A message that a call can carry.
///
/// Every [`prost::Message`] is one. [`Raw`] carries plain bytes, for callers without generated code
/// (proxies, other serialisation formats, language bindings).
pub trait Message: Sized + Send + 'static {
    /// The number of bytes that [`Message::encode`] will append.
    fn encoded_len(&self) -> usize;

    /// Appends the encoded message to `buffer`: exactly [`Message::encoded_len`] bytes.
    ///
    /// It may run while the call that sends it is locked, and must not use that call.
    fn encode(&self, buffer: &mut BytesMut);

    /// Reads a message back from exactly `bytes`.
    ///
    /// # Errors
    /// A text that says what is malformed; the engine turns it into INTERNAL.
    fn decode(bytes: Bytes) -> Result<Self, String>;

    /// The encoded form, if the message already has it: spares the copy for large messages.
    fn to_encoded(&self) -> Option<Bytes> {
        None
    }
}

impl<T: prost::Message + Default + 'static> Message for T {
    fn encoded_len(&self) -> usize {
        prost::Message::encoded_len(self)
    }

    fn encode(&self, buffer: &mut BytesMut) {
        // `encode_raw` instead of `encode`: the buffer grows, so there is no capacity error to handle.
        prost::Message::encode_raw(self, buffer);
    }

    fn decode(bytes: Bytes) -> Result<Self, String> {
        <T as prost::Message>::decode(bytes).map_err(|error| error.to_string())
    }
}

/// A message that is just bytes: sent and received as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Raw(pub Bytes);

impl Message for Raw {
    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn encode(&self, buffer: &mut BytesMut) {
        buffer.put_slice(&self.0);
    }

    fn decode(bytes: Bytes) -> Result<Self, String> {
        Ok(Raw(bytes))
    }

    fn to_encoded(&self) -> Option<Bytes> {
        Some(self.0.clone())
    }
}

impl<T: Into<Bytes>> From<T> for Raw {
    fn from(bytes: T) -> Self {
        Raw(bytes.into())
    }
}

/// Above this size an already encoded message is sent beside its prefix instead of being copied behind it.
const COPY_BELOW: usize = 8 * 1024;

/// A message that is encoded already.
#[derive(Clone, Debug)]
pub(crate) enum Encoded {
    /// As it is.
    Bare(Bytes),
    /// Behind the prefix that it has if it is not compressed.
    Prefixed(Bytes),
}

impl Default for Encoded {
    fn default() -> Self {
        Encoded::Bare(Bytes::new())
    }
}

impl From<Bytes> for Encoded {
    fn from(message: Bytes) -> Self {
        Encoded::Bare(message)
    }
}

impl Encoded {
    /// A copy of `message`, with its prefix where that is worth it.
    pub(crate) fn copied(message: &[u8]) -> Self {
        match frame::frame(message, false) {
            Ok(framed) if message.len() < COPY_BELOW => Encoded::Prefixed(framed.freeze()),
            _ => Encoded::Bare(Bytes::copy_from_slice(message)),
        }
    }

    /// The length of the message.
    pub(crate) fn len(&self) -> usize {
        match self {
            Encoded::Bare(message) => message.len(),
            Encoded::Prefixed(framed) => framed.len() - frame::HEADER_LEN,
        }
    }

    /// The message alone.
    pub(crate) fn into_bare(self) -> Bytes {
        match self {
            Encoded::Bare(message) => message,
            Encoded::Prefixed(mut framed) => {
                framed.advance(frame::HEADER_LEN);
                framed
            }
        }
    }
}

/// How outgoing messages are framed: the limit on their size, and their compression.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Framing {
    /// Largest message that may be sent, in bytes before compression.
    pub(crate) max_send_bytes: usize,
    /// What `grpc-encoding` announced; identity sends every message plain.
    pub(crate) encoding: Encoding,
}

impl Framing {
    /// Encodes `message` with its five-byte prefix.
    pub(crate) fn encode<T: Message>(&self, message: &T, compress: bool) -> Result<Frame, Status> {
        if !self.is_plain(compress) {
            return self.frame(encoded(message), true);
        }
        if let Some(bytes) = message.to_encoded()
            && bytes.len() >= COPY_BELOW
        {
            return self.frame(bytes, false);
        }
        let len = message.encoded_len();
        self.check(len)?;
        let mut buffer = BytesMut::with_capacity(frame::HEADER_LEN + len);
        buffer.put_slice(&frame::header(false, len)?);
        message.encode(&mut buffer);
        Ok(Frame::whole(buffer.freeze()))
    }

    /// Whether messages go out as they are.
    pub(crate) fn is_plain(&self, compress: bool) -> bool {
        !compress || self.encoding == Encoding::Identity
    }

    /// Appends `message` with its prefix if it is small and they fit into `left` bytes. `false`: it is not to be sent
    /// this way, and what was written is void.
    pub(crate) fn append<T: Message>(&self, message: &T, buffer: &mut BytesMut, left: usize) -> bool {
        let len = message.encoded_len();
        let whole = frame::HEADER_LEN + len;
        if len > self.max_send_bytes || whole > left.min(GATHERED_BYTES) {
            return false;
        }
        let Ok(header) = frame::header(false, len) else { return false };
        let before = buffer.len();
        buffer.put_slice(&header);
        message.encode(buffer);
        buffer.len() == before + whole
    }

    /// Frames a message that is encoded already.
    pub(crate) fn frame(&self, message: impl Into<Encoded>, compress: bool) -> Result<Frame, Status> {
        let message = message.into();
        self.check(message.len())?;
        let message = match message {
            Encoded::Prefixed(framed) if self.is_plain(compress) => return Ok(Frame::whole(framed)),
            other => other.into_bare(),
        };
        if !self.is_plain(compress) {
            return Ok(Frame::whole(frame::compressed_frame(&message, self.encoding)?));
        }
        if message.len() >= COPY_BELOW {
            return Frame::beside(message);
        }
        Ok(Frame::whole(frame::frame(&message, false)?.freeze()))
    }

    pub(crate) fn check(&self, len: usize) -> Result<(), Status> {
        if len <= self.max_send_bytes {
            return Ok(());
        }
        Err(Status::resource_exhausted(format!(
            "message of {len} bytes is larger than max_send_message_bytes ({})",
            self.max_send_bytes
        )))
    }
}

/// The bytes of a message without its prefix.
pub(crate) fn encoded<T: Message>(message: &T) -> Bytes {
    message.to_encoded().unwrap_or_else(|| {
        let mut buffer = BytesMut::with_capacity(message.encoded_len());
        message.encode(&mut buffer);
        buffer.freeze()
    })
}

/// Decodes a received message; a malformed one is INTERNAL, as everywhere in gRPC.
pub(crate) fn decode<T: Message>(bytes: Bytes) -> Result<T, Status> {
    T::decode(bytes)
        .map_err(|error| Status::internal(format!("cannot decode {}: {error}", std::any::type_name::<T>())))
}
