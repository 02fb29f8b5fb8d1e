//! The details of a status: dataclasses of `spanwire.details`, and `google.rpc.Status` on the wire.

use bytes::Bytes;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use spanwire::prost_types::{Any, Duration};
use spanwire::rpc::{self, Details, Pack};
use spanwire::{Code, Status};

use crate::guard::guard;

/// A field as Python has it.
trait Field: Sized {
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>>;
    fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Self>;
}

macro_rules! plain {
    ($($type:ty),+) => {$(
        impl Field for $type {
            fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                Ok(self.clone().into_pyobject(py)?.into_any())
            }

            fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Self> {
                value.extract()
            }
        }
    )+};
}
plain!(String, std::collections::HashMap<String, String>);

/// Seconds.
impl Field for Option<Duration> {
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let time = self.unwrap_or_default();
        Ok((time.seconds as f64 + f64::from(time.nanos) / 1e9).into_pyobject(py)?.into_any())
    }

    fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let seconds: f64 = value.extract()?;
        Ok(Some(Duration { seconds: seconds.trunc() as i64, nanos: (seconds.fract() * 1e9).round() as i32 }))
    }
}

/// Any sequence comes in, tuples go out.
impl<T: Field> Field for Vec<T> {
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let items: Vec<_> = self.iter().map(|item| item.to_python(py)).collect::<PyResult<_>>()?;
        Ok(PyTuple::new(py, items)?.into_any())
    }

    fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        value.try_iter()?.map(|item| T::from_python(&item?)).collect()
    }
}

/// A field that is a keyword of Rust is none of Python.
fn python_name(field: &str) -> &str {
    field.trim_start_matches("r#")
}

/// Makes a message the dataclass of a name, field by field.
macro_rules! dataclasses {
    ($($type:ty as $name:literal { $($field:ident),+ $(,)? })+) => {$(
        impl Field for $type {
            fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                let fields = PyDict::new(py);
                $(fields.set_item(python_name(stringify!($field)), self.$field.to_python(py)?)?;)+
                py.import("spanwire.details")?.getattr($name)?.call((), Some(&fields))
            }

            fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Self> {
                let mut message = <$type>::default();
                $(message.$field = Field::from_python(&value.getattr(python_name(stringify!($field)))?)?;)+
                Ok(message)
            }
        }
    )+};
}

dataclasses! {
    rpc::RetryInfo as "RetryInfo" { retry_delay }
    rpc::DebugInfo as "DebugInfo" { stack_entries, detail }
    rpc::QuotaFailure as "QuotaFailure" { violations }
    rpc::quota_failure::Violation as "QuotaViolation" { subject, description }
    rpc::ErrorInfo as "ErrorInfo" { reason, domain, metadata }
    rpc::PreconditionFailure as "PreconditionFailure" { violations }
    rpc::precondition_failure::Violation as "PreconditionViolation" { r#type, subject, description }
    rpc::BadRequest as "BadRequest" { field_violations }
    rpc::bad_request::FieldViolation as "FieldViolation" { field, description }
    rpc::RequestInfo as "RequestInfo" { request_id, serving_data }
    rpc::ResourceInfo as "ResourceInfo" { resource_type, resource_name, owner, description }
    rpc::Help as "Help" { links }
    rpc::help::Link as "Link" { description, url }
    rpc::LocalizedMessage as "LocalizedMessage" { locale, message }
}

/// Calls `with!` with every type that may stand in a status.
macro_rules! every_detail {
    ($with:ident) => {
        $with!(
            RetryInfo DebugInfo QuotaFailure ErrorInfo PreconditionFailure BadRequest RequestInfo ResourceInfo Help
            LocalizedMessage
        )
    };
}

/// The details in the bytes of a `google.rpc.Status`; what is not known, or malformed, stays as it is.
#[pyfunction]
pub(crate) fn decode_details<'py>(py: Python<'py>, status: &[u8]) -> PyResult<Bound<'py, PyTuple>> {
    guard(|| {
        let status = Status::unknown("").with_details(Bytes::copy_from_slice(status));
        let details: Vec<_> =
            status.details_any().iter().map(|any| from_any(py, any)).collect::<PyResult<_>>()?;
        PyTuple::new(py, details)
    })
}

fn from_any<'py>(py: Python<'py>, any: &Any) -> PyResult<Bound<'py, PyAny>> {
    macro_rules! decode {
        ($($type:ident)+) => {
            $(if let Some(detail) = rpc::$type::unpack(any) {
                return detail.to_python(py);
            })+
        };
    }
    every_detail!(decode);
    py.import("spanwire.details")?.getattr("Unknown")?.call1((&any.type_url, PyBytes::new(py, &any.value)))
}

/// The bytes of a `google.rpc.Status` with these details; empty if there are none. Messages of protobuf may be among them.
#[pyfunction]
pub(crate) fn encode_details<'py>(
    code: u32,
    message: &str,
    details: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let py = details.py();
    guard(|| {
        let details: Vec<Any> =
            details.try_iter()?.map(|detail| to_any(&detail?)).collect::<PyResult<_>>()?;
        if details.is_empty() {
            return Ok(PyBytes::new(py, b""));
        }
        let status = Status::new(Code::from_u32(code).unwrap_or(Code::Unknown), message);
        Ok(PyBytes::new(py, status.with_details_any(details).details()))
    })
}

fn to_any(detail: &Bound<'_, PyAny>) -> PyResult<Any> {
    let class = detail.get_type();
    let name = class.name()?.to_string();
    if class.getattr("__module__")?.extract::<String>().is_ok_and(|module| module == "spanwire.details") {
        macro_rules! encode {
            ($($type:ident)+) => {
                $(if name == stringify!($type) {
                    return Ok(rpc::$type::from_python(detail)?.pack());
                })+
            };
        }
        every_detail!(encode);
        return Ok(Any {
            type_url: detail.getattr("type_url")?.extract()?,
            value: detail.getattr("value")?.extract()?,
        });
    }
    let message = || {
        let name: String = detail.getattr("DESCRIPTOR")?.getattr("full_name")?.extract()?;
        let value = detail.call_method0("SerializeToString")?.extract()?;
        Ok::<_, PyErr>(Any { type_url: format!("type.googleapis.com/{name}"), value })
    };
    message().map_err(|_| {
        PyTypeError::new_err(format!("{name}: a detail is one of spanwire.details, or a message of protobuf"))
    })
}
