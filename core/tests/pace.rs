//! Which task a handler begins in, where there are several threads.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use spanwire::server::{Handler, Service};
use spanwire::{Channel, Kind, Method, Raw, Server};
use support::*;

const QUICK: Method = Method::new("/test.Where/Quick", Kind::Unary);
const SLOW: Method = Method::new("/test.Where/Slow", Kind::Unary);

/// Answers with the task that the handler began in.
struct Where;

fn task() -> Raw {
    Raw::from(tokio::task::id().to_string())
}

impl Service for Where {
    fn name(&self) -> &'static str {
        "test.Where"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let quick = Handler::unary(Arc::new(()), |_, _: Raw, context| async move { (Ok(task()), context) });
        let slow = Handler::unary(Arc::new(()), |_, _: Raw, context| async move {
            let task = task();
            std::thread::sleep(Duration::from_micros(200));
            (Ok(task), context)
        });
        vec![("Quick", quick), ("Slow", slow)]
    }
}

/// Whether two calls in a row began in the same task, which is then the connection's; tries at most `calls` times.
async fn share_a_task(channel: &Channel, method: &Method, calls: usize) -> bool {
    let mut last = Raw::default();
    for _ in 0..calls {
        let task = channel.unary::<Raw, Raw>(method, Raw::default()).await.unwrap();
        if task == last {
            return true;
        }
        last = task;
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quick_methods_earn_to_begin_where_they_arrive_and_slow_ones_do_not() {
    let server = serve(Server::builder().service(Where)).await;
    let channel = server.channel();
    assert!(!share_a_task(&channel, &SLOW, 300).await);
    assert!(!share_a_task(&channel, &QUICK, 60).await, "not before it is known to be quick");
    // On a busy machine any call may take long now and then.
    assert!(share_a_task(&channel, &QUICK, 100_000).await);
    assert!(!share_a_task(&channel, &SLOW, 300).await, "each method by itself");
}

#[tokio::test]
async fn on_one_thread_every_method_begins_where_it_arrives() {
    let server = serve(Server::builder().service(Where)).await;
    let channel = server.channel();
    assert!(share_a_task(&channel, &QUICK, 2).await);
    assert!(share_a_task(&channel, &SLOW, 2).await);
}
