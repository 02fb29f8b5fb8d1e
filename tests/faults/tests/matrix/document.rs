//! The table as a document.

use std::fmt::Write as _;
use std::path::Path;

use crate::calls::KINDS;
use crate::faults::rows;
use crate::swap;

const HEAD: &str = "# Faults

<!-- Written by `BLESS=1 cargo test -p spanwire-faults --test matrix`; do not edit by hand. -->

What a caller is told when something goes wrong on the way. In each row a proxy between a channel and a server does the
fault to the first attempt, or the first connection, and leaves what follows alone. The policy is a `retryPolicy` of 4
attempts for `UNAVAILABLE`. Keepalive is on (10 s, and 2 s for an answer), and the deadline a minute where nothing else is
said. A cell says the status, how many attempts the call took, and how far its request got (`code`, `attempts` and `sent` of
a status). It is that of all four kinds of calls, where it does not say otherwise; each of them is a test.

In every one it is tested besides that nothing hangs, that no call that was acknowledged is lost, that none runs twice
without a policy, that what was not sent did not run, and that the channel recovers. The tests are in
[tests/faults](../tests/faults); those of single faults, which are many more, are there too.
";

const LOSS: &str = "
A link that loses every tenth packet (a firewall's rule in a network namespace) changes nothing but the time: all calls of
all kinds end with OK, in one attempt.
";

fn render() -> String {
    let mut text = HEAD.to_owned();
    text += "\n| fault | without a policy | with retries |\n|---|---|---|\n";
    let swap = (swap::NAME, [swap::PLAIN; 4], [swap::RETRIED; 4]);
    let rows = rows();
    let rows = rows.iter().map(|row| (row.name, row.plain, row.retried)).chain([swap]);
    for (name, plain, retried) in rows {
        let _ = writeln!(text, "| {name} | {} | {} |", cell(plain), cell(retried));
    }
    text + LOSS
}

/// One outcome if all kinds have it.
fn cell(outcomes: [&str; 4]) -> String {
    if outcomes.iter().all(|outcome| *outcome == outcomes[0]) {
        return outcomes[0].to_owned();
    }
    let each = KINDS.iter().zip(outcomes).map(|((label, _), outcome)| format!("{label}: {outcome}"));
    each.collect::<Vec<_>>().join("; ")
}

#[test]
fn document_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/faults.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, render()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == render(), "docs/faults.md is out of date: run this test with BLESS=1");
}
