use super::*;
use crate::Code;

/// A good request with some fields set, or taken out where the value is empty.
fn parts(uri: &str, fields: &[(&'static str, &str)]) -> Parts {
    let mut request = Request::post(uri)
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    for (name, _) in fields {
        request.headers_mut().remove(*name);
    }
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        request.headers_mut().append(*name, HeaderValue::from_str(value).unwrap());
    }
    request.into_parts().0
}

const URI: &str = "http://shop.example:80/shop.v1.Orders/Get";

fn check(parts: &Parts) -> Result<Accepted<'_>, Box<Refusal>> {
    accept_request(parts, EncodingSet::parse("gzip"), &Limits::default())
}

fn refuse(parts: &Parts) -> (u16, Status, Response<()>) {
    let refusal = check(parts).unwrap_err();
    assert_eq!(refusal.reset, None);
    let status = Status::from_trailers(refusal.response.headers().clone()).unwrap();
    (refusal.response.status().as_u16(), status, refusal.response)
}

#[test]
fn a_good_request_is_accepted() {
    let fields = [("grpc-timeout", "100m"), ("grpc-encoding", "gzip"), ("grpc-accept-encoding", "zstd, br")];
    let request = parts(URI, &fields);
    let accepted = check(&request).unwrap();
    assert_eq!(*accepted.method, "/shop.v1.Orders/Get");
    assert_eq!(*accepted.authority, "shop.example:80");
    assert_eq!(accepted.timeout, Some(Duration::from_millis(100)));
    assert_eq!(accepted.encoding, Encoding::Gzip);
    assert_eq!(accepted.accept, EncodingSet::parse("zstd"));
}

// Wire checklist line 2.
#[test]
fn a_content_type_that_is_not_grpc_is_http_415() {
    for content_type in ["application/grpcfoo", "text/html", ""] {
        let (http, status, _) = refuse(&parts(URI, &[("content-type", content_type)]));
        assert_eq!((http, status.code()), (415, Code::Internal));
        assert!(status.message().contains(content_type), "{status}");
    }
}

// Wire checklist line 3.
#[test]
fn a_method_other_than_post_is_http_405() {
    let mut get = parts(URI, &[]);
    get.method = Method::GET;
    let (http, status, response) = refuse(&get);
    assert_eq!((http, status.code()), (405, Code::Internal));
    assert_eq!(response.headers()["allow"], "POST");
}

#[test]
fn a_browser_is_told_in_words_and_a_grpc_client_in_headers_alone() {
    let mut request = parts(URI, &[]);
    for (method, has_body) in [(Method::GET, true), (Method::PUT, true), (Method::HEAD, false)] {
        request.method = method.clone();
        let refusal = check(&request).unwrap_err();
        assert_eq!(!refusal.body.is_empty(), has_body, "{method}");
        let content_type = if has_body { "text/plain" } else { "application/grpc" };
        assert_eq!(refusal.response.headers()["content-type"], content_type, "{method}");
    }
    assert_eq!(check(&parts(URI, &[("content-type", "text/html")])).unwrap_err().body, "");
}

// Wire checklist line 3.
#[test]
fn a_path_without_a_leading_slash_is_unimplemented() {
    let mut request = parts(URI, &[("host", "shop.example")]);
    // An authority-form URI has no path at all; "*" is a path without a slash.
    for uri in ["shop.example:80", "*"] {
        request.uri = uri.parse().unwrap();
        let (http, status, _) = refuse(&request);
        assert_eq!((http, status.code()), (200, Code::Unimplemented), "{uri}");
    }
}

// Wire checklist line 4.
#[test]
fn a_bad_timeout_is_refused_with_its_name_and_value() {
    let (http, status, _) = refuse(&parts(URI, &[("grpc-timeout", "123456789n")]));
    assert_eq!(http, 200);
    assert_eq!(
        status.to_string(),
        "INTERNAL: grpc-timeout \"123456789n\" cannot be read: the number has more than 8 digits"
    );
}

// Wire checklist line 5.
#[test]
fn a_timeout_of_zero_is_deadline_exceeded_before_any_handler() {
    let (http, status, _) = refuse(&parts(URI, &[("grpc-timeout", "0n")]));
    assert_eq!((http, status.code()), (200, Code::DeadlineExceeded));
}

// Wire checklist line 6.
#[test]
fn a_lone_host_becomes_the_authority() {
    let request = parts("/s/m", &[("host", "alone.example")]);
    let accepted = check(&request).unwrap();
    assert_eq!(*accepted.authority, "alone.example");
    let request = parts(URI, &[("host", "other.example")]);
    let accepted = check(&request).unwrap();
    assert_eq!(*accepted.authority, "shop.example:80");
}

// Wire checklist line 6.
#[test]
fn two_hosts_or_none_are_http_400() {
    let cases: [&[(&str, &str)]; 3] = [&[("host", "a"), ("host", "b")], &[], &[("host", "not an authority")]];
    for fields in cases {
        let (http, status, _) = refuse(&parts("/s/m", fields));
        assert_eq!((http, status.code()), (400, Code::Internal), "{fields:?}");
    }
}

// Wire checklist line 7.
#[test]
fn a_connection_header_resets_with_protocol_error() {
    let refusal = check(&parts(URI, &[("connection", "close")])).unwrap_err();
    assert_eq!(refusal.reset, Some(0x1));
}

// Wire checklist line 17.
#[test]
fn an_unknown_request_encoding_is_unimplemented_and_told_what_is_known() {
    for encoding in ["br", "zstd"] {
        let (http, status, response) = refuse(&parts(URI, &[("grpc-encoding", encoding)]));
        assert_eq!((http, status.code()), (200, Code::Unimplemented));
        assert!(status.message().contains(encoding));
        assert_eq!(response.headers()["grpc-accept-encoding"], "identity,gzip");
    }
    assert!(check(&parts(URI, &[("grpc-encoding", "identity")])).is_ok());
}

// Wire checklist line 13.
#[test]
fn metadata_above_the_limit_is_resource_exhausted_at_the_byte() {
    let limits = Limits { max_metadata_bytes: 200, max_metadata_fields: 3 };
    // te and content-type take 42 + 60 bytes; "x" takes 33 and its value.
    let fit = parts(URI, &[("x", &"v".repeat(65))]);
    accept_request(&fit, EncodingSet::all(), &limits).unwrap();
    let over = parts(URI, &[("x", &"v".repeat(66))]);
    let refusal = accept_request(&over, EncodingSet::all(), &limits).unwrap_err();
    let status = Status::from_trailers(refusal.response.headers().clone()).unwrap();
    assert_eq!(
        status.to_string(),
        "RESOURCE_EXHAUSTED: metadata of 201 bytes is larger than max_metadata_bytes (200 bytes)"
    );
    let crowd = parts(URI, &[("x", "1"), ("x", "2")]);
    let refusal = accept_request(&crowd, EncodingSet::all(), &limits).unwrap_err();
    let status = Status::from_trailers(refusal.response.headers().clone()).unwrap();
    assert_eq!(
        status.to_string(),
        "RESOURCE_EXHAUSTED: metadata of 4 fields is larger than max_metadata_fields (3)"
    );
}

fn head(metadata: Metadata) -> RequestHead {
    RequestHead {
        method: PathAndQuery::from_static("/shop.v1.Orders/Get"),
        authority: Authority::from_static("shop.example"),
        scheme: Scheme::HTTPS,
        timeout: Some(Duration::from_secs(1)),
        encoding: Encoding::Zstd,
        accept: EncodingSet::parse("gzip"),
        user_agent: HeaderValue::from_static("spanwire/1"),
        metadata,
    }
}

// Wire checklist line 8.
#[test]
fn a_request_says_what_grpc_needs_and_metadata_cannot_change_it() {
    let mut headers = HeaderMap::new();
    for (name, value) in
        [("te", "gzip"), ("grpc-timeout", "9H"), ("content-type", "text/html"), ("key", "1"), ("key", "2")]
    {
        headers.append(name, HeaderValue::from_static(value));
    }
    headers.append("grpc-previous-rpc-attempts", HeaderValue::from_static("1"));
    let request = head(Metadata::from_headers(headers)).into_http();
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri(), "https://shop.example/shop.v1.Orders/Get");
    let sent: Vec<_> =
        request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(
        sent,
        [
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("grpc-accept-encoding", "identity,gzip"),
            ("user-agent", "spanwire/1"),
            ("grpc-timeout", "1000000u"),
            ("grpc-encoding", "zstd"),
            ("key", "1"),
            ("key", "2"),
            ("grpc-previous-rpc-attempts", "1"),
        ]
    );
}

#[test]
fn what_a_client_sends_a_server_accepts() {
    let parts = head(Metadata::new()).into_http().into_parts().0;
    let accepted = accept_request(&parts, EncodingSet::all(), &Limits::default()).unwrap();
    assert_eq!((accepted.encoding, accepted.timeout), (Encoding::Zstd, Some(Duration::from_secs(1))));
}

// Wire checklist line 23.
#[test]
fn a_trailers_only_response_is_one_block_with_everything() {
    let response = trailers_only(&Status::not_found("no order"));
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/grpc");
    assert_eq!(response.headers()["grpc-status"], "5");
    assert_eq!(response.headers()["grpc-message"], "no order");
}

// Wire checklist line 12.
#[test]
fn response_headers_and_trailers_carry_duplicates_in_order() {
    let mut metadata = Metadata::new();
    metadata.append("key", "1").unwrap();
    metadata.append("key", "2").unwrap();
    let response = super::super::response_head(Encoding::Gzip, EncodingSet::all(), metadata.clone());
    assert_eq!(response.headers()["grpc-encoding"], "gzip");
    assert_eq!(response.headers().get_all("key").iter().collect::<Vec<_>>(), ["1", "2"]);
    let trailers = super::super::trailers(&Status::ok().with_metadata(metadata));
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(trailers.get_all("key").iter().collect::<Vec<_>>(), ["1", "2"]);
}

#[test]
fn encodings_are_announced_unless_there_are_none() {
    let head = |accept| super::super::response_head(Encoding::Identity, accept, Metadata::new());
    assert_eq!(head(EncodingSet::parse("gzip")).headers()["grpc-accept-encoding"], "identity,gzip");
    assert!(!head(EncodingSet::none()).headers().contains_key("grpc-accept-encoding"));
}
