//! What a scenario is, and how one is played.

use std::pin::Pin;
use std::time::{Duration, Instant};

use spanwire::{Channel, ClientTls};

use crate::connection::{Batch, Field, Seen, Streams, Tally};
use crate::process::{Program, TargetProcess};
use crate::tls;
use crate::victim::{Suffered, Victim};

/// One way to attack.
#[derive(Debug)]
pub struct Scenario {
    /// Its name, for the table and for choosing it.
    pub name: &'static str,
    /// What the server must do; memory and the victim are judged in any case.
    pub promise: Promise,
    /// Flags of the server.
    pub server: &'static [&'static str],
    /// Whether all of it goes through TLS.
    pub tls: bool,
    /// What the attacker does.
    pub attack: Attack,
}

/// What the server must do.
#[derive(Clone, Copy, Debug)]
pub enum Promise {
    /// End the connection with a GOAWAY of one of these codes.
    GoAway(&'static [u32]),
    /// Reset the streams, or end the connection, with one of these codes.
    Reset(&'static [u32]),
    /// Close the connection, with or without a word.
    Close,
    /// Nothing in particular: what is sent is cheap, or the script itself looks at the answers.
    StayWell,
}

/// Makes one batch after the other.
pub type Batches = Box<dyn FnMut(&mut Streams) -> Batch + Send>;

/// A script at work.
pub type Script = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// What the attacker does.
pub enum Attack {
    /// Writes batches without end, on one connection after the other.
    Flood {
        /// The SETTINGS of its connections.
        settings: &'static [(u16, u32)],
        /// Whether it reads what the server says.
        reads: bool,
        /// Makes the batches of one connection.
        batches: fn() -> Batches,
    },
    /// Anything else; the error says what the server did wrong.
    Script(fn(Field) -> Script),
}

impl std::fmt::Debug for Attack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Flood { .. } => "Flood",
            Self::Script(_) => "Script",
        })
    }
}

/// What became of one scenario.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the server answered.
    pub seen: Seen,
    /// What a script found wrong.
    pub script: Result<(), String>,
    /// Whether the server still ran at the end.
    pub survived: bool,
    /// By how many bytes the server's memory grew at most, from before its first attack on.
    pub peak: u64,
    /// How much more it held two seconds after the attack than after a rehearsal of the same: what is not given back.
    pub kept: u64,
    /// How the victim fared.
    pub victim: Suffered,
}

/// How long an attack may go on for the reaction that was promised.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the server has to give the memory back.
const SETTLING: Duration = Duration::from_secs(2);

impl Scenario {
    /// Plays it against a fresh server, for so long, and waits until no more than `tolerated` bytes are kept.
    ///
    /// # Panics
    /// When the server or the victim cannot even begin.
    pub async fn play(&self, program: &Program, attack_for: Duration, tolerated: u64) -> Outcome {
        let mut flags: Vec<String> = self.server.iter().map(ToString::to_string).collect();
        if self.tls {
            flags.extend(tls::server_flags());
        }
        let mut server = TargetProcess::start(program, &flags);
        let (address, with_tls) = (server.address(), self.tls);
        let victim = Victim::start(move || channel(address, with_tls), server.schedule());
        let field =
            |time| Field { address, tls: self.tls, until: Instant::now() + time, tally: Tally::default() };
        warm_up(&field(Duration::ZERO)).await;
        let cold = server.memory();
        server.forget_peak();
        // Some of what an attack makes is there for good: tables that have grown. So the memory after the attack is
        // compared with that after a rehearsal.
        self.attack(&mut field(attack_for / 2), false).await.ok();
        let warm = server.memory_below(cold.held + tolerated, SETTLING / 4).await.held.max(cold.held);

        let mut field = field(attack_for);
        let script = self.attack(&mut field, true).await;
        // The honest calls go on while the server clears up.
        let after = server.memory_below(warm + tolerated, SETTLING).await;
        let victim = victim.stop();
        Outcome {
            seen: field.tally.seen(),
            script,
            survived: server.lives(),
            peak: after.peak.saturating_sub(cold.resident),
            kept: after.held.saturating_sub(warm),
            victim,
        }
    }

    /// Attacks until time is up; with `persists` until the promised reaction has come, too.
    async fn attack(&self, field: &mut Field, persists: bool) -> Result<(), String> {
        match &self.attack {
            Attack::Script(script) => tokio::spawn(script(field.clone()))
                .await
                .unwrap_or_else(|error| Err(format!("the script failed: {error}"))),
            Attack::Flood { settings, reads, batches } => {
                let patience = Instant::now() + PATIENCE;
                while !field.over() {
                    field.flood(settings, *reads, batches()).await.map_err(|error| error.to_string())?;
                    let waits = persists && !self.promise.is_kept(&field.tally.seen());
                    // The reaction must come, however slow the machine is.
                    if field.over() && waits && Instant::now() < patience {
                        field.until = patience.min(Instant::now() + Duration::from_secs(2));
                    }
                }
                Ok(())
            }
        }
    }
}

impl Promise {
    /// Whether the server did so.
    pub fn is_kept(&self, seen: &Seen) -> bool {
        let went_away = |codes: &[u32]| seen.go_aways.keys().any(|(code, _)| codes.contains(code));
        match self {
            Self::GoAway(codes) => went_away(codes),
            Self::Reset(codes) => went_away(codes) || seen.resets.keys().any(|code| codes.contains(code)),
            Self::Close => seen.ends() > 0,
            Self::StayWell => true,
        }
    }
}

fn channel(address: std::net::SocketAddr, with_tls: bool) -> Channel {
    let mut builder = Channel::builder(&address.to_string());
    if with_tls {
        builder = builder.tls(ClientTls::new().with_ca_pem(tls::certificate_pem()).server_name(tls::NAME));
    }
    builder.build().unwrap_or_else(|error| panic!("no channel: {error}"))
}

/// Lets the server meet a few connections, so that what it allocates once is there before the attack.
async fn warm_up(field: &Field) {
    for _ in 0..4 {
        let calls = |streams: &mut Streams| crate::scenarios::honest_calls(streams, 20);
        let short = Field { until: Instant::now() + Duration::from_millis(10), ..field.clone() };
        short.flood(&[], true, calls).await.ok();
    }
}
