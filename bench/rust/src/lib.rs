//! The bench service and its load, on Spanwire. See `bench/README.md`.

pub mod load;
pub mod service;

/// The messages and the service of `bench.v1`.
#[allow(missing_docs)]
pub mod echo {
    spanwire::include_proto!("bench.v1");
}
