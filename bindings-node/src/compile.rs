//! `.proto` files to descriptors, for services that are loaded at run time.

use napi::bindgen_prelude::{BufferSlice, Result};
use napi::{Env, Error, Status};
use napi_derive::napi;

/// Compiles `.proto` files, which are searched for, as their imports are, below `includes` in order. An encoded
/// `google.protobuf.FileDescriptorSet` of them and of all that they import, imports first.
///
/// # Errors
/// A file is missing or wrong; the text says where, a line for each mistake.
#[napi(catch_unwind)]
pub(crate) fn compile(env: &Env, files: Vec<String>, includes: Vec<String>) -> Result<BufferSlice<'_>> {
    let descriptors = spanwire_codegen::compile(&files, &includes)
        .map_err(|error| Error::new(Status::GenericFailure, error.to_string()))?;
    BufferSlice::copy_from(env, descriptors.encode_requested())
}
