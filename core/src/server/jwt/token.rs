//! One token: a signed JWT in its compact form (RFC 7515, RFC 7519), read and held against the policy.
//!
//! Everything about a token is decided here, with no clock and no file. What is wrong is said in fixed words: nothing of
//! a token or a key gets into a message or the log.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::Value;

use super::Claims;
use super::key::{Algorithm, KeySet};

/// The largest token that is looked at.
pub(super) const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// What a token must say.
pub(super) struct Policy {
    pub(super) issuers: Vec<String>,
    /// Empty: tokens must be for nobody in particular.
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Vec<&'static Algorithm>,
    pub(super) clock_skew: Duration,
    pub(super) required_claims: Vec<String>,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// For good.
    Because(&'static str),
    /// Its key is not known, or not yet.
    UnknownKey,
}

impl Refused {
    pub(super) fn message(self) -> &'static str {
        match self {
            Refused::Because(why) => why,
            Refused::UnknownKey => "the bearer token is signed with a key that this server does not know",
        }
    }
}

const MALFORMED: Refused = Refused::Because("the bearer token is not a signed JWT");

/// The token of a request.
pub(super) fn of_request(headers: &HeaderMap) -> Result<&str, Refused> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let field = fields.next().ok_or(Refused::Because("the call has no bearer token"))?;
    if fields.next().is_some() {
        return Err(Refused::Because("the call has more than one authorization header"));
    }
    let (scheme, token) = field.to_str().ok().and_then(|text| text.split_once(' ')).unwrap_or_default();
    let token = token.trim_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(Refused::Because("the call has no bearer token"));
    }
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Refused::Because("the bearer token is larger than 16384 bytes"));
    }
    Ok(token)
}

/// Checks who signed a token, and then what it says. `now` is in seconds since 1970.
pub(super) fn check(token: &str, keys: &KeySet, policy: &Policy, now: f64) -> Result<Claims, Refused> {
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(MALFORMED);
    };
    let signed = &token[..header.len() + 1 + payload.len()];
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| MALFORMED);
    let header = object(&decode(header)?)?;
    // Extensions that must be understood, of which we know none.
    if header.get("crit").is_some() {
        return Err(MALFORMED);
    }
    let name = header.get("alg").and_then(Value::as_str).ok_or(MALFORMED)?;
    let algorithm = policy
        .algorithms
        .iter()
        .find(|algorithm| algorithm.name == name)
        .ok_or(Refused::Because("the bearer token's algorithm is not accepted"))?;
    let id = match header.get("kid") {
        None => None,
        Some(id) => Some(id.as_str().ok_or(MALFORMED)?),
    };
    let key = keys.key(id, algorithm).ok_or(Refused::UnknownKey)?;
    if !key.has_signed(algorithm, signed.as_bytes(), &decode(signature)?) {
        return Err(Refused::Because("the bearer token's signature is wrong"));
    }
    let payload = decode(payload)?;
    let claims = object(&payload)?;
    let ends = accept(&claims, policy, now)?;
    let subject = claims.get("sub").and_then(Value::as_str).map(str::to_owned);
    Ok(Claims { subject, json: String::from_utf8(payload).map_err(|_| MALFORMED)?, ends })
}

fn object(json: &[u8]) -> Result<Value, Refused> {
    let value: Value = serde_json::from_slice(json).map_err(|_| MALFORMED)?;
    if value.is_object() { Ok(value) } else { Err(MALFORMED) }
}

/// Holds the claims against the policy; gives the second in which they end.
fn accept(claims: &Value, policy: &Policy, now: f64) -> Result<f64, Refused> {
    // A claim of the wrong type is not a claim that is missing: whoever wrote it meant something by it.
    let skew = policy.clock_skew.as_secs_f64();
    let ends = time(claims, "exp")?.ok_or(Refused::Because("the bearer token has no exp"))? + skew;
    if now >= ends {
        return Err(Refused::Because("the bearer token has ended"));
    }
    if time(claims, "nbf")?.is_some_and(|begins| now + skew < begins) {
        return Err(Refused::Because("the bearer token is not valid yet"));
    }
    time(claims, "iat")?;
    if claims.get("sub").is_some_and(|subject| !subject.is_string()) {
        return Err(MALFORMED);
    }
    let issuer = claims.get("iss").and_then(Value::as_str);
    if !issuer.is_some_and(|issuer| policy.issuers.iter().any(|known| known == issuer)) {
        return Err(Refused::Because("the bearer token is of an issuer that this server does not trust"));
    }
    if !is_for_us(claims.get("aud"), &policy.audiences)? {
        return Err(Refused::Because("the bearer token is for another audience"));
    }
    let missing = |name: &&String| claims.get(name.as_str()).is_none_or(Value::is_null);
    if policy.required_claims.iter().find(missing).is_some() {
        return Err(Refused::Because("the bearer token lacks a claim that this server requires"));
    }
    Ok(ends)
}

fn time(claims: &Value, name: &str) -> Result<Option<f64>, Refused> {
    match claims.get(name) {
        None => Ok(None),
        Some(time) => time.as_f64().filter(|time| time.is_finite()).map(Some).ok_or(MALFORMED),
    }
}

fn is_for_us(audience: Option<&Value>, ours: &[String]) -> Result<bool, Refused> {
    let named = match audience {
        // RFC 7519: a token for somebody is refused by whoever does not recognize itself in it.
        None => return Ok(ours.is_empty()),
        Some(one @ Value::String(_)) => std::slice::from_ref(one),
        Some(Value::Array(several)) => several,
        Some(_) => return Err(MALFORMED),
    };
    let mut found = false;
    for name in named {
        let name = name.as_str().ok_or(MALFORMED)?;
        found |= ours.iter().any(|own| own == name);
    }
    Ok(found)
}
