//! Loads a server of `bench.v1.Echo` and prints what it did as one line of JSON.

use clap::Parser;
use spanwire::Channel;
use spanwire_bench::echo::EchoClient;
use spanwire_bench::load::{Down, PingPong, Unary, Up, block};
use spanwire_bench_load::{ClientFlags, Error, Mode, drive};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    client: ClientFlags,
}

fn main() -> Result<(), Error> {
    let flags = Flags::parse().client;
    flags.runtime.run(async {
        let client = EchoClient::new(Channel::new(&format!("127.0.0.1:{}", flags.port))?);
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
