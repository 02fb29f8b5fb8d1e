//! Bodies of gRPC-Web in text mode, and content types.

use http::HeaderValue;
use spanwire_wire::web::{Form, TextDecoder, encode_text};

use crate::Input;

/// The input as a content type, as a body in pieces, and as what is to be encoded.
pub fn run(data: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(data)
        && let Some(form) = Form::of(&value)
    {
        assert!(form.grpc.as_bytes().starts_with(b"application/grpc"));
        let again = Form::of(&form.answer).expect("an answer names a form, too");
        assert_eq!((again.text, again.answer), (form.text, form.answer));
    }
    let mut input = Input::new(data);
    let step = 1 + input.below(9);
    let text = input.rest();
    assert_eq!(in_pieces(text, step), model(text), "{} by {step}", text.escape_ascii());
    let pieces: Vec<u8> = text.chunks(step).flat_map(encode_text).collect();
    assert_eq!(in_pieces(&pieces, step).as_deref(), Some(text));
}

/// `None`: it is no base64.
fn in_pieces(text: &[u8], step: usize) -> Option<Vec<u8>> {
    let mut decoder = TextDecoder::default();
    let mut bytes = Vec::new();
    for piece in text.chunks(step) {
        bytes.extend_from_slice(&decoder.decode(piece).ok()?);
    }
    decoder.finish().ok()?;
    Some(bytes)
}

/// Group by group, and bit by bit.
fn model(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for group in text.chunks(4) {
        let padding = group.iter().rev().take_while(|byte| **byte == b'=').count();
        if group.len() < 4 || padding > 2 {
            return None;
        }
        let mut bits = 0_u32;
        for byte in &group[..4 - padding] {
            bits = bits << 6 | value(*byte)?;
        }
        bits <<= 6 * padding;
        // What padding stands for is nothing.
        if bits & ((1 << (8 * padding)) - 1) != 0 {
            return None;
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..4 - padding]);
    }
    Some(bytes)
}

fn value(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}
