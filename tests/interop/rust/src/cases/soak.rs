//! Many large calls within time and failure budgets.

use std::sync::Arc;
use std::time::Duration;

use spanwire::Channel;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::flags::SoakFlags;
use crate::outcome::{Failure, Outcome, check, check_equal};
use crate::session::{CALL_LIMIT, Session};
use crate::testing::{SimpleRequest, TestServiceClient};
use crate::zeros;

pub(super) async fn rpc_soak(session: &Session) -> Outcome {
    let channel = session.channel()?;
    soak(session, Arc::new(move || Ok(channel.clone()))).await
}

pub(super) async fn channel_soak(session: &Session) -> Outcome {
    let session_of_workers = Session { flags: session.flags.clone() };
    soak(session, Arc::new(move || session_of_workers.channel())).await
}

type MakeChannel = Arc<dyn Fn() -> Result<Channel, Failure> + Send + Sync>;

/// What a worker has done by its end.
#[derive(Default)]
struct Tally {
    done: usize,
    failures: Vec<String>,
}

async fn soak(session: &Session, channel: MakeChannel) -> Outcome {
    let flags = &session.flags.soak;
    let workers = flags.soak_num_threads.max(1);
    let end = Instant::now() + Duration::from_secs(flags.soak_overall_timeout_seconds);
    let mut running = JoinSet::new();
    for _ in 0..workers {
        running.spawn(worker(flags.clone(), flags.soak_iterations / workers, end, channel.clone()));
    }
    let mut total = Tally::default();
    while let Some(tally) = running.join_next().await {
        let tally = tally.map_err(|error| Failure::Failed(error.to_string()))?;
        total.done += tally.done;
        total.failures.extend(tally.failures);
    }
    println!("{} calls, {} failures", total.done, total.failures.len());
    check_equal(total.done, flags.soak_iterations / workers * workers, "calls within the overall time")?;
    check(total.failures.len() <= flags.soak_max_failures, total.failures.join("; "))
}

async fn worker(flags: SoakFlags, iterations: usize, end: Instant, channel: MakeChannel) -> Tally {
    let mut tally = Tally::default();
    for iteration in 0..iterations {
        let started = Instant::now();
        if started > end {
            break;
        }
        let result = match channel() {
            Ok(channel) => one_call(&flags, channel).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = result {
            tally.failures.push(format!("call {iteration}: {failure}"));
        }
        tally.done += 1;
        sleep_until(started + Duration::from_millis(flags.soak_min_time_ms_between_rpcs)).await;
    }
    tally
}

async fn one_call(flags: &SoakFlags, channel: Channel) -> Outcome {
    let started = Instant::now();
    let request = SimpleRequest {
        response_size: flags.soak_response_size,
        payload: zeros(flags.soak_request_size),
        ..SimpleRequest::default()
    };
    let response = TestServiceClient::new(channel).unary_call(request).timeout(CALL_LIMIT).await?;
    super::check_zeros(response.payload, flags.soak_response_size)?;
    let limit = Duration::from_millis(flags.soak_per_iteration_max_acceptable_latency_ms);
    let took = started.elapsed();
    check(took <= limit, format!("it took {took:?}, the limit is {limit:?}"))
}
