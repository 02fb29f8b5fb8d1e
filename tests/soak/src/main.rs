//! `spanwire-soak`: all of it, or a part; see the library for what it does.

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use spanwire_soak::rounds::{self, Plan};
use spanwire_soak::server;

/// Ends calls, streams and connections badly, and looks for what they leave behind.
#[derive(Parser)]
struct Flags {
    /// How much of the whole work is done.
    #[arg(long, default_value_t = 100)]
    percent: usize,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// The server's process; the client's starts it.
    Server {
        /// An address that it listens on besides a port of its own.
        second: String,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let flags = Flags::parse();
    if let Some(Role::Server { second }) = flags.role {
        server::serve(&second).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let plan = Plan {
        rounds: 30,
        cancelled: 1_000 * flags.percent,
        reconnected: 100 * flags.percent,
        dropped: 100 * flags.percent,
    };
    println!(
        "{} cancelled calls, {} reconnects, {} dropped streams",
        plan.cancelled, plan.reconnected, plan.dropped
    );
    let faults = rounds::run(plan, |line| println!("{line}")).await?;
    for fault in &faults {
        println!("FAULT: {fault}");
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
