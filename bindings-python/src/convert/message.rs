//! Messages: objects of Python become bytes of the engine, and back; small ones by a copy, large ones by reference.

use bytes::Bytes;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};
use spanwire::bridge::Outgoing;
use spanwire::{Kind, Status};

use super::lent;
use super::status::rpc_error;
use crate::guard::guard;

/// From this size on a copy is dearer than keeping the object.
const LEND_FROM_BYTES: usize = 8 * 1024;

/// One method of a service: its path, its kind, and how its messages are written and read.
#[pyclass(subclass, frozen, module = "spanwire")]
#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) path: String,
    pub(crate) kind: Kind,
    pub(crate) request: Codec,
    pub(crate) response: Codec,
}

/// How one side's messages cross: as they are, or by the class's own `SerializeToString` and `FromString`, looked up once.
#[derive(Debug)]
pub(crate) enum Codec {
    Raw,
    Class { class: Py<PyType>, write: Py<PyAny>, read: Py<PyAny> },
}

#[pymethods]
impl Method {
    #[new]
    #[pyo3(signature = (path, kind, request = None, response = None))]
    fn new(
        path: String,
        kind: u8,
        request: Option<&Bound<'_, PyAny>>,
        response: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        guard(|| {
            let parts: Vec<_> = path.split('/').collect();
            if !matches!(&parts[..], ["", service, name] if !service.is_empty() && !name.is_empty()) {
                return Err(PyValueError::new_err(format!(
                    "{path:?} is not of the form /package.Service/Method"
                )));
            }
            let kind = kind_of(kind)?;
            Ok(Method { kind, request: Codec::of(request)?, response: Codec::of(response)?, path })
        })
    }

    /// The path, `/package.Service/Method`.
    #[getter]
    fn path(&self) -> &str {
        &self.path
    }

    /// The number of the kind.
    #[getter]
    fn _kind(&self) -> u8 {
        match self.kind {
            Kind::Unary => 0,
            Kind::ServerStreaming => 1,
            Kind::ClientStreaming => 2,
            Kind::Bidi => 3,
        }
    }

    /// The class of the requests; `None` for bytes.
    #[getter]
    fn request(&self, py: Python<'_>) -> Option<Py<PyType>> {
        self.request.class(py)
    }

    /// The class of the responses; `None` for bytes.
    #[getter]
    fn response(&self, py: Python<'_>) -> Option<Py<PyType>> {
        self.response.class(py)
    }

    fn __repr__(&self) -> String {
        format!(
            "<spanwire.Method {} {}>",
            self.path,
            ["unary", "server_streaming", "client_streaming", "bidi"][usize::from(self._kind())]
        )
    }
}

fn kind_of(number: u8) -> PyResult<Kind> {
    Ok(match number {
        0 => Kind::Unary,
        1 => Kind::ServerStreaming,
        2 => Kind::ClientStreaming,
        3 => Kind::Bidi,
        _ => return Err(PyValueError::new_err(format!("{number} is no spanwire.Kind"))),
    })
}

impl Codec {
    fn of(class: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let Some(class) = class else { return Ok(Codec::Raw) };
        let wrong =
            || PyTypeError::new_err(format!("{class}: a class with SerializeToString and FromString is due"));
        let class = class.cast::<PyType>().map_err(|_| wrong())?;
        Ok(Codec::Class {
            write: class.getattr("SerializeToString").map_err(|_| wrong())?.unbind(),
            read: class.getattr("FromString").map_err(|_| wrong())?.unbind(),
            class: class.clone().unbind(),
        })
    }

    fn class(&self, py: Python<'_>) -> Option<Py<PyType>> {
        match self {
            Codec::Raw => None,
            Codec::Class { class, .. } => Some(class.clone_ref(py)),
        }
    }

    /// A message as it is sent.
    ///
    /// # Errors
    /// `TypeError`: it is not of the method's class; or what its own serializer raises.
    pub(crate) fn encode(&self, method: &str, message: &Bound<'_, PyAny>) -> PyResult<Outgoing> {
        let py = message.py();
        match self {
            Codec::Raw => match message.cast::<PyBytes>() {
                Ok(bytes) => Ok(to_bytes(bytes).into()),
                Err(_) => match copied(message) {
                    Some(bytes) => Ok(bytes.into()),
                    None => self.encode_plain(method, "bytes", message),
                },
            },
            Codec::Class { class, write, .. } => {
                let class = class.bind(py);
                if !message.get_type().is(class) && !message.is_instance(class)? {
                    return self.encode_plain(method, &class.name()?.to_string(), message);
                }
                let bytes = write.bind(py).call1((message,))?;
                Ok(to_bytes(bytes.cast::<PyBytes>()?).into())
            }
        }
    }

    /// A message that was marked by `uncompressed`; no other is left.
    fn encode_plain(&self, method: &str, due: &str, message: &Bound<'_, PyAny>) -> PyResult<Outgoing> {
        let Ok(marked) = message.cast_exact::<Uncompressed>() else {
            return Err(not_due(method, due, message));
        };
        let mut outgoing = self.encode(method, marked.get().0.bind(message.py()))?;
        outgoing.plain = true;
        Ok(outgoing)
    }

    /// A message out of bytes.
    ///
    /// # Errors
    /// `RpcError` with INTERNAL: they are none of the method's class.
    pub(crate) fn decode<'py>(&self, py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        let bytes = PyBytes::new(py, bytes);
        match self {
            Codec::Raw => Ok(bytes.into_any()),
            Codec::Class { class, read, .. } => read.bind(py).call1((bytes,)).map_err(|error| {
                let name = class.bind(py).name().map(|name| name.to_string()).unwrap_or_default();
                let malformed =
                    rpc_error(&Status::internal(format!("the message is no {name}: {error}")), None);
                malformed.set_cause(py, Some(error));
                malformed
            }),
        }
    }
}

/// A message that is to go out as it is.
#[pyclass(frozen, module = "spanwire._native")]
pub(crate) struct Uncompressed(Py<PyAny>);

/// Marks a message: it is not compressed on a call that compresses.
#[pyfunction]
pub(crate) fn uncompressed(message: Py<PyAny>) -> Uncompressed {
    Uncompressed(message)
}

fn not_due(method: &str, due: &str, message: &Bound<'_, PyAny>) -> PyErr {
    let given = message.get_type().name().map(|name| name.to_string()).unwrap_or_default();
    PyTypeError::new_err(format!("{method}: {due} is due, not {given}"))
}

/// The bytes of an object: copied if they are few, else kept with it.
pub(crate) fn to_bytes(object: &Bound<'_, PyBytes>) -> Bytes {
    if object.as_bytes().len() < LEND_FROM_BYTES {
        Bytes::copy_from_slice(object.as_bytes())
    } else {
        lent::lend(object)
    }
}

/// What may change after the call is copied at any size.
fn copied(object: &Bound<'_, PyAny>) -> Option<Bytes> {
    let buffer = pyo3::buffer::PyBuffer::<u8>::get(object).ok()?;
    buffer.to_vec(object.py()).ok().map(Bytes::from)
}
