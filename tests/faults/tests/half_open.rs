//! A peer that vanishes without a word: a cable is pulled between two network namespaces, and put back.
//!
//! This is the one thing that no peer in the same process can play: the system's own clock decides when data that
//! nobody acknowledges has waited long enough. It needs the right to make network namespaces.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/namespace.rs"]
mod namespace;

use namespace::Namespace;
use spanwire::server::{Handler, Service};
use spanwire::{Channel, Code, Keepalive, Kind, Method, Raw, Server};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const ECHO: Method = Method::new("/test.Far/Echo", Kind::Unary);
const NEVER: Method = Method::new("/test.Far/Never", Kind::Unary);
const LONG: Duration = Duration::from_secs(30);

struct Far;

impl Service for Far {
    fn name(&self) -> &'static str {
        "test.Far"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let far = Arc::new(());
        vec![
            (
                "Echo",
                Handler::unary(far.clone(), |_, request: Raw, context| async { (Ok(request), context) }),
            ),
            (
                "Never",
                Handler::unary(far, |_, request: Raw, context| async move {
                    std::future::pending::<()>().await;
                    (Ok(request), context)
                }),
            ),
        ]
    }
}

/// Runs `work` in a runtime whose sockets are in the namespace.
fn inside<T>(namespace: &Namespace, work: impl Future<Output = T>) -> T {
    namespace::enter(namespace.id());
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn echo(channel: &Channel, timeout: Duration) -> Result<Raw, spanwire::Status> {
    channel.unary::<Raw, Raw>(&ECHO, Raw::default()).timeout(timeout).await
}

#[test]
fn a_vanished_server_is_noticed_and_found_again_when_it_is_back() {
    let (mut near, mut far) = (Namespace::new(), Namespace::new());
    near.run(&format!("ip link add near type veth peer name far netns {}", far.id()));
    near.run("ip addr add 10.9.0.1/24 dev near && ip link set near up");
    far.run("ip addr add 10.9.0.2/24 dev far && ip link set far up");
    let (tell, told) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    thread::scope(|scope| {
        let far = &mut far;
        let (pull, pulled) = mpsc::channel::<&str>();
        let (ready, is_ready) = mpsc::channel();
        scope.spawn({
            let id = far.id();
            move || {
                namespace::enter(id);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let server = Server::builder().service(Far).bind("10.9.0.2:0").await.unwrap();
                    tell.send(server.target()).unwrap();
                    tokio::select! {
                        () = server.run() => {}
                        _ = stopped => {}
                    }
                });
            }
        });
        scope.spawn(move || {
            for state in pulled {
                far.run(&format!("ip link set far {state}"));
                ready.send(()).unwrap();
            }
        });
        let cable = |state: &'static str| {
            pull.send(state).unwrap();
            is_ready.recv().unwrap();
        };
        inside(&near, async {
            let target = told.recv().unwrap();
            // Too long for a ping to be what notices.
            let keepalive = Keepalive { timeout: Duration::from_secs(1), ..Keepalive::new(LONG) };
            let backoff = Duration::from_millis(20);
            let builder = || Channel::builder(&target).backoff(backoff, backoff);
            let noticing = builder().keepalive(keepalive).build().unwrap();
            let plain = builder().build().unwrap();
            for channel in [&noticing, &plain] {
                echo(channel, LONG).await.unwrap();
            }
            cable("down");
            let began = Instant::now();
            let deadline = Duration::from_millis(300);
            let call = plain.unary::<Raw, Raw>(&NEVER, Raw::default()).timeout(deadline).into_future();
            let (lost, late) = tokio::join!(echo(&noticing, LONG), call);
            let (lost, late) = (lost.unwrap_err(), late.unwrap_err());
            let took = began.elapsed();
            assert_eq!(late.code(), Code::DeadlineExceeded, "{late}");
            assert_eq!(lost.code(), Code::Unavailable, "{lost}");
            assert!(took < LONG / 2, "noticed only after {took:?}");
            cable("up");
            // A channel of which the connection is gone makes another; the other's has only been silent.
            for channel in [&noticing, &plain] {
                let call = channel.unary::<Raw, Raw>(&ECHO, Raw::default()).wait_for_ready(true);
                call.timeout(LONG).await.unwrap();
            }
        });
        drop(pull);
        stop.send(()).unwrap();
    });
}
