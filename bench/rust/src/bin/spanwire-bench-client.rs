//! Loads a server of `bench.v1.Echo` and prints what it did as one line of JSON.

use clap::Parser;
use spanwire::{Channel, Telemetry};
use spanwire_bench::echo::EchoClient;
use spanwire_bench::load::{Down, PingPong, Unary, Up, block};
use spanwire_bench_load::{ClientFlags, Error, Mode, drive};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    client: ClientFlags,
    /// Count the calls, and record this part of the traces that begin here; nothing is sent.
    #[arg(long)]
    trace_ratio: Option<f64>,
}

fn main() -> Result<(), Error> {
    let Flags { client: flags, trace_ratio } = Flags::parse();
    flags.runtime.run(async {
        let mut channel = Channel::builder(&format!("127.0.0.1:{}", flags.port));
        if let Some(ratio) = trace_ratio {
            channel = channel.telemetry(&Telemetry::builder().endpoint("").trace_ratio(ratio).build()?);
        }
        let client = EchoClient::new(channel.build()?);
        let size = flags.size;
        match flags.mode {
            Mode::Unary => {
                drive(&flags, || {
                    let client = client.clone();
                    async move { Ok(Unary { client, block: block(size) }) }
                })
                .await
            }
            Mode::PingPong => drive(&flags, || PingPong::open(client.clone(), size)).await,
            Mode::Down => drive(&flags, || Down::open(client.clone(), size)).await,
            Mode::Up => drive(&flags, || Up::open(client.clone(), size)).await,
        }
    })
}
