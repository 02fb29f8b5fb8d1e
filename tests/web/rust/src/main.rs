//! Serves the official interop services on one port, to gRPC and to gRPC-Web, until SIGTERM or Ctrl-C.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use spanwire::{Server, ServerTls, Web};
use spanwire_interop::orca::Load;
use spanwire_interop::server::InteropService;
use spanwire_interop::testing::TestServiceServer;
use spanwire_interop::{ECHO_INITIAL, ECHO_TRAILING};
use tokio::signal::unix::{SignalKind, signal};

const GRACE: Duration = Duration::from_secs(1);

/// What the server is told.
#[derive(Debug, Parser)]
#[command(rename_all = "snake_case")]
struct Flags {
    /// The port to listen on; 0 for any, which is printed.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Whose pages may call; may be given several times.
    #[arg(long)]
    origin: Vec<String>,
    /// Lets pages send cookies along.
    #[arg(long)]
    allow_credentials: bool,
    /// The certificate chain (PEM); with it and a key the server speaks TLS.
    #[arg(long, requires = "tls_key_file")]
    tls_cert_file: Option<PathBuf>,
    /// The private key (PEM).
    #[arg(long, requires = "tls_cert_file")]
    tls_key_file: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let flags = Flags::parse();
    let web = Web::new()
        .origins(flags.origin)
        .allow_credentials(flags.allow_credentials)
        .allow_headers([ECHO_INITIAL, ECHO_TRAILING])
        .expose_headers([ECHO_INITIAL]);
    let mut builder =
        Server::builder().service(TestServiceServer::new(InteropService::new(Load::default()))).web(web);
    if let (Some(certificate), Some(key)) = (flags.tls_cert_file, flags.tls_key_file) {
        builder = builder.tls(ServerTls::from_files(certificate, key));
    }
    let server = builder.bind(&format!("127.0.0.1:{}", flags.port)).await?;
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
