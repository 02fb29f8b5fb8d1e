//! Serves the demo until SIGTERM or Ctrl-C.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use spanwire::Server;
use spanwire_demo::atlas::Atlas;
use spanwire_demo::service::ZonesService;
use spanwire_demo::zones::ZonesServer;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
struct Flags {
    /// The port of 127.0.0.1 to listen on.
    #[arg(long)]
    port: u16,
    /// The zones to serve.
    #[arg(long, default_value = "tests/demo/data/zones.tsv")]
    data: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let flags = Flags::parse();
    let service = ZonesServer::new(ZonesService::new(Atlas::read(&flags.data)?));
    let server = Server::builder().service(service).bind(&format!("127.0.0.1:{}", flags.port)).await?;
    let handle = server.handle();
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        handle.shutdown(Duration::from_secs(1)).await;
    });
    server.run().await;
    Ok(())
}
