//! The demo: a service that knows the time zones of the world, served and called by Spanwire.
//!
//! [`atlas`] is the service's own knowledge, [`service`] puts it behind gRPC; the programs are
//! `spanwire-demo-server` and `spanwire-demo-client`.

pub mod atlas;
pub mod service;
pub mod work;

/// The messages and the service of `spanwire.demo.v1`.
#[allow(missing_docs)]
pub mod zones {
    spanwire::include_proto!("spanwire.demo.v1");
}
