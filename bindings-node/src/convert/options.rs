//! Options: objects of JavaScript, by the names of the bridge's fields in its spelling. What is `undefined` is the default, and
//! `Infinity` turns off what can be off.

use napi::bindgen_prelude::{JsObjectValue, JsValue, Object, Result, Uint8Array, Unknown};
use napi::{Error, Status, ValueType};
use napi_derive::napi;
use spanwire::Encoding;
use spanwire::bridge::{
    ArgumentValue, CertificateOptions, ChannelOptions, JwtOptions, Limits, ServerOptions, TelemetryOptions,
    TlsOptions, WebOptions,
};

use super::error::{argument, op_error, snake};

/// Puts values into fields, each by a function for its kind.
macro_rules! fields {
    ($snake:expr, $name:expr, $value:expr, $to:expr, { $($kind:ident: $($field:ident),+;)+ } else $other:expr) => {
        match $snake {
            $($(stringify!($field) => $to.$field = $kind($name, $value)?.into(),)+)+
            _ => $other,
        }
    };
}

/// The options of a channel.
///
/// # Errors
/// Which option cannot be used, and why.
pub(crate) fn channel_options(options: &Object<'_>) -> Result<ChannelOptions> {
    let mut to = ChannelOptions::default();
    each(options, "Channel", |snake, name, value| {
        fields!(snake, name, value, to, {
            tls: tls;
            text:
                authority, user_agent, load_balancing, service_config, bearer_token, bearer_token_file, proxy,
                dns_resolver;
            encoding: compression;
            number:
                connect_timeout_ms, backoff_first_ms, backoff_longest_ms, keepalive_interval_ms,
                keepalive_timeout_ms, name_ttl_ms, idle_timeout_ms, max_connections_per_subchannel;
            flag: keepalive_without_calls, service_config_from_dns;
            telemetry: telemetry;
        } else match snake {
            "retries" => to.retries_off = !flag(name, value)?,
            "health_checks" => to.health_checks_off = !flag(name, value)?,
            // Behind all others, over which they win.
            "arguments" => {}
            _ => return limit(&mut to.limits, snake, name, value),
        });
        Ok(true)
    })?;
    let given: Unknown<'_> = options.get_named_property("arguments")?;
    if given.get_type()? != ValueType::Undefined {
        arguments(&mut to, given)?;
    }
    Ok(to)
}

/// Channel arguments of gRPC's C core, by their names there.
fn arguments(to: &mut ChannelOptions, given: Unknown<'_>) -> Result<()> {
    if given.get_type()? != ValueType::Object {
        return Err(wrong_type("arguments", "an object", given));
    }
    // SAFETY: it is an object.
    let given: Object<'_> = unsafe { given.cast()? };
    for name in Object::keys(&given)? {
        let value: Unknown<'_> = given.get_named_property(&name)?;
        let value = match value.get_type()? {
            ValueType::String => ArgumentValue::Text(text(&name, value)?),
            ValueType::Boolean => ArgumentValue::Number(flag(&name, value)?.into()),
            ValueType::Number => ArgumentValue::Number(whole(&name, value)?),
            _ => return Err(wrong_type(&name, "a number, a boolean or a string", value)),
        };
        to.set_argument(&name, value).map_err(|error| op_error(&error))?;
    }
    Ok(())
}

/// The options of a server.
///
/// # Errors
/// Which option cannot be used, and why.
pub(crate) fn server_options(options: &Object<'_>) -> Result<ServerOptions> {
    let mut to = ServerOptions::default();
    each(options, "Server", |snake, name, value| {
        fields!(snake, name, value, to, {
            tls: tls;
            jwt: jwt;
            web: web;
            text: authorization_policy, authorization_policy_file, rate_limits;
            number:
                keepalive_interval_ms, keepalive_timeout_ms, keepalive_min_interval_ms, max_connection_age_ms,
                max_connection_age_grace_ms, max_connection_idle_ms, handshake_timeout_ms, stall_timeout_ms,
                max_connections, max_concurrent_streams, max_unfinished_request_bytes, drain_delay_ms,
                max_running_calls;
            flag: keepalive_permit_without_calls, share_port, health, channelz;
            bytes: reflection;
            telemetry: telemetry;
        } else return limit(&mut to.limits, snake, name, value));
        Ok(true)
    })?;
    Ok(to)
}

/// What records calls.
fn telemetry(name: &str, value: Unknown<'_>) -> Result<Option<TelemetryOptions>> {
    if value.get_type()? != ValueType::Object {
        return Err(wrong_type(name, "an object", value));
    }
    // SAFETY: it is an object.
    let options: Object<'_> = unsafe { value.cast()? };
    let mut to = TelemetryOptions::default();
    each(&options, name, |snake, name, value| {
        fields!(snake, name, value, to, {
            text: endpoint, service_name, resource_attributes, propagators, access_log;
            number: metrics_interval_ms;
            ratio: trace_ratio;
        } else match snake {
            "metrics" => to.metrics_off = !flag(name, value)?,
            "traces" => to.traces_off = !flag(name, value)?,
            _ => return Ok(false),
        });
        Ok(true)
    })?;
    Ok(Some(to))
}

/// A part of a whole. None of it is no default.
fn ratio(name: &str, value: Unknown<'_>) -> Result<f64> {
    if value.get_type()? != ValueType::Number {
        return Err(wrong_type(name, "a number", value));
    }
    // SAFETY: it is a number.
    let ratio: f64 = unsafe { value.cast()? };
    match ratio {
        0.0 => Ok(-1.0),
        0.0.. => Ok(ratio),
        _ => Err(argument(format!("{name}: {ratio} cannot be used: it is not from 0 to 1"))),
    }
}

fn limit(to: &mut Limits, snake: &str, name: &str, value: Unknown<'_>) -> Result<bool> {
    fields!(snake, name, value, to, {
        number:
            max_recv_message_bytes, max_send_message_bytes, max_metadata_bytes, max_metadata_fields,
            stream_window_bytes, max_stream_window_bytes, connection_window_bytes, send_buffer_bytes,
            flood_resets_burst, flood_resets_per_second, flood_max_early_refusals,
            flood_settings_burst, flood_settings_per_second, flood_max_settings_entries,
            flood_control_frames_burst, flood_control_frames_per_second,
            flood_max_continuations, flood_max_pending_acks, flood_small_data_budget;
    } else return Ok(false));
    Ok(true)
}

fn tls(name: &str, value: Unknown<'_>) -> Result<Option<TlsOptions>> {
    match value.get_type()? {
        // The defaults of TLS.
        ValueType::Boolean => return Ok(flag(name, value)?.then(TlsOptions::default)),
        ValueType::Object => {}
        _ => return Err(wrong_type(name, "an object or a boolean", value)),
    }
    let mut to = TlsOptions::default();
    // SAFETY: it is an object.
    let options: Object<'_> = unsafe { value.cast()? };
    each(&options, name, |snake, name, value| {
        fields!(snake, name, value, to, {
            pem: ca_pem, certificate_pem, key_pem;
            text: ca_file, certificate_file, key_file, server_name;
            flag: system_roots, danger_accept_any_certificate, client_certificate_optional;
            certificates: more_certificates;
        } else return Ok(false));
        Ok(true)
    })?;
    Ok(Some(to))
}

fn certificates(name: &str, value: Unknown<'_>) -> Result<Vec<CertificateOptions>> {
    list(name, "an array of objects", value, |name, value| {
        if value.get_type()? != ValueType::Object {
            return Err(wrong_type(name, "an object", value));
        }
        let mut to = CertificateOptions::default();
        // SAFETY: it is an object.
        let options: Object<'_> = unsafe { value.cast()? };
        each(&options, name, |snake, name, value| {
            fields!(snake, name, value, to, {
                pem: certificate_pem, key_pem;
                text: certificate_file, key_file;
            } else return Ok(false));
            Ok(true)
        })?;
        Ok(to)
    })
}

fn jwt(name: &str, value: Unknown<'_>) -> Result<Option<JwtOptions>> {
    if value.get_type()? != ValueType::Object {
        return Err(wrong_type(name, "an object", value));
    }
    let mut to = JwtOptions::default();
    // SAFETY: it is an object.
    let options: Object<'_> = unsafe { value.cast()? };
    each(&options, name, |snake, name, value| {
        fields!(snake, name, value, to, {
            text: jwks_file, jwks_url, jwks_ca_file;
            texts: issuers, audiences, algorithms, required_claims, unauthenticated_methods;
            number: jwks_refresh_interval_ms;
            flag: danger_accept_plaintext, danger_jwks_over_plaintext;
        } else match snake {
            // No skew at all is no default.
            "clock_skew_ms" if is_zero(value)? => to.clock_skew_ms = -1,
            "clock_skew_ms" => to.clock_skew_ms = number(name, value)?,
            _ => return Ok(false),
        });
        Ok(true)
    })?;
    Ok(Some(to))
}

/// Which pages may call.
fn web(name: &str, value: Unknown<'_>) -> Result<Option<WebOptions>> {
    if value.get_type()? != ValueType::Object {
        return Err(wrong_type(name, "an object", value));
    }
    let mut to = WebOptions::default();
    // SAFETY: it is an object.
    let options: Object<'_> = unsafe { value.cast()? };
    each(&options, name, |snake, name, value| {
        fields!(snake, name, value, to, {
            texts: origins, allow_headers, expose_headers;
            flag: allow_credentials;
        } else match snake {
            // No time at all is no default.
            "max_age_ms" if is_zero(value)? => to.max_age_ms = -1,
            "max_age_ms" => to.max_age_ms = number(name, value)?,
            _ => return Ok(false),
        });
        Ok(true)
    })?;
    Ok(Some(to))
}

fn is_zero(value: Unknown<'_>) -> Result<bool> {
    // SAFETY: it is a number.
    Ok(value.get_type()? == ValueType::Number && unsafe { value.cast::<f64>()? } == 0.0)
}

fn texts(name: &str, value: Unknown<'_>) -> Result<Vec<String>> {
    list(name, "an array of strings", value, text)
}

fn list<T>(
    name: &str,
    due: &str,
    value: Unknown<'_>,
    one: impl Fn(&str, Unknown<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    if !value.is_array()? {
        return Err(wrong_type(name, due, value));
    }
    // SAFETY: it is an array, which is an object.
    let list: Object<'_> = unsafe { value.cast()? };
    (0..list.get_array_length()?).map(|index| one(name, list.get_element(index)?)).collect()
}

/// Hands out every option that is there, by both spellings of its name.
fn each(
    options: &Object<'_>,
    whose: &str,
    mut set: impl FnMut(&str, &str, Unknown<'_>) -> Result<bool>,
) -> Result<()> {
    for name in Object::keys(options)? {
        let value: Unknown<'_> = options.get_named_property(&name)?;
        if value.get_type()? != ValueType::Undefined && !set(&snake(&name), &name, value)? {
            return Err(argument(format!("{whose} has no option {name:?}")));
        }
    }
    Ok(())
}

fn wrong_type(name: &str, due: &str, value: Unknown<'_>) -> Error {
    let given = value.get_type().unwrap_or(ValueType::Unknown).to_string().to_lowercase();
    argument(format!("{name}: {due} is due, not {given}"))
}

fn text(name: &str, value: Unknown<'_>) -> Result<String> {
    if value.get_type()? != ValueType::String {
        return Err(wrong_type(name, "a string", value));
    }
    // SAFETY: it is a string.
    unsafe { value.cast() }
}

fn flag(name: &str, value: Unknown<'_>) -> Result<bool> {
    if value.get_type()? != ValueType::Boolean {
        return Err(wrong_type(name, "a boolean", value));
    }
    // SAFETY: it is a boolean.
    unsafe { value.cast() }
}

fn bytes(name: &str, value: Unknown<'_>) -> Result<Vec<u8>> {
    if value.is_typedarray()? {
        return pem(name, value);
    }
    Err(wrong_type(name, "a boolean or a Uint8Array", value))
}

fn pem(name: &str, value: Unknown<'_>) -> Result<Vec<u8>> {
    if value.is_typedarray()? {
        // SAFETY: it is a typed array; another one than of bytes is refused.
        return unsafe { value.cast::<Uint8Array>() }
            .map(|bytes| bytes.to_vec())
            .map_err(|_| argument(format!("{name}: a string or a Uint8Array is due")));
    }
    if value.get_type()? == ValueType::String {
        return text(name, value).map(String::into_bytes);
    }
    Err(wrong_type(name, "a string or a Uint8Array", value))
}

/// A count, a size or a time of 1 or more; `Infinity` is no limit.
fn number(name: &str, value: Unknown<'_>) -> Result<i64> {
    if value.get_type()? != ValueType::Number {
        return Err(wrong_type(name, "a number", value));
    }
    // SAFETY: it is a number.
    let number: f64 = unsafe { value.cast()? };
    if number == f64::INFINITY {
        return Ok(-1);
    }
    // What is not even: half a millisecond is one.
    match number.ceil() {
        whole if whole >= 1.0 => Ok(whole as i64),
        _ => Err(argument(format!("{name}: {number} cannot be used: 1 or more is due"))),
    }
}

fn whole(name: &str, value: Unknown<'_>) -> Result<i64> {
    // SAFETY: the caller has seen that it is a number.
    let number: f64 = unsafe { value.cast()? };
    if number.fract() == 0.0 && number.abs() < 9e15 {
        return Ok(number as i64);
    }
    Err(argument(format!("{name}: {number} cannot be used: a whole number is due")))
}

fn encoding(name: &str, value: Unknown<'_>) -> Result<Option<Encoding>> {
    let given = text(name, value)?;
    let known = || Encoding::ALL.map(Encoding::name).join(", ");
    let encoding = Encoding::from_name(&given);
    encoding.map(Some).ok_or_else(|| argument(format!("{name}: {given:?} is none of {}", known())))
}

/// The names of the encodings; their places, counted from 1, stand for them in records.
#[napi(catch_unwind)]
pub(crate) fn encodings() -> Vec<&'static str> {
    Encoding::ALL.map(Encoding::name).to_vec()
}

/// The encoding of a place among [`encodings`]; 0 is none.
pub(crate) fn encoding_of(place: u32) -> Option<Encoding> {
    Encoding::ALL.get((place as usize).checked_sub(1)?).copied()
}

/// What the environment has no place for any more.
pub(crate) fn closed() -> Error {
    Error::new(Status::GenericFailure, "this JavaScript environment is ending")
}
