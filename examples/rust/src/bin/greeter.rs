//! One request, one response.
//!
//! ```sh
//! cargo run -p spanwire-examples --bin greeter -- server 127.0.0.1:50051
//! cargo run -p spanwire-examples --bin greeter -- client 127.0.0.1:50051 Ada
//! ```

use std::time::Duration;

use spanwire::{Channel, Context, Server, Status};
use spanwire_examples::greeter::v1::{GreetRequest, Greeter, GreeterClient, GreeterServer, Greeting};
use spanwire_examples::{Failure, serve};

struct Polite;

impl Greeter for Polite {
    async fn greet(&self, request: GreetRequest, context: &mut Context) -> Result<Greeting, Status> {
        if request.name.is_empty() {
            return Err(Status::invalid_argument("name is empty: whom shall I greet?"));
        }
        println!("greeting {} at {}", request.name, context.peer().addr());
        Ok(Greeting { text: format!("Hello, {}!", request.name) })
    }
}

async fn greet(target: &str, name: &str) -> Result<(), Failure> {
    let greeter = GreeterClient::new(Channel::new(target)?);
    let request = GreetRequest { name: name.to_owned() };
    // The server may still be starting: wait for it, but not for ever.
    let greeting = greeter.greet(request).wait_for_ready(true).timeout(Duration::from_secs(10)).await?;
    println!("{}", greeting.text);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["server", address] => serve(Server::builder().service(GreeterServer::new(Polite)), address).await,
        ["client", target, name] => greet(target, name).await,
        _ => Err("usage: greeter server ADDRESS | client TARGET NAME".into()),
    }
}
