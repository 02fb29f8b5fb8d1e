//! The bench programs on other people's libraries. See `bench/README.md`.

pub mod frames;
pub mod h2_settings;

/// The messages and the service of `bench.v1`, generated for tonic.
pub mod echo {
    tonic::include_proto!("bench.v1");
}
