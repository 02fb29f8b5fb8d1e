//! The percent-coding of `grpc-message` (`doc/PROTOCOL-HTTP2.md`, "Percent-Encoded").

use std::borrow::Cow;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Makes a text fit for `grpc-message`: its UTF-8 bytes outside 0x20-0x7E, and `%`, become `%XX`.
///
/// A space at either end is coded too: HTTP/2 forbids field values that begin or end with one, and
/// some peers reset the stream for it, which would lose the status. Every decoder reads `%20`.
#[must_use]
pub fn percent_encode(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let Some(first) = (0..bytes.len()).find(|&at| must_encode(bytes, at)) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len() + 16);
    // Everything before the first coded byte is ASCII, so this is a character boundary.
    out.push_str(&text[..first]);
    for at in first..bytes.len() {
        let byte = bytes[at];
        if must_encode(bytes, at) {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 0xf)]));
        } else {
            out.push(char::from(byte));
        }
    }
    Cow::Owned(out)
}

fn must_encode(bytes: &[u8], at: usize) -> bool {
    match bytes[at] {
        b' ' => at == 0 || at + 1 == bytes.len(),
        b'%' => true,
        byte => !(0x20..=0x7e).contains(&byte),
    }
}

/// Reads a `grpc-message`. It never fails, because losing an error's text helps nobody: an escape that
/// is not two hexadecimal digits stays as it is, and bytes that are not UTF-8 become U+FFFD.
#[must_use]
pub fn percent_decode(coded: &[u8]) -> String {
    if !coded.contains(&b'%') {
        return String::from_utf8_lossy(coded).into_owned();
    }
    let mut out = Vec::with_capacity(coded.len());
    let mut rest = coded;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%'
            && let [high, low, after @ ..] = tail
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push(high << 4 | low);
            rest = after;
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Wire checklist line 29.
    #[test]
    fn only_what_must_be_coded_is_coded() {
        assert!(matches!(percent_encode("plain text ~ok"), Cow::Borrowed("plain text ~ok")));
        assert_eq!(percent_encode("50% \t\r\n é 😈"), "50%25 %09%0D%0A %C3%A9 %F0%9F%98%88");
        assert_eq!(percent_encode("\u{7f}\0"), "%7F%00");
        assert_eq!(percent_encode(" ends "), "%20ends%20");
    }

    // Wire checklist line 29.
    #[test]
    fn a_bad_escape_keeps_the_message() {
        assert_eq!(percent_decode(b"100%"), "100%");
        assert_eq!(percent_decode(b"%4"), "%4");
        assert_eq!(percent_decode(b"%zz %C3%A9"), "%zz é");
        assert_eq!(percent_decode(b"%%41"), "%A");
        assert_eq!(percent_decode(b"%+1"), "%+1");
        assert_eq!(percent_decode(b"bad %FF utf"), "bad \u{fffd} utf");
    }

    proptest! {
        #[test]
        fn coded_text_is_printable_and_reads_back(text in any::<String>()) {
            let coded = percent_encode(&text);
            prop_assert!(coded.bytes().all(|b| (0x20..=0x7e).contains(&b)));
            prop_assert_eq!(percent_decode(coded.as_bytes()), text);
        }

        #[test]
        fn decoding_never_fails(bytes in any::<Vec<u8>>()) {
            let _ = percent_decode(&bytes);
        }
    }
}
