//! A host as small as can be: one queue, one server that is answered by the tests, one channel to it.

use std::time::Duration;

use spanwire::Kind;
use spanwire::bridge::{
    Call, CallOptions, Channel, ChannelOptions, Destination, Engine, EngineOptions, Event, EventKind,
    Outcome, Queue, ReportTo, Request, Server, ServerCall, ServerOptions,
};

pub const UNARY: &str = "/test.Bridge/Unary";
pub const DOWN: &str = "/test.Bridge/Down";
pub const UP: &str = "/test.Bridge/Up";
pub const BIDI: &str = "/test.Bridge/Bidi";

/// The tag of the server's methods; calls of the tests have smaller ones.
pub const SERVER: usize = 1000;

/// Far longer than anything takes, so that a test that would hang fails instead.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Host {
    pub engine: Engine,
    pub queue: Queue,
    pub server: Server,
    pub channel: Channel,
    pending: std::cell::RefCell<std::collections::VecDeque<Event>>,
}

impl Host {
    pub fn new() -> Self {
        Host::with(&ServerOptions::default(), &ChannelOptions::default(), 0)
    }

    /// `credit` is what each stream on the server may get at first.
    pub fn with(server_options: &ServerOptions, channel_options: &ChannelOptions, credit: u32) -> Self {
        let engine = Engine::new(&EngineOptions::default()).unwrap();
        let queue = Queue::new();
        let server = Server::new(&engine, server_options).unwrap();
        let to = Destination { queue: queue.clone(), tag: SERVER, credit, attachment: None };
        for (method, kind) in [
            (UNARY, Kind::Unary),
            (DOWN, Kind::ServerStreaming),
            (UP, Kind::ClientStreaming),
            (BIDI, Kind::Bidi),
        ] {
            server.method(method, kind, &to).unwrap();
        }
        server.listen("127.0.0.1:0").unwrap();
        let channel = Channel::new(&engine, server.target(), channel_options).unwrap();
        Host { engine, queue, server, channel, pending: Default::default() }
    }

    pub fn report(&self, tag: usize) -> ReportTo {
        ReportTo { queue: self.queue.clone(), tag, attachment: None }
    }

    pub fn unary(&self, tag: usize, request: &'static [u8]) {
        self.channel
            .unary(UNARY, request.into(), CallOptions::default(), self.report(tag), None, None)
            .unwrap();
    }

    pub fn stream(&self, tag: usize, method: &str, kind: Kind, credit: u32) -> Call {
        self.stream_with(tag, method, kind, CallOptions { credit, ..CallOptions::default() })
    }

    pub fn stream_with(&self, tag: usize, method: &str, kind: Kind, options: CallOptions) -> Call {
        let (call, begin) = self.channel.stream(method, kind, options, self.report(tag), None).unwrap();
        begin.begin();
        call
    }

    /// The next event with this tag; others are kept for later.
    pub fn next(&self, tag: usize) -> Event {
        let mut pending = self.pending.borrow_mut();
        loop {
            if let Some(index) = pending.iter().position(|event| event.tag() == tag) {
                return pending.remove(index).unwrap();
            }
            let mut events = Vec::new();
            let count = self.queue.next(64, &mut events, Some(PATIENCE)).unwrap();
            assert!(count > 0, "no event for {tag} within {PATIENCE:?}");
            pending.extend(events);
        }
    }

    /// Whether nothing with this tag is there, after everything that was asked for was done.
    pub fn is_quiet(&self, tag: usize) -> bool {
        self.settle();
        let mut pending = self.pending.borrow_mut();
        let mut events = Vec::new();
        self.queue.drain(1024, &mut events).unwrap();
        pending.extend(events);
        !pending.iter().any(|event| event.tag() == tag)
    }

    /// A call there and back: what was on its way before it has arrived.
    pub fn settle(&self) {
        const TAG: usize = 999;
        self.unary(TAG, b"settle");
        loop {
            let mut request = self.request_of(b"settle");
            request
                .0
                .take()
                .unwrap()
                .respond(b"".as_slice().into(), Default::default(), Default::default())
                .unwrap();
            if matches!(self.next(TAG).kind, EventKind::Done(_)) {
                return;
            }
        }
    }

    fn request_of(&self, message: &[u8]) -> (Option<ServerCall>, Request) {
        let mut pending = self.pending.borrow_mut();
        loop {
            let found = pending.iter().position(|event| match &event.kind {
                EventKind::Request(request) => {
                    request.message.as_ref().is_some_and(|received| received.bytes == message)
                }
                _ => false,
            });
            if let Some(index) = found
                && let EventKind::Request(mut request) = pending.remove(index).unwrap().kind
            {
                return (request.take_call(), request);
            }
            let mut events = Vec::new();
            assert!(self.queue.next(64, &mut events, Some(PATIENCE)).unwrap() > 0);
            pending.extend(events);
        }
    }

    /// The next call that the server gets.
    pub fn request(&self) -> (ServerCall, Request) {
        match self.next(SERVER).kind {
            EventKind::Request(mut request) => (request.take_call().unwrap(), request),
            other => panic!("no request: {other:?}"),
        }
    }

    pub fn done(&self, tag: usize) -> Outcome {
        loop {
            if let EventKind::Done(outcome) = self.next(tag).kind {
                return outcome;
            }
        }
    }

    /// Messages until so many are there; how many came in each event.
    pub fn messages(&self, tag: usize, count: usize) -> Vec<bytes::Bytes> {
        let mut all = Vec::new();
        while all.len() < count {
            match self.next(tag).kind {
                EventKind::Messages { messages, .. } => all.extend(messages.into_iter().map(|one| one.bytes)),
                EventKind::Headers(_) => {}
                other => panic!("{other:?} after {} messages", all.len()),
            }
        }
        all
    }
}
