use super::*;
use crate::Code;
use crate::frame::frame;

fn wire(messages: &[&str]) -> Bytes {
    let frames = messages.iter().map(|message| frame(message.as_bytes(), false).unwrap());
    frames.flat_map(|frame| frame.to_vec()).collect()
}

/// The events so far in short: the message, `HalfClosed`, or the code of the failure.
fn events(call: &mut ServerCall) -> Vec<String> {
    std::iter::from_fn(|| call.poll_event())
        .map(|event| match event {
            ServerEvent::Message(message) => String::from_utf8(message.to_vec()).unwrap(),
            ServerEvent::HalfClosed => "HalfClosed".to_owned(),
            ServerEvent::Failed(status) => status.code().to_string(),
        })
        .collect()
}

fn one() -> ServerCall {
    ServerCall::new(RequestKind::One, 100, Encoding::Identity)
}

fn many() -> ServerCall {
    ServerCall::new(RequestKind::Many, 100, Encoding::Identity)
}

#[test]
fn a_unary_request_comes_out_when_the_stream_has_ended() {
    let mut call = one();
    call.on_data(wire(&["hello"]));
    assert!(events(&mut call).is_empty());
    assert_eq!(call.buffered(), 5);
    call.on_end();
    assert_eq!(events(&mut call), ["hello", "HalfClosed"]);
    call.on_end();
    assert!(events(&mut call).is_empty());
}

// Wire checklist line 21.
#[test]
fn no_message_where_one_is_due_is_unimplemented() {
    let mut call = one();
    call.on_end();
    let Some(ServerEvent::Failed(status)) = call.poll_event() else { panic!() };
    assert_eq!(status.to_string(), "UNIMPLEMENTED: request has no message where one is due");
    assert!(call.poll_event().is_none());
}

// Wire checklist line 21.
#[test]
fn two_messages_where_one_is_due_are_unimplemented_at_once() {
    let mut call = one();
    call.on_data(wire(&["a", ""]));
    assert_eq!(events(&mut call), ["UNIMPLEMENTED"]);
    call.on_end();
    assert!(events(&mut call).is_empty());
}

// Wire checklist line 15.
#[test]
fn an_empty_unary_request_is_a_message() {
    let mut call = one();
    call.on_data(wire(&[""]));
    call.on_end();
    assert_eq!(events(&mut call), ["", "HalfClosed"]);
}

#[test]
fn a_stream_brings_each_message_as_it_arrives() {
    let mut call = many();
    call.on_data(wire(&["a", "b"]));
    assert_eq!(events(&mut call), ["a", "b"]);
    call.on_data(wire(&["c"]));
    call.on_end();
    assert_eq!(events(&mut call), ["c", "HalfClosed"]);
}

#[test]
fn a_stream_without_messages_is_just_half_closed() {
    // An empty DATA with END_STREAM and HEADERS with END_STREAM mean the same.
    for data in [true, false] {
        let mut call = many();
        if data {
            call.on_data(Bytes::new());
        }
        call.on_end();
        assert_eq!(events(&mut call), ["HalfClosed"]);
    }
}

// Wire checklist line 22.
#[test]
fn a_request_that_ends_inside_a_message_is_internal() {
    for (mut call, expected) in [(one(), vec!["INTERNAL"]), (many(), vec!["a", "INTERNAL"])] {
        call.on_data(wire(&["a", "bcd"]).slice(..13));
        call.on_end();
        assert_eq!(events(&mut call), expected);
    }
}

#[test]
fn a_reset_cancels_and_drops_what_is_not_taken() {
    let mut call = many();
    call.on_data(wire(&["upload"]));
    call.on_reset(8);
    let Some(ServerEvent::Failed(status)) = call.poll_event() else { panic!() };
    assert_eq!(status.to_string(), "CANCELLED: stream reset by the client: CANCEL (0x8)");
    assert!(events(&mut call).is_empty());
}

#[test]
fn a_reset_after_the_half_close_still_cancels() {
    let mut call = one();
    call.on_data(wire(&["a"]));
    call.on_end();
    assert_eq!(events(&mut call), ["a", "HalfClosed"]);
    call.on_reset(0);
    call.on_reset(8);
    assert_eq!(events(&mut call), ["CANCELLED"]);
    call.fail(Status::deadline_exceeded("late"));
    assert!(events(&mut call).is_empty());
}

// Wire checklist line 20.
#[test]
fn a_request_above_the_limit_is_resource_exhausted() {
    let mut call = many();
    call.on_data(wire(&["x".repeat(101).as_str()]));
    let Some(ServerEvent::Failed(status)) = call.poll_event() else { panic!() };
    assert_eq!(status.code(), Code::ResourceExhausted);
}
