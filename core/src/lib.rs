//! gRPC for Rust: clients and servers on one engine, the one that every Spanwire binding shares.
//!
//! - [`Channel`] makes calls, [`Server`] answers them; both carry all four kinds of methods.
//! - [`middleware`] is one interceptor shape for both sides; tower layers can be mounted too.
//! - Messages are [`prost`] messages from generated code, or plain bytes ([`Raw`]).
//! - [`Engine`] runs connections on lanes of its own; without it everything runs in the caller's tokio runtime.
//!
//! Layers, each of which knows only those before it: `wire ← transport ← channel, server ← middleware ← bridge`.

#![forbid(unsafe_code)]

pub mod bridge;
mod channel;
mod deadline;
#[cfg(test)]
mod documented;
mod engine;
mod json;
mod message;
mod method;
pub mod middleware;
mod observe;
mod random;
mod registry;
mod reload;
pub mod rpc;
pub mod server;
mod services;
mod stats;
mod streaming;
pub mod telemetry;
mod timer;
mod transport;
mod web;

pub use channel::balance;
pub use channel::{
    Address, BidiCall, Channel, ChannelBuilder, ChannelError, ClientStream, ClientStreamingCall,
    Connectivity, DnsResolver, Duplex, Endpoint, LoadBalancing, Proxy, Resolution, Resolver, Response,
    ServerStreamingCall, ServiceConfigError, TargetError, Token, UnaryCall, UnknownDnsResolver,
    UnknownLoadBalancing,
};
pub use engine::Engine;
pub use message::{Message, Raw};
pub use method::{Kind, Method};
pub use observe::{TraceContext, TraceContextError};
pub use prost;
pub use prost_types;
pub use server::{
    BoundServer, Claims, Context, Jwt, RateLimit, ServeError, Server, ServerBuilder, ServerHandle,
};
pub use services::Health;
pub use spanwire_wire::metadata::Value;
pub use spanwire_wire::{Code, Encoding, Metadata, MetadataError, Sent, Status};
pub use stats::{ChannelStats, LimitCounts, ServerStats};
pub use streaming::{Sending, Streaming};
pub use telemetry::Telemetry;
pub use transport::{
    ClientTls, FloodLimits, Keepalive, Peer, PeerAddr, Rate, ServerTls, TlsError, TlsIdentity,
};
pub use web::Web;

/// What generated code refers to; not for other use.
#[doc(hidden)]
pub mod codegen {
    pub use std::sync::Arc;

    pub use crate::middleware::BoxFuture;
    pub use bytes::Bytes;
    pub use prost;
    pub use prost_types;
}

/// What the simulation and fuzzing need; not for other use.
#[doc(hidden)]
pub mod testing {
    pub use crate::channel::dns_testing::{Asked, Found, ask_dns};
    pub use crate::random::seed_this_thread;
    pub use crate::server::testing::{check_token, read_policy};
}

/// Includes everything that `spanwire_codegen` generated in `build.rs`, as modules named like the packages:
/// needed as soon as one package refers to another. Write it with the leading `::`.
///
/// ```text
/// mod proto {
///     ::spanwire::include_protos!();
/// }
/// use proto::shop::v1::OrdersClient;
/// ```
#[macro_export]
macro_rules! include_protos {
    () => {
        include!(concat!(env!("OUT_DIR"), "/mod.rs"));
    };
}

/// Includes the code that `spanwire_codegen` generated in `build.rs` for one package that refers to no other.
///
/// ```text
/// mod orders {
///     ::spanwire::include_proto!("shop.v1");
/// }
/// ```
#[macro_export]
macro_rules! include_proto {
    ($package:literal) => {
        include!(concat!(env!("OUT_DIR"), "/", $package, ".rs"));
    };
}
