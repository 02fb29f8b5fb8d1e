use super::*;

fn block(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn read(fields: &[(&'static str, &'static str)]) -> Status {
    Status::from_trailers(block(fields)).unwrap()
}

#[test]
fn a_status_is_one_pointer_and_a_plain_ok_is_none() {
    assert_eq!(size_of::<Result<(), Status>>(), 2 * size_of::<usize>());
    assert_eq!(size_of::<Status>(), size_of::<usize>());
    let status = Status::ok().with_sent(Sent::Answered).with_attempts(1).with_metadata(Metadata::new());
    assert!(status.with_details(Bytes::new()).0.is_none());
    assert!(read(&[("grpc-status", "0"), ("content-type", "application/grpc")]).0.is_none());
}

#[test]
fn every_code_reads_back_from_its_trailers() {
    for code in Code::ALL {
        let mut trailers = HeaderMap::new();
        Status::new(code, "what happened")
            .with_details(Bytes::from_static(b"\0details"))
            .write_trailers(&mut trailers);
        let status = Status::from_trailers(trailers).unwrap();
        assert_eq!((status.code(), status.message()), (code, "what happened"));
        assert_eq!(status.details(), b"\0details");
        assert_eq!(status.sent(), Sent::Answered);
        assert!(status.metadata().is_empty());
    }
}

#[test]
fn empty_parts_are_not_sent() {
    let mut trailers = HeaderMap::new();
    Status::not_found("").write_trailers(&mut trailers);
    assert_eq!(trailers, block(&[("grpc-status", "5")]));
}

// Wire checklist line 8.
#[test]
fn reserved_names_in_a_statuss_metadata_are_not_sent() {
    let metadata =
        Metadata::from_headers(block(&[("grpc-status", "0"), ("te", "x"), ("key", "1"), ("key", "2")]));
    let mut trailers = HeaderMap::new();
    Status::aborted("no").with_metadata(metadata).write_trailers(&mut trailers);
    assert_eq!(trailers, block(&[("grpc-status", "10"), ("grpc-message", "no"), ("key", "1"), ("key", "2")]));
}

// Wire checklist line 12.
#[test]
fn duplicate_trailers_keep_every_value_in_order() {
    let status = read(&[("grpc-status", "0"), ("key", "b"), ("key", "a"), ("key", "b")]);
    assert_eq!(status.metadata().get_all("key").collect::<Vec<_>>(), ["b", "a", "b"]);
}

// Wire checklist line 29.
#[test]
fn a_bad_escape_in_the_message_keeps_message_and_code() {
    let status = read(&[("grpc-status", "7"), ("grpc-message", "50%zz off %E2%82%AC")]);
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "50%zz off €"));
    let special = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";
    let mut trailers = HeaderMap::new();
    Status::unknown(special).write_trailers(&mut trailers);
    assert_eq!(Status::from_trailers(trailers).unwrap().message(), special);
}

// Wire checklist line 30.
#[test]
fn a_status_that_is_no_code_is_unknown_and_keeps_the_raw_value() {
    for raw in ["abc", "99", "17", "00", "007", "-1", "+1", "1.0", "4294967296", ""] {
        let status = read(&[("grpc-status", raw), ("grpc-message", "why")]);
        assert_eq!(status.code(), Code::Unknown, "{raw:?}");
        assert_eq!(status.message(), format!("server sent the unknown grpc-status \"{raw}\": why"));
    }
    assert_eq!(read(&[("grpc-status", "99")]).message(), "server sent the unknown grpc-status \"99\"");
}

// Wire checklist line 30.
#[test]
fn without_a_status_there_is_none() {
    assert!(Status::from_trailers(block(&[("grpc-message", "lonely")])).is_none());
}

// Wire checklist line 31.
#[test]
fn details_that_are_not_base64_are_dropped() {
    let status = read(&[("grpc-status", "3"), ("grpc-message", "m"), ("grpc-status-details-bin", "!!!")]);
    assert_eq!((status.code(), status.message(), status.details()), (Code::InvalidArgument, "m", &b""[..]));
}

// Wire checklist line 31.
#[test]
fn details_that_are_no_status_or_name_another_code_change_nothing() {
    // "CAU" is google.rpc.Status{code: 5}; "/////w" is not a protobuf message.
    for (text, bytes) in [("CAU", &[8, 5][..]), ("CAU=", &[8, 5]), ("/////w", &[0xff; 4])] {
        let status = read(&[("grpc-status", "3"), ("grpc-status-details-bin", text)]);
        assert_eq!((status.code(), status.details()), (Code::InvalidArgument, bytes));
    }
}

// Wire checklist line 25.
#[test]
fn an_http_status_is_mapped_by_the_table() {
    use Code::*;
    let table = [(400, Internal), (401, Unauthenticated), (403, PermissionDenied), (404, Unimplemented)];
    let more =
        [(429, Unavailable), (431, Internal), (502, Unavailable), (503, Unavailable), (504, Unavailable)];
    let rest =
        [(200, Unknown), (204, Unknown), (302, Unknown), (405, Unknown), (415, Unknown), (500, Unknown)];
    for (http, code) in table.into_iter().chain(more).chain(rest) {
        assert_eq!(Status::from_http(http).code(), code, "{http}");
    }
    assert_eq!(Status::from_http(503).message(), "server answered HTTP 503, not gRPC");
}

// Wire checklist line 33.
#[test]
fn a_reset_is_mapped_by_the_table_and_names_its_code() {
    use Code::*;
    let codes = [
        Internal,          // NO_ERROR
        Internal,          // PROTOCOL_ERROR
        Internal,          // INTERNAL_ERROR
        Internal,          // FLOW_CONTROL_ERROR
        Internal,          // SETTINGS_TIMEOUT
        Internal,          // STREAM_CLOSED
        Internal,          // FRAME_SIZE_ERROR
        Unavailable,       // REFUSED_STREAM
        Cancelled,         // CANCEL
        Internal,          // COMPRESSION_ERROR
        Internal,          // CONNECT_ERROR
        ResourceExhausted, // ENHANCE_YOUR_CALM
        PermissionDenied,  // INADEQUATE_SECURITY
        Internal,          // HTTP_1_1_REQUIRED
        Internal,          // not assigned
    ];
    for (reason, code) in codes.into_iter().enumerate() {
        assert_eq!(Status::from_reset(reason as u32).code(), code, "{reason}");
    }
    assert_eq!(Status::from_reset(8).message(), "stream reset by the server: CANCEL (0x8)");
    assert_eq!(Status::from_reset(7).sent(), Sent::NotSent);
    assert_eq!(Status::from_reset(2).sent(), Sent::MaybeSent);
}

#[test]
fn it_prints_the_name_and_the_message() {
    assert_eq!(Status::resource_exhausted("too big").to_string(), "RESOURCE_EXHAUSTED: too big");
    assert_eq!(Status::ok().to_string(), "OK");
    let status = Status::unavailable("down").with_attempts(3).with_peer("10.0.0.1:443".into());
    assert_eq!(
        format!("{status:?}"),
        r#"Status { code: Unavailable, message: "down", sent: MaybeSent, attempts: 3, peer: "10.0.0.1:443" }"#
    );
}
