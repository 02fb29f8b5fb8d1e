use std::time::Duration;

use super::*;
use crate::Code;
use crate::channel::balance::{
    FailurePercentage, LeastRequest, OutlierDetection, RingHashConfig, SuccessRate, WeightedRoundRobin,
};

fn parse(text: &str) -> Result<ServiceConfig, ServiceConfigError> {
    ServiceConfig::parse(text, &Policies::default())
}

const FULL: &str = r#"{
  "loadBalancingConfig": [{"grpclb": {}}, {"round_robin": {}}, {"pick_first": {}}],
  "methodConfig": [
    {"name": [{"service": "a.B", "method": "C"}], "timeout": "0.25s", "waitForReady": true,
     "maxRequestMessageBytes": 7, "maxResponseMessageBytes": "9",
     "retryPolicy": {"maxAttempts": 9, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
                     "retryableStatusCodes": ["UNAVAILABLE", "aborted", 8]}},
    {"name": [{"service": "a.B"}, {"service": "a.D"}], "timeout": "2s", "somethingNew": 1},
    {"name": [{}], "timeout": "3s"}
  ],
  "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1239}
}"#;

#[test]
fn everything_is_read() {
    let config = parse(FULL).unwrap();
    assert_eq!(config.load_balancing, Some(PolicyConfig::RoundRobin), "the first that is known");
    assert_eq!(config.throttling, Some(Throttling { max_tokens: 10, ratio_thousandths: 123 }));
    let method = config.method("/a.B/C").unwrap();
    let retry = RetryPolicy {
        max_attempts: 5,
        initial_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(1),
        multiplier: 2.0,
        codes: vec![Code::Unavailable, Code::Aborted, Code::ResourceExhausted],
    };
    let expected = MethodConfig {
        wait_for_ready: Some(true),
        timeout: Some(Duration::from_millis(250)),
        max_send_bytes: Some(7),
        max_recv_bytes: Some(9),
        retry: Some(retry),
        hedging: None,
    };
    assert_eq!(**method, expected);
}

#[test]
fn entry_of_the_method_comes_before_that_of_its_service_and_that_of_all() {
    let config = parse(FULL).unwrap();
    let timeout = |path| config.method(path).and_then(|method| method.timeout).map(|time| time.as_millis());
    assert_eq!(timeout("/a.B/C"), Some(250));
    assert_eq!(timeout("/a.B/Other"), Some(2000));
    assert_eq!(timeout("/a.D/Other"), Some(2000));
    assert_eq!(timeout("/x.Y/Z"), Some(3000));
    assert_eq!(parse("{}").unwrap().method("/a.B/C"), None);
}

fn policy(json: &str) -> Result<PolicyConfig, String> {
    let config = parse(&format!(r#"{{"loadBalancingConfig": [{json}]}}"#));
    config.map(|config| config.load_balancing.unwrap()).map_err(|error| error.to_string())
}

#[test]
fn policies_have_their_settings() {
    let seconds = Duration::from_secs;
    let outlier = OutlierDetection {
        interval: seconds(1),
        base_ejection: seconds(2),
        max_ejection: seconds(3),
        max_percent: 4,
        success_rate: Some(SuccessRate { stdev_factor: 5, ..SuccessRate::default() }),
        failure_percentage: Some(FailurePercentage { request_volume: 6, ..FailurePercentage::default() }),
    };
    let weighted = WeightedRoundRobin {
        blackout: seconds(1),
        expiration: seconds(2),
        update: Duration::from_millis(100),
        error_penalty: 0.5,
        stream: None,
    };
    let stream = |seconds_between| WeightedRoundRobin {
        stream: Some(seconds(seconds_between)),
        ..WeightedRoundRobin::default()
    };
    let cases = [
        (r#"{"pick_first": {"shuffleAddressList": true}}"#, PolicyConfig::PickFirst { shuffle: true }),
        (r#"{"least_request": {}}"#, PolicyConfig::LeastRequest(LeastRequest { choices: 2 })),
        (
            r#"{"least_request": {"choiceCount": 99}}"#,
            PolicyConfig::LeastRequest(LeastRequest { choices: 10 }),
        ),
        (
            r#"{"weighted_round_robin": {"blackoutPeriod": "1s", "weightExpirationPeriod": "2s",
                "weightUpdatePeriod": "0.01s", "errorUtilizationPenalty": 0.5}}"#,
            PolicyConfig::WeightedRoundRobin(weighted),
        ),
        (r#"{"ring_hash": {}}"#, PolicyConfig::RingHash(RingHashConfig::default())),
        (
            r#"{"ring_hash_experimental": {"minRingSize": 7, "maxRingSize": "8388608", "requestHashHeader": "X-User"}}"#,
            PolicyConfig::RingHash(RingHashConfig {
                min_size: 7,
                max_size: 4096,
                header: Some(http::HeaderName::from_static("x-user")),
            }),
        ),
        (
            r#"{"weighted_round_robin": {"enableOobLoadReport": true}}"#,
            PolicyConfig::WeightedRoundRobin(stream(10)),
        ),
        (
            r#"{"weighted_round_robin": {"enableOobLoadReport": true, "oobReportingPeriod": "7s"}}"#,
            PolicyConfig::WeightedRoundRobin(stream(7)),
        ),
        (
            r#"{"outlier_detection": {"interval": "1s", "baseEjectionTime": "2s", "maxEjectionTime": "3s",
                "maxEjectionPercent": 4, "successRateEjection": {"stdevFactor": 5},
                "failurePercentageEjection": {"requestVolume": 6}, "childPolicy": [{"round_robin": {}}]}}"#,
            PolicyConfig::Outlier(outlier, Box::new(PolicyConfig::RoundRobin)),
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(policy(json), Ok(expected), "{json}");
    }
    let wrong = |json: &str| policy(json).unwrap_err().replace("service_config: loadBalancingConfig[0].", "");
    assert_eq!(
        wrong(r#"{"least_request": {"choiceCount": 1}}"#),
        "least_request.choiceCount: must be a whole number above 1, and is 1"
    );
    assert_eq!(
        wrong(r#"{"outlier_detection": {"maxEjectionPercent": 101, "childPolicy": [{"round_robin": {}}]}}"#),
        "outlier_detection.maxEjectionPercent: must be a percentage, at most 100, and is 101"
    );
    let ring = |settings: &str| wrong(&format!(r#"{{"ring_hash": {settings}}}"#));
    let sizes = "must be a whole number from 1 to 8388608";
    assert_eq!(ring(r#"{"minRingSize": 0}"#), format!("ring_hash.minRingSize: {sizes}, and is 0"));
    assert_eq!(
        ring(r#"{"maxRingSize": 8388609}"#),
        format!("ring_hash.maxRingSize: {sizes}, and is 8388609")
    );
    assert_eq!(
        ring(r#"{"maxRingSize": 1023}"#),
        "ring_hash: has a minRingSize above its maxRingSize: 1024 and 1023"
    );
    assert_eq!(
        ring(r#"{"requestHashHeader": "x y"}"#),
        r#"ring_hash.requestHashHeader: is no name of a header, and is "x y""#
    );
    assert_eq!(
        ring(r#"{"requestHashHeader": "x-bin"}"#),
        r#"ring_hash.requestHashHeader: must be the name of a header with text, which does not end in -bin, and is "x-bin""#
    );
    assert_eq!(wrong(r#"{"outlier_detection": {}}"#), "outlier_detection: has no childPolicy");
}

// gRFC A6, "Hedging Policy"
#[test]
fn hedging_is_read_with_its_bounds() {
    let hedging = |json: &str| {
        let text = format!(r#"{{"methodConfig": [{{"name": [{{}}], "hedgingPolicy": {json}}}]}}"#);
        parse(&text).unwrap().method("/a/b").unwrap().hedging.clone().unwrap()
    };
    let plain = HedgingPolicy { max_attempts: 2, delay: Duration::ZERO, non_fatal: Vec::new() };
    assert_eq!(hedging(r#"{"maxAttempts": 2}"#), plain);
    let full = r#"{"maxAttempts": 9, "hedgingDelay": "0.5s", "nonFatalStatusCodes": ["unavailable", 13]}"#;
    let read = HedgingPolicy {
        max_attempts: 5,
        delay: Duration::from_millis(500),
        non_fatal: vec![Code::Unavailable, Code::Internal],
    };
    assert_eq!(hedging(full), read);
}

#[test]
fn health_is_asked_for_a_service_or_for_the_whole_server_or_not_at_all() {
    let service = |json: &str| parse(json).unwrap().health_service;
    assert_eq!(service("{}"), None);
    assert_eq!(service(r#"{"healthCheckConfig": {}}"#), None);
    assert_eq!(service(r#"{"healthCheckConfig": {"serviceName": ""}}"#).as_deref(), Some(""));
    assert_eq!(service(r#"{"healthCheckConfig": {"serviceName": "a.B"}}"#).as_deref(), Some("a.B"));
}

#[test]
fn connections_to_an_address_are_one_unless_it_says_more() {
    let most = |json: &str| parse(json).unwrap().max_connections;
    assert_eq!(most(r#"{"connectionScaling": {}}"#), None);
    assert_eq!(most(r#"{"connectionScaling": {"maxConnectionsPerSubchannel": 3}}"#), Some(3));
}

#[test]
fn mistakes_are_told_by_their_place() {
    let retry = |field: &str, value: &str| {
        let mut policy = serde_json::json!({"maxAttempts": 3, "initialBackoff": "1s", "maxBackoff": "1s",
            "backoffMultiplier": 1.5, "retryableStatusCodes": ["UNAVAILABLE"]});
        policy[field] = serde_json::from_str(value).unwrap();
        serde_json::json!({"methodConfig": [{"retryPolicy": policy}]}).to_string()
    };
    let policy = "methodConfig[0].retryPolicy";
    let cases = [
        ("[]".to_owned(), "the whole: must be an object".to_owned()),
        (r#"{"methodConfig": {}}"#.into(), "methodConfig: must be a list".into()),
        (
            r#"{"methodConfig": [{"name": [{"method": "C"}]}]}"#.into(),
            "methodConfig[0].name[0]: has a method and no service".into(),
        ),
        (
            r#"{"methodConfig": [{"name": [{"service": "a"}]}, {"name": [{"service": "b"}, {"service": "a"}]}]}"#.into(),
            "methodConfig[1].name[1]: is there twice".into(),
        ),
        (
            r#"{"methodConfig": [{"timeout": "1"}]}"#.into(),
            r#"methodConfig[0].timeout: must be a span of time such as "1.5s", and is "1""#.into(),
        ),
        (
            r#"{"methodConfig": [{"timeout": "-1s"}]}"#.into(),
            r#"methodConfig[0].timeout: must be a span of time such as "1.5s", and is "-1s""#.into(),
        ),
        (
            r#"{"methodConfig": [{"waitForReady": 1}]}"#.into(),
            "methodConfig[0].waitForReady: must be true or false, and is 1".into(),
        ),
        (retry("maxAttempts", "1"), format!("{policy}.maxAttempts: must be a whole number above 1, and is 1")),
        (retry("maxAttempts", "2.5"), format!("{policy}.maxAttempts: must be a whole number above 1, and is 2.5")),
        (retry("maxAttempts", "null"), format!("{policy}: has no maxAttempts")),
        (retry("initialBackoff", r#""0s""#), format!(r#"{policy}.initialBackoff: must be above 0, and is "0s""#)),
        (retry("backoffMultiplier", "0"), format!("{policy}.backoffMultiplier: must be above 0, and is 0")),
        (retry("retryableStatusCodes", "[]"), format!("{policy}: has no retryableStatusCodes")),
        (
            retry("retryableStatusCodes", r#"["NO"]"#),
            format!(r#"{policy}.retryableStatusCodes[0]: is no status code, and is "NO""#),
        ),
        (
            retry("retryableStatusCodes", "[17]"),
            format!("{policy}.retryableStatusCodes[0]: is no status code, and is 17"),
        ),
        (
            r#"{"methodConfig": [{"hedgingPolicy": {"maxAttempts": 1}}]}"#.into(),
            "methodConfig[0].hedgingPolicy.maxAttempts: must be a whole number above 1, and is 1".into(),
        ),
        (
            r#"{"methodConfig": [{"hedgingPolicy": {"maxAttempts": 2, "hedgingDelay": "soon"}}]}"#.into(),
            r#"methodConfig[0].hedgingPolicy.hedgingDelay: must be a span of time such as "1.5s", and is "soon""#.into(),
        ),
        (
            r#"{"methodConfig": [{"hedgingPolicy": {"maxAttempts": 2, "nonFatalStatusCodes": ["OK", "NO"]}}]}"#.into(),
            r#"methodConfig[0].hedgingPolicy.nonFatalStatusCodes[1]: is no status code, and is "NO""#.into(),
        ),
        (
            r#"{"methodConfig": [{"retryPolicy": {}, "hedgingPolicy": {}}]}"#.into(),
            "methodConfig[0].hedgingPolicy: is there beside a retryPolicy: there can be one of the two".into(),
        ),
        (
            r#"{"loadBalancingConfig": [{"a": {}}, {"b": {}}]}"#.into(),
            "loadBalancingConfig: has no policy that is known here: a, b".into(),
        ),
        (
            r#"{"loadBalancingConfig": [{"a": {}, "b": {}}]}"#.into(),
            "loadBalancingConfig[0]: must have exactly one field, the name of a policy".into(),
        ),
        (r#"{"healthCheckConfig": 1}"#.into(), "healthCheckConfig: must be an object, and is 1".into()),
        (
            r#"{"connectionScaling": {"maxConnectionsPerSubchannel": 0}}"#.into(),
            "connectionScaling.maxConnectionsPerSubchannel: must be a whole number above 0, and is 0".into(),
        ),
        (
            r#"{"healthCheckConfig": {"serviceName": 1}}"#.into(),
            "healthCheckConfig.serviceName: must be a text, and is 1".into(),
        ),
        (
            r#"{"loadBalancingPolicy": "x"}"#.into(),
            r#"loadBalancingPolicy: is no policy that is known here, and is "x""#.into(),
        ),
        (
            r#"{"retryThrottling": {"maxTokens": 1001, "tokenRatio": 1}}"#.into(),
            "retryThrottling.maxTokens: must be a whole number from 1 to 1000, and is 1001".into(),
        ),
        (
            r#"{"retryThrottling": {"maxTokens": 1, "tokenRatio": 0.0001}}"#.into(),
            "retryThrottling.tokenRatio: must be at least 0.001, and is 0.0001".into(),
        ),
    ];
    for (text, problem) in cases {
        let error = parse(&text).unwrap_err();
        assert_eq!(error.to_string(), format!("service_config: {problem}"), "{text}");
    }
    let error = parse("{").unwrap_err().to_string();
    assert!(error.starts_with("service_config: this is no JSON: "), "{error}");
}
