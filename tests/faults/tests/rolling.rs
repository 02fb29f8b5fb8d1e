//! Rolling restarts under load: a drain loses no call, and runs none twice.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use spanwire::server::{Context, Handler, Service};
use spanwire::{Channel, Kind, LoadBalancing, Method, Raw, Server, ServerHandle};

const ECHO: Method = Method::new("/test.Rolling/Echo", Kind::Unary);
const CALLERS: usize = 32;
const RESTARTS: usize = 20;
/// More than any call here takes, on a busy machine as well.
const GRACE: Duration = Duration::from_secs(20);

/// Counts what it runs.
struct Rolling(Arc<AtomicU64>);

impl Service for Rolling {
    fn name(&self) -> &'static str {
        "test.Rolling"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let echo = |runs: Arc<AtomicU64>, message: Raw, context: Context| async move {
            runs.fetch_add(1, Ordering::Relaxed);
            // Some are under way whenever a server drains.
            if message.0.len().is_multiple_of(4) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            (Ok(message), context)
        };
        vec![(
            "Echo",
            Handler::unary(Arc::new(self.0.clone()), move |runs: Arc<Arc<AtomicU64>>, message, context| {
                echo((*runs).clone(), message, context)
            }),
        )]
    }
}

async fn start(port: u16, runs: &Arc<AtomicU64>) -> (ServerHandle, u16) {
    let server = Server::builder().service(Rolling(runs.clone()));
    let server = server.bind(&format!("127.0.0.1:{port}")).await.unwrap();
    let (handle, port) = (server.handle(), server.port().unwrap());
    tokio::spawn(server.run());
    (handle, port)
}

#[tokio::test]
async fn twenty_rolling_restarts_lose_no_call() {
    let runs = Arc::new(AtomicU64::new(0));
    let (first, second) = (start(0, &runs).await, start(0, &runs).await);
    let target = format!("ipv4:127.0.0.1:{},127.0.0.1:{}", first.1, second.1);
    // No retry policy: what a draining server has not begun is made again in any case, and nothing else may be.
    let channel = Channel::builder(&target).load_balancing(LoadBalancing::RoundRobin).build().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (channel, over) = (channel.clone(), over.clone());
            tokio::spawn(async move {
                let (mut calls, message) = (0_u64, Raw(vec![7; caller].into()));
                while !over.load(Ordering::Relaxed) {
                    let answer = channel.unary::<Raw, Raw>(&ECHO, message.clone()).wait_for_ready(true);
                    let answer = answer.timeout(Duration::from_secs(30)).await;
                    let answer = answer.unwrap_or_else(|status| panic!("call {calls}: {status}"));
                    assert_eq!(answer, message);
                    calls += 1;
                }
                calls
            })
        })
        .collect();

    let mut servers = [first, second];
    for restart in 0..RESTARTS {
        // Each restart meets calls.
        let served = runs.load(Ordering::Relaxed);
        while runs.load(Ordering::Relaxed) < served + 200 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let (handle, port) = &servers[restart % 2];
        handle.shutdown(GRACE).await;
        servers[restart % 2] = start(*port, &runs).await;
    }
    over.store(true, Ordering::Relaxed);
    let mut calls = 0;
    for caller in callers {
        calls += caller.await.unwrap();
    }
    assert_eq!(runs.load(Ordering::Relaxed), calls, "what ran, and what was answered");
    println!("{calls} calls, {RESTARTS} restarts");
}
