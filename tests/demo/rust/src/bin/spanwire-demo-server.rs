//! Serves the demo until SIGTERM or Ctrl-C: `spanwire-demo-server --port=50051 [--data=zones.tsv]`.
//!
//! It reads its flags by itself, because it is also what `bench/size.py` weighs: an engine, a service and no more.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use spanwire::Server;
use spanwire_demo::atlas::Atlas;
use spanwire_demo::service::ZonesService;
use spanwire_demo::zones::ZonesServer;
use tokio::signal::unix::{SignalKind, signal};

struct Flags {
    /// The port of 127.0.0.1 to listen on.
    port: u16,
    /// The zones to serve.
    data: PathBuf,
}

impl Flags {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let (mut port, mut data) = (None, PathBuf::from("tests/demo/data/zones.tsv"));
        while let Some(word) = words.next() {
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) => (flag, value.to_owned()),
                None => (word.as_str(), words.next().ok_or_else(|| format!("{word} has no value"))?),
            };
            match flag {
                "--port" => port = Some(value.parse().map_err(|_| format!("{value:?} is no port"))?),
                "--data" => data = value.into(),
                _ => return Err(format!("unknown flag {flag}; there are --port and --data").into()),
            }
        }
        Ok(Flags { port: port.ok_or("--port is missing")?, data })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let flags = Flags::parse(std::env::args().skip(1))?;
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
