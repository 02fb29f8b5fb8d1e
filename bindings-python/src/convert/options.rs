//! Options: keywords of Python, by the names of the bridge's fields. Times are seconds, `None` is the default, and `inf` turns
//! off what can be off.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyString};
use spanwire::bridge::{
    ArgumentValue, CallOptions, CertificateOptions, ChannelOptions, JwtOptions, Limits, ServerOptions,
    TelemetryOptions, TlsOptions, WebOptions,
};
use spanwire::{Connectivity, Encoding};

use super::metadata::metadata_from;
use crate::guard::guard;
use crate::token;

/// Puts keywords into fields: `seconds` for those that end in `_ms`, `number` and `flag` and `text` by their own name.
macro_rules! fields {
    ($name:expr, $value:expr, { $($kind:ident: $($key:literal => $field:expr),+;)+ } else $other:expr) => {
        match $name {
            $($($key => $field = $kind($key, $value)?,)+)+
            _ => $other,
        }
    };
}

/// TLS, on either side. Certificates and keys are PEM: `bytes` or `str`, or files.
#[pyclass(frozen, module = "spanwire")]
#[derive(Debug)]
pub(crate) struct Tls(TlsOptions);

#[pymethods]
impl Tls {
    #[new]
    #[pyo3(signature = (
        *, ca_pem = None, ca_file = None, certificate_pem = None, certificate_file = None, key_pem = None, key_file = None,
        system_roots = false, server_name = None, danger_accept_any_certificate = false, client_certificate_optional = false,
        more_certificates = None
    ))]
    #[allow(clippy::too_many_arguments, reason = "keywords of Python")]
    fn new(
        ca_pem: Option<&Bound<'_, PyAny>>,
        ca_file: Option<std::path::PathBuf>,
        certificate_pem: Option<&Bound<'_, PyAny>>,
        certificate_file: Option<std::path::PathBuf>,
        key_pem: Option<&Bound<'_, PyAny>>,
        key_file: Option<std::path::PathBuf>,
        system_roots: bool,
        server_name: Option<String>,
        danger_accept_any_certificate: bool,
        client_certificate_optional: bool,
        more_certificates: Option<Vec<Bound<'_, PyDict>>>,
    ) -> PyResult<Self> {
        let path = |path: Option<std::path::PathBuf>| path.map(|path| path.to_string_lossy().into_owned());
        guard(|| {
            Ok(Tls(TlsOptions {
                ca_pem: pem("ca_pem", ca_pem)?,
                ca_file: path(ca_file),
                certificate_pem: pem("certificate_pem", certificate_pem)?,
                certificate_file: path(certificate_file),
                key_pem: pem("key_pem", key_pem)?,
                key_file: path(key_file),
                system_roots,
                server_name,
                danger_accept_any_certificate,
                client_certificate_optional,
                more_certificates: more_certificates
                    .iter()
                    .flatten()
                    .map(certificate)
                    .collect::<PyResult<_>>()?,
            }))
        })
    }

    /// Shows where things come from, and no key.
    fn __repr__(&self) -> String {
        let file = |file: &Option<String>, pem: bool| match file {
            _ if pem => "(given)".to_owned(),
            Some(file) => file.clone(),
            None => "None".to_owned(),
        };
        let tls = &self.0;
        let ca = file(&tls.ca_file, tls.ca_pem.is_some());
        format!("Tls(ca={ca}, certificate={})", file(&tls.certificate_file, tls.certificate_pem.is_some()))
    }
}

/// One more certificate of a server.
fn certificate(given: &Bound<'_, PyDict>) -> PyResult<CertificateOptions> {
    let mut to = CertificateOptions::default();
    each(Some(given), "more_certificates", |name, value| {
        fields!(name, value, {
            path: "certificate_file" => to.certificate_file, "key_file" => to.key_file;
        } else match name {
            "certificate_pem" => to.certificate_pem = pem(name, Some(value))?,
            "key_pem" => to.key_pem = pem(name, Some(value))?,
            _ => return Ok(false),
        });
        Ok(true)
    })?;
    Ok(to)
}

/// Which bearer tokens a server accepts.
#[pyclass(frozen, module = "spanwire")]
#[derive(Debug)]
pub(crate) struct Jwt(JwtOptions);

#[pymethods]
impl Jwt {
    #[new]
    #[pyo3(signature = (
        *, issuers, jwks_file = None, jwks_url = None, jwks_refresh_interval = None, jwks_ca_file = None,
        danger_jwks_over_plaintext = false, audiences = None, algorithms = None, clock_skew = None,
        required_claims = None, unauthenticated_methods = None, danger_accept_plaintext = false
    ))]
    #[allow(clippy::too_many_arguments, reason = "keywords of Python")]
    fn new(
        issuers: Vec<String>,
        jwks_file: Option<std::path::PathBuf>,
        jwks_url: Option<String>,
        jwks_refresh_interval: Option<&Bound<'_, PyAny>>,
        jwks_ca_file: Option<std::path::PathBuf>,
        danger_jwks_over_plaintext: bool,
        audiences: Option<Vec<String>>,
        algorithms: Option<Vec<String>>,
        clock_skew: Option<&Bound<'_, PyAny>>,
        required_claims: Option<Vec<String>>,
        unauthenticated_methods: Option<Vec<String>>,
        danger_accept_plaintext: bool,
    ) -> PyResult<Self> {
        guard(|| {
            let path = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
            let time = |name, value: Option<_>| value.map(|value| milliseconds(name, value)).transpose();
            Ok(Jwt(JwtOptions {
                jwks_file: jwks_file.map(path),
                jwks_url,
                jwks_refresh_interval_ms: time("jwks_refresh_interval", jwks_refresh_interval)?
                    .unwrap_or_default(),
                jwks_ca_file: jwks_ca_file.map(path),
                danger_jwks_over_plaintext,
                issuers,
                audiences: audiences.unwrap_or_default(),
                algorithms: algorithms.unwrap_or_default(),
                // No skew at all is no default.
                clock_skew_ms: match time("clock_skew", clock_skew)? {
                    Some(0) => -1,
                    skew => skew.unwrap_or_default(),
                },
                required_claims: required_claims.unwrap_or_default(),
                unauthenticated_methods: unauthenticated_methods.unwrap_or_default(),
                danger_accept_plaintext,
            }))
        })
    }

    fn __repr__(&self) -> String {
        format!("Jwt(issuers={:?}, audiences={:?})", self.0.issuers, self.0.audiences)
    }
}

fn pem(name: &str, value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Vec<u8>>> {
    value
        .map(|value| match value.cast::<PyString>() {
            Ok(text) => Ok(text.to_cow()?.as_bytes().to_vec()),
            Err(_) if value.is_instance_of::<PyBytes>() => value.extract(),
            Err(_) => Err(wrong_type(name, "bytes or str", value)),
        })
        .transpose()
}

/// The options of a channel.
///
/// # Errors
/// `TypeError`, `ValueError`: they name the option.
pub(crate) fn channel_options(options: Option<&Bound<'_, PyDict>>) -> PyResult<ChannelOptions> {
    let mut to = ChannelOptions::default();
    each(options, "Channel", |name, value| {
        if name == "bearer_token" {
            if value.is_callable() {
                let bound = value.py().import("spanwire._token")?.call_method1("bound", (value,))?;
                to.bearer_token_source = Some(token::source(bound.unbind()));
            } else {
                to.bearer_token = text(name, value)?;
            }
            return Ok(true);
        }
        if name == "arguments" {
            // Behind all others, over which they win.
            return Ok(true);
        }
        fields!(name, value, {
            tls: "tls" => to.tls;
            text:
                "authority" => to.authority,
                "user_agent" => to.user_agent,
                "load_balancing" => to.load_balancing,
                "service_config" => to.service_config,
                "bearer_token_file" => to.bearer_token_file,
                "proxy" => to.proxy,
                "dns_resolver" => to.dns_resolver;
            encoding: "compression" => to.compression;
            seconds:
                "name_ttl" => to.name_ttl_ms,
                "idle_timeout" => to.idle_timeout_ms,
                "connect_timeout" => to.connect_timeout_ms,
                "backoff_first" => to.backoff_first_ms,
                "backoff_longest" => to.backoff_longest_ms,
                "keepalive_interval" => to.keepalive_interval_ms,
                "keepalive_timeout" => to.keepalive_timeout_ms;
            flag:
                "keepalive_without_calls" => to.keepalive_without_calls,
                "service_config_from_dns" => to.service_config_from_dns;
            telemetry: "telemetry" => to.telemetry;
            switch: "retries" => to.retries_off, "health_checks" => to.health_checks_off;
            number: "max_connections_per_subchannel" => to.max_connections_per_subchannel;
        } else return limit(&mut to.limits, name, value));
        Ok(true)
    })?;
    let given = options.map(|options| options.get_item("arguments")).transpose()?.flatten();
    if let Some(given) = given.filter(|given| !given.is_none()) {
        arguments(&mut to, &given)?;
    }
    Ok(to)
}

/// Channel arguments of gRPC's C core, by their names there.
fn arguments(to: &mut ChannelOptions, given: &Bound<'_, PyAny>) -> PyResult<()> {
    let given = given.cast::<PyDict>().map_err(|_| wrong_type("arguments", "dict", given))?;
    for (name, value) in given {
        let name: String = name.extract().map_err(|_| wrong_type("arguments", "str for its names", &name))?;
        let value = if let Ok(text) = value.cast::<PyString>() {
            ArgumentValue::Text(text.to_cow()?.into_owned())
        } else {
            ArgumentValue::Number(value.extract().map_err(|_| wrong_type(&name, "int, bool or str", &value))?)
        };
        to.set_argument(&name, value).map_err(|error| PyValueError::new_err(error.to_string()))?;
    }
    Ok(())
}

/// The options of a server.
///
/// # Errors
/// `TypeError`, `ValueError`: they name the option.
pub(crate) fn server_options(options: Option<&Bound<'_, PyDict>>) -> PyResult<ServerOptions> {
    let mut to = ServerOptions::default();
    each(options, "Server", |name, value| {
        fields!(name, value, {
            tls: "tls" => to.tls;
            jwt: "jwt" => to.jwt;
            web: "web" => to.web;
            text:
                "authorization_policy" => to.authorization_policy,
                "rate_limits" => to.rate_limits;
            path: "authorization_policy_file" => to.authorization_policy_file;
            seconds:
                "keepalive_interval" => to.keepalive_interval_ms,
                "keepalive_timeout" => to.keepalive_timeout_ms,
                "keepalive_min_interval" => to.keepalive_min_interval_ms,
                "max_connection_age" => to.max_connection_age_ms,
                "max_connection_age_grace" => to.max_connection_age_grace_ms,
                "max_connection_idle" => to.max_connection_idle_ms,
                "handshake_timeout" => to.handshake_timeout_ms,
                "stall_timeout" => to.stall_timeout_ms,
                "drain_delay" => to.drain_delay_ms;
            telemetry: "telemetry" => to.telemetry;
            flag:
                "keepalive_permit_without_calls" => to.keepalive_permit_without_calls,
                "share_port" => to.share_port,
                "health" => to.health,
                "channelz" => to.channelz;
            bytes: "reflection" => to.reflection;
            number:
                "max_connections" => to.max_connections,
                "max_concurrent_streams" => to.max_concurrent_streams,
                "max_unfinished_request_bytes" => to.max_unfinished_request_bytes,
                "max_running_calls" => to.max_running_calls;
        } else return limit(&mut to.limits, name, value));
        Ok(true)
    })?;
    Ok(to)
}

/// What records calls: a dict by the names of the bridge's fields.
fn telemetry(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<TelemetryOptions>> {
    let given = value.cast::<PyDict>().map_err(|_| wrong_type(name, "dict", value))?;
    let mut to = TelemetryOptions::default();
    each(Some(given), name, |name, value| {
        fields!(name, value, {
            text:
                "endpoint" => to.endpoint,
                "service_name" => to.service_name,
                "resource_attributes" => to.resource_attributes,
                "propagators" => to.propagators,
                "access_log" => to.access_log;
            switch: "metrics" => to.metrics_off, "traces" => to.traces_off;
            seconds: "metrics_interval" => to.metrics_interval_ms;
            ratio: "trace_ratio" => to.trace_ratio;
        } else return Ok(false));
        Ok(true)
    })?;
    Ok(Some(to))
}

/// Which pages may call: a dict by the names of the bridge's fields.
fn web(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<WebOptions>> {
    let given = value.cast::<PyDict>().map_err(|_| wrong_type(name, "dict", value))?;
    let mut to = WebOptions::default();
    each(Some(given), name, |name, value| {
        fields!(name, value, {
            texts:
                "origins" => to.origins,
                "allow_headers" => to.allow_headers,
                "expose_headers" => to.expose_headers;
            flag: "allow_credentials" => to.allow_credentials;
        } else match name {
            // No time at all is no default.
            "max_age" => to.max_age_ms = Some(milliseconds(name, value)?).filter(|age| *age != 0).unwrap_or(-1),
            _ => return Ok(false),
        });
        Ok(true)
    })?;
    Ok(Some(to))
}

fn texts(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    // A text is a sequence of texts, too.
    if value.is_instance_of::<PyString>() {
        return Err(wrong_type(name, "a sequence of str", value));
    }
    value.extract().map_err(|_| wrong_type(name, "a sequence of str", value))
}

/// A part of a whole. None of it is no default.
fn ratio(name: &str, value: &Bound<'_, PyAny>) -> PyResult<f64> {
    let ratio: f64 = value.extract().map_err(|_| wrong_type(name, "float", value))?;
    match ratio {
        0.0 => Ok(-1.0),
        0.0.. => Ok(ratio),
        _ => Err(PyValueError::new_err(format!("{name}: {value} cannot be used: it is not from 0 to 1"))),
    }
}

fn limit(to: &mut Limits, name: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    macro_rules! limits {
        ($($field:ident)+) => {
            match name {
                $(stringify!($field) => to.$field = number(name, value)?,)+
                _ => return Ok(false),
            }
        };
    }
    limits! {
        max_recv_message_bytes max_send_message_bytes max_metadata_bytes max_metadata_fields
        stream_window_bytes max_stream_window_bytes connection_window_bytes send_buffer_bytes
        flood_resets_burst flood_resets_per_second flood_max_early_refusals
        flood_settings_burst flood_settings_per_second flood_max_settings_entries
        flood_control_frames_burst flood_control_frames_per_second
        flood_max_continuations flood_max_pending_acks flood_small_data_budget
    }
    Ok(true)
}

/// The options of a call; most calls have none.
///
/// # Errors
/// `TypeError`, `ValueError`: they name the option.
pub(crate) fn call_options(options: Option<&Bound<'_, PyDict>>) -> PyResult<CallOptions> {
    let mut to = CallOptions::default();
    each(options, "a call", |name, value| {
        match name {
            "timeout" => to.timeout_ms = timeout_ms(Some(value))?,
            "metadata" => to.metadata = metadata_from(value)?,
            "compression" => to.compression = encoding(name, value)?,
            "wait_for_ready" => to.wait_for_ready = flag(name, value)?,
            "max_recv_message_bytes" => to.max_recv_message_bytes = number(name, value)?,
            "max_send_message_bytes" => to.max_send_message_bytes = number(name, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(to)
}

/// Hands out every option that is not `None`.
fn each(
    options: Option<&Bound<'_, PyDict>>,
    whose: &str,
    mut set: impl FnMut(&str, &Bound<'_, PyAny>) -> PyResult<bool>,
) -> PyResult<()> {
    for (name, value) in options.into_iter().flatten() {
        let name = name.cast::<PyString>()?.to_cow()?;
        if !value.is_none() && !set(&name, &value)? {
            return Err(PyTypeError::new_err(format!("{whose} has no option {:?}", &*name)));
        }
    }
    Ok(())
}

fn wrong_type(name: &str, due: &str, value: &Bound<'_, PyAny>) -> PyErr {
    let given = value.get_type().name().map(|name| name.to_string()).unwrap_or_default();
    PyTypeError::new_err(format!("{name}: {due} is due, not {given}"))
}

fn tls(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<TlsOptions>> {
    let tls = value.cast::<Tls>().map_err(|_| wrong_type(name, "spanwire.Tls", value))?;
    Ok(Some(tls.get().0.clone()))
}

fn jwt(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<JwtOptions>> {
    let jwt = value.cast::<Jwt>().map_err(|_| wrong_type(name, "spanwire.Jwt", value))?;
    Ok(Some(jwt.get().0.clone()))
}

fn path(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    let path: std::path::PathBuf = value.extract().map_err(|_| wrong_type(name, "str or a path", value))?;
    Ok(Some(path.to_string_lossy().into_owned()))
}

fn text(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    value.extract().map(Some).map_err(|_| wrong_type(name, "str", value))
}

fn bytes(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<Vec<u8>>> {
    let bytes = value.cast::<PyBytes>().map_err(|_| wrong_type(name, "bool or bytes", value))?;
    Ok(Some(bytes.as_bytes().to_vec()))
}

fn flag(name: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value.extract().map_err(|_| wrong_type(name, "bool", value))
}

/// What is on unless it is turned off: whether it is off.
fn switch(name: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(!flag(name, value)?)
}

/// The encoding of a name.
pub(crate) fn encoding(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<Encoding>> {
    let given: String = value.extract().map_err(|_| wrong_type(name, "str", value))?;
    Encoding::from_name(&given).map(Some).ok_or_else(|| {
        let known = Encoding::ALL.map(Encoding::name).join(", ");
        PyValueError::new_err(format!("{name}: {given:?} is none of {known}"))
    })
}

/// A count or a size; `inf` is no limit.
fn number(name: &str, value: &Bound<'_, PyAny>) -> PyResult<i64> {
    if value.is_instance_of::<PyFloat>() && value.extract::<f64>()? == f64::INFINITY {
        return Ok(-1);
    }
    if !value.is_instance_of::<PyInt>() || value.is_instance_of::<PyBool>() {
        return Err(wrong_type(name, "int", value));
    }
    match value.extract::<i64>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(PyValueError::new_err(format!("{name}: {value} cannot be used: 1 or more is due"))),
    }
}

/// A time of more than nothing; `inf` is no limit.
/// How long something may take, as the bridge has it: no time left is no default, and `None` is as good as for ever.
pub(crate) fn timeout_ms(value: Option<&Bound<'_, PyAny>>) -> PyResult<i64> {
    Ok(
        match value
            .filter(|value| !value.is_none())
            .map(|value| milliseconds("timeout", value))
            .transpose()?
        {
            Some(0) => -1,
            None | Some(-1) => 0,
            Some(ms) => ms,
        },
    )
}

/// A state of a channel, of its number.
pub(crate) fn state(number: u8) -> PyResult<Connectivity> {
    Connectivity::from_u8(number)
        .ok_or_else(|| PyValueError::new_err(format!("known: {number} cannot be used: it is no state")))
}

fn seconds(name: &str, value: &Bound<'_, PyAny>) -> PyResult<i64> {
    match milliseconds(name, value)? {
        0 => {
            Err(PyValueError::new_err(format!("{name}: {value} cannot be used: more than 0 seconds are due")))
        }
        ms => Ok(ms),
    }
}

/// Seconds, rounded up to whole milliseconds; -1 for `inf`.
fn milliseconds(name: &str, value: &Bound<'_, PyAny>) -> PyResult<i64> {
    let seconds: f64 = match value.is_instance_of::<PyBool>() {
        true => return Err(wrong_type(name, "a number of seconds", value)),
        false => value.extract().map_err(|_| wrong_type(name, "a number of seconds", value))?,
    };
    if seconds == f64::INFINITY {
        return Ok(-1);
    }
    if seconds.is_nan() || (seconds < 0.0 && name != "timeout") {
        return Err(PyValueError::new_err(format!("{name}: {value} cannot be used: it is no time")));
    }
    // A deadline that has passed has passed, however long ago. What is too long for the number is as good as for ever.
    Ok((seconds.max(0.0) * 1000.0).ceil().min(9e15) as i64)
}
