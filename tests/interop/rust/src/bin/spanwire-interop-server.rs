//! Serves the official interop services until SIGTERM or Ctrl-C.

use std::error::Error;
use std::time::Duration;

use clap::Parser;
use spanwire::{Server, ServerTls};
use spanwire_interop::flags::ServerFlags;
use spanwire_interop::orca::{Load, LoadService};
use spanwire_interop::server::InteropService;
use spanwire_interop::testing::TestServiceServer;
use tokio::signal::unix::{SignalKind, signal};

const GRACE: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let flags = ServerFlags::parse();
    let load = Load::default();
    let mut builder = Server::builder()
        .service(TestServiceServer::new(InteropService::new(load.clone())))
        .service(LoadService(load));
    if flags.use_tls {
        let certificate = flags.tls_cert_file.ok_or("--use_tls needs --tls_cert_file")?;
        let key = flags.tls_key_file.ok_or("--use_tls needs --tls_key_file")?;
        builder = builder.tls(ServerTls::from_files(certificate, key));
    }
    let server = builder.bind(&format!("{}:{}", flags.bind_address, flags.port)).await?;
    println!("listening on {}", server.local_addr());

    let handle = server.handle();
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        handle.shutdown(GRACE).await;
    });
    server.run().await;
    Ok(())
}
