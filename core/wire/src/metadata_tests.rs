use super::*;

fn received(fields: &[(&'static str, &'static [u8])]) -> Metadata {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    Metadata::from_headers(headers)
}

fn reason(result: Result<(), MetadataError>) -> Reason {
    result.unwrap_err().reason()
}

// Wire checklist line 8.
#[test]
fn names_of_the_protocol_cannot_be_set() {
    let mut metadata = Metadata::new();
    for key in [
        "grpc-timeout",
        "grpc-anything",
        "GRPC-Status",
        "te",
        "content-type",
        "user-agent",
        "host",
        "connection",
        ":path",
    ] {
        assert_eq!(reason(metadata.insert(key, "x")), Reason::Reserved, "{key}");
    }
    assert_eq!(reason(metadata.append_bin("grpc-status-details-bin", b"x")), Reason::Reserved);
    assert!(metadata.is_empty());
}

// Wire checklist line 8.
#[test]
fn the_two_retry_names_pass() {
    let mut metadata = Metadata::new();
    metadata.insert("grpc-previous-rpc-attempts", "1").unwrap();
    metadata.insert("grpc-retry-pushback-ms", "20").unwrap();
    assert_eq!(metadata.len(), 2);
}

// Wire checklist line 9.
#[test]
fn bad_names_and_values_are_refused_when_sent() {
    let mut metadata = Metadata::new();
    for key in ["", "a b", "a!", "ключ", "a\n"] {
        assert_eq!(reason(metadata.insert(key, "x")), Reason::BadKey, "{key:?}");
    }
    for value in ["é", "a\tb", "a\nb", "\0", "\u{7f}"] {
        assert_eq!(reason(metadata.insert("key", value)), Reason::BadValue, "{value:?}");
    }
    let error = metadata.insert("key", "é").unwrap_err();
    assert_eq!(
        error.to_string(),
        "metadata \"key\": values are printable ASCII; use a name ending in -bin for other bytes"
    );
    assert_eq!(error.key(), "key");
}

// Wire checklist line 9.
#[test]
fn a_received_value_that_grpc_forbids_does_no_harm() {
    let metadata =
        received(&[("odd!name", b"fine"), ("latin", b"caf\xe9"), ("tab", b"a\tb"), ("latin", b"ok")]);
    assert_eq!(metadata.get("odd!name"), Some("fine"));
    assert_eq!(metadata.get("latin"), None);
    assert_eq!(metadata.get_bytes("latin"), Some(&b"caf\xe9"[..]));
    assert_eq!(metadata.get_all("latin").collect::<Vec<_>>(), ["ok"]);
    assert_eq!(metadata.iter().count(), 4);
}

#[test]
fn text_and_bytes_need_the_right_kind_of_name() {
    let mut metadata = Metadata::new();
    assert_eq!(reason(metadata.insert("trace-bin", "x")), Reason::NeedsBinary);
    assert_eq!(reason(metadata.insert_bin("trace", b"x")), Reason::NeedsText);
}

#[test]
fn names_are_lower_case_and_values_lose_blanks_at_the_ends() {
    let mut metadata = Metadata::new();
    metadata.insert("X-Tenant.Id_1", "  a b  ").unwrap();
    assert_eq!(metadata.keys().collect::<Vec<_>>(), ["x-tenant.id_1"]);
    assert_eq!(metadata.get("X-TENANT.ID_1"), Some("a b"));
    metadata.insert("empty", "").unwrap();
    assert_eq!(metadata.get("empty"), Some(""));
}

// Wire checklist line 11.
#[test]
fn binary_values_are_sent_without_padding() {
    let mut metadata = Metadata::new();
    metadata.insert_bin("a-bin", [0xab, 0xab, 0xab, 0xab]).unwrap();
    assert_eq!(metadata.get("a-bin"), Some("q6urqw"));
    assert_eq!(metadata.get_bin("a-bin").unwrap(), &[0xab; 4][..]);
}

// Wire checklist line 11.
#[test]
fn binary_values_are_read_padded_unpadded_and_joined_by_commas() {
    let metadata = received(&[("a-bin", b"q6urqw==,q6s, aGk"), ("a-bin", b"aGk="), ("a-bin", b"")]);
    let values: Vec<Bytes> = metadata.get_all_bin("A-Bin").collect();
    assert_eq!(values, [&[0xab; 4][..], &[0xab; 2], b"hi", b"hi", b""]);
}

// Wire checklist line 11.
#[test]
fn a_piece_that_is_not_base64_is_skipped() {
    let metadata = received(&[("a-bin", b"!!!,aGk"), ("plain", b"aGk")]);
    assert_eq!(metadata.get_bin("a-bin").unwrap(), "hi");
    assert_eq!(metadata.iter().count(), 2);
    assert_eq!(metadata.get_bin("plain"), None);
}

// Wire checklist line 12.
#[test]
fn duplicate_names_keep_every_value_in_order() {
    let mut metadata = Metadata::new();
    for value in ["one", "two", "one"] {
        metadata.append("key", value).unwrap();
    }
    metadata.append_bin("key-bin", b"1").unwrap();
    metadata.append_bin("key-bin", b"2").unwrap();
    let mut other = Metadata::new();
    other.append("key", "four").unwrap();
    other.append("key", "five").unwrap();
    metadata.extend(other);
    assert_eq!(metadata.get_all("key").collect::<Vec<_>>(), ["one", "two", "one", "four", "five"]);
    let values: Vec<_> =
        metadata.iter().filter(|(name, _)| *name == "key-bin").map(|(_, value)| value).collect();
    assert_eq!(values, [Value::Binary(Bytes::from_static(b"1")), Value::Binary(Bytes::from_static(b"2"))]);
    assert_eq!(metadata.remove("key"), 5);
    metadata.insert("key", "new").unwrap();
    metadata.insert("key", "newer").unwrap();
    assert_eq!(metadata.get_all("key").collect::<Vec<_>>(), ["newer"]);
}

// Wire checklist line 13.
#[test]
fn the_size_counts_name_value_and_thirty_two_after_base64() {
    let mut metadata = Metadata::new();
    assert_eq!(metadata.size(), 0);
    metadata.append("abc", "12345").unwrap();
    metadata.append("abc", "1").unwrap();
    metadata.append_bin("x-bin", [0; 4]).unwrap();
    assert_eq!(metadata.size(), (3 + 5 + 32) + (3 + 1 + 32) + (5 + 6 + 32));
}

#[test]
fn the_application_sees_no_header_of_the_protocol() {
    let metadata = received(&[
        ("te", b"trailers"),
        ("content-type", b"application/grpc"),
        ("grpc-timeout", b"1S"),
        ("grpc-accept-encoding", b"gzip"),
        ("user-agent", b"me"),
        ("key", b"value"),
        ("grpc-retry-pushback-ms", b"5"),
    ]);
    let mut headers = metadata.into_headers();
    strip_reserved(&mut headers);
    let metadata = Metadata::from_headers(headers);
    let mut keys: Vec<_> = metadata.keys().collect();
    keys.sort_unstable();
    assert_eq!(keys, ["grpc-retry-pushback-ms", "key", "user-agent"]);
}

#[test]
fn debug_output_hides_credentials() {
    let mut metadata = Metadata::new();
    metadata.insert("authorization", "Bearer secret").unwrap();
    metadata.insert("key", "value").unwrap();
    assert_eq!(format!("{metadata:?}"), r#"{"authorization": "(hidden)", "key": "value"}"#);
}
