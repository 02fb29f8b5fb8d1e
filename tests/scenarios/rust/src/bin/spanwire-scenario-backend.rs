//! A server that says its name in every answer, and behaves as it is told on its standard input, a line each:
//!
//! `delay MS`: answer so late · `fail`: answer UNAVAILABLE · `count`: print how many calls came · `drain`: shut down
//! gracefully. It prints `ready` when it listens, and ends with its standard input.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use spanwire::{Context, Server, ServerHandle, Status};
use spanwire_interop::testing::{SimpleRequest, SimpleResponse, TestService, TestServiceServer};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

const GRACE: Duration = Duration::from_secs(5);

#[derive(Parser)]
struct Flags {
    /// What it calls itself.
    #[arg(long)]
    name: String,
    /// Where it listens.
    #[arg(long)]
    address: String,
}

#[derive(Default)]
struct Behaviour {
    delay_ms: AtomicU64,
    fails: AtomicBool,
    calls: AtomicU64,
}

struct Backend {
    name: String,
    behaviour: Arc<Behaviour>,
}

impl TestService for Backend {
    async fn unary_call(
        &self,
        _request: SimpleRequest,
        _context: &mut Context,
    ) -> Result<SimpleResponse, Status> {
        self.behaviour.calls.fetch_add(1, Ordering::Relaxed);
        if self.behaviour.fails.load(Ordering::Relaxed) {
            return Err(Status::unavailable(format!("{} was told to fail", self.name)));
        }
        let delay_ms = self.behaviour.delay_ms.load(Ordering::Relaxed);
        if delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        }
        Ok(SimpleResponse { server_id: self.name.clone(), ..SimpleResponse::default() })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let flags = Flags::parse();
    let behaviour = Arc::<Behaviour>::default();
    let service = Backend { name: flags.name, behaviour: behaviour.clone() };
    let server = Server::builder().service(TestServiceServer::new(service)).bind(&flags.address).await?;
    println!("ready");
    tokio::spawn(obey(server.handle(), behaviour));
    server.run().await;
    Ok(())
}

/// Does what the standard input says, and ends the server with it.
async fn obey(handle: ServerHandle, behaviour: Arc<Behaviour>) {
    let mut lines = BufReader::new(stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("delay", ms) => behaviour.delay_ms.store(ms.parse().unwrap_or(0), Ordering::Relaxed),
            ("fail", _) => behaviour.fails.store(true, Ordering::Relaxed),
            ("count", _) => println!("{}", behaviour.calls.load(Ordering::Relaxed)),
            ("drain", _) => break,
            _ => eprintln!("no such command: {line}"),
        }
    }
    handle.shutdown(GRACE).await;
}
