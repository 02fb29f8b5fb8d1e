//! What `python -m spanwire` and the plugin run: the command of the wheel, which needs no other program.

use std::ffi::OsString;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::guard::guard;

/// Runs the command with these arguments, the program's name not among them. Returns its exit code, and what it has to
/// say on standard output and on standard error, which are those of Python.
#[pyfunction]
pub(crate) fn cli(py: Python<'_>, arguments: Vec<OsString>) -> PyResult<(u8, String, String)> {
    guard(|| {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let code = py.detach(|| spanwire_cli::run(arguments, &mut stdout, &mut stderr));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok((code, text(stdout), text(stderr)))
    })
}

/// Answers one request of protoc or buf for code in Python; both are encoded messages. What is wrong with the `.proto`
/// files is part of the answer.
#[pyfunction]
pub(crate) fn plugin(py: Python<'_>, request: &[u8]) -> PyResult<Vec<u8>> {
    guard(|| {
        py.detach(|| spanwire_codegen::plugin::run("python", request))
            .map_err(|error| PyValueError::new_err(error.to_string()))
    })
}
