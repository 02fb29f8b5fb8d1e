//! How calls are spread over servers, in virtual time, over connections inside of the process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use spanwire::{Channel, ChannelBuilder, Raw, Status};
use support::orca::Orca;
use support::who::{Names, WHO, spread, start, who};

const SECOND: Duration = Duration::from_secs(1);

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

fn by_reports_on_a_stream(names: &[&str]) -> ChannelBuilder {
    let known = Names::default();
    known.set(names);
    known.channel().service_config(
        r#"{"loadBalancingConfig": [{"weighted_round_robin": {
            "enableOobLoadReport": true, "oobReportingPeriod": "5s"}}]}"#,
    )
}

// gRFC A51, "Out of Band Metrics Reporting"
#[tokio::test(start_paused = true)]
async fn reports_on_a_stream_weigh_servers_that_nobody_calls() {
    let (strong, weak) = (Orca::new(300.0), Orca::new(100.0));
    let _servers = [strong.start("oob-a").await, weak.start("oob-b").await];
    let channel = by_reports_on_a_stream(&["oob-a", "oob-b"]).build().unwrap();
    who(&channel).await.unwrap();
    tokio::time::sleep(9 * SECOND).await;
    let shares = spread(&channel, 1000).await;
    assert!((490..=510).contains(&shares["oob-a"]), "they are new: {shares:?}");
    tokio::time::sleep(3 * SECOND).await;
    let shares = spread(&channel, 1000).await;
    assert!((740..=760).contains(&shares["oob-a"]), "{shares:?}");
    let asked: Vec<_> = strong.asked.lock().unwrap().iter().map(|(_, period)| *period).collect();
    assert_eq!(asked, [5 * SECOND]);
    assert_eq!(channel.stats().calls, 0);
}

#[tokio::test(start_paused = true)]
async fn stream_of_reports_that_fails_is_opened_again_and_one_that_is_not_there_is_not() {
    let (broken, none) = (Orca::new(300.0), Orca::new(100.0));
    broken.endings.lock().unwrap().extend((0..2).map(|_| Status::internal("broken")));
    none.endings.lock().unwrap().push_back(Status::unimplemented("no such service"));
    let _servers = [broken.start("oob-c").await, none.start("oob-d").await];
    let channel = by_reports_on_a_stream(&["oob-c", "oob-d"]).build().unwrap();
    who(&channel).await.unwrap();
    tokio::time::sleep(60 * SECOND).await;
    let shares = spread(&channel, 1000).await;
    assert!((490..=510).contains(&shares["oob-c"]), "one alone weighs nothing: {shares:?}");
    assert_eq!(none.asked.lock().unwrap().len(), 1);
    let asked = broken.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 3);
    let gaps: Vec<_> = asked.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_millis()).collect();
    assert!((800..=1201).contains(&gaps[0]) && (1280..=1921).contains(&gaps[1]), "{gaps:?}");
}
