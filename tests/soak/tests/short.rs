//! A twentieth of the soak, as the program itself does it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

#[test]
fn a_twentieth_of_the_soak_leaves_nothing_behind() {
    let done = Command::new(env!("CARGO_BIN_EXE_spanwire-soak")).args(["--percent", "5"]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{out}{err}");
}
