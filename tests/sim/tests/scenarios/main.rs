//! The scenarios, each run with many seeds. `SIM_SEED=7 cargo test -p spanwire-sim -- drain` runs one seed of some.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod age;
mod cancel;
mod deadline;
mod drain;
mod integrity;
mod loss;
mod reconnect;
mod silence;

use std::time::Duration;

use spanwire::{Channel, Code, Status};
use spanwire_sim::{Ledger, Plan, call};

/// One small call that must succeed, within reason.
async fn must_work(ledger: &Ledger, channel: &Channel) {
    let plan =
        Plan { wait_for_ready: true, timeout: Some(Duration::from_secs(300)), size: 2000, ..Plan::default() };
    let result = call(ledger, channel, &plan).await;
    assert!(result.is_ok(), "{result:?}");
}

/// The code of a result.
fn code(result: &Result<(), Status>) -> Code {
    result.as_ref().err().map_or(Code::Ok, Status::code)
}
