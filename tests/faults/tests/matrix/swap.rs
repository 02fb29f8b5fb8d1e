//! A name that leads elsewhere when its server is gone.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use spanwire::{Address, Channel, Raw, Resolution, Server, ServerHandle};

use crate::calls::{Call, KINDS, Kind, make};
use crate::faults::LONG;
use crate::service::Books;
use crate::{against_the_books, in_virtual_time, recovers, with_policy};

pub(crate) const NAME: &str = "the name leads elsewhere (TTL 1 s), and the old server is gone";
pub(crate) const PLAIN: &str = "UNAVAILABLE, 1 attempt, not sent";
pub(crate) const RETRIED: &str = "OK, 2 attempts";

async fn start(address: &str, books: &Books) -> ServerHandle {
    let server =
        Server::builder().service(books.clone()).bind(&format!("inprocess:{address}")).await.unwrap();
    let handle = server.handle();
    tokio::spawn(server.run());
    handle
}

/// One cell: the outcome, and what else is wrong.
async fn play(kind: Kind, retried: bool) -> (String, Vec<String>) {
    let books = Books::default();
    let (old, new) = (format!("old-{kind:?}-{retried}"), format!("new-{kind:?}-{retried}"));
    let old_server = start(&old, &books).await;
    let now = Arc::new(Mutex::new(old));
    let name = now.clone();
    let resolver = move || {
        let address = Address::InProcess(name.lock().unwrap().clone());
        async move { Ok(Resolution::new([address]).ttl(Duration::from_secs(1))) }
    };
    let channel = with_policy(Channel::builder("swap.test").resolver(resolver), retried).build().unwrap();
    recovers(&channel).await.unwrap();
    // Between two looks at the name.
    tokio::time::sleep(Duration::from_millis(500)).await;
    start(&new, &books).await;
    *now.lock().unwrap() = new;
    old_server.shutdown(Duration::ZERO).await;
    // The channel sees the end of its connection, and that nobody takes another.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let call = Call { name: "first", body: Raw::from("hi"), deadline: LONG };
    let outcome = make(&channel, kind, &call).await;
    let mut wrong: Vec<String> =
        against_the_books(&outcome, books.of("first"), retried).into_iter().collect();
    wrong.extend(recovers(&channel).await.err());
    (outcome.to_string(), wrong)
}

#[test]
fn calls_find_the_server_at_its_new_address() {
    for (label, kind) in KINDS {
        for (retried, due) in [(false, PLAIN), (true, RETRIED)] {
            let (outcome, wrong) = in_virtual_time(play(kind, retried));
            assert_eq!((outcome.as_str(), wrong), (due, Vec::new()), "{label}, retries: {retried}");
        }
    }
}
