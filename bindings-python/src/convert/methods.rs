//! Some methods, by name.

use pyo3::prelude::*;
use spanwire::bridge;

use super::status::op_error;
use crate::guard::guard;

/// Methods that an interceptor is for: `path in methods`.
#[pyclass(frozen, module = "spanwire._native")]
pub(crate) struct Methods(bridge::Methods);

#[pymethods]
impl Methods {
    #[new]
    fn new(methods: Vec<String>) -> PyResult<Self> {
        guard(|| Ok(Methods(bridge::Methods::new(&methods).map_err(|error| op_error(&error))?)))
    }

    fn __contains__(&self, path: &str) -> bool {
        self.0.contain(path)
    }
}
