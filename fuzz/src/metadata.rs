//! Metadata that is set, and metadata that is received.

use http::{HeaderMap, HeaderName, HeaderValue};
use spanwire_wire::metadata::{Reason, Value, is_reserved, strip_reserved};
use spanwire_wire::{Metadata, MetadataError};

use crate::Input;

/// Fields to set, then a block as it may be received.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut metadata = Metadata::new();
    for _ in 0..input.below(6) {
        set(&mut input, &mut metadata);
    }
    let mut block = metadata.into_headers();
    while !input.is_empty() && block.len() < 60 {
        field(&mut input, &mut block);
    }
    received(block);
}

/// Names that mean something, to be used as they are or as the beginning of another.
const NAMES: [&str; 20] = [
    "a",
    "b-bin",
    "x-trace-bin",
    "-bin",
    "tenant",
    "grpc-status",
    "grpc-message",
    "grpc-timeout",
    "grpc-encoding",
    "grpc-accept-encoding",
    "grpc-message-type",
    "grpc-status-details-bin",
    "grpc-previous-rpc-attempts",
    "grpc-retry-pushback-ms",
    "grpc-new",
    "content-type",
    "te",
    "host",
    "user-agent",
    "cookie",
];

/// Adds a field whose name and value the input chooses, if HTTP allows them.
pub(crate) fn field(input: &mut Input<'_>, block: &mut HeaderMap) {
    let name = name(input);
    let value = input.bytes();
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&name), HeaderValue::from_bytes(value)) {
        block.append(name, value);
    }
}

fn name(input: &mut Input<'_>) -> Vec<u8> {
    let kind = input.byte();
    let known = NAMES[usize::from(kind) % NAMES.len()].as_bytes();
    match kind / 64 {
        0 | 1 => known.to_vec(),
        2 => [input.bytes(), known].concat(),
        _ => input.bytes().to_vec(),
    }
}

fn set(input: &mut Input<'_>, metadata: &mut Metadata) {
    let how = input.byte();
    let key = String::from_utf8_lossy(&name(input)).into_owned();
    let value = input.bytes();
    let before = metadata.clone();
    let binary = how & 1 != 0;
    let result = if binary {
        if how & 2 == 0 { metadata.insert_bin(&key, value) } else { metadata.append_bin(&key, value) }
    } else {
        let value = String::from_utf8_lossy(value);
        if how & 2 == 0 { metadata.insert(&key, &value) } else { metadata.append(&key, &value) }
    };
    assert_eq!(result.as_ref().err().map(MetadataError::reason), rule(&key, value, binary), "{key:?}");
    let values = |metadata: &Metadata| metadata.get_all_bin(&key).count() + metadata.get_all(&key).count();
    if result.is_err() {
        assert_eq!(*metadata, before);
        return;
    }
    let had = if how & 2 == 0 { 0 } else { values(&before) };
    assert_eq!(values(metadata), had + if binary { 2 } else { 1 }, "a -bin value can be read in two ways");
    if binary {
        assert_eq!(metadata.get_all_bin(&key).last().as_deref(), Some(value));
    } else {
        let value = String::from_utf8_lossy(value);
        assert_eq!(metadata.get_all(&key).last(), Some(value.trim_matches(' ')));
    }
}

/// The first rule that a field breaks.
fn rule(key: &str, value: &[u8], binary: bool) -> Option<Reason> {
    if key.starts_with(':') {
        return Some(Reason::Reserved);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if key.is_empty() || !key.chars().all(allowed) {
        return Some(Reason::BadKey);
    }
    let lower = key.to_ascii_lowercase();
    if is_reserved(&lower) {
        return Some(Reason::Reserved);
    }
    if binary != lower.ends_with("-bin") {
        return Some(if binary { Reason::NeedsText } else { Reason::NeedsBinary });
    }
    let printable = String::from_utf8_lossy(value).bytes().all(|byte| (0x20..0x7f).contains(&byte));
    (!binary && !printable).then_some(Reason::BadValue)
}

fn received(block: HeaderMap) {
    let metadata = Metadata::from_headers(block.clone());
    assert_eq!(metadata.len(), block.len());
    let size: usize = block.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    assert_eq!(metadata.size(), size);
    let _ = format!("{metadata:?}");

    let mut seen = 0;
    for name in block.keys() {
        let name = name.as_str();
        let raw = || block.get_all(name).iter();
        let decoded: Vec<_> = metadata.get_all_bin(name).map(Vec::from).collect();
        let expected = if name.ends_with("-bin") {
            let pieces = raw().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
            let values: Vec<_> = pieces.filter_map(decode_base64).collect();
            seen += values.len();
            values
        } else {
            seen += raw().count();
            Vec::new()
        };
        assert_eq!(decoded, expected, "{name}");
        assert_eq!(metadata.get_bytes(name), raw().next().map(HeaderValue::as_bytes));
    }
    let values = metadata.iter().inspect(|(name, value)| {
        assert_eq!(name.ends_with("-bin"), matches!(value, Value::Binary(_)), "{name}");
    });
    assert_eq!(values.count(), seen);

    let mut stripped = block.clone();
    strip_reserved(&mut stripped);
    for name in block.keys() {
        let protocol = is_reserved(name.as_str()) || name == "grpc-status";
        let kept = stripped.get_all(name).iter().count();
        assert!(kept == 0 || kept == block.get_all(name).iter().count());
        assert!(protocol || kept > 0, "{name} is the application's");
    }
    assert!(!stripped.contains_key("grpc-status") && !stripped.contains_key("content-type"));
    let mut twice = Metadata::from_headers(stripped.clone());
    twice.extend(Metadata::from_headers(stripped.clone()));
    assert_eq!(twice.len(), 2 * stripped.len());
}

/// Base64 as gRPC's implementations read it: any padding, any stray low bits, blanks around it.
pub(crate) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    let digits: Vec<u8> = text.iter().copied().take_while(|&byte| byte != b'=').collect();
    let padding = text.len() - digits.len();
    if !text[digits.len()..].iter().all(|&byte| byte == b'=') || digits.len() % 4 == 1 || padding > 2 {
        return None;
    }
    // Padding may be left out, but not be more than fills up the last four.
    if padding > 0 && !(digits.len() + padding).is_multiple_of(4) && !(digits.len() % 4 == 2 && padding == 1)
    {
        return None;
    }
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut bits = 0_u32;
    let mut have = 0;
    let mut bytes = Vec::new();
    for digit in digits {
        bits = bits << 6 | u32::from(value(digit)?);
        have += 6;
        if have >= 8 {
            have -= 8;
            bytes.push((bits >> have) as u8);
            bits &= (1 << have) - 1;
        }
    }
    Some(bytes)
}
