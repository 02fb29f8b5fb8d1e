//! The engine and the Rust API.
