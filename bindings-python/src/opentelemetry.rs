//! One trace with OpenTelemetry's package for Python, for programs that use it: see `spanwire/_opentelemetry.py`.

use pyo3::prelude::*;
use spanwire::bridge::{self, CallOptions, ServerCallRef};

use crate::imported::Imported;

/// Puts a call behind the span that the running code is in, unless its metadata say where it belongs.
pub(crate) fn put_behind_current(
    py: Python<'_>,
    channel: &bridge::Channel,
    options: &mut CallOptions,
) -> PyResult<()> {
    static CURRENT: Imported = Imported::new("spanwire._opentelemetry", "current");
    let named = |name| options.metadata.contains(name);
    if !channel.hands_on_traces() || named("traceparent") || named("grpc-trace-bin") {
        return Ok(());
    }
    let Some((parent, state)): Option<(String, String)> = CURRENT.get(py)?.call0()?.extract()? else {
        return Ok(());
    };
    // What cannot be sent is no reason not to make a call.
    let _ = options.metadata.insert("traceparent", &parent);
    if !state.is_empty() {
        let _ = options.metadata.insert("tracestate", &state);
    }
    Ok(())
}

/// Makes the span of the call the current one, for the current context of `contextvars`.
pub(crate) fn enter(context: &Bound<'_, PyAny>, call: &ServerCallRef) -> PyResult<()> {
    static ENTER: Imported = Imported::new("spanwire._opentelemetry", "enter");
    if let Some(trace) = call.trace() {
        ENTER.get(context.py())?.call1((context, trace.state()))?;
    }
    Ok(())
}
