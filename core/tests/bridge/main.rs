//! The ten points that bindings rely on, each without any language but Rust.

mod cancel;
mod credit;
mod ends;
mod host;
mod lifecycle;
mod options;
mod unary;
