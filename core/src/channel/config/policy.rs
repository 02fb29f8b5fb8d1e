//! The entries of `loadBalancingConfig`.

use std::time::Duration;

use http::HeaderName;

use crate::channel::balance::{
    FailurePercentage, LeastRequest, OutlierDetection, Policies, PolicyConfig, RING_SIZE_CAP, RingHashConfig,
    SuccessRate, WeightedRoundRobin,
};
use crate::json::At;

/// The first policy of the list that is known, or the one of the older field.
pub(super) fn read(config: &At<'_>, own: &Policies) -> Result<Option<PolicyConfig>, String> {
    if let Some(first) = first_known(config, "loadBalancingConfig", own)? {
        return Ok(Some(first));
    }
    let Some(name) = config.get("loadBalancingPolicy") else { return Ok(None) };
    match name.text()?.to_ascii_lowercase().as_str() {
        "pick_first" => Ok(Some(PolicyConfig::default())),
        "round_robin" => Ok(Some(PolicyConfig::RoundRobin)),
        _ => Err(name.wrong("is no policy that is known here")),
    }
}

fn first_known(config: &At<'_>, field: &str, own: &Policies) -> Result<Option<PolicyConfig>, String> {
    let policies = config.list(field)?;
    let mut unknown = Vec::new();
    for policy in &policies {
        let entries = policy.object()?;
        let [(name, _)] = entries.as_slice() else {
            return Err(policy.wrong("must have exactly one field, the name of a policy"));
        };
        if let Some(settings) = policy.get(name)
            && let Some(known) = known(name, &settings, own)?
        {
            return Ok(Some(known));
        }
        unknown.push(*name);
    }
    match config.get(field) {
        Some(list) if !policies.is_empty() => {
            Err(list.wrong(&format!("has no policy that is known here: {}", unknown.join(", "))))
        }
        _ => Ok(None),
    }
}

fn known(name: &str, settings: &At<'_>, own: &Policies) -> Result<Option<PolicyConfig>, String> {
    settings.object()?;
    if let Some(found) = own.find(name, &settings.json()) {
        return found.map(|own| Some(PolicyConfig::Own(own))).map_err(|problem| settings.wrong(&problem));
    }
    Ok(Some(match name {
        "pick_first" => PolicyConfig::PickFirst {
            shuffle: settings.get("shuffleAddressList").map_or(Ok(false), |shuffle| shuffle.truth())?,
        },
        "round_robin" => PolicyConfig::RoundRobin,
        "least_request" | "least_request_experimental" => least_request(settings)?,
        "weighted_round_robin" => weighted(settings)?,
        "ring_hash" | "ring_hash_experimental" => ring_hash(settings)?,
        "outlier_detection" | "outlier_detection_experimental" => outlier(settings, own)?,
        _ => return Ok(None),
    }))
}

fn least_request(settings: &At<'_>) -> Result<PolicyConfig, String> {
    let mut least = LeastRequest::default();
    if let Some(choices) = settings.get("choiceCount") {
        // More than 10 are as good as 10 (gRFC A48).
        least.choices = choices.whole(2, "a whole number above 1")?.min(10) as usize;
    }
    Ok(PolicyConfig::LeastRequest(least))
}

fn weighted(settings: &At<'_>) -> Result<PolicyConfig, String> {
    let mut weighted = WeightedRoundRobin::default();
    let span =
        |field: &str, default: Duration| settings.get(field).map_or(Ok(default), |span| span.duration());
    weighted.blackout = span("blackoutPeriod", weighted.blackout)?;
    weighted.expiration = span("weightExpirationPeriod", weighted.expiration)?;
    // More often than ten times a second is not worth it (gRFC A58).
    weighted.update = span("weightUpdatePeriod", weighted.update)?.max(Duration::from_millis(100));
    if let Some(penalty) = settings.get("errorUtilizationPenalty") {
        weighted.error_penalty = penalty.number()?;
        if weighted.error_penalty < 0.0 {
            return Err(penalty.wrong("must not be below 0"));
        }
    }
    let period = span("oobReportingPeriod", Duration::from_secs(10))?;
    let stream = settings.get("enableOobLoadReport").map_or(Ok(false), |stream| stream.truth())?;
    weighted.stream = stream.then_some(period);
    Ok(PolicyConfig::WeightedRoundRobin(weighted))
}

/// The largest ring that a config may ask for (gRFC A42); it gets no more than [`RING_SIZE_CAP`].
const MOST_RING_SIZE: u64 = 8 * 1024 * 1024;

fn ring_hash(settings: &At<'_>) -> Result<PolicyConfig, String> {
    let mut ring = RingHashConfig::default();
    let size = |field: &str, default: usize| {
        let Some(at) = settings.get(field) else { return Ok(default as u64) };
        let means = "a whole number from 1 to 8388608";
        let size = at.whole(1, means)?;
        if size > MOST_RING_SIZE { Err(at.wrong(&format!("must be {means}"))) } else { Ok(size) }
    };
    let (min, max) = (size("minRingSize", ring.min_size)?, size("maxRingSize", ring.max_size)?);
    if min > max {
        return Err(settings.wrong(&format!("has a minRingSize above its maxRingSize: {min} and {max}")));
    }
    let capped = |size: u64| size.min(RING_SIZE_CAP as u64) as usize;
    (ring.min_size, ring.max_size) = (capped(min), capped(max));
    if let Some(at) = settings.get("requestHashHeader").filter(|at| at.text() != Ok("")) {
        let name = at.text()?;
        let header =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| at.wrong("is no name of a header"))?;
        if header.as_str().ends_with("-bin") {
            return Err(at.wrong("must be the name of a header with text, which does not end in -bin"));
        }
        ring.header = Some(header);
    }
    Ok(PolicyConfig::RingHash(ring))
}

fn outlier(settings: &At<'_>, own: &Policies) -> Result<PolicyConfig, String> {
    let mut detection = OutlierDetection::default();
    let span =
        |field: &str, default: Duration| settings.get(field).map_or(Ok(default), |span| span.some_time());
    detection.interval = span("interval", detection.interval)?;
    detection.base_ejection = span("baseEjectionTime", detection.base_ejection)?;
    detection.max_ejection = span("maxEjectionTime", detection.max_ejection)?;
    detection.max_percent = percent(settings, "maxEjectionPercent", detection.max_percent)?;
    if let Some(at) = settings.get("successRateEjection") {
        let default = SuccessRate::default();
        detection.success_rate = Some(SuccessRate {
            stdev_factor: number(&at, "stdevFactor", default.stdev_factor)?,
            enforcement_percent: percent(&at, "enforcementPercentage", default.enforcement_percent)?,
            minimum_hosts: number(&at, "minimumHosts", default.minimum_hosts)?,
            request_volume: number(&at, "requestVolume", default.request_volume as u32)?.into(),
        });
    }
    if let Some(at) = settings.get("failurePercentageEjection") {
        let default = FailurePercentage::default();
        detection.failure_percentage = Some(FailurePercentage {
            threshold: percent(&at, "threshold", default.threshold)?,
            enforcement_percent: percent(&at, "enforcementPercentage", default.enforcement_percent)?,
            minimum_hosts: number(&at, "minimumHosts", default.minimum_hosts)?,
            request_volume: number(&at, "requestVolume", default.request_volume as u32)?.into(),
        });
    }
    let child =
        first_known(settings, "childPolicy", own)?.ok_or_else(|| settings.wrong("has no childPolicy"))?;
    Ok(PolicyConfig::Outlier(detection, Box::new(child)))
}

fn number(at: &At<'_>, field: &str, default: u32) -> Result<u32, String> {
    let Some(number) = at.get(field) else { return Ok(default) };
    u32::try_from(number.whole(0, "a whole number")?).map_err(|_| number.wrong("is too large"))
}

fn percent(at: &At<'_>, field: &str, default: u32) -> Result<u32, String> {
    let value = number(at, field, default)?;
    match at.get(field) {
        Some(number) if value > 100 => Err(number.wrong("must be a percentage, at most 100")),
        _ => Ok(value),
    }
}
