//! The little of the protobuf encoding that is needed to take descriptors apart without losing what
//! `prost-types` does not know: custom options, editions, features.

use crate::Error;

/// One field of an encoded message.
pub(crate) struct Field<'a> {
    /// The field number.
    pub(crate) number: u64,
    /// Key and value as they stand in the message.
    pub(crate) whole: &'a [u8],
    /// The content if it is length-delimited, otherwise empty.
    pub(crate) content: &'a [u8],
}

/// The fields of `message` in order.
pub(crate) fn fields(message: &[u8]) -> Result<Vec<Field<'_>>, Error> {
    let malformed = || Error::new("malformed descriptor: not a protobuf message");
    let mut fields = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let whole = rest;
        let key = varint(&mut rest).ok_or_else(malformed)?;
        let mut content: &[u8] = &[];
        match key & 7 {
            0 => {
                varint(&mut rest).ok_or_else(malformed)?;
            }
            1 => rest = rest.get(8..).ok_or_else(malformed)?,
            2 => {
                let len =
                    varint(&mut rest).and_then(|len| usize::try_from(len).ok()).ok_or_else(malformed)?;
                content = rest.get(..len).ok_or_else(malformed)?;
                rest = &rest[len..];
            }
            5 => rest = rest.get(4..).ok_or_else(malformed)?,
            // Groups do not occur in descriptors.
            _ => return Err(malformed()),
        }
        fields.push(Field { number: key >> 3, whole: &whole[..whole.len() - rest.len()], content });
    }
    Ok(fields)
}

/// `message` without the fields of this number.
pub(crate) fn without(message: &[u8], number: u64) -> Result<Vec<u8>, Error> {
    Ok(fields(message)?
        .iter()
        .filter(|field| field.number != number)
        .flat_map(|field| field.whole)
        .copied()
        .collect())
}

/// Appends a length-delimited field.
pub(crate) fn append(buffer: &mut Vec<u8>, number: u64, content: &[u8]) {
    put_varint(buffer, number << 3 | 2);
    put_varint(buffer, content.len() as u64);
    buffer.extend_from_slice(content);
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn put_varint(buffer: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buffer.push(value as u8 | 0x80);
        value >>= 7;
    }
    buffer.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_what_they_do_not_understand() {
        // 1: varint 300, 2: "ab", 3: fixed32, 4: fixed64
        let message = [8, 0xAC, 2, 18, 2, b'a', b'b', 29, 1, 2, 3, 4, 33, 1, 2, 3, 4, 5, 6, 7, 8];
        let list = fields(&message).unwrap();
        assert_eq!(list.iter().map(|field| field.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(list[1].content, b"ab");
        assert_eq!(without(&message, 2).unwrap(), [&message[..3], &message[7..]].concat());
    }

    #[test]
    fn a_field_that_is_cut_off_is_an_error() {
        for message in [&[8_u8][..], &[18, 2, b'a'], &[29, 1], &[33, 1], &[11], &[0xFF; 11]] {
            assert!(fields(message).is_err(), "{message:?}");
        }
    }

    #[test]
    fn append_writes_what_fields_reads() {
        let mut buffer = Vec::new();
        append(&mut buffer, 15, &[7; 200]);
        let list = fields(&buffer).unwrap();
        assert_eq!((list[0].number, list[0].content), (15, &[7; 200][..]));
    }
}
