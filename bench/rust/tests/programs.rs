//! The programs themselves: every mode does its work and prints what the runner reads.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A server that ends with its test.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts one on a free port. Somebody may take the port before the server does (any outgoing connection
    /// can): then it ends, and another port is tried. One start at a time, so that a port that answers is ours.
    fn start(flags: &[&str]) -> Server {
        static STARTING: Mutex<()> = Mutex::new(());
        let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        (0..10).find_map(|_| Server::try_start(flags)).expect("a server that listens")
    }

    fn try_start(flags: &[&str]) -> Option<Server> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(env!("CARGO_BIN_EXE_spanwire-bench-server"))
            .arg(port.to_string())
            .args(flags)
            .spawn()
            .unwrap();
        let mut server = Server { child, port };
        let limit = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if server.child.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(Instant::now() < limit, "the server does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        Some(server)
    }

    /// Runs a client for a moment and returns the calls that it printed.
    fn load(&self, in_flight: u32, size: usize, mode: &str) -> u64 {
        let done = Command::new(env!("CARGO_BIN_EXE_spanwire-bench-client"))
            .args([&self.port.to_string(), "0.05", &in_flight.to_string(), &size.to_string(), mode])
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let line = String::from_utf8(done.stdout).unwrap();
        assert!(done.status.success(), "{mode}: {line}");
        for key in ["calls", "seconds", "p50_us", "p99_us"] {
            assert!(line.contains(&format!("\"{key}\": ")), "{line}");
        }
        assert_eq!(line.matches('\n').count(), 1, "one line: {line}");
        let calls = line.split("\"calls\": ").nth(1).unwrap();
        calls.split(',').next().unwrap().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const MODES: [&str; 4] = ["unary", "ping_pong", "down", "up"];

#[test]
fn every_mode_counts_its_messages() {
    let server = Server::start(&[]);
    for mode in MODES {
        assert!(server.load(3, 32, mode) > 0, "{mode}");
        assert!(server.load(1, 1024 * 1024, mode) > 0, "{mode}");
    }
}

#[test]
fn the_server_also_runs_on_lanes_and_on_threads() {
    for flags in [["--lanes", "1"], ["--runtime", "multi-thread"]] {
        let server = Server::start(&flags);
        for mode in MODES {
            assert!(server.load(2, 32, mode) > 0, "{mode} on {flags:?}");
        }
    }
}

#[test]
fn a_client_without_a_server_fails() {
    let done = Command::new(env!("CARGO_BIN_EXE_spanwire-bench-client"))
        .args(["1", "0.05", "1", "32", "unary"])
        .output()
        .unwrap();
    assert!(!done.status.success());
    assert!(done.stdout.is_empty(), "a failed run has no result");
}
