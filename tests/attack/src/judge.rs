//! The verdicts, and the table of them.

use std::time::Duration;

use crate::process::Program;
use crate::scenario::{Outcome, Scenario};

/// By how much the server's memory may grow during an attack.
pub const PEAK: u64 = 32 << 20;

/// How much of that it may keep once the attack is over.
pub const KEPT: u64 = 8 << 20;

/// How much later than in peace a victim's call may end.
pub const LATE: Duration = Duration::from_millis(50);

/// From which share of withheld processor time on a late call proves nothing.
const DISTURBED: f64 = 0.2;

/// Everything that is wrong with an outcome.
pub fn judge(scenario: &Scenario, outcome: &Outcome, program: &Program) -> Vec<String> {
    let mut wrong = Vec::new();
    if !outcome.survived {
        wrong.push("the server is gone".to_owned());
    }
    if let Err(error) = &outcome.script {
        wrong.push(error.clone());
    }
    if !scenario.promise.is_kept(&outcome.seen) {
        wrong.push(format!("{:?} did not come", scenario.promise));
    }
    if outcome.peak > PEAK + program.slack {
        wrong.push(format!("memory grew by {}", megabytes(outcome.peak)));
    }
    if outcome.kept > KEPT + program.slack {
        wrong.push(format!("{} were not given back", megabytes(outcome.kept)));
    }
    let victim = &outcome.victim;
    if let Some(status) = victim.failed.first() {
        wrong.push(format!("{} of {} honest calls failed: {status}", victim.failed.len(), victim.calls));
    }
    if victim.latest > program.late {
        wrong.push(format!("an honest call was {:?} late", victim.latest));
    }
    wrong
}

/// Whether what is wrong may be the machine's doing, so that another try is fair.
pub fn is_disturbed(scenario: &Scenario, outcome: &Outcome) -> bool {
    let sound = outcome.survived && outcome.script.is_ok() && scenario.promise.is_kept(&outcome.seen);
    sound && outcome.victim.failed.is_empty() && outcome.victim.disturbed > DISTURBED
}

/// One line of the table for an outcome.
pub fn line(scenario: &Scenario, outcome: &Outcome) -> String {
    let victim = &outcome.victim;
    format!(
        "{:26} {:>8} {:>8} {:>7.1} ms {:>6} calls  {}",
        scenario.name,
        megabytes(outcome.peak),
        megabytes(outcome.kept),
        victim.latest.as_secs_f64() * 1000.0,
        victim.calls,
        outcome.seen.describe(),
    )
}

/// The head of the table.
pub fn head() -> String {
    format!("{:26} {:>8} {:>8} {:>10} {:>12}  {}", "scenario", "peak", "kept", "late", "victim", "the server")
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / (1 << 20) as f64)
}
