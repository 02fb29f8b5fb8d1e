//! Calls at a steady rate until its standard input ends, and prints what came of each call, a line of JSON each. The
//! settings are the one argument, in JSON; a channel that cannot be made is `{"error": "…"}`.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::json;
use spanwire::{Channel, ChannelError, Response, Status};
use spanwire_interop::testing::{SimpleRequest, SimpleResponse, TestServiceClient};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

#[derive(Deserialize)]
struct Settings {
    target: String,
    service_config: String,
    name_ttl_ms: u64,
    calls_per_second: f64,
    timeout_ms: u64,
    wait_for_ready: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings: Settings = serde_json::from_str(&std::env::args().nth(1).ok_or("settings are due")?)?;
    match channel(&settings) {
        Ok(channel) => steady(Arc::new(settings), TestServiceClient::new(channel)).await,
        Err(error) => say(&json!({"error": error.to_string()})),
    }
    Ok(())
}

fn channel(settings: &Settings) -> Result<Channel, ChannelError> {
    Channel::builder(&settings.target)
        .service_config(&settings.service_config)
        .name_ttl(Duration::from_millis(settings.name_ttl_ms))
        .build()
}

/// Starts calls on time, whatever became of those before, and waits for the last.
async fn steady(settings: Arc<Settings>, client: TestServiceClient) {
    let mut stop = stdin_ends();
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / settings.calls_per_second));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            _ = ticks.tick() => {}
        }
        calls.spawn(call(settings.clone(), client.clone()));
        while calls.try_join_next().is_some() {}
    }
    while calls.join_next().await.is_some() {}
}

async fn call(settings: Arc<Settings>, client: TestServiceClient) {
    let start = now_ms();
    let request = SimpleRequest { fill_server_id: true, ..SimpleRequest::default() };
    let call = client
        .unary_call(request)
        .timeout(Duration::from_millis(settings.timeout_ms))
        .wait_for_ready(settings.wait_for_ready);
    let (status, backend, attempts) = outcome(call.response().await);
    say(&json!({
        "start": start, "end": now_ms(), "status": status, "backend": backend, "attempts": attempts,
    }));
}

fn outcome(result: Result<Response<SimpleResponse>, Status>) -> (String, String, u32) {
    match result {
        Ok(response) => ("OK".to_owned(), response.message.server_id, response.attempts),
        Err(status) => (status.code().name().to_owned(), String::new(), status.attempts()),
    }
}

/// Changes when the standard input ends.
fn stdin_ends() -> watch::Receiver<()> {
    let (ended, stop) = watch::channel(());
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        ended.send(())
    });
    stop
}

fn say(line: &serde_json::Value) {
    // The runner may be gone, and then nobody is told.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0
}
