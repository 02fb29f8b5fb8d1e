//! The C functions of `spanwire-ffi` as a library for linkers: `libspanwire.so`, `libspanwire.a`.

pub use spanwire_c::*;
