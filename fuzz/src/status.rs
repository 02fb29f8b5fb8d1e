//! Trailers to a status, and back.

use http::{HeaderMap, HeaderValue};
use spanwire_wire::status::{percent_decode, percent_encode};
use spanwire_wire::{Code, Sent, Status};

use crate::Input;
use crate::metadata::{decode_base64, field};

/// A block of trailers with the fields that the input names.
pub fn run(data: &[u8]) {
    percent(data);
    let mut input = Input::new(data);
    let mut block = HeaderMap::new();
    let mut put = |name: &'static str, value: &[u8]| {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            block.append(name, value);
        }
    };
    let present = input.byte();
    if present & 1 != 0 {
        put("grpc-status", input.bytes());
    }
    if present & 2 != 0 {
        put("grpc-message", input.bytes());
    }
    if present & 4 != 0 {
        put("grpc-status-details-bin", input.bytes());
    }
    while !input.is_empty() && block.len() < 40 {
        field(&mut input, &mut block);
    }
    trailers(block);
}

fn trailers(block: HeaderMap) {
    let first = |name: &str| block.get(name).map(HeaderValue::as_bytes);
    let Some(raw) = first("grpc-status") else {
        assert!(Status::from_trailers(block).is_none());
        return;
    };
    let status = Status::from_trailers(block.clone()).expect("there is a status");
    assert_eq!(status.sent(), Sent::Answered);
    let text = first("grpc-message").map(percent_model).unwrap_or_default();
    match code_model(raw) {
        Some(code) => assert_eq!((status.code(), status.message()), (code, &*text)),
        None => {
            assert_eq!(status.code(), Code::Unknown);
            assert!(status.message().ends_with(&text));
        }
    }
    let details = first("grpc-status-details-bin").and_then(decode_base64).unwrap_or_default();
    assert_eq!(status.details(), &details);
    // It must not matter to anyone who prints it.
    let _ = format!("{status} {status:?}");

    // Passed on by a proxy, it stays what it is.
    let mut written = HeaderMap::new();
    status.write_trailers(&mut written);
    let again = Status::from_trailers(written).expect("there is a status");
    assert_eq!(
        (again.code(), again.message(), again.details()),
        (status.code(), status.message(), status.details())
    );
}

fn code_model(raw: &[u8]) -> Option<Code> {
    (0..17).find(|number| number.to_string().as_bytes() == raw).and_then(Code::from_u32)
}

fn percent(data: &[u8]) {
    assert_eq!(percent_decode(data), percent_model(data));
    let text = String::from_utf8_lossy(data);
    let coded = percent_encode(&text);
    assert!(coded.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
    assert!(!coded.starts_with(' ') && !coded.ends_with(' '));
    assert_eq!(percent_decode(coded.as_bytes()), text);
}

fn percent_model(coded: &[u8]) -> String {
    let mut plain = Vec::new();
    let mut at = 0;
    while at < coded.len() {
        let digits = coded.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value {
            Some(value) if coded[at] == b'%' => {
                plain.push(value);
                at += 3;
            }
            _ => {
                plain.push(coded[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}
