//! A connection's calls are counted by their handlers: a reset ends a stream at once, and its handler a little later.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::TestServer;
use spanwire::Raw;
use spanwire::server::{Context, Handler, Service};
use spanwire_faults::{Fields, Frame, RawClient, grpc, reason};
use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex};
use tokio::sync::mpsc;

/// What the handlers of `test.Block/Block` do: each blocks its thread until the gate is opened.
struct Block {
    started: mpsc::UnboundedSender<Vec<u8>>,
    gate: Mutex<Gate>,
    opened: Condvar,
}

#[derive(Default)]
struct Gate {
    open: bool,
    running: usize,
    most: usize,
}

impl Block {
    fn enter(&self, request: &Raw) {
        self.started.send(request.0.to_vec()).ok();
        let mut gate = self.gate.lock().unwrap();
        gate.running += 1;
        gate.most = gate.most.max(gate.running);
        while !gate.open {
            gate = self.opened.wait(gate).unwrap();
        }
        gate.running -= 1;
    }
}

struct BlockService(Arc<Block>);

impl Service for BlockService {
    fn name(&self) -> &'static str {
        "test.Block"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let handler =
            Handler::unary(self.0.clone(), |block: Arc<Block>, request: Raw, context: Context| async move {
                // Tells the runtime: a thread that blocks without a word may be the one that all others wait for.
                tokio::task::block_in_place(|| block.enter(&request));
                (Ok(request), context)
            });
        vec![("Block", handler)]
    }
}

/// The frames of a whole unary request.
fn request(client: &mut RawClient, path: &str, body: &[u8]) -> (u32, [Frame; 2]) {
    let stream = client.take_stream();
    let headers = Frame::headers(stream, Fields::grpc_request(path).encode());
    (stream, [headers, Frame::data(stream, grpc::message(body)).end_stream()])
}

async fn block(client: &mut RawClient, body: &[u8]) -> u32 {
    let (stream, frames) = request(client, "/test.Block/Block", body);
    client.send_all(&frames).await;
    stream
}

// Hazards A1 and A12
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn no_more_handlers_run_than_streams_may_be_open() {
    let (started, mut begun) = mpsc::unbounded_channel();
    let service = Arc::new(Block { started, gate: Mutex::default(), opened: Condvar::new() });
    let server =
        TestServer::with(|server| server.service(BlockService(service.clone())).max_concurrent_streams(2))
            .await;
    let mut client = RawClient::connect(server.address()).await;
    let first = [block(&mut client, b"1").await, block(&mut client, b"2").await];
    let names = BTreeSet::from([begun.recv().await.unwrap(), begun.recv().await.unwrap()]);
    assert_eq!(names, BTreeSet::from([b"1".to_vec(), b"2".to_vec()]));
    for stream in first {
        client.rst(stream, reason::CANCEL).await;
    }
    // For HTTP/2 there is room for two more; their handlers wait for the two that are still blocked.
    let given_up = block(&mut client, b"3").await;
    let waiting = block(&mut client, b"4").await;
    for _ in 0..20 {
        client.sync().await;
    }
    assert!(begun.try_recv().is_err());
    client.rst(given_up, reason::CANCEL).await;
    let last = block(&mut client, b"5").await;
    for _ in 0..20 {
        client.sync().await;
    }
    service.gate.lock().unwrap().open = true;
    service.opened.notify_all();
    assert_eq!(client.answer(waiting).await.messages(), [(0, b"4"[..].into())]);
    assert_eq!(client.answer(last).await.messages(), [(0, b"5"[..].into())]);
    let names = BTreeSet::from([begun.recv().await.unwrap(), begun.recv().await.unwrap()]);
    assert_eq!(names, BTreeSet::from([b"4".to_vec(), b"5".to_vec()]), "what was given up never runs");
    assert!(begun.try_recv().is_err());
    assert_eq!(service.gate.lock().unwrap().most, 2);
}

// Hazards A1, F3
#[tokio::test]
async fn who_cancels_all_calls_and_opens_as_many_at_once_is_served() {
    let mut server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for round in 0..3 {
        let mut frames = Vec::new();
        let mut cancelled = Vec::new();
        for _ in 0..256 {
            let (stream, call) = request(&mut client, "/test.Probe/Never", b"");
            cancelled.push(stream);
            frames.extend(call);
        }
        client.send_all(&frames).await;
        for _ in 0..256 {
            server.started("Never").await;
        }
        // All in one piece: the streams are free when the new ones come, their handlers are not.
        let mut frames: Vec<_> =
            cancelled.into_iter().map(|stream| Frame::rst(stream, reason::CANCEL)).collect();
        let mut wanted = Vec::new();
        for _ in 0..256 {
            let (stream, call) = request(&mut client, "/test.Probe/Echo", b"hi");
            wanted.push(stream);
            frames.extend(call);
        }
        client.send_all(&frames).await;
        for stream in wanted {
            assert_eq!(
                client.answer(stream).await.grpc_status(),
                Some("0"),
                "round {round}, stream {stream}"
            );
        }
    }
    let limits = server.handle().stats().limits;
    assert!(limits.iter().all(|(_, count)| count == 0), "{limits:?}");
}

#[tokio::test]
async fn calls_that_are_reset_as_they_come_never_run() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let mut frames = Vec::new();
    for _ in 0..100 {
        let (stream, call) = request(&mut client, "/test.Probe/Echo", b"hi");
        frames.extend(call);
        frames.push(Frame::rst(stream, reason::CANCEL));
    }
    client.send_all(&frames).await;
    assert_eq!(client.unary("/test.Probe/Echo", b"hi").await.grpc_status(), Some("0"));
    assert_eq!(server.calls(), 1);
    assert_eq!(server.handle().stats().calls, 0);
}
