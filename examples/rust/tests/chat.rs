//! The chat with two people in it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::Program;

const CHAT: &str = env!("CARGO_BIN_EXE_chat");

#[test]
fn everyone_hears_everyone_until_they_leave() {
    let (server, target) = Program::server(CHAT, &[]);
    let mut ada = Program::start(CHAT, &["client", &target, "ada"]);
    assert_eq!(ada.line(), "* ada joined");
    let mut grace = Program::start(CHAT, &["client", &target, "grace"]);
    assert_eq!(grace.line(), "* grace joined");
    assert_eq!(ada.line(), "* grace joined");

    ada.say("shall we?");
    assert_eq!(ada.line(), "ada: shall we?");
    assert_eq!(grace.line(), "ada: shall we?");
    grace.say("yes");
    assert_eq!(ada.line(), "grace: yes");

    let (heard, success) = grace.end();
    assert_eq!((heard.first().map(String::as_str), success), (Some("grace: yes"), true));
    assert_eq!(ada.line(), "* grace left");
    // A client that is killed leaves as well: its connection is gone.
    drop(ada);
    assert!(server.interrupt().1);
}

#[test]
fn server_that_ends_ends_the_chat() {
    let (server, target) = Program::server(CHAT, &[]);
    let ada = Program::start(CHAT, &["client", &target, "ada"]);
    assert_eq!(ada.line(), "* ada joined");
    drop(server);
    assert!(!ada.end().1);
}
