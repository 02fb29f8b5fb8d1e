//! `.proto` files to descriptors, for services that are loaded at run time; and to code, with the help of protobuf-es, whose
//! plugin JavaScript runs between the two halves.

use std::path::{Path, PathBuf};

use napi::bindgen_prelude::{BufferSlice, Result, Uint8ArraySlice};
use napi::{Env, Error, Status};
use napi_derive::napi;
use spanwire_codegen::{compile as compile_files, output, plugin, sources};

/// Compiles `.proto` files, which are searched for, as their imports are, below `includes` in order. An encoded
/// `google.protobuf.FileDescriptorSet` of them and of all that they import, imports first.
///
/// # Errors
/// A file is missing or wrong; the text says where, a line for each mistake.
#[napi(catch_unwind)]
pub(crate) fn compile(env: &Env, files: Vec<String>, includes: Vec<String>) -> Result<BufferSlice<'_>> {
    let descriptors = compile_files(&files, &includes).map_err(|error| failed(&error))?;
    BufferSlice::copy_from(env, descriptors.encode_requested())
}

/// What a plugin of protoc is to be asked: for code of `.proto` files, and of those in folders. An encoded
/// `google.protobuf.compiler.CodeGeneratorRequest`.
///
/// # Errors
/// As [`compile`], and for folders without files.
#[napi(catch_unwind)]
pub(crate) fn plugin_request(
    env: &Env,
    given: Vec<String>,
    includes: Vec<String>,
    parameter: String,
) -> Result<BufferSlice<'_>> {
    let paths = |paths: Vec<String>| paths.into_iter().map(PathBuf::from).collect::<Vec<_>>();
    let request = sources::find(&paths(given), paths(includes))
        .and_then(|sources| compile_files(&sources.files, &sources.includes))
        .map(|descriptors| plugin::request(&descriptors, &parameter))
        .map_err(|error| failed(&error))?;
    BufferSlice::copy_from(env, request)
}

/// Writes the files of a plugin's answer below a folder, or compares them with those that are there. What was done, a line for
/// each file, and how many are not as they should be.
///
/// # Errors
/// The answer is an error; a file cannot be written or read.
#[napi(catch_unwind)]
pub(crate) fn take_generated(
    response: Uint8ArraySlice<'_>,
    folder: String,
    check: bool,
) -> Result<(String, u32)> {
    let mut text = Vec::new();
    let differences = plugin::files(&response)
        .and_then(|files| match check {
            true => output::compare(Path::new(&folder), &files, &mut text),
            false => output::write(Path::new(&folder), &files, &mut text).map(|()| 0),
        })
        .map_err(|error| failed(&error))?;
    Ok((String::from_utf8_lossy(&text).into_owned(), differences as u32))
}

fn failed(error: &spanwire_codegen::Error) -> Error {
    Error::new(Status::GenericFailure, error.to_string())
}
