//! A link that loses packets: a firewall's rule in a network namespace, because not every kernel has netem.

#[path = "../common/namespace.rs"]
mod namespace;

use std::thread;
use std::time::Duration;

use futures_util::future::join_all;
use namespace::Namespace;
use spanwire::{Channel, Raw, Server};

use crate::calls::{Call, KINDS, make};
use crate::faults::POLICY;
use crate::service::Books;

/// One packet in so many is lost, in either direction.
pub(crate) const ONE_IN: usize = 10;

/// Calls of each kind on each channel, one after the other.
const CALLS: usize = 20;

/// All calls of all kinds, on one channel for each kind, without a policy and with one.
async fn calls() {
    let books = Books::default();
    let server = Server::builder().service(books.clone()).bind("127.0.0.1:0").await.unwrap();
    let target = server.target();
    tokio::spawn(server.run());
    let kinds = KINDS.iter().flat_map(|kind| [(kind, false), (kind, true)]);
    join_all(kinds.map(async |((label, kind), retried)| {
        let channel = Channel::builder(&target);
        let channel = if retried { channel.service_config(POLICY) } else { channel }.build().unwrap();
        for number in 0..CALLS {
            let name = format!("{label} {number} {retried}");
            // Ten packets, so that some are lost within a call, too.
            let body = Raw::from(vec![b'x'; 10_000]);
            let call = Call { name: &name, body, deadline: Duration::from_secs(60) };
            let outcome = make(&channel, *kind, &call).await;
            assert_eq!(outcome.to_string(), "OK, 1 attempt", "{name}: {}", outcome.status);
            let entry = books.of(&name);
            assert_eq!((entry.begun, entry.finished), (1, 1), "{name}");
        }
    }))
    .await;
}

#[test]
fn lost_packets_cost_time_and_no_call() {
    let mut link = Namespace::new();
    link.run("nft add table inet loss");
    link.run("nft 'add chain inet loss in { type filter hook input priority 0 ; }'");
    link.run(&format!("nft 'add rule inet loss in numgen random mod {ONE_IN} == 0 counter drop'"));
    let id = link.id();
    let calls = thread::spawn(move || {
        namespace::enter(id);
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(calls());
    });
    calls.join().unwrap();
    let rules = link.run("nft list ruleset");
    assert!(rules.contains("counter packets ") && !rules.contains("packets 0 "), "nothing was lost: {rules}");
}
