//! No panic passes into Python, where it would end what `except Exception` is meant to keep alive.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::prelude::*;
use spanwire::Status;

use crate::convert::status::rpc_error;

/// Runs the body of an entry from Python; a panic in it becomes an `RpcError` with INTERNAL.
pub(crate) fn guard<T>(body: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    // What a panic may leave half done belongs to the call that it ends.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        Err(rpc_error(
            &Status::internal("a fault in the binding, stopped at its boundary: please report it"),
            None,
        ))
    })
}
