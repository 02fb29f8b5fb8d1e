//! Playing many attacks, one after the other.

use std::time::Duration;

use crate::judge::{KEPT, head, is_disturbed, judge, line};
use crate::process::Program;
use crate::scenario::{Outcome, Promise, Scenario};
use crate::scenarios;

/// What to play.
#[derive(Debug)]
pub struct Plan {
    /// The server.
    pub program: Program,
    /// How long each attack goes on.
    pub attack_for: Duration,
    /// Only attacks whose names contain one of these; all if there is none.
    pub names: Vec<String>,
}

/// An attack, what came of it, and what was wrong.
pub type Played = (Scenario, Outcome, Vec<String>);

impl Plan {
    /// Plays the attacks, printing a line for each.
    ///
    /// # Panics
    /// When the server or the victim cannot even begin.
    pub async fn play(&self) -> Vec<Played> {
        println!("{}", head());
        let mut all = Vec::new();
        for mut scenario in scenarios::all() {
            if self.program.is_host && scenarios::OF_UNREAD_REQUESTS.contains(&scenario.name) {
                scenario.promise = Promise::StayWell;
            }
            if !self.names.is_empty() && !self.names.iter().any(|part| scenario.name.contains(part)) {
                continue;
            }
            let (outcome, wrong) = self.play_one(&scenario).await;
            println!("{}", line(&scenario, &outcome));
            for problem in &wrong {
                println!("  FAILED: {problem}");
            }
            all.push((scenario, outcome, wrong));
        }
        let harmless = all.iter().filter(|(_, _, wrong)| wrong.is_empty()).count();
        println!("{harmless} of {} attacks harmed nobody", all.len());
        all
    }

    async fn play_one(&self, scenario: &Scenario) -> (Outcome, Vec<String>) {
        let Plan { program, attack_for, .. } = self;
        let outcome = scenario.play(program, *attack_for, KEPT + program.slack).await;
        let wrong = judge(scenario, &outcome, program);
        if wrong.is_empty() || !is_disturbed(scenario, &outcome) {
            return (outcome, wrong);
        }
        println!("{}\n  the machine was busy: once more", line(scenario, &outcome));
        let outcome = scenario.play(program, *attack_for, KEPT + program.slack).await;
        let wrong = judge(scenario, &outcome, program);
        (outcome, wrong)
    }
}
