//! The state machines of a call, fed with what HTTP/2 can bring in any order.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use spanwire_wire::call::{ClientCall, ClientEvent, RequestKind, ResponseKind, ServerCall, ServerEvent};
use spanwire_wire::{Code, Encoding, EncodingSet, Status};

use crate::Input;
use crate::body::{self, Ending};
use crate::metadata::field;

/// One call of either side.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    let limit = input.pick(&[1 << 16, 0, 100]);
    if how & 1 == 0 {
        let kind = if how & 2 == 0 { ResponseKind::One } else { ResponseKind::Many };
        client(&mut input, kind, limit);
    } else {
        let kind = if how & 2 == 0 { RequestKind::One } else { RequestKind::Many };
        server(&mut input, kind, limit, Encoding::ALL[usize::from(how >> 2) % 4]);
    }
}

/// A piece of a body: a whole message, one with a prefix that lies, or any bytes.
fn data(input: &mut Input<'_>) -> Bytes {
    let how = input.byte();
    let payload = input.bytes();
    if how & 3 == 3 {
        return Bytes::copy_from_slice(payload);
    }
    let (flag, payload) = match how >> 4 {
        0..8 => (0, Bytes::copy_from_slice(payload)),
        8..15 => {
            let encoding = Encoding::ALL[usize::from(how >> 4) % 4];
            (1, spanwire_wire::encoding::compress(encoding, payload).expect("there is memory"))
        }
        _ => (input.byte(), Bytes::copy_from_slice(payload)),
    };
    let length = if how & 3 == 2 { input.number() >> 16 } else { payload.len() as u32 };
    spanwire_faults::grpc::prefixed(flag, length, &payload)
}

/// A header block: what a server would send, less or more of it.
fn block(input: &mut Input<'_>) -> HeaderMap {
    let mut block = HeaderMap::new();
    let has = input.byte();
    if has & 1 == 0 {
        block.append("content-type", HeaderValue::from_static("application/grpc"));
    }
    if has & 2 != 0 {
        let names = ["gzip", "identity", "deflate", "zstd", "br"];
        block.append("grpc-encoding", HeaderValue::from_static(input.pick(&names)));
    }
    if has & 4 != 0 {
        block.append("grpc-status", HeaderValue::from_static(input.pick(&["0", "13", "16", "17", "00", ""])));
    }
    for _ in 0..has >> 6 {
        field(input, &mut block);
    }
    block
}

fn status(input: &mut Input<'_>) -> Status {
    Status::new(Code::from_u32(1 + u32::from(input.byte()) % 16).expect("it is a code"), "from this side")
}

/// What came out of a client's call.
#[derive(Default)]
struct Answer {
    headers: bool,
    messages: Vec<Bytes>,
    done: Option<Status>,
}

impl Answer {
    fn take_from(&mut self, call: &mut ClientCall) {
        while let Some(event) = call.poll_event() {
            assert!(self.done.is_none(), "{event:?} behind the end");
            match event {
                ClientEvent::Headers(_) => {
                    assert!(!self.headers && self.messages.is_empty(), "headers come once, and first");
                    assert!(call.has_headers());
                    self.headers = true;
                }
                ClientEvent::Message(message) => {
                    assert!(self.headers, "a message without headers");
                    self.messages.push(message);
                }
                ClientEvent::Done(status) => self.done = Some(status),
            }
        }
        if self.done.is_some() {
            assert!(call.poll_event().is_none());
            assert_eq!(call.buffered(), 0);
        }
    }
}

/// What the server has said, as far as it matters to an OK.
#[derive(Default)]
struct Said {
    body: Vec<u8>,
    encoding: Encoding,
    status_ok: bool,
    began: bool,
}

fn client(input: &mut Input<'_>, kind: ResponseKind, limit: usize) {
    let mut call = ClientCall::new(kind, limit, EncodingSet::all());
    let mut answer = Answer::default();
    let mut said = Said::default();
    while !input.is_empty() {
        let event = input.byte();
        let over = answer.done.is_some();
        match event % 8 {
            0 => {
                let status = input.pick(&[200, 200, 200, 100, 103, 404, 503, 302]);
                let (block, end) = (block(input), event & 0x80 != 0);
                said.head(&block, status);
                call.on_headers(status, block, end);
            }
            1 | 2 => {
                let data = data(input);
                if !over {
                    said.body.extend_from_slice(&data);
                }
                call.on_data(data);
            }
            3 => {
                let block = block(input);
                said.head(&block, 0);
                call.on_trailers(block);
            }
            4 => call.on_end(),
            5 => call.on_reset(input.number() >> 28, event & 0x80 != 0),
            6 => call.fail(status(input)),
            _ => {}
        }
        // Taking nothing out in between is allowed, too.
        if event & 0x40 == 0 {
            answer.take_from(&mut call);
        }
        assert!(call.buffered() <= said.body.len().saturating_add(limit));
    }
    answer.take_from(&mut call);
    if answer.done.is_none() {
        call.fail(Status::cancelled("the script is over"));
        answer.take_from(&mut call);
        if answer.done.is_none() {
            // Only an end that was there already may win, and then it is told.
            panic!("the call does not end");
        }
    }
    let Some(done) = answer.done else { return };
    let (messages, ending) = body::split(&said.body, limit, said.encoding);
    assert!(messages.starts_with(&answer.messages), "messages that nobody sent");
    if kind == ResponseKind::One {
        assert_eq!(answer.messages.len(), usize::from(done.is_ok()), "{done:?}");
    }
    if done.is_ok() {
        assert!(said.status_ok, "OK that nobody said");
        assert!(answer.messages.is_empty() || said.began);
        // What came behind the end does not count; before it, the body must be whole.
        assert!(
            messages.len() > answer.messages.len() || ending == Ending::Whole || answer.messages == messages
        );
    }
    // None of it may be answered twice.
    call.on_end();
    call.on_reset(8, true);
    call.fail(Status::internal("late"));
    assert!(call.poll_event().is_none());
    assert!(call.needs_reset().is_none(), "a closed stream is not reset");
}

impl Said {
    fn head(&mut self, block: &HeaderMap, http_status: u16) {
        if http_status == 200 && !self.began {
            self.began = true;
            self.encoding = Encoding::from_headers(block).unwrap_or_default();
        }
        self.status_ok |= block.get("grpc-status").is_some_and(|value| value == "0");
    }
}

fn server(input: &mut Input<'_>, kind: RequestKind, limit: usize, encoding: Encoding) {
    let mut call = ServerCall::new(kind, limit, encoding);
    let (mut messages, mut half_closed, mut failed) = (Vec::new(), false, false);
    let (mut body, mut ended, mut broken) = (Vec::new(), false, false);
    loop {
        let last = input.is_empty();
        let event = input.byte();
        match event % 8 {
            _ if last => {}
            0..=3 => {
                let data = data(input);
                // HTTP/2 brings nothing behind the end of a stream.
                if !ended {
                    body.extend_from_slice(&data);
                    call.on_data(data);
                }
            }
            4 => {
                ended = true;
                call.on_end();
            }
            5 => {
                broken = true;
                call.on_reset(input.number() >> 28);
            }
            6 => {
                broken = true;
                call.fail(status(input));
            }
            _ => {}
        }
        let lazy = event & 0x40 != 0 && !last;
        while !lazy && let Some(event) = call.poll_event() {
            assert!(!failed, "{event:?} behind the end");
            match event {
                ServerEvent::Message(message) => {
                    assert!(!half_closed, "a message behind the last");
                    messages.push(message);
                }
                ServerEvent::HalfClosed => {
                    assert!(!half_closed, "half-closed twice");
                    half_closed = true;
                }
                ServerEvent::Failed(status) => {
                    assert!(!status.is_ok());
                    failed = true;
                }
            }
        }
        assert!(call.buffered() <= body.len().saturating_add(limit));
        if last {
            break;
        }
    }
    let (whole, ending) = body::split(&body, limit, encoding);
    assert!(whole.starts_with(&messages), "messages that nobody sent");
    if half_closed {
        assert!(ended && ending == Ending::Whole && messages == whole, "a request that is not whole");
        assert!(kind == RequestKind::Many || messages.len() == 1);
    }
    if kind == RequestKind::One {
        assert_eq!(messages.len(), usize::from(half_closed));
    }
    assert!(failed || !broken, "a broken stream is not told");
    assert!(failed || half_closed || !ended, "an end is not told");
}
