//! Tokens that the host's program gets for itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use spanwire::bridge::{
    Answer, CallOptions, Channel, ChannelOptions, Destination, Engine, EngineOptions, Event, EventKind,
    Outcome, Queue, ReportTo, Server, ServerOptions, TokenRequest, TokenSource,
};
use spanwire::{Code, Kind, Metadata, Status, Token};

use super::host::UNARY;

/// Makes calls in a process; the server answers with the token that it got.
struct Calls {
    queue: Queue,
    _server: Server,
    channel: Channel,
}

impl Calls {
    fn new(name: &str, ask: impl Fn(TokenRequest) + Send + Sync + 'static) -> Self {
        let engine = Engine::new(&EngineOptions::default()).unwrap();
        let server = Server::new(&engine, &ServerOptions::default()).unwrap();
        let requests = Queue::with_taker(|event| {
            let EventKind::Request(mut request) = event.kind else { return };
            let call = request.take_call().unwrap();
            let token = call.metadata().get("authorization").unwrap_or_default().to_owned();
            call.respond(token.into_bytes().into(), Answer::default(), Metadata::new()).unwrap();
        });
        let to = Destination { queue: requests, tag: 0, credit: 0, attachment: None };
        server.method(UNARY, Kind::Unary, &to).unwrap();
        server.listen(&format!("inprocess:{name}")).unwrap();
        let options =
            ChannelOptions { bearer_token_source: Some(TokenSource::new(ask)), ..ChannelOptions::default() };
        let channel = Channel::new(&engine, server.target(), &options).unwrap();
        Calls { queue: Queue::new(), _server: server, channel }
    }

    fn begin(&self) {
        let report = ReportTo { queue: self.queue.clone(), tag: 1, attachment: None };
        self.channel.unary(UNARY, b"".as_slice().into(), CallOptions::default(), report, None, None).unwrap();
    }

    fn end(&self) -> Outcome {
        let mut events: Vec<Event> = Vec::new();
        assert_eq!(self.queue.next(1, &mut events, Some(Duration::from_secs(20))), Ok(1));
        let EventKind::Done(outcome) = events.remove(0).kind else { panic!("no end") };
        outcome
    }
}

#[test]
fn token_may_come_later_from_another_thread_and_is_kept() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let calls = Calls::new("token-later", move |request| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        std::thread::spawn(move || request.answer(Ok(Token::new(format!("t{number}")))));
    });
    for _ in 0..2 {
        calls.begin();
        calls.begin();
        for _ in 0..2 {
            assert_eq!(calls.end().message.unwrap().bytes, "Bearer t0");
        }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn failure_is_the_status_of_the_call() {
    let calls = Calls::new("token-refused", |request| {
        request.answer(Err(Status::permission_denied("no token for you")));
    });
    calls.begin();
    let status = calls.end().status;
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "no token for you"));
}

#[test]
fn request_without_an_answer_fails_the_call() {
    let calls = Calls::new("token-dropped", drop);
    calls.begin();
    let status = calls.end().status;
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("gave no answer"), "{status:?}");
}
