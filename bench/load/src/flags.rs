//! The command line of a server and of a client.

use std::future::Future;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::runtime::Builder;

use crate::Error;

/// The tokio runtime of a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Runtime {
    /// Everything on the main thread.
    #[default]
    CurrentThread,
    /// What `#[tokio::main]` gives: as many threads as the process has CPUs.
    MultiThread,
}

impl Runtime {
    /// Runs `program` in a runtime of this kind.
    ///
    /// # Errors
    /// The operating system refused the runtime, or the program failed.
    pub fn run(self, program: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
        let mut builder = match self {
            Runtime::CurrentThread => Builder::new_current_thread(),
            Runtime::MultiThread => Builder::new_multi_thread(),
        };
        builder.enable_all().build()?.block_on(program)
    }
}

/// What a server is told.
#[derive(Args, Clone, Debug)]
pub struct ServerFlags {
    /// The port of 127.0.0.1 to listen on.
    pub port: u16,
    /// The runtime to serve in.
    #[arg(long, value_enum, default_value_t)]
    pub runtime: Runtime,
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Mode {
    /// Unary calls, one after the other in each of `in_flight` tasks.
    Unary,
    /// `in_flight` streams, on each of which a message goes out when the one before has come back.
    PingPong,
    /// `in_flight` streams of messages from the server.
    Down,
    /// `in_flight` streams of messages to the server.
    Up,
}

impl Mode {
    /// Whether one round is one wait for the peer, which is worth a look at the clock.
    pub(crate) fn is_timed(self) -> bool {
        matches!(self, Mode::Unary | Mode::PingPong)
    }
}

/// What a client is told.
#[derive(Args, Clone, Debug)]
pub struct ClientFlags {
    /// The port of 127.0.0.1 to call.
    pub port: u16,
    /// How long to load the server, in seconds.
    pub seconds: f64,
    /// How many calls or streams run at the same time, on one connection.
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub in_flight: u32,
    /// The size of the body of a message, in bytes.
    pub size: usize,
    /// What to do.
    #[arg(value_enum)]
    pub mode: Mode,
    /// The runtime to call from.
    #[arg(long, value_enum, default_value_t)]
    pub runtime: Runtime,
}

impl ClientFlags {
    /// How long to load the server.
    ///
    /// # Errors
    /// The number of seconds is negative or not a number.
    pub fn duration(&self) -> Result<Duration, Error> {
        Ok(Duration::try_from_secs_f64(self.seconds)?)
    }
}
