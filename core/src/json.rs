//! Reading JSON with its place at hand, for errors that say where.

use std::time::Duration;

use serde_json::Value;

/// A value, and where it is.
#[derive(Clone, Debug)]
pub(crate) struct At<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> At<'a> {
    pub(crate) fn root(value: &'a Value) -> Self {
        At { value, path: String::new() }
    }

    /// An error about this value.
    pub(crate) fn wrong(&self, problem: &str) -> String {
        let place = if self.path.is_empty() { "the whole" } else { &self.path };
        match self.value {
            Value::Object(_) | Value::Array(_) => format!("{place}: {problem}"),
            value => format!("{place}: {problem}, and is {value}"),
        }
    }

    /// A field of an object; `null` is as good as none.
    pub(crate) fn get(&self, name: &str) -> Option<At<'a>> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Some(At { value, path })
    }

    /// A field that must be there.
    pub(crate) fn need(&self, name: &str) -> Result<At<'a>, String> {
        self.get(name).ok_or_else(|| self.wrong(&format!("has no {name}")))
    }

    /// The fields of an object.
    pub(crate) fn object(&self) -> Result<Vec<(&'a str, &'a Value)>, String> {
        let fields = self.value.as_object().ok_or_else(|| self.wrong("must be an object"))?;
        Ok(fields.iter().map(|(name, value)| (name.as_str(), value)).collect())
    }

    /// Refuses fields of an object that nobody here knows: they may say something that matters.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), String> {
        let unknown = self.object()?.into_iter().find(|(name, _)| !known.contains(name));
        let Some((name, value)) = unknown else { return Ok(()) };
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Err(At { value, path }.wrong("is not known here"))
    }

    /// The entries of a field that is a list; none if it is not there.
    pub(crate) fn list(&self, name: &str) -> Result<Vec<At<'a>>, String> {
        let Some(list) = self.get(name) else { return Ok(Vec::new()) };
        let entries = list.value.as_array().ok_or_else(|| list.wrong("must be a list"))?;
        let entry = |(index, value)| At { value, path: format!("{}[{index}]", list.path) };
        Ok(entries.iter().enumerate().map(entry).collect())
    }

    /// The value as it is.
    pub(crate) fn json(&self) -> String {
        self.value.to_string()
    }

    pub(crate) fn text(&self) -> Result<&'a str, String> {
        self.value.as_str().ok_or_else(|| self.wrong("must be a text"))
    }

    pub(crate) fn truth(&self) -> Result<bool, String> {
        self.value.as_bool().ok_or_else(|| self.wrong("must be true or false"))
    }

    /// A number, which the JSON form of protobuf allows to be a text.
    pub(crate) fn number(&self) -> Result<f64, String> {
        let number = match self.value {
            Value::String(text) => text.parse().ok(),
            value => value.as_f64(),
        };
        number.filter(|number| number.is_finite()).ok_or_else(|| self.wrong("must be a number"))
    }

    /// A whole number within bounds. `means` says what it must be.
    pub(crate) fn whole(&self, least: u64, means: &str) -> Result<u64, String> {
        let number = self.number()?;
        if number.fract() != 0.0 || number < least as f64 || number > u64::MAX as f64 {
            return Err(self.wrong(&format!("must be {means}")));
        }
        Ok(number as u64)
    }

    /// A span of time in the JSON form of `google.protobuf.Duration`: `1.5s`.
    pub(crate) fn duration(&self) -> Result<Duration, String> {
        let wrong = || self.wrong("must be a span of time such as \"1.5s\"");
        let text = self.text()?.strip_suffix('s').ok_or_else(wrong)?;
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        // Protobuf's own bound, 10 000 years.
        let seconds = text.parse().ok().filter(|seconds: &f64| plain && *seconds <= 315_576_000_000.0);
        seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(wrong)
    }

    /// A span of time above 0.
    pub(crate) fn some_time(&self) -> Result<Duration, String> {
        let time = self.duration()?;
        if time.is_zero() { Err(self.wrong("must be above 0")) } else { Ok(time) }
    }
}
