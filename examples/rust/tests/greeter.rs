//! The greeter as two programs on a real socket.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Program, run};

const GREETER: &str = env!("CARGO_BIN_EXE_greeter");

#[test]
fn greets_over_a_socket_and_ends_on_interrupt() {
    let (server, target) = Program::server(GREETER, &[]);
    assert_eq!(run(GREETER, &["client", &target, "Ada"]), (vec!["Hello, Ada!".to_owned()], true));
    assert!(server.line().starts_with("greeting Ada at ipv4:127.0.0.1:"));
    let (printed, success) = run(GREETER, &["client", &target, ""]);
    assert_eq!((printed.len(), success), (0, false));
    assert_eq!(server.interrupt(), (vec!["bye".to_owned()], true));
}

#[test]
fn wrong_arguments_fail() {
    assert_eq!(run(GREETER, &["server"]), (vec![], false));
}
