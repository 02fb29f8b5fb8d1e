//! The entries of `methodConfig`, and what belongs to retries.

use std::time::Duration;

use crate::Code;
use crate::channel::hedge_plan::HedgingPolicy;
use crate::channel::retry::{RetryPolicy, Throttling};
use crate::json::At;

use super::MethodConfig;

/// More attempts than these are never made, whatever a config says (gRFC A6).
const MOST_ATTEMPTS: u64 = 5;

/// What an entry is for: `/package.Service/Method`, `/package.Service`, or nothing for every method.
pub(super) fn names<'a>(entry: &At<'a>) -> Result<Vec<(String, At<'a>)>, String> {
    let mut names = Vec::new();
    for name in entry.list("name")? {
        name.object()?;
        let part = |field| name.get(field).map_or(Ok(""), |part| part.text());
        let (service, method) = (part("service")?, part("method")?);
        let path = match (service, method) {
            ("", "") => String::new(),
            ("", _) => return Err(name.wrong("has a method and no service")),
            (service, "") => format!("/{service}"),
            (service, method) => format!("/{service}/{method}"),
        };
        names.push((path, name));
    }
    Ok(names)
}

pub(super) fn read(entry: &At<'_>) -> Result<MethodConfig, String> {
    let bytes = |field: &str| {
        let bytes = entry.get(field).map(|bytes| bytes.whole(0, "a number of bytes")).transpose();
        bytes.map(|bytes| bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)))
    };
    let retry = entry.get("retryPolicy");
    let hedging = entry.get("hedgingPolicy");
    if let (Some(_), Some(hedging)) = (&retry, &hedging) {
        return Err(hedging.wrong("is there beside a retryPolicy: there can be one of the two"));
    }
    Ok(MethodConfig {
        wait_for_ready: entry.get("waitForReady").map(|wait| wait.truth()).transpose()?,
        timeout: entry.get("timeout").map(|timeout| timeout.duration()).transpose()?,
        max_send_bytes: bytes("maxRequestMessageBytes")?,
        max_recv_bytes: bytes("maxResponseMessageBytes")?,
        retry: retry.map(|retry| policy(&retry)).transpose()?,
        hedging: hedging.map(|hedging| self::hedging(&hedging)).transpose()?,
    })
}

fn policy(policy: &At<'_>) -> Result<RetryPolicy, String> {
    policy.object()?;
    let multiplier = policy.need("backoffMultiplier")?;
    let codes = codes(policy, "retryableStatusCodes")?;
    if codes.is_empty() {
        return Err(policy.wrong("has no retryableStatusCodes"));
    }
    Ok(RetryPolicy {
        max_attempts: max_attempts(policy)?,
        initial_backoff: policy.need("initialBackoff")?.some_time()?,
        max_backoff: policy.need("maxBackoff")?.some_time()?,
        multiplier: match multiplier.number()? {
            number if number > 0.0 => number,
            _ => return Err(multiplier.wrong("must be above 0")),
        },
        codes,
    })
}

fn hedging(policy: &At<'_>) -> Result<HedgingPolicy, String> {
    policy.object()?;
    Ok(HedgingPolicy {
        max_attempts: max_attempts(policy)?,
        delay: policy.get("hedgingDelay").map_or(Ok(Duration::ZERO), |delay| delay.duration())?,
        non_fatal: codes(policy, "nonFatalStatusCodes")?,
    })
}

fn max_attempts(policy: &At<'_>) -> Result<u32, String> {
    let attempts = policy.need("maxAttempts")?.whole(2, "a whole number above 1")?;
    Ok(u32::try_from(attempts.min(MOST_ATTEMPTS)).unwrap_or(u32::MAX))
}

fn codes(policy: &At<'_>, field: &str) -> Result<Vec<Code>, String> {
    policy.list(field)?.iter().map(code).collect()
}

/// A status code, as a name or as a number.
fn code(at: &At<'_>) -> Result<Code, String> {
    let code = match at.text() {
        Ok(name) => name.to_ascii_uppercase().parse().ok(),
        Err(_) => {
            let number = at.whole(0, "the name or number of a status code")?;
            u32::try_from(number).ok().and_then(Code::from_u32)
        }
    };
    code.ok_or_else(|| at.wrong("is no status code"))
}

pub(super) fn throttling(at: &At<'_>) -> Result<Throttling, String> {
    at.object()?;
    let (tokens, ratio) = (at.need("maxTokens")?, at.need("tokenRatio")?);
    let max_tokens = tokens.whole(1, "a whole number from 1 to 1000")?;
    if max_tokens > 1000 {
        return Err(tokens.wrong("must be a whole number from 1 to 1000"));
    }
    // Thousandths, because that is as far as a ratio is looked at.
    let thousandths = (ratio.number()? * 1000.0).floor();
    if thousandths < 1.0 {
        return Err(ratio.wrong("must be at least 0.001"));
    }
    Ok(Throttling { max_tokens: max_tokens as u32, ratio_thousandths: thousandths.min(1e9) as u32 })
}
