//! Raw HTTP/2 peers for fault tests.
//!
//! The engine speaks through h2, so h2 cannot be the judge of what it puts on the wire, nor say the things that
//! no correct peer says. These peers write frames byte by byte and read them back as [`Event`]s:
//!
//! - [`RawClient`] plays a client against a Spanwire server,
//! - [`RawServer`] accepts a Spanwire channel and plays the server on a [`RawConnection`].
//!
//! Both are a [`Link`] underneath: it acknowledges SETTINGS and PING while it waits for something else, keeps what
//! it passed over, and panics with the whole transcript when the wait is in vain. A test then reads as a script:
//!
//! ```no_run
//! # async fn script(address: std::net::SocketAddr) {
//! use spanwire_faults::RawClient;
//! let mut client = RawClient::connect(address).await;
//! let stream = client.call("/echo.Echo/Unary").await;
//! client.last_message(stream, b"hello").await;
//! let answer = client.answer(stream).await;
//! assert_eq!(answer.grpc_status(), Some("0"));
//! # }
//! ```
//!
//! Everything here is for tests: a failed wait or a broken socket panics.

mod client;
mod event;
mod fields;
pub mod frame;
pub mod grpc;
mod link;
pub mod proxy;
pub mod reason;
mod server;

pub use client::{Answer, RawClient};
pub use event::{Event, Headers};
pub use fields::{Fields, indexed_literal, references};
pub use frame::Frame;
pub use link::{Io, Link};
pub use server::{RawConnection, RawServer, Request};
