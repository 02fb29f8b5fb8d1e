//! Plays every attack and prints what came of it; see the crate's documentation.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use spanwire_attack::judge::{KEPT, head, is_disturbed, judge, line};
use spanwire_attack::scenarios;

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
    runtime.block_on(run(&flags))
}

async fn run(flags: &Flags) -> ExitCode {
    let program = Path::new(env!("CARGO_BIN_EXE_spanwire-attack-server"));
    let attack_for = Duration::from_secs_f64(flags.seconds);
    let chosen = |name: &str| flags.names.is_empty() || flags.names.iter().any(|part| name.contains(part));
    println!("{}", head());
    let (mut played, mut failed) = (0, 0);
    for scenario in scenarios::all().iter().filter(|scenario| chosen(scenario.name)) {
        let mut outcome = scenario.play(program, attack_for, KEPT).await;
        let mut wrong = judge(scenario, &outcome);
        if !wrong.is_empty() && is_disturbed(scenario, &outcome) {
            println!("{}\n  the machine was busy: once more", line(scenario, &outcome));
            outcome = scenario.play(program, attack_for, KEPT).await;
            wrong = judge(scenario, &outcome);
        }
        println!("{}", line(scenario, &outcome));
        for problem in &wrong {
            println!("  FAILED: {problem}");
        }
        played += 1;
        failed += usize::from(!wrong.is_empty());
    }
    println!("{} of {played} attacks harmed nobody", played - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
