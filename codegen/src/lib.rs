//! Client and server code from protobuf descriptors.
//!
//! # In `build.rs`
//!
//! ```no_run
//! fn main() -> Result<(), spanwire_codegen::Error> {
//!     spanwire_codegen::build().include("proto").compile(&["proto/shop/v1/orders.proto"])
//! }
//! ```
//!
//! and in the crate, inside of a module, `::spanwire::include_protos!();` for all packages as nested modules, or
//! `::spanwire::include_proto!("shop.v1");` for one package that refers to no other. No `protoc` is needed.
//! Files without a package are the package `"_"`.
//!
//! # The parts
//!
//! `.proto` files → [`compile`] → [`Descriptors`] → [`Generator`] (one module per [`Language`]) →
//! [`GeneratedFile`]s. Rust and Python get their messages here; C and C++ get theirs from the compilers of their libraries. The
//! build helper ([`build()`]), the compiler plugin ([`plugin`]) and the `spanwire gen`
//! command differ only in where the descriptors come from and where the files go. For Node the plugin of protobuf-es takes the
//! generator's place ([`plugin::request`]).

mod build_script;
mod c;
mod comment;
mod compile;
mod cpp;
mod descriptors;
mod diagnostic;
mod editions;
mod encoded;
mod generator;
mod keyword;
mod layout;
pub mod output;
pub mod plugin;
mod protoc;
mod python;
mod rust;
mod service;
pub mod sources;

pub use build_script::{Build, build};
pub use compile::compile;
pub use descriptors::{Descriptors, File};
pub use diagnostic::{Diagnostic, Error, position};
pub use generator::{GeneratedFile, Generator, Language};
