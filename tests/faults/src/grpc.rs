//! gRPC messages in their five-byte prefix, right ones and wrong ones.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A plain message: flag 0, its length, its bytes.
pub fn message(body: &[u8]) -> Bytes {
    prefixed(0, body.len() as u32, body)
}

/// A message with a flag and a length of one's choice.
pub fn prefixed(flag: u8, length: u32, body: &[u8]) -> Bytes {
    let mut wire = BytesMut::with_capacity(5 + body.len());
    wire.put_u8(flag);
    wire.put_u32(length);
    wire.put_slice(body);
    wire.freeze()
}

/// Splits a body into (flag, message) pairs.
///
/// # Panics
/// When bytes are left that are no whole message.
pub fn split(body: &[u8]) -> Vec<(u8, Bytes)> {
    let mut rest = Bytes::copy_from_slice(body);
    let mut messages = Vec::new();
    while !rest.is_empty() {
        assert!(rest.len() >= 5, "{} bytes are left after the last message", rest.len());
        let flag = rest.get_u8();
        let length = rest.get_u32() as usize;
        assert!(rest.len() >= length, "the body ends inside a message: {} of {length} bytes", rest.len());
        messages.push((flag, rest.split_to(length)));
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_split_where_their_prefix_says() {
        let body = [message(b"one"), message(b""), prefixed(1, 2, b"zz")].concat();
        let messages = split(&body);
        assert_eq!(messages[0], (0, Bytes::from_static(b"one")));
        assert_eq!(messages[1], (0, Bytes::new()));
        assert_eq!(messages[2], (1, Bytes::from_static(b"zz")));
    }

    #[test]
    #[should_panic(expected = "ends inside a message: 2 of 9 bytes")]
    fn a_cut_message_is_noticed() {
        split(&prefixed(0, 9, b"ab"));
    }
}
