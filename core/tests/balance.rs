//! How calls are spread over servers, in virtual time, over connections inside of the process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;

use spanwire::{Channel, Raw};
use support::who::{Names, WHO, start, who};

async fn who_for(channel: &Channel, user: &str) -> String {
    let call = channel.unary::<_, Raw>(&WHO, Raw::default()).metadata("x-user", user);
    String::from_utf8_lossy(&call.await.unwrap().0).into_owned()
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_user_go_to_one_server() {
    let names = Names::default();
    let all = ["ring-a", "ring-b", "ring-c", "ring-d"];
    names.set(&all);
    let _servers = [start(all[0]).await, start(all[1]).await, start(all[2]).await];
    let config = r#"{"loadBalancingConfig": [{"ring_hash_experimental": {"requestHashHeader": "x-user"}}]}"#;
    let channel = names.channel().service_config(config).build().unwrap();
    let mut used = BTreeSet::new();
    for user in (0..50).map(|number| format!("user-{number}")) {
        let first = who_for(&channel, &user).await;
        for _ in 0..3 {
            assert_eq!(who_for(&channel, &user).await, first);
        }
        used.insert(first);
    }
    assert_eq!(used.into_iter().collect::<Vec<_>>(), all[..3], "all but the one that is down");
    who(&channel).await.unwrap();
}
