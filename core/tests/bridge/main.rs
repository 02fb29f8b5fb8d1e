//! The ten points that bindings rely on, each without any language but Rust.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a program of tests")]

mod cancel;
mod connectivity;
mod credit;
mod ends;
mod host;
mod lifecycle;
mod options;
mod services;
mod taker;
mod telemetry;
mod token;
mod unary;
