//! Statuses and refused operations, as exceptions of Python; and `RpcError` back to a status.

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use spanwire::bridge::{OpError, Outcome};
use spanwire::{Code, PeerAddr, Sent, Status};

use super::metadata::{Metadata, metadata_from};
use crate::imported::Imported;

static RPC_ERROR: Imported = Imported::new("spanwire.errors", "RpcError");

/// The class `spanwire.RpcError`.
pub(crate) fn rpc_error_class(py: Python<'_>) -> PyResult<Borrowed<'static, '_, PyAny>> {
    RPC_ERROR.get(py)
}

/// The `RpcError` of a call that ended with this status.
pub(crate) fn outcome_error(outcome: &Outcome) -> PyErr {
    call_error(&outcome.status, outcome.peer.as_ref(), outcome.attempts)
}

/// The same, of what was kept of it.
pub(crate) fn call_error(status: &Status, peer: Option<&PeerAddr>, attempts: u32) -> PyErr {
    error(status, peer.map(ToString::to_string), attempts)
}

/// An `RpcError` with a status that no call brought: by `peer`, if one is known.
pub(crate) fn rpc_error(status: &Status, peer: Option<&str>) -> PyErr {
    error(status, peer.map(str::to_owned), status.attempts())
}

fn error(status: &Status, peer: Option<String>, attempts: u32) -> PyErr {
    Python::attach(|py| {
        let peer = peer.or_else(|| status.peer().map(str::to_owned));
        let made = rpc_error_class(py).and_then(|class| {
            class.call_method1(
                "_received",
                (
                    status.code().as_u32(),
                    status.message(),
                    PyBytes::new(py, status.details()),
                    Metadata::of(status.metadata().clone()),
                    peer,
                    attempts,
                    sent_name(status.sent()),
                ),
            )
        });
        made.map_or_else(|error| error, PyErr::from_value)
    })
}

fn sent_name(sent: Sent) -> &'static str {
    match sent {
        Sent::NotSent => "not_sent",
        Sent::Answered => "answered",
        _ => "maybe_sent",
    }
}

/// The exception of an operation that the bridge refused: misuse and the system's refusals are no statuses.
pub(crate) fn op_error(error: &OpError) -> PyErr {
    match error {
        OpError::Argument(text) => PyValueError::new_err(in_python(text)),
        OpError::System(text) => PyOSError::new_err(text.clone()),
        other => PyRuntimeError::new_err(other.to_string()),
    }
}

/// Options have no unit in their Python names: seconds are floats.
fn in_python(text: &str) -> String {
    text.replacen("_ms: -1 cannot", ": inf cannot", 1)
        .replacen(": -1 cannot", ": inf cannot", 1)
        .replacen("_ms:", ":", 1)
}

/// The status of an exception that a handler raised; `None` if it is no `RpcError`.
pub(crate) fn status_of(py: Python<'_>, error: &PyErr) -> PyResult<Option<Status>> {
    let value = error.value(py);
    if !value.is_instance(&*rpc_error_class(py)?)? {
        return Ok(None);
    }
    let code: u32 = value.getattr("code")?.extract()?;
    let message: String = value.getattr("message")?.extract()?;
    // A handler that raises OK has not answered.
    let code = Code::from_u32(code).filter(|code| *code != Code::Ok).unwrap_or(Code::Unknown);
    let details: Vec<u8> = value.call_method0("_encoded_details")?.extract()?;
    let metadata = metadata_from(&value.getattr("trailing_metadata")?)?;
    Ok(Some(Status::new(code, message).with_details(details.into()).with_metadata(metadata)))
}
