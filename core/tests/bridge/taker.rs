//! Queues whose events are taken where they happen.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread::{self, ThreadId};
use std::time::Duration;

use spanwire::bridge::{
    Answer, CallOptions, Channel, ChannelOptions, Destination, Engine, EngineOptions, Event, EventKind,
    OpError, Queue, ReportTo, Server, ServerCall, ServerOptions,
};
use spanwire::{Code, Kind, Metadata, Status};

use super::host::{BIDI, Host, UNARY};

const PATIENCE: Duration = Duration::from_secs(20);

/// An engine with a server that answers where its requests are taken, and a channel to it.
struct Answering {
    _server: Server,
    channel: Channel,
    threads: Arc<Mutex<Vec<ThreadId>>>,
}

fn answering() -> Answering {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let server = Server::new(&engine, &ServerOptions::default()).unwrap();
    let threads = Arc::new(Mutex::new(Vec::new()));
    let (seen, streams) = (threads.clone(), Mutex::new(Vec::<ServerCall>::new()));
    let queue = Queue::with_taker(move |event| {
        seen.lock().unwrap().push(thread::current().id());
        serve(event, &streams);
    });
    let to = Destination { queue, tag: 0, credit: 1, attachment: None };
    server.method(UNARY, Kind::Unary, &to).unwrap();
    server.method(BIDI, Kind::Bidi, &to).unwrap();
    server.listen("127.0.0.1:0").unwrap();
    let channel = Channel::new(&engine, server.target(), &ChannelOptions::default()).unwrap();
    Answering { _server: server, channel, threads }
}

/// Echoes; a stream's messages one by one.
fn serve(event: Event, streams: &Mutex<Vec<ServerCall>>) {
    match event.kind {
        EventKind::Request(mut request) => match request.message.take() {
            Some(message) => {
                let call = request.take_call().unwrap();
                call.respond(message.bytes.into(), Answer::default(), Metadata::new()).unwrap();
            }
            None => streams.lock().unwrap().push(request.take_call().unwrap()),
        },
        EventKind::Messages { messages, end } => {
            let streams = streams.lock().unwrap();
            for message in messages {
                streams[0].send(message.bytes.into()).unwrap();
                streams[0].grant(1).unwrap();
            }
            if end {
                streams[0].finish(Status::ok(), Answer::default()).unwrap();
            }
        }
        _ => {}
    }
}

/// One that begins the next call as soon as one has ended, until there were `left` more.
struct Chain {
    channel: Channel,
    queue: OnceLock<Queue>,
    left: AtomicUsize,
    told: mpsc::Sender<(Vec<u8>, ThreadId)>,
}

impl Chain {
    fn call(&self) {
        let report = ReportTo { queue: self.queue.get().unwrap().clone(), tag: 1, attachment: None };
        self.channel
            .unary(UNARY, b"x".as_slice().into(), CallOptions::default(), report, None, None)
            .unwrap();
    }

    fn take(&self, event: Event) {
        let EventKind::Done(outcome) = event.kind else { panic!("{:?}", event.kind) };
        self.told.send((outcome.message.unwrap().bytes.to_vec(), thread::current().id())).unwrap();
        if self.left.fetch_sub(1, Ordering::SeqCst) > 1 {
            self.call();
        }
    }
}

#[test]
fn calls_are_answered_and_follow_each_other_on_the_lane() {
    const CALLS: usize = 50;
    let answering = answering();
    let (told, results) = mpsc::channel();
    let channel = answering.channel.clone();
    let chain = Arc::new(Chain { channel, queue: OnceLock::new(), left: AtomicUsize::new(CALLS), told });
    let taking = Arc::downgrade(&chain);
    chain.queue.set(Queue::with_taker(move |event| taking.upgrade().unwrap().take(event))).unwrap();
    chain.call();
    for _ in 0..CALLS {
        let (message, thread) = results.recv_timeout(PATIENCE).unwrap();
        assert_eq!(message, b"x");
        assert_ne!(thread, thread::current().id());
    }
    let threads = answering.threads.lock().unwrap();
    assert_eq!(threads.len(), CALLS);
    assert!(threads.iter().all(|thread| *thread != thread::current().id()), "a lane of the server's engine");
    assert_eq!(chain.queue.get().unwrap().counts(), (CALLS as u64, 0), "nobody had to be woken");
}

#[test]
fn stream_is_answered_on_the_lane() {
    let answering = answering();
    let queue = Queue::new();
    let report = ReportTo { queue: queue.clone(), tag: 1, attachment: None };
    let options = CallOptions { credit: 1000, ..CallOptions::default() };
    let (call, begin) = answering.channel.stream(BIDI, Kind::Bidi, options, report, None).unwrap();
    begin.begin();
    const MESSAGES: usize = 100;
    for _ in 0..MESSAGES {
        call.send(b"message".as_slice().into()).unwrap();
    }
    call.half_close().unwrap();
    let (mut events, mut echoes) = (Vec::new(), 0);
    loop {
        assert!(queue.next(64, &mut events, Some(PATIENCE)).unwrap() > 0);
        for event in events.drain(..) {
            match event.kind {
                EventKind::Messages { messages, .. } => echoes += messages.len(),
                EventKind::Done(outcome) => {
                    assert_eq!((outcome.status.code(), echoes), (Code::Ok, MESSAGES));
                    return;
                }
                _ => {}
            }
        }
    }
}

#[test]
fn what_waits_is_refused_on_a_lane() {
    let host = Host::new();
    let (sender, receiver) = mpsc::channel();
    let queue = Queue::with_taker(move |_| {
        let (other, mut events) = (Queue::new(), Vec::new());
        let refused = other.next(1, &mut events, None);
        sender.send((refused, other.next(1, &mut events, Some(Duration::ZERO)))).unwrap();
    });
    let report = ReportTo { queue, tag: 1, attachment: None };
    host.channel
        .unary("/none/none", b"".as_slice().into(), CallOptions::default(), report, None, None)
        .unwrap();
    let (refused, looked) = receiver.recv_timeout(PATIENCE).unwrap();
    assert!(
        matches!(&refused, Err(OpError::Argument(text)) if text.contains("must not wait")),
        "{refused:?}"
    );
    assert_eq!(looked, Ok(0));
}

#[test]
fn closing_waits_for_the_taker_and_nothing_follows() {
    let host = Host::new();
    let (inside, came_inside) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel::<()>();
    let may_leave = Mutex::new(may_leave);
    let left = Arc::new(AtomicUsize::new(0));
    let leaving = left.clone();
    let queue = Queue::with_taker(move |_| {
        inside.send(()).unwrap();
        may_leave.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        leaving.fetch_add(1, Ordering::SeqCst);
    });
    for tag in 1..=2 {
        let report = ReportTo { queue: queue.clone(), tag, attachment: None };
        host.channel
            .unary("/none/none", b"".as_slice().into(), CallOptions::default(), report, None, None)
            .unwrap();
    }
    came_inside.recv_timeout(PATIENCE).unwrap();
    let closing = thread::spawn({
        let left = left.clone();
        move || {
            queue.close();
            left.load(Ordering::SeqCst)
        }
    });
    leave.send(()).unwrap();
    // The second one may come before the queue is closed; if it does not, nobody waits for this.
    leave.send(()).ok();
    let seen = closing.join().unwrap();
    assert!(seen >= 1, "it came back while the taker ran");
    host.settle();
    assert_eq!(left.load(Ordering::SeqCst), seen, "taken after the end");
}

#[test]
fn taker_closes_its_own_queue() {
    let host = Host::new();
    let (sender, receiver) = mpsc::channel();
    let own = Arc::new(OnceLock::<Queue>::new());
    let closed = own.clone();
    let queue = Queue::with_taker(move |_| {
        closed.get().unwrap().close();
        sender.send(()).unwrap();
    });
    own.set(queue.clone()).unwrap();
    let report = ReportTo { queue, tag: 1, attachment: None };
    host.channel
        .unary("/none/none", b"".as_slice().into(), CallOptions::default(), report, None, None)
        .unwrap();
    receiver.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn panic_of_a_taker_ends_nothing_else() {
    let host = Host::new();
    let queue = Queue::with_taker(|_| panic!("a host's fault"));
    let report = ReportTo { queue, tag: 1, attachment: None };
    host.channel
        .unary("/none/none", b"".as_slice().into(), CallOptions::default(), report, None, None)
        .unwrap();
    host.settle();
}
