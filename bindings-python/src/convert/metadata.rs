//! Metadata: a mapping of Python over the engine's own, converted entry by entry when they are looked at.

use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyList, PyMapping, PyString, PyTuple};
use spanwire::{Metadata as Core, Value};

use crate::guard::guard;

/// The metadata of a call, in the order of their names' first appearance. Immutable.
///
/// As a mapping it shows the first value of each name: `str`, or `bytes` under names that end in `-bin`. Names are lower case.
#[pyclass(frozen, mapping, module = "spanwire")]
#[derive(Debug)]
pub(crate) struct Metadata(Core);

/// Names and values.
type Pairs<'py> = Vec<(String, Bound<'py, PyAny>)>;

impl Metadata {
    pub(crate) fn of(metadata: Core) -> Self {
        Metadata(metadata)
    }

    pub(crate) fn core(&self) -> &Core {
        &self.0
    }

    fn first<'py>(&self, py: Python<'py>, key: &str) -> Option<Bound<'py, PyAny>> {
        let key = key.to_ascii_lowercase();
        if key.ends_with("-bin") {
            return self.0.get_bin(&key).map(|value| PyBytes::new(py, &value).into_any());
        }
        self.0.get_bytes(&key).map(|value| text(py, value))
    }

    fn all<'py>(&self, py: Python<'py>) -> impl Iterator<Item = (&str, Bound<'py, PyAny>)> {
        self.0.iter().map(move |(name, value)| match value {
            Value::Ascii(value) => (name, text(py, value)),
            Value::Binary(value) => (name, PyBytes::new(py, &value).into_any()),
        })
    }

    /// Names that have a value which can be read.
    fn names(&self) -> Vec<&str> {
        self.0.keys().filter(|name| !name.ends_with("-bin") || self.0.get_bin(name).is_some()).collect()
    }
}

/// Peers may send what is no UTF-8, against the rules: every byte is a character then.
fn text<'py>(py: Python<'py>, value: &[u8]) -> Bound<'py, PyAny> {
    match std::str::from_utf8(value) {
        Ok(value) => PyString::new(py, value).into_any(),
        Err(_) => {
            PyString::new(py, &value.iter().map(|byte| char::from(*byte)).collect::<String>()).into_any()
        }
    }
}

#[pymethods]
impl Metadata {
    #[new]
    #[pyo3(signature = (entries = None, /))]
    fn new(entries: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        guard(|| entries.map_or(Ok(Core::new()), metadata_from).map(Metadata))
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Bound<'py, PyAny>> {
        self.first(py, key).ok_or_else(|| PyKeyError::new_err(key.to_owned()))
    }

    fn __contains__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> bool {
        key.extract::<String>().is_ok_and(|key| self.first(py, &key).is_some())
    }

    fn __len__(&self) -> usize {
        self.names().len()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyList::new(py, self.names())?.try_iter()?.into_any())
    }

    #[pyo3(signature = (key, default = None, /))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> Option<Bound<'py, PyAny>> {
        self.first(py, key).or(default)
    }

    /// Every value of a name, in the order in which they were sent.
    fn get_all<'py>(&self, py: Python<'py>, key: &str) -> Vec<Bound<'py, PyAny>> {
        let key = key.to_ascii_lowercase();
        self.all(py).filter(|(name, _)| *name == key).map(|(_, value)| value).collect()
    }

    /// Every value with its name.
    fn pairs<'py>(&self, py: Python<'py>) -> Vec<(&str, Bound<'py, PyAny>)> {
        self.all(py).collect()
    }

    fn keys(&self) -> Vec<&str> {
        self.names()
    }

    fn values<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyAny>> {
        self.names().into_iter().filter_map(|name| self.first(py, name)).collect()
    }

    fn items<'py>(&self, py: Python<'py>) -> Vec<(&str, Bound<'py, PyAny>)> {
        self.names().into_iter().filter_map(|name| Some((name, self.first(py, name)?))).collect()
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(other) = other.cast::<Metadata>() else { return Ok(false) };
        PyList::new(py, self.pairs(py))?.eq(PyList::new(py, other.get().pairs(py))?)
    }

    fn __repr__(&self) -> String {
        // Shows no value that authenticates the caller.
        format!("Metadata({:?})", self.0)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Pairs<'py>,))> {
        let py = slf.py();
        let pairs = slf.get().all(py).map(|(name, value)| (name.to_owned(), value)).collect();
        Ok((py.get_type::<Metadata>().into_any(), (pairs,)))
    }
}

/// The engine's metadata of a mapping, of pairs, or of a [`Metadata`]. In a mapping a value may also be a list or tuple: one
/// entry each.
///
/// # Errors
/// `TypeError`, `ValueError`: which entry is wrong, and why.
pub(crate) fn metadata_from(entries: &Bound<'_, PyAny>) -> PyResult<Core> {
    if let Ok(own) = entries.cast::<Metadata>() {
        return Ok(own.get().core().clone());
    }
    let mut metadata = Core::new();
    if entries.is_none() {
        return Ok(metadata);
    }
    let pairs = match entries.cast::<PyMapping>() {
        Ok(mapping) => mapping.items()?.into_any(),
        Err(_) => entries.clone(),
    };
    let wrong = || PyTypeError::new_err("metadata: a mapping or an iterable of (name, value) pairs is due");
    for pair in pairs.try_iter().map_err(|_| wrong())? {
        let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair?.extract().map_err(|_| wrong())?;
        let Ok(name) = name.cast::<PyString>() else {
            return Err(PyTypeError::new_err(format!(
                "metadata: a name must be str, not {}",
                name.get_type().name()?
            )));
        };
        let name = name.to_cow()?;
        if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
            for value in value.try_iter()? {
                append(&mut metadata, &name, &value?)?;
            }
        } else {
            append(&mut metadata, &name, &value)?;
        }
    }
    Ok(metadata)
}

/// Adds one entry.
pub(crate) fn append(metadata: &mut Core, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let result = if let Ok(value) = value.cast::<PyString>() {
        metadata.append(name, &value.to_cow()?)
    } else if value.is_instance_of::<PyBytes>() || value.is_instance_of::<PyByteArray>() {
        metadata.append_bin(name, value.extract::<Vec<u8>>()?)
    } else {
        let kind = value.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "metadata {name:?}: a value must be str or bytes, not {kind}"
        )));
    };
    result.map_err(|error| {
        let text = error.to_string();
        PyValueError::new_err(text.replace(": use insert_bin or append_bin", ""))
    })
}
