//! Serves `bench.v1.Echo` until it is killed.

use clap::Parser;
use spanwire::{Engine, Server, Telemetry};
use spanwire_bench::echo::EchoServer;
use spanwire_bench::service::EchoService;
use spanwire_bench_load::{Error, ServerFlags};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    server: ServerFlags,
    /// Serve on this many lanes of an engine instead of in the runtime.
    #[arg(long)]
    lanes: Option<usize>,
    /// Count the calls, and record this part of the traces that begin here; nothing is sent.
    #[arg(long)]
    trace_ratio: Option<f64>,
}

fn main() -> Result<(), Error> {
    let flags = Flags::parse();
    flags.server.runtime.run(async {
        let mut builder = Server::builder().service(EchoServer::new(EchoService));
        if let Some(lanes) = flags.lanes {
            builder = builder.engine(&Engine::new(lanes)?);
        }
        if let Some(ratio) = flags.trace_ratio {
            builder = builder.telemetry(&Telemetry::builder().endpoint("").trace_ratio(ratio).build()?);
        }
        builder.serve(&format!("127.0.0.1:{}", flags.server.port)).await?;
        Ok(())
    })
}
