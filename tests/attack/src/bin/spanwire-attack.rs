//! Plays attacks and honest traffic against a server of any language, and writes down what came of them.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};
use spanwire_attack::honest::{self, Honest};
use spanwire_attack::play::{Plan, Played};
use spanwire_attack::process::{Program, TargetProcess};

#[derive(Parser)]
struct Flags {
    /// How long each attack goes on, in seconds.
    #[arg(long, default_value_t = 0.3)]
    seconds: f64,
    /// Only attacks and honest traffic whose names contain one of these, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// What the server's language may take and keep beyond what is allowed to the engine, in megabytes.
    #[arg(long, default_value_t = 0)]
    slack_mb: u64,
    /// How much later than in peace an honest call may end, in milliseconds.
    #[arg(long, default_value_t = 50)]
    late_ms: u64,
    /// The server's handlers are in another language.
    #[arg(long)]
    is_host: bool,
    /// Where to write the outcome, as JSON.
    #[arg(long)]
    json: Option<String>,
    /// The server's command line.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
    let program = Program {
        command: flags.command,
        slack: flags.slack_mb << 20,
        late: Duration::from_millis(flags.late_ms),
        is_host: flags.is_host,
    };
    let plan = Plan {
        program: program.clone(),
        attack_for: Duration::from_secs_f64(flags.seconds),
        names: flags.only.clone(),
    };
    let attacks = runtime.block_on(plan.play());
    let (mut passed, mut traffic) = (attacks.iter().all(|(_, _, wrong)| wrong.is_empty()), Vec::new());
    for honest in honest::all() {
        if flags.only.is_empty() || flags.only.iter().any(|part| honest.name.contains(part.as_str())) {
            let outcome = runtime.block_on(play(&program, &honest));
            let said =
                outcome.as_ref().map_or_else(|problem| format!("FAILED: {problem}"), |()| "passes".into());
            println!("{:26} {said}", honest.name);
            passed &= outcome.is_ok();
            traffic.push(json!({"name": honest.name, "what": honest.what, "wrong": outcome.err()}));
        }
    }
    if let Some(file) = flags.json {
        let all = json!({"attacks": attacks.iter().map(outcome).collect::<Vec<_>>(), "honest": traffic});
        std::fs::write(&file, format!("{all:#}\n")).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn play(program: &Program, honest: &Honest) -> Result<(), String> {
    let flags: Vec<String> = honest.server.iter().map(ToString::to_string).collect();
    let mut server = TargetProcess::start(program, &flags);
    let ended = tokio::spawn((honest.play)(server.address().to_string())).await;
    // What it panicked with is on the standard error already.
    ended.map_err(|error| error.to_string())?;
    if server.lives() { Ok(()) } else { Err("the server is gone".to_owned()) }
}

fn outcome((scenario, outcome, wrong): &Played) -> Value {
    let ms = |time: Duration| (time.as_secs_f64() * 1e4).round() / 10.0;
    let victim = &outcome.victim;
    json!({
        "name": scenario.name,
        "kept_promise": scenario.promise.is_kept(&outcome.seen),
        "answer": outcome.seen.kinds(),
        "peak_mb": outcome.peak >> 20,
        "kept_mb": outcome.kept >> 20,
        "calls": victim.calls,
        "failed": victim.failed.len(),
        "calm_p99_ms": ms(victim.calm_p99),
        "p99_ms": ms(victim.p99),
        "late_ms": ms(victim.latest),
        "wrong": wrong,
    })
}
