//! Who calls: what the client's certificate and token say, as handlers see it.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use spanwire::bridge::ServerCallRef;

use crate::imported::Imported;

/// Whom a client proved to be by a certificate.
#[pyclass(frozen, module = "spanwire")]
#[derive(Debug)]
pub(crate) struct TlsIdentity(spanwire::TlsIdentity);

impl TlsIdentity {
    pub(crate) fn of(call: &ServerCallRef) -> Option<Self> {
        call.tls_identity().cloned().map(TlsIdentity)
    }
}

#[pymethods]
impl TlsIdentity {
    #[getter]
    fn certificates<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.certificates().iter().map(|der| PyBytes::new(py, der)))
    }

    #[getter]
    fn dns_names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.dns_names())
    }

    #[getter]
    fn uris<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.uris())
    }

    #[getter]
    fn ip_addresses<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.ip_addresses().iter().map(ToString::to_string))
    }

    #[getter]
    fn emails<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.emails())
    }

    #[getter]
    fn subject(&self) -> &str {
        self.0.subject()
    }

    #[getter]
    fn spiffe_id(&self) -> Option<&str> {
        self.0.spiffe_id()
    }

    fn __repr__(&self) -> String {
        format!("<spanwire.TlsIdentity {:?}>", self.0.subject())
    }
}

/// What the caller's token says, as a `dict`; `None` if no token was asked for.
pub(crate) fn claims<'py>(py: Python<'py>, call: &ServerCallRef) -> PyResult<Option<Bound<'py, PyAny>>> {
    static LOADS: Imported = Imported::new("json", "loads");
    call.claims().map(|claims| LOADS.get(py)?.call1((claims.json(),))).transpose()
}
