//! The server that is attacked: one thread, one method of each kind. Prints its port, and for each line that it reads how
//! many bytes it has allocated; ends with its standard input.

use std::io::Write;
use std::time::Duration;

use clap::Parser;
use spanwire::{PeerAddr, Server, ServerTls};
use spanwire_attack::target::Target;

/// What is resident is also what the allocator keeps, and holes between what lives: by megabytes another in each run.
#[global_allocator]
static MEMORY: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

#[derive(Parser)]
struct Flags {
    /// A certificate in PEM; with it the server speaks TLS.
    #[arg(long, requires = "key_pem")]
    certificate_pem: Option<String>,
    /// The certificate's key in PEM.
    #[arg(long)]
    key_pem: Option<String>,
    /// The server's `handshake_timeout`.
    #[arg(long)]
    handshake_timeout_ms: Option<u64>,
    /// The server's `max_connections`.
    #[arg(long)]
    max_connections: Option<usize>,
    /// The server's `max_recv_message_bytes`.
    #[arg(long)]
    max_recv_message_bytes: Option<usize>,
    /// The server's `max_unfinished_request_bytes`.
    #[arg(long)]
    max_unfinished_request_bytes: Option<usize>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let flags = Flags::parse();
    // Whoever started this server holds the other end: it never outlives its attacker.
    std::thread::spawn(|| {
        let questions = std::io::stdin().lines();
        questions.map_while(Result::ok).for_each(|_| println!("{}", MEMORY.allocated()));
        std::process::exit(0);
    });
    // One thread, so that whoever is attacked shares it with everyone else.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut builder = Server::builder().service(Target);
        if let (Some(certificate), Some(key)) = (flags.certificate_pem, flags.key_pem) {
            builder = builder.tls(ServerTls::from_pem(certificate, key));
        }
        if let Some(timeout) = flags.handshake_timeout_ms {
            builder = builder.handshake_timeout(Duration::from_millis(timeout));
        }
        if let Some(connections) = flags.max_connections {
            builder = builder.max_connections(connections);
        }
        if let Some(bytes) = flags.max_recv_message_bytes {
            builder = builder.max_recv_message_bytes(bytes);
        }
        if let Some(bytes) = flags.max_unfinished_request_bytes {
            builder = builder.max_unfinished_request_bytes(bytes);
        }
        let server = builder.bind("127.0.0.1:0").await?;
        if let PeerAddr::Tcp(address) = server.local_addr() {
            println!("{}", address.port());
            std::io::stdout().flush()?;
        }
        server.run().await;
        Ok(())
    })
}
