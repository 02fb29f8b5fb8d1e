//! What the examples share: the generated code, and running a server until it is interrupted.
//!
//! Each program in `src/bin` is one example, to be read from the top.

use std::error::Error;
use std::time::Duration;

use spanwire::ServerBuilder;

spanwire::include_protos!();

/// Any error: the examples print it and end.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Serves on `address` until Ctrl-C, then lets running calls finish, for five seconds at most.
///
/// Says on standard output where it listens, in a form that clients take as their target.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(server: ServerBuilder, address: &str) -> Result<(), Failure> {
    let server = server.bind(address).await?;
    println!("listening on {}", server.local_addr());
    let handle = server.handle();
    let running = tokio::spawn(server.run());
    tokio::signal::ctrl_c().await?;
    handle.shutdown(Duration::from_secs(5)).await;
    running.await?;
    println!("bye");
    Ok(())
}
