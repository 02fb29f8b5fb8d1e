//! Plays every attack and prints what came of it; see the crate's documentation.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use spanwire_attack::play::Plan;

/// What other tests understand is no error here, so that all can be run at once.
#[derive(Parser)]
#[command(ignore_errors = true)]
struct Flags {
    /// How long each attack goes on.
    #[arg(long, default_value_t = 0.3)]
    seconds: f64,
    /// As everywhere; nothing is captured anyway.
    #[arg(long, hide = true)]
    nocapture: bool,
    /// Only attacks whose names contain one of these.
    names: Vec<String>,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    // One thread attacks and another reads: more would take the processor from those who are judged.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
    let plan = Plan {
        program: env!("CARGO_BIN_EXE_spanwire-attack-server").into(),
        attack_for: Duration::from_secs_f64(flags.seconds),
        names: flags.names,
    };
    let played = runtime.block_on(plan.play());
    if played.iter().all(|(_, _, wrong)| wrong.is_empty()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
