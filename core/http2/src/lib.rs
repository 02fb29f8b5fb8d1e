//! h2 for one kind of socket and one kind of data: the methods of it that Spanwire's transport calls.
//!
//! h2 is generic over both, so most of it is compiled by whoever names them, with that crate's settings. Here they are
//! named once, in a crate that is compiled for speed, and the engine around it can be compiled for size. Nothing is
//! decided here: each method is the one of h2 that has its name.
//!
//! It is a part of the engine, without promises of its own.
#![forbid(unsafe_code)]

mod client;
mod server;
mod stream;

use std::future::Future;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

pub use client::{ClientConnection, SendRequest};
pub use server::{SendResponse, ServerConnection};
pub use spanwire_wire::outgoing::Frame;
pub use stream::SendStream;

/// What HTTP/2 is spoken on.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection whose handshake is under way. In a box, so that it is compiled here and not where it is awaited.
pub type Handshake<T> = Pin<Box<dyn Future<Output = Result<T, h2::Error>> + Send>>;
