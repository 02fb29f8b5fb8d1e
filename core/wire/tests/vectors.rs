//! Runs the shared vectors of `tests/vectors` against this crate.

#![allow(clippy::unwrap_used, reason = "a vector that cannot be read should fail its test")]

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use spanwire_wire::encoding::{self, DecompressError};
use spanwire_wire::frame::Deframer;
use spanwire_wire::status::{percent_decode, percent_encode};
use spanwire_wire::{Encoding, EncodingSet, Metadata, Status, timeout};

/// Checks one case; the text names it in a failure.
type Reader = fn(&Value, &str);

/// Runs every case of a file; each key must have its reader.
fn run(file: &str, readers: &[(&str, Reader)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors").join(file);
    let lists: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let lists = lists.as_object().unwrap();
    assert_eq!(lists.len(), readers.len(), "{file}");
    for (key, read) in readers {
        let cases = lists[*key].as_array().unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            read(case, &format!("{file} {key}: {}", text(case, "name")));
        }
    }
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_else(|| panic!("{key} of {case}"))
}

fn number(case: &Value, key: &str) -> usize {
    case[key].as_u64().unwrap() as usize
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap().as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn hex_list(case: &Value, key: &str) -> Vec<Vec<u8>> {
    case[key].as_array().unwrap().iter().map(hex).collect()
}

fn block(name: &'static str, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())])
}

#[test]
fn metadata() {
    run(
        "metadata.json",
        &[
            ("binary_decode", |case, name| {
                let metadata = Metadata::from_headers(block("x-bin", text(case, "wire")));
                let values: Vec<Vec<u8>> = metadata.get_all_bin("x-bin").map(Vec::from).collect();
                assert_eq!(values, hex_list(case, "values"), "{name}");
            }),
            ("binary_encode", |case, name| {
                let mut metadata = Metadata::new();
                metadata.insert_bin("x-bin", hex(&case["value"])).unwrap();
                assert_eq!(metadata.get("x-bin"), Some(text(case, "wire")), "{name}");
            }),
            ("keys", |case, name| {
                let key = text(case, "key");
                let mut metadata = Metadata::new();
                assert_eq!(metadata.insert(key, "x").is_ok(), case["ok"], "{name}");
                assert!(metadata.keys().all(|sent| sent == key.to_lowercase()), "{name}");
            }),
            ("values", |case, name| {
                let value = text(case, "value");
                let mut metadata = Metadata::new();
                assert_eq!(metadata.insert("key", value).is_ok(), case["ok"], "{name}");
                assert!(metadata.get("key").is_none_or(|sent| sent == value), "{name}");
            }),
        ],
    );
}

#[test]
fn status() {
    run(
        "status.json",
        &[
            ("message_encode", |case, name| {
                assert_eq!(percent_encode(text(case, "message")), text(case, "wire"), "{name}");
                assert_eq!(percent_decode(text(case, "wire").as_bytes()), text(case, "message"), "{name}");
            }),
            ("message_decode", |case, name| {
                assert_eq!(percent_decode(text(case, "wire").as_bytes()), text(case, "message"), "{name}");
            }),
            ("codes", |case, name| {
                let wire = text(case, "wire");
                let status = Status::from_trailers(block("grpc-status", wire)).unwrap();
                assert_eq!(status.code().name(), text(case, "code"), "{name}");
                assert_eq!(status.message().contains(&format!("\"{wire}\"")), case["raw_kept"], "{name}");
            }),
            ("http", |case, name| {
                let status = Status::from_http(number(case, "http") as u16);
                assert_eq!(status.code().name(), text(case, "code"), "{name}");
            }),
            ("reset", |case, name| {
                let status = Status::from_reset(number(case, "reason") as u32);
                assert_eq!(status.code().name(), text(case, "code"), "{name}");
            }),
        ],
    );
}

#[test]
fn timeouts() {
    run(
        "timeout.json",
        &[
            ("encode", |case, name| {
                let nanos: u128 = text(case, "nanos").parse().unwrap();
                let seconds = u64::try_from(nanos / 1_000_000_000).unwrap();
                let timeout = Duration::new(seconds, (nanos % 1_000_000_000) as u32);
                assert_eq!(timeout::encode(timeout), text(case, "wire"), "{name}");
            }),
            ("decode", |case, name| {
                let read = timeout::parse(text(case, "wire").as_bytes());
                let expected = match case["nanos"].as_str() {
                    None => {
                        assert_eq!(case["error"], true, "{name}");
                        return assert!(read.is_err(), "{name}");
                    }
                    Some("none") => None,
                    Some(nanos) => Some(Duration::from_nanos(nanos.parse().unwrap())),
                };
                assert_eq!(read, Ok(expected), "{name}");
            }),
        ],
    );
}

fn encoding_of(case: &Value) -> Encoding {
    Encoding::from_name(text(case, "encoding")).unwrap()
}

#[test]
fn frames() {
    run(
        "frames.json",
        &[("streams", |case, name| {
            let mut deframer = Deframer::new(number(case, "limit"), encoding_of(case));
            let mut messages = Vec::new();
            let mut end = Ok(());
            for chunk in hex_list(case, "chunks") {
                deframer.push(Bytes::from(chunk));
                while end.is_ok() {
                    match deframer.next() {
                        Ok(Some(message)) => messages.push(Vec::from(message)),
                        Ok(None) => break,
                        Err(status) => end = Err(status),
                    }
                }
            }
            let end = match end.and_then(|()| deframer.finish()) {
                Ok(()) => "ok",
                Err(status) => status.code().name(),
            };
            assert_eq!(messages, hex_list(case, "messages"), "{name}");
            assert_eq!(end, text(case, "end"), "{name}");
        })],
    );
}

#[test]
fn encodings() {
    run(
        "encodings.json",
        &[
            ("decompress", |case, name| {
                let wire = hex(&case["wire"]);
                let result = encoding::decompress(encoding_of(case), &wire, number(case, "limit"));
                match (case["error"].as_str(), result) {
                    (None, Ok(message)) => assert_eq!(message, hex(&case["message"]), "{name}"),
                    (Some("too_large"), Err(DecompressError::TooLarge)) => {}
                    (Some("corrupt"), Err(DecompressError::Corrupt(_))) => {}
                    (expected, result) => panic!("{name}: expected {expected:?}, got {result:?}"),
                }
            }),
            ("accept", |case, name| {
                let holds: EncodingSet = case["holds"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|name| Encoding::from_name(name.as_str().unwrap()).unwrap())
                    .collect();
                assert_eq!(EncodingSet::parse(text(case, "wire")), holds, "{name}");
            }),
        ],
    );
}
