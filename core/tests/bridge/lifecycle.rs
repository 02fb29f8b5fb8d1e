//! Points 6 and 9: after the end of things, and queues in all their ways of waking.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use spanwire::bridge::{
    Answer, CallOptions, Channel, ChannelOptions, Destination, Engine, EngineOptions, OpError, Queue,
    ReportTo, Server, ServerOptions,
};
use spanwire::{Code, Kind, Metadata};

use super::host::{Host, UNARY};

#[test]
fn queue_wakes_a_thread_that_waits() {
    let host = Host::new();
    let queue = Queue::new();
    let report = ReportTo { queue: queue.clone(), tag: 5, attachment: None };
    let waiting = std::thread::spawn(move || {
        let mut events = Vec::new();
        queue.next(10, &mut events, None).unwrap();
        events.remove(0).tag()
    });
    host.channel
        .unary("/none/none", b"".as_slice().into(), CallOptions::default(), report, None, None)
        .unwrap();
    assert_eq!(waiting.join().unwrap(), 5);
}

#[test]
fn waker_is_called_once_until_the_queue_is_emptied() {
    let host = Host::new();
    let rings = Arc::new(AtomicUsize::new(0));
    let counted = rings.clone();
    let queue = Queue::with_waker(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let call = || {
        let report = ReportTo { queue: queue.clone(), tag: 5, attachment: None };
        host.channel
            .unary("/none/none", b"".as_slice().into(), CallOptions::default(), report, None, None)
            .unwrap();
    };
    let pushed = |count| {
        while queue.counts().0 < count {
            host.settle();
        }
    };
    let mut events = Vec::new();
    call();
    call();
    pushed(2);
    assert_eq!(rings.load(Ordering::SeqCst), 1);
    assert_eq!(queue.drain(1, &mut events), Ok(1));
    call();
    pushed(3);
    assert_eq!(rings.load(Ordering::SeqCst), 1, "it was not emptied");
    assert_eq!(queue.drain(10, &mut events), Ok(2));
    call();
    pushed(4);
    assert_eq!(rings.load(Ordering::SeqCst), 2);
}

#[test]
fn router_takes_events_where_they_come_from() {
    let host = Host::new();
    let (sender, receiver) = std::sync::mpsc::channel();
    let queue = Queue::with_router(move |queue| {
        let mut events = Vec::new();
        queue.drain(usize::MAX, &mut events).unwrap();
        for event in events {
            sender.send((event.tag(), std::thread::current().id())).unwrap();
        }
    });
    for tag in 1..=3 {
        let report = ReportTo { queue: queue.clone(), tag, attachment: None };
        host.channel
            .unary("/none/none", b"".as_slice().into(), CallOptions::default(), report, None, None)
            .unwrap();
    }
    for tag in 1..=3 {
        let (told, thread) = receiver.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(told, tag);
        assert_ne!(thread, std::thread::current().id(), "the lane calls it");
    }
    drop(queue);
    host.settle();
    let end = receiver.recv_timeout(Duration::from_secs(20));
    assert_eq!(
        end,
        Err(std::sync::mpsc::RecvTimeoutError::Disconnected),
        "the queue does not keep itself alive"
    );
}

#[cfg(unix)]
#[test]
fn descriptor_is_readable_while_there_are_events() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let readable = |number: i32, seconds: i64| {
        // SAFETY: the descriptor is the queue's, which outlives this.
        #[allow(unsafe_code, reason = "hosts get a number")]
        let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        let timeout = Timespec { tv_sec: seconds, tv_nsec: 0 };
        poll(&mut [PollFd::from_borrowed_fd(borrowed, PollFlags::IN)], Some(&timeout)).unwrap() == 1
    };
    let host = Host::new();
    let queue = Queue::new();
    let number = queue.descriptor().unwrap();
    assert_eq!(queue.descriptor(), Ok(number));
    assert!(!readable(number, 0));
    let report = ReportTo { queue: queue.clone(), tag: 5, attachment: None };
    host.channel
        .unary("/none/none", b"".as_slice().into(), CallOptions::default(), report, None, None)
        .unwrap();
    assert!(readable(number, 20));
    assert!(readable(number, 0), "still there");
    let mut events = Vec::new();
    queue.drain(10, &mut events).unwrap();
    assert!(!readable(number, 0));
    queue.interrupt();
    assert!(readable(number, 0));
    assert_eq!(queue.drain(10, &mut events), Ok(0));
    assert!(!readable(number, 0));

    // An interrupt is not lost among events.
    let report = ReportTo { queue: queue.clone(), tag: 6, attachment: None };
    host.channel
        .unary("/none/none", b"".as_slice().into(), CallOptions::default(), report, None, None)
        .unwrap();
    assert!(readable(number, 20));
    queue.interrupt();
    assert_eq!(queue.drain(10, &mut events), Ok(1));
    assert!(readable(number, 0));
    assert_eq!(queue.drain(10, &mut events), Ok(0));
    assert!(!readable(number, 0));

    let queue = Queue::new();
    queue.interrupt();
    assert!(readable(queue.descriptor().unwrap(), 0), "it came before there was a descriptor");
}

#[test]
fn thread_that_leaves_events_wakes_the_next() {
    let queue = Queue::new();
    let taken = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (queue, taken) = (queue.clone(), taken.clone());
            std::thread::spawn(move || {
                let mut events = Vec::new();
                queue.next(1, &mut events, Some(Duration::from_secs(20))).unwrap();
                taken.fetch_add(events.len(), Ordering::SeqCst);
                // Its work needs what the others do.
                let until = Instant::now() + Duration::from_secs(10);
                while taken.load(Ordering::SeqCst) < 3 {
                    assert!(Instant::now() < until, "the others sleep although there are events");
                    std::thread::yield_now();
                }
            })
        })
        .collect();
    let host = Host::new();
    host.settle();
    // Handed over together, they ring once.
    spanwire::bridge::begin_batch();
    for tag in 1..4 {
        let report = ReportTo { queue: queue.clone(), tag, attachment: None };
        host.channel
            .unary("/none/none", b"".as_slice().into(), CallOptions::default(), report, None, None)
            .unwrap();
    }
    spanwire::bridge::end_batch();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn interrupt_ends_one_wait() {
    let queue = Queue::new();
    let mut events = Vec::new();
    queue.interrupt();
    assert_eq!(queue.next(1, &mut events, None), Ok(0));
    let other = queue.clone();
    let waiting = std::thread::spawn(move || other.next(1, &mut Vec::new(), None));
    let began = Instant::now();
    while !waiting.is_finished() {
        queue.interrupt();
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    assert_eq!(waiting.join().unwrap(), Ok(0));
}

#[test]
fn wait_ends_when_its_time_is_up() {
    let queue = Queue::new();
    let began = Instant::now();
    assert_eq!(queue.next(1, &mut Vec::new(), Some(Duration::from_millis(20))), Ok(0));
    assert!(began.elapsed() >= Duration::from_millis(20));
    assert_eq!(queue.next(0, &mut Vec::new(), None), Ok(0), "nothing was wanted");
}

#[test]
fn closed_queue_ends_waits_and_takes_no_calls() {
    let host = Host::new();
    let queue = Queue::new();
    let other = queue.clone();
    let waiting = std::thread::spawn(move || other.next(1, &mut Vec::new(), None));
    queue.close();
    assert_eq!(waiting.join().unwrap(), Err(OpError::ShutDown("the event queue was closed")));
    let report = ReportTo { queue, tag: 5, attachment: None };
    let refused =
        host.channel.unary(UNARY, b"".as_slice().into(), CallOptions::default(), report, None, None);
    assert_eq!(refused, Err(OpError::ShutDown("the event queue was closed")));
}

#[test]
fn server_whose_queue_is_closed_turns_its_calls_away() {
    let host = Host::new();
    let queue = Queue::new();
    let server = Server::new(&host.engine, &ServerOptions::default()).unwrap();
    let to = Destination { queue: queue.clone(), tag: 1, credit: 0, attachment: None };
    server.method(UNARY, Kind::Unary, &to).unwrap();
    server.listen("127.0.0.1:0").unwrap();
    let channel = Channel::new(&host.engine, server.target(), &ChannelOptions::default()).unwrap();
    channel.unary(UNARY, b"".as_slice().into(), CallOptions::default(), host.report(1), None, None).unwrap();
    while queue.counts().0 == 0 {
        std::thread::yield_now();
    }
    queue.close();
    assert_eq!(host.done(1).status.code(), Code::Internal, "it was waiting in the queue");
    channel.unary(UNARY, b"".as_slice().into(), CallOptions::default(), host.report(1), None, None).unwrap();
    assert_eq!(host.done(1).status.code(), Code::Unavailable);
}

#[test]
fn engines_can_be_made_and_ended_one_after_the_other() {
    for _ in 0..20 {
        let engine = Engine::new(&EngineOptions { lanes: 2, ..EngineOptions::default() }).unwrap();
        engine.shutdown();
        engine.shutdown();
        let refused = Channel::new(&engine, "127.0.0.1:1", &ChannelOptions::default());
        assert!(matches!(refused, Err(OpError::ShutDown(_))));
    }
}

#[test]
fn several_lanes_serve_together() {
    let engine = Engine::new(&EngineOptions { lanes: 2, ..EngineOptions::default() }).unwrap();
    let queue = Queue::new();
    let server = Server::new(&engine, &ServerOptions::default()).unwrap();
    let to = Destination { queue: queue.clone(), tag: 1, credit: 0, attachment: None };
    server.method(UNARY, Kind::Unary, &to).unwrap();
    server.listen("127.0.0.1:0").unwrap();
    let host = Host::new();
    let channels: Vec<_> =
        (0..8).map(|_| Channel::new(&engine, server.target(), &ChannelOptions::default()).unwrap()).collect();
    for (tag, channel) in channels.iter().enumerate() {
        channel
            .unary(UNARY, b"".as_slice().into(), CallOptions::default(), host.report(tag), None, None)
            .unwrap();
    }
    let mut answered = 0;
    while answered < channels.len() {
        let mut events = Vec::new();
        assert!(queue.next(8, &mut events, Some(Duration::from_secs(20))).unwrap() > 0);
        for event in events {
            if let spanwire::bridge::EventKind::Request(mut request) = event.kind {
                let call = request.take_call().unwrap();
                call.respond(b"".as_slice().into(), Answer::default(), Metadata::new()).unwrap();
                answered += 1;
            }
        }
    }
    for tag in 0..channels.len() {
        assert!(host.done(tag).status.is_ok());
    }
}

#[test]
fn server_listens_once_and_says_what_is_wrong() {
    let host = Host::new();
    assert_eq!(host.server.listen("127.0.0.1:0"), Err(OpError::Over("the server listens already")));
    let to = Destination { queue: host.queue.clone(), tag: 1, credit: 0, attachment: None };
    let server = Server::new(&host.engine, &ServerOptions::default()).unwrap();
    assert!(matches!(server.method("no path", Kind::Unary, &to), Err(OpError::Argument(_))));
    assert!(matches!(server.method("/a.B/C d", Kind::Unary, &to), Err(OpError::Argument(_))));
    assert_eq!(server.target(), "");
    assert!(matches!(server.shutdown(Duration::ZERO, &host.queue, 1), Err(OpError::Over(_))));
    assert!(host.is_quiet(1), "a shutdown that was refused is not told");
    server.method("/a.B/C", Kind::Unary, &to).unwrap();
    let twice = server.method("/a.B/C", Kind::Bidi, &to);
    assert_eq!(twice, Err(OpError::Argument("/a.B/C was registered before".to_owned())));
    assert!(matches!(server.listen(host.server.target()), Err(OpError::System(_))), "the port is taken");
    assert!(matches!(server.listen("nonsense"), Err(OpError::Argument(_))));
    server.listen("127.0.0.1:0").unwrap();
    assert_eq!(server.method("/a.B/D", Kind::Unary, &to), Err(OpError::Over("the server listens already")));
}

#[cfg(unix)]
#[test]
fn port_is_shared_by_servers_that_all_say_so() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let server =
        |share_port| Server::new(&engine, &ServerOptions { share_port, ..ServerOptions::default() }).unwrap();
    let first = server(true);
    first.listen("127.0.0.1:0").unwrap();
    let address = format!("127.0.0.1:{}", first.port().unwrap());
    server(true).listen(&address).unwrap();
    assert!(matches!(server(false).listen(&address), Err(OpError::System(_))));
}

#[test]
fn drain_lets_running_calls_finish() {
    let host = Host::new();
    host.unary(1, b"");
    let (call, _) = host.request();
    host.server.shutdown(Duration::from_secs(20), &host.queue, 7).unwrap();
    call.respond(b"finished".as_slice().into(), Answer::default(), Metadata::new()).unwrap();
    assert_eq!(host.done(1).message.unwrap().bytes, "finished");
    assert!(matches!(host.next(7).kind, spanwire::bridge::EventKind::ServerClosed));
}

#[test]
fn fallback_gets_what_no_method_has() {
    let host = Host::new();
    let server = Server::new(&host.engine, &ServerOptions::default()).unwrap();
    let to = Destination { queue: host.queue.clone(), tag: 50, credit: 10, attachment: None };
    server.fallback(&to).unwrap();
    server.listen("inprocess:bridge-fallback").unwrap();
    let channel = Channel::new(&host.engine, server.target(), &ChannelOptions::default()).unwrap();
    let (call, begin) =
        channel.stream("/any.Thing/At", Kind::Bidi, CallOptions::default(), host.report(1), None).unwrap();
    begin.begin();
    call.send(b"x".as_slice().into()).unwrap();
    let spanwire::bridge::EventKind::Request(mut request) = host.next(50).kind else { panic!() };
    let server_call = request.take_call().unwrap();
    assert_eq!(server_call.method(), "/any.Thing/At");
    assert_eq!(host.messages(50, 1), ["x"]);
}
