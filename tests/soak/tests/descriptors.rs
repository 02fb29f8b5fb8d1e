//! A server that runs out of file descriptors goes on when there are some again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use spanwire::{Channel, Code, Raw};
use spanwire_soak::server::ECHO;
use spanwire_soak::work;

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_server_without_descriptors_accepts_again_when_there_are_some() {
    let folder = tempfile::tempdir().unwrap();
    let second = format!("unix:{}", folder.path().join("second.sock").display());
    let child = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 64 && exec \"$0\" server \"$1\"",
            env!("CARGO_BIN_EXE_spanwire-soak"),
            &second,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Ended(child);
    let mut port = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let target = format!("127.0.0.1:{}", port.trim());
    let early = Channel::new(&target).unwrap();
    work::answered(&early).await.unwrap();

    // The system takes them all; the server, as many as it can.
    let held: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(&target).unwrap()).collect();
    work::answered(&early).await.expect("connections that exist are served");
    let late = Channel::new(&target).unwrap();
    let call = late.unary::<Raw, Raw>(&ECHO, Raw::default()).wait_for_ready(true);
    let status = call.timeout(Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "it waits behind the others: {status}");

    drop(held);
    work::answered(&late).await.unwrap();
    work::answered(&early).await.unwrap();
}
