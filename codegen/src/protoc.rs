//! The installed `protoc`, for what the built-in compiler cannot read.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Descriptors, Error};

/// The variable that names the `protoc` to use.
pub(crate) const VARIABLE: &str = "PROTOC";

/// `$PROTOC`, or the first `protoc` on PATH.
pub(crate) fn find() -> Option<PathBuf> {
    if let Some(path) = env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(path));
    }
    let name = format!("protoc{}", env::consts::EXE_SUFFIX);
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(&name)).find(|path| path.is_file())
}

/// Has `protoc` compile `files`. `requested` tells by the name of a file whether code is asked for.
pub(crate) fn compile(
    protoc: &Path,
    files: &[PathBuf],
    includes: &[PathBuf],
    requested: impl Fn(&str) -> bool,
) -> Result<Descriptors, Error> {
    let folder = tempfile::tempdir()
        .map_err(|error| Error::new(format!("no temporary folder for the output of protoc: {error}")))?;
    let set = folder.path().join("set.bin");
    let mut output = std::ffi::OsString::from("--descriptor_set_out=");
    output.push(&set);
    let mut command = Command::new(protoc);
    command.arg("--include_imports").arg("--include_source_info").arg(output);
    for include in includes {
        command.arg("-I").arg(include);
    }
    let result = command
        .args(files)
        .output()
        .map_err(|error| Error::new(format!("cannot run protoc ({}): {error}", protoc.display())))?;
    if !result.status.success() {
        // protoc writes file:line:column: message itself.
        return Err(Error::from_lines(&String::from_utf8_lossy(&result.stderr)).unwrap_or_else(|| {
            Error::new(format!("protoc ({}) failed without a message: {}", protoc.display(), result.status))
        }));
    }
    let encoded = std::fs::read(&set).map_err(|error| {
        Error::new(format!("protoc ({}) wrote no descriptors: {error}", protoc.display()))
    })?;
    Descriptors::decode(&encoded, requested)
}
