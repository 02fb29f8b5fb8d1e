//! Greets at an address, with health, reflection and channelz, until SIGTERM.

use std::time::Duration;

use spanwire::{Context, Health, Server, Status};
use tokio::signal::unix::{SignalKind, signal};

#[allow(dead_code, unreachable_pub, reason = "generated for any place, clients included")]
mod proto {
    ::spanwire::include_proto!("greeter.v1");
}
use proto::{FILE_DESCRIPTOR_SET, GreetRequest, Greeter, GreeterServer, Greeting};

struct Polite;

impl Greeter for Polite {
    async fn greet(&self, request: GreetRequest, _context: &mut Context) -> Result<Greeting, Status> {
        Ok(Greeting { text: format!("Hello, {}!", request.name) })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let health = Health::new();
    health.set("greeter.v1.Greeter", true);
    let address = std::env::args().nth(1).ok_or("usage: spanwire-test-services ADDRESS")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let terminated = async { _ = terminate.recv().await };
    Server::builder()
        .service(GreeterServer::new(Polite))
        .health(&health)
        .reflection([FILE_DESCRIPTOR_SET])
        .channelz()
        .drain_delay(Duration::from_secs(2))
        .serve_until(&address, terminated, Duration::from_secs(20))
        .await?;
    Ok(())
}
