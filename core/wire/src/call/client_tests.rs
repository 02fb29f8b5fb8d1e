use http::HeaderValue;

use super::*;
use crate::Code;
use crate::frame::{compressed_frame, frame};

fn block(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

fn grpc(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = block(fields);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers
}

fn wire(messages: &[&str]) -> Bytes {
    let frames = messages.iter().map(|message| frame(message.as_bytes(), false).unwrap());
    frames.flat_map(|frame| frame.to_vec()).collect()
}

fn waiting(kind: ResponseKind) -> ClientCall {
    ClientCall::new(kind, 100, EncodingSet::parse("gzip"))
}

/// A call whose response headers have come and are taken out.
fn receiving(kind: ResponseKind) -> ClientCall {
    let mut call = waiting(kind);
    call.on_headers(200, grpc(&[]), false);
    assert!(matches!(call.poll_event(), Some(ClientEvent::Headers(_))));
    call
}

/// The messages that come out, and the status behind them. Fails unless Done is there, once and last.
fn finish(call: &mut ClientCall) -> (Vec<String>, Status) {
    let mut messages = Vec::new();
    loop {
        match call.poll_event().expect("the call should be done") {
            ClientEvent::Headers(_) => {}
            ClientEvent::Message(message) => messages.push(String::from_utf8(message.to_vec()).unwrap()),
            ClientEvent::Done(status) => {
                assert!(call.poll_event().is_none(), "nothing may follow Done");
                return (messages, status);
            }
        }
    }
}

fn code(call: &mut ClientCall) -> Code {
    finish(call).1.code()
}

const OK: &[(&str, &str)] = &[("grpc-status", "0")];

#[test]
fn a_unary_response_comes_out_only_with_its_ok() {
    let mut call = waiting(ResponseKind::One);
    call.on_headers(200, grpc(&[("key", "value")]), false);
    let Some(ClientEvent::Headers(metadata)) = call.poll_event() else { panic!() };
    assert_eq!(metadata.keys().collect::<Vec<_>>(), ["key"]);
    call.on_data(wire(&["hello"]));
    assert!(call.poll_event().is_none());
    call.on_trailers(block(&[("grpc-status", "0"), ("tail", "1")]));
    let (messages, status) = finish(&mut call);
    assert_eq!(messages, ["hello"]);
    assert!(status.is_ok());
    assert_eq!(status.metadata().get("tail"), Some("1"));
    assert_eq!(call.needs_reset(), None);
}

#[test]
fn a_stream_brings_each_message_as_it_arrives() {
    let mut call = receiving(ResponseKind::Many);
    call.on_data(wire(&["a", "b"]));
    assert!(matches!(call.poll_event(), Some(ClientEvent::Message(m)) if m == "a"));
    assert!(matches!(call.poll_event(), Some(ClientEvent::Message(m)) if m == "b"));
    assert!(call.poll_event().is_none());
    call.on_data(wire(&["c"]));
    call.on_trailers(block(&[("grpc-status", "9"), ("grpc-message", "later")]));
    let (messages, status) = finish(&mut call);
    assert_eq!(messages, ["c"]);
    assert_eq!(status.to_string(), "FAILED_PRECONDITION: later");
}

#[test]
fn a_message_before_an_error_does_not_come_out_of_a_unary_call() {
    let mut call = receiving(ResponseKind::One);
    call.on_data(wire(&["half-truth"]));
    call.on_trailers(block(&[("grpc-status", "10")]));
    let (messages, status) = finish(&mut call);
    assert!(messages.is_empty());
    assert_eq!(status.code(), Code::Aborted);
}

// Wire checklist line 21.
#[test]
fn ok_without_a_message_where_one_is_due_is_unimplemented() {
    let mut call = receiving(ResponseKind::One);
    call.on_trailers(block(OK));
    assert_eq!(code(&mut call), Code::Unimplemented);
    let mut call = waiting(ResponseKind::One);
    call.on_headers(200, grpc(OK), true);
    assert_eq!(code(&mut call), Code::Unimplemented);
}

// Wire checklist line 21.
#[test]
fn two_messages_where_one_is_due_are_unimplemented_at_once() {
    let mut call = receiving(ResponseKind::One);
    call.on_data(wire(&["a", "b"]));
    assert_eq!(code(&mut call), Code::Unimplemented);
    assert_eq!(call.needs_reset(), Some(reset::CANCEL));
    call.on_trailers(block(OK));
    assert!(call.poll_event().is_none());
    assert_eq!(call.needs_reset(), None);
}

// Wire checklist line 15.
#[test]
fn an_empty_unary_response_is_a_message() {
    let mut call = receiving(ResponseKind::One);
    call.on_data(wire(&[""]));
    call.on_trailers(block(OK));
    assert_eq!(finish(&mut call).0, [""]);
}

// Wire checklist line 22.
#[test]
fn ok_behind_a_cut_off_message_is_internal() {
    for (kind, whole) in [(ResponseKind::One, 0), (ResponseKind::Many, 1)] {
        let mut call = receiving(kind);
        call.on_data(wire(&["a", "bcd"]).slice(..13));
        call.on_trailers(block(OK));
        let (messages, status) = finish(&mut call);
        assert_eq!(messages.len(), whole);
        assert_eq!(status.to_string(), "INTERNAL: stream ended inside a message: 2 of 3 bytes");
        let mut call = receiving(kind);
        call.on_data(wire(&["a"]).slice(..4));
        call.on_end();
        assert_eq!(code(&mut call), Code::Internal);
    }
}

// Wire checklist line 23.
#[test]
fn a_trailers_only_response_is_a_status_and_its_metadata() {
    let mut call = waiting(ResponseKind::Many);
    call.on_headers(200, grpc(&[("grpc-status", "5"), ("grpc-message", "gone"), ("key", "value")]), true);
    let Some(ClientEvent::Done(status)) = call.poll_event() else { panic!() };
    assert_eq!(status.to_string(), "NOT_FOUND: gone");
    assert_eq!(status.metadata().keys().collect::<Vec<_>>(), ["key"]);
    assert!(!call.has_headers());
    let mut call = waiting(ResponseKind::Many);
    call.on_headers(200, grpc(OK), true);
    assert_eq!(code(&mut call), Code::Ok);
}

// Wire checklist line 23.
#[test]
fn a_status_in_headers_is_void_when_a_body_or_trailers_follow() {
    let early = [("grpc-status", "5")];
    let mut call = waiting(ResponseKind::One);
    call.on_headers(200, grpc(&early), false);
    call.on_data(wire(&["body"]));
    call.on_trailers(block(OK));
    assert_eq!(code(&mut call), Code::Ok);
    let mut call = waiting(ResponseKind::Many);
    call.on_headers(200, grpc(&early), false);
    call.on_trailers(block(&[("grpc-status", "9")]));
    assert_eq!(code(&mut call), Code::FailedPrecondition);
    let mut call = waiting(ResponseKind::Many);
    call.on_headers(200, grpc(&early), false);
    call.on_data(wire(&["body"]));
    call.on_end();
    assert_eq!(code(&mut call), Code::Unknown);
    // A proxy that moved END_STREAM to an empty DATA frame did not change the answer.
    let mut call = waiting(ResponseKind::Many);
    call.on_headers(200, grpc(&early), false);
    call.on_data(Bytes::new());
    call.on_end();
    assert_eq!(code(&mut call), Code::NotFound);
}

// Wire checklist line 25.
#[test]
fn a_grpc_status_wins_over_the_http_status() {
    let mut call = waiting(ResponseKind::One);
    call.on_headers(503, grpc(&[("grpc-status", "7")]), true);
    assert_eq!(code(&mut call), Code::PermissionDenied);
    let mut call = waiting(ResponseKind::One);
    call.on_headers(404, block(&[("content-type", "text/html")]), false);
    call.on_data(Bytes::from_static(b"<html>"));
    call.on_trailers(block(&[("grpc-status", "8")]));
    assert_eq!(code(&mut call), Code::ResourceExhausted);
}

// Wire checklist line 25.
#[test]
fn an_http_error_without_grpc_status_is_mapped() {
    for (http, expected) in [(429, Code::Unavailable), (404, Code::Unimplemented), (200, Code::Unknown)] {
        for ends in 0..4 {
            let mut call = waiting(ResponseKind::One);
            call.on_headers(http, block(&[("content-type", "text/html")]), ends == 0);
            call.on_data(Bytes::from_static(b"<html>a page"));
            match ends {
                1 => call.on_end(),
                2 => call.on_trailers(block(&[("x", "y")])),
                3 => call.on_reset(2, false),
                _ => {}
            }
            let (_, status) = finish(&mut call);
            assert_eq!(status.code(), expected, "{http} {ends}");
            let message = format!("server answered HTTP {http}, not gRPC (content-type text/html)");
            assert_eq!(status.message(), message);
        }
    }
}

#[test]
fn an_ok_behind_a_body_that_is_not_grpc_is_not_believed() {
    let mut call = waiting(ResponseKind::Many);
    call.on_headers(200, block(&[("content-type", "text/html")]), false);
    call.on_data(Bytes::from_static(b"<html>"));
    call.on_trailers(block(OK));
    assert_eq!(code(&mut call), Code::Unknown);
}

#[test]
fn an_endless_body_that_is_not_grpc_is_cut_off() {
    let mut call = waiting(ResponseKind::Many);
    call.on_headers(502, block(&[]), false);
    for _ in 0..65 {
        call.on_data(Bytes::from_static(&[b'x'; 1024]));
    }
    assert_eq!(code(&mut call), Code::Unavailable);
    assert_eq!(call.needs_reset(), Some(reset::CANCEL));
}

#[test]
fn interim_headers_are_skipped_and_must_not_end_the_stream() {
    let mut call = waiting(ResponseKind::Many);
    call.on_headers(103, block(&[("link", "x")]), false);
    assert!(call.poll_event().is_none());
    call.on_headers(200, grpc(&[]), false);
    call.on_trailers(block(OK));
    assert_eq!(code(&mut call), Code::Ok);
    let mut call = waiting(ResponseKind::Many);
    call.on_headers(100, block(&[]), true);
    assert_eq!(code(&mut call), Code::Internal);
}

// Wire checklist line 27.
#[test]
fn a_clean_end_without_grpc_status_is_unknown() {
    let mut call = receiving(ResponseKind::One);
    call.on_data(wire(&["a"]));
    call.on_trailers(block(&[("x", "y")]));
    assert_eq!(code(&mut call), Code::Unknown);
    let mut call = receiving(ResponseKind::One);
    call.on_data(wire(&["a"]));
    call.on_end();
    let (messages, status) = finish(&mut call);
    assert!(messages.is_empty());
    assert_eq!(status.to_string(), "UNKNOWN: server ended the call without grpc-status");
    let mut call = waiting(ResponseKind::One);
    call.on_headers(200, grpc(&[]), true);
    assert_eq!(code(&mut call), Code::Unknown);
}

#[test]
fn a_second_header_block_must_end_the_stream() {
    let mut call = receiving(ResponseKind::Many);
    call.on_headers(200, grpc(&[]), false);
    assert_eq!(code(&mut call), Code::Internal);
    assert_eq!(call.needs_reset(), Some(reset::PROTOCOL_ERROR));
    let mut call = receiving(ResponseKind::Many);
    call.on_headers(200, block(OK), true);
    assert_eq!(code(&mut call), Code::Ok);
}

#[test]
fn data_or_an_end_before_headers_is_internal_at_once() {
    let mut call = waiting(ResponseKind::Many);
    call.on_data(wire(&["a"]));
    assert_eq!(code(&mut call), Code::Internal);
    assert_eq!(call.needs_reset(), Some(reset::PROTOCOL_ERROR));
    let mut call = waiting(ResponseKind::Many);
    call.on_end();
    assert_eq!(code(&mut call), Code::Internal);
}

// Wire checklist line 17.
#[test]
fn a_response_encoding_that_is_unknown_or_not_accepted_is_internal() {
    for encoding in ["br", "zstd"] {
        let mut call = waiting(ResponseKind::One);
        call.on_headers(200, grpc(&[("grpc-encoding", encoding)]), false);
        let (_, status) = finish(&mut call);
        assert_eq!(status.code(), Code::Internal);
        assert!(status.message().contains(encoding), "{status}");
        assert_eq!(call.needs_reset(), Some(reset::CANCEL));
    }
}

// Wire checklist line 18.
#[test]
fn plain_and_compressed_messages_mix_under_one_encoding() {
    let mut call = waiting(ResponseKind::Many);
    call.on_headers(200, grpc(&[("grpc-encoding", "gzip")]), false);
    call.on_data(wire(&["plain"]));
    call.on_data(compressed_frame(b"packed", Encoding::Gzip).unwrap());
    call.on_trailers(block(OK));
    assert_eq!(finish(&mut call).0, ["plain", "packed"]);
}

// Wire checklist line 16.
#[test]
fn a_bad_flag_is_internal_and_resets() {
    for flag in [1, 7] {
        let mut call = receiving(ResponseKind::One);
        call.on_data(Bytes::copy_from_slice(&[flag, 0, 0, 0, 0]));
        assert_eq!(code(&mut call), Code::Internal);
        assert_eq!(call.needs_reset(), Some(reset::CANCEL));
    }
}

// Wire checklist line 20.
#[test]
fn a_response_above_the_limit_is_resource_exhausted() {
    let mut call = receiving(ResponseKind::One);
    call.on_data(Bytes::from_static(&[0, 0, 0, 0, 101]));
    assert_eq!(code(&mut call), Code::ResourceExhausted);
    assert_eq!(call.needs_reset(), Some(reset::CANCEL));
}

// Wire checklist line 13.
#[test]
fn headers_or_trailers_above_the_limit_are_resource_exhausted() {
    let limits = Limits { max_metadata_bytes: 60, max_metadata_fields: 9 };
    // content-type alone takes 60 bytes.
    let mut call = waiting(ResponseKind::Many).with_limits(limits);
    call.on_headers(200, grpc(&[("a", "")]), false);
    assert_eq!(code(&mut call), Code::ResourceExhausted);
    let mut call = waiting(ResponseKind::Many).with_limits(limits);
    call.on_headers(200, grpc(&[]), false);
    call.on_trailers(block(&[("grpc-status", "0"), ("a", "b")]));
    assert_eq!(code(&mut call), Code::ResourceExhausted);
}

// Wire checklist line 33.
#[test]
fn a_reset_ends_the_call_behind_the_messages_that_came_whole() {
    let mut call = receiving(ResponseKind::Many);
    call.on_data(wire(&["a"]));
    call.on_reset(0, false);
    let (messages, status) = finish(&mut call);
    assert_eq!(messages, ["a"]);
    assert_eq!(status.to_string(), "INTERNAL: stream reset by the server: NO_ERROR (0x0)");
    assert_eq!(status.sent(), Sent::Answered);
    assert_eq!(call.needs_reset(), None);
}

// Wire checklist line 33.
#[test]
fn a_refused_stream_was_not_sent() {
    let mut call = waiting(ResponseKind::One);
    call.on_reset(7, false);
    let (_, status) = finish(&mut call);
    assert_eq!((status.code(), status.sent()), (Code::Unavailable, Sent::NotSent));
}

// Wire checklist line 34.
#[test]
fn a_cancel_after_the_deadline_is_deadline_exceeded() {
    let mut call = waiting(ResponseKind::One);
    call.on_headers(200, grpc(&[("key", "value")]), false);
    call.on_reset(8, true);
    let (_, status) = finish(&mut call);
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.metadata().is_empty());
    let mut call = waiting(ResponseKind::One);
    call.on_reset(8, false);
    assert_eq!(code(&mut call), Code::Cancelled);
}

// Wire checklist line 35.
#[test]
fn a_reset_behind_complete_trailers_is_no_error() {
    for reason in [0, 8] {
        let mut call = receiving(ResponseKind::One);
        call.on_data(wire(&["a"]));
        call.on_trailers(block(OK));
        call.on_reset(reason, true);
        let (messages, status) = finish(&mut call);
        assert_eq!((messages.len(), status.code()), (1, Code::Ok));
    }
}

#[test]
fn a_local_end_drops_what_is_not_taken_and_resets() {
    let mut call = receiving(ResponseKind::Many);
    call.on_data(wire(&["a"]));
    call.fail(Status::cancelled("by the caller"));
    let (messages, status) = finish(&mut call);
    assert!(messages.is_empty());
    assert_eq!((status.message(), status.sent()), ("by the caller", Sent::Answered));
    assert_eq!(call.needs_reset(), Some(reset::CANCEL));
    call.on_trailers(block(OK));
    assert!(call.poll_event().is_none());
}

#[test]
fn a_local_end_after_the_servers_changes_nothing() {
    let mut call = receiving(ResponseKind::One);
    call.on_data(wire(&["a"]));
    call.on_trailers(block(OK));
    assert!(matches!(call.poll_event(), Some(ClientEvent::Message(_))));
    call.fail(Status::deadline_exceeded("late"));
    assert_eq!(code(&mut call), Code::Ok);
}
