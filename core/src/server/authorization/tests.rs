//! Policies, against requests that are made up, and once against a server.

use std::fs;
use std::sync::{Arc, Mutex};

use http::{Extensions, HeaderMap, HeaderValue};
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use serde_json::{Value, json};

use super::policy::Audit;
use super::*;
use crate::middleware::{Call, Messages, Reply};
use crate::reload::PAUSE;
use crate::stats::Counters;
use crate::transport::Peer;
use crate::{Channel, Code, Kind, Method, PeerAddr, Raw, Server, TlsIdentity};

fn identity(names: Vec<SanType>, common_name: &str) -> TlsIdentity {
    let mut parameters = CertificateParams::default();
    parameters.subject_alt_names = names;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::OrganizationName, "Shop");
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    let certificate = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap();
    TlsIdentity::from_chain(&[certificate.der().clone()]).unwrap()
}

fn ada() -> TlsIdentity {
    let names = vec![
        SanType::DnsName("ada.shop.test".try_into().unwrap()),
        SanType::URI("spiffe://shop/staff/ada".try_into().unwrap()),
    ];
    identity(names, "ada")
}

/// A caller over TLS, or without.
fn peer(tls: bool, identity: Option<TlsIdentity>) -> Peer {
    Peer::made(PeerAddr::InProcess, tls, identity)
}

fn policy(json: &Value) -> Policy {
    Policy::read(json.to_string().as_bytes()).unwrap()
}

fn allows(policy: &Policy, peer: &Peer, method: &str, headers: &[(&'static str, &str)]) -> bool {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    let (extensions, limits) = (&mut Extensions::new(), &Counters::default());
    let head = Head { method, headers: &map, peer, extensions, limits };
    match policy.check(&head) {
        Ok(()) => true,
        Err(status) => {
            assert_eq!(status.code(), Code::PermissionDenied);
            assert_eq!(status.message(), "unauthorized RPC request rejected");
            false
        }
    }
}

// The example of gRFC A43.
#[test]
fn deny_rules_go_before_allow_rules_and_nothing_else_is_allowed() {
    let policy = policy(&json!({
        "name": "example",
        "allow_rules": [
            {
                "name": "admins",
                "source": {"principals": ["spiffe://foo.com/sa/admin1", "spiffe://foo.com/sa/admin2"]},
                "request": {"paths": ["/pkg.service/*"]}
            },
            {
                "name": "developers",
                "source": {"principals": ["*", ""]},
                "request": {
                    "paths": ["/pkg.service/foo", "/pkg.service/bar"],
                    "headers": [{"key": "Dev-Path", "values": ["/dev/path/*"]}]
                }
            }
        ],
        "deny_rules": [{"name": "secret", "request": {"paths": ["*/secret"]}}]
    }));
    let uri = |uri: &str| SanType::URI(uri.try_into().unwrap());
    let admin = peer(true, Some(identity(vec![uri("spiffe://foo.com/sa/admin2")], "x")));
    let somebody = peer(true, Some(identity(vec![uri("spiffe://foo.com/sa/admin")], "x")));
    let (nobody, plain) = (peer(true, None), peer(false, None));
    let path = [("dev-path", "/dev/path/1")];
    for (who, method, headers, allowed) in [
        (&admin, "/pkg.service/any", &[][..], true),
        (&admin, "/pkg.service/secret", &[], false),
        (&admin, "/pkg.service.other/any", &[], false),
        (&somebody, "/pkg.service/any", &[], false),
        (&somebody, "/pkg.service/foo", &[], false),
        (&somebody, "/pkg.service/foo", &path, true),
        (&somebody, "/pkg.service/foox", &path, false),
        (&nobody, "/pkg.service/bar", &path, true),
        (&plain, "/pkg.service/bar", &path, false),
        (&nobody, "/pkg.service/any", &path, false),
    ] {
        assert_eq!(allows(&policy, who, method, headers), allowed, "{who:?} {method}");
    }
}

#[test]
fn principals_are_uris_then_dns_names_then_the_subject() {
    let with = |principal: &str| {
        policy(&json!({"name": "p", "allow_rules": [{"name": "r", "source": {"principals": [principal]}}]}))
    };
    let ada = peer(true, Some(ada()));
    for (principal, matches) in [
        ("spiffe://shop/staff/ada", true),
        ("spiffe://shop/staff/*", true),
        ("*/ada", true),
        ("ada.shop.test", true),
        ("*.shop.test", true),
        ("CN=ada,O=Shop", true),
        ("CN=ada*", true),
        ("*", true),
        ("", false),
        ("ada", false),
        ("spiffe://shop/staff", false),
        ("SPIFFE://shop/staff/ada", false),
    ] {
        assert_eq!(allows(&with(principal), &ada, "/s/m", &[]), matches, "{principal:?}");
    }
    let (nobody, plain) = (peer(true, None), peer(false, None));
    for (principal, anonymous) in [("", true), ("*", false), ("a", false)] {
        assert_eq!(allows(&with(principal), &nobody, "/s/m", &[]), anonymous, "{principal:?}");
        assert!(!allows(&with(principal), &plain, "/s/m", &[]), "{principal:?}");
    }
    let names: Vec<_> = ada.tls_identity().unwrap().principals().map(str::to_owned).collect();
    assert_eq!(names, ["spiffe://shop/staff/ada", "ada.shop.test", "CN=ada,O=Shop"]);
}

#[test]
fn headers_are_joined_and_all_of_them_must_match() {
    let policy = policy(&json!({"name": "p", "allow_rules": [{"name": "r", "request": {"headers": [
        {"key": "x-one", "values": ["a", "b,c", "d*"]},
        {"key": "X-Two", "values": ["*"]}
    ]}}]}));
    let plain = peer(false, None);
    for (headers, matches) in [
        (&[("x-one", "a"), ("x-two", "1")][..], true),
        (&[("x-one", "b"), ("x-one", "c"), ("x-two", "1")], true),
        (&[("x-one", "dx"), ("x-two", "1"), ("x-two", "")], true),
        (&[("x-one", "b"), ("x-two", "1")], false),
        (&[("x-one", "a"), ("x-one", "a"), ("x-two", "1")], false),
        (&[("x-one", "a"), ("x-two", "")], false),
        (&[("x-one", "a")], false),
        (&[], false),
    ] {
        assert_eq!(allows(&policy, &plain, "/s/m", headers), matches, "{headers:?}");
    }
}

#[test]
fn rules_that_say_nothing_match_everything() {
    let all = json!({"name": "all"});
    let empty = json!({"name": "all", "source": {"principals": []}, "request": {"paths": [], "headers": []}});
    let plain = peer(false, None);
    for rule in [all, empty] {
        let (open, shut) = (
            policy(&json!({"name": "p", "allow_rules": [rule]})),
            policy(&json!({"name": "p", "allow_rules": [rule], "deny_rules": [rule]})),
        );
        assert!(allows(&open, &plain, "/s/m", &[]));
        assert!(!allows(&shut, &plain, "/s/m", &[]));
    }
    assert!(!allows(&policy(&json!({"name": "p", "allow_rules": []})), &plain, "/s/m", &[]));
}

#[test]
fn errors_say_where_they_are() {
    let rule = |rule: Value| json!({"name": "p", "allow_rules": [{"name": "ok"}, rule]});
    let header = |header: Value| rule(json!({"name": "r", "request": {"headers": [header]}}));
    let audit = |options: Value| json!({"name": "p", "allow_rules": [], "audit_logging_options": options});
    for (policy, expected) in [
        (json!([]), "the whole: must be an object"),
        (json!({}), "the whole: has no allow_rules"),
        (json!({"allow_rules": []}), "the whole: has no name"),
        (json!({"name": "", "allow_rules": []}), "name: must not be empty, and is \"\""),
        (json!({"name": "p", "allow_rules": {}}), "allow_rules: must be a list"),
        (json!({"name": "p", "allow_rules": [], "denyrules": []}), "denyrules: is not known here"),
        (rule(json!({})), "allow_rules[1]: has no name"),
        (rule(json!({"name": 1})), "allow_rules[1].name: must be a text, and is 1"),
        (rule(json!({"name": "r", "sources": {}})), "allow_rules[1].sources: is not known here"),
        (rule(json!({"name": "r", "source": {"ips": []}})), "allow_rules[1].source.ips: is not known here"),
        (
            rule(json!({"name": "r", "source": {"principals": "a"}})),
            "allow_rules[1].source.principals: must be a list, and is \"a\"",
        ),
        (
            rule(json!({"name": "r", "request": {"paths": ["/a", 2]}})),
            "allow_rules[1].request.paths[1]: must be a text, and is 2",
        ),
        (header(json!({"key": "a"})), "allow_rules[1].request.headers[0]: has no values"),
        (
            header(json!({"key": "a", "values": []})),
            "allow_rules[1].request.headers[0].values: must not be empty",
        ),
        (
            header(json!({"key": "a b", "values": ["x"]})),
            "allow_rules[1].request.headers[0].key: must be the name of a header, and is \"a b\"",
        ),
        (
            audit(json!({"audit_condition": "NEVER"})),
            "audit_logging_options.audit_condition: must be NONE, ON_DENY, ON_ALLOW or ON_DENY_AND_ALLOW, and is \"NEVER\"",
        ),
        (
            audit(json!({"audit_loggers": [{"name": "syslog"}]})),
            "audit_logging_options.audit_loggers[0].name: must be stdout_logger, the only one here, and is \"syslog\"",
        ),
    ] {
        assert_eq!(Policy::read(policy.to_string().as_bytes()).unwrap_err(), expected);
    }
    for key in [":path", "grpc-timeout", "GRPC-Encoding", "Host", "connection", "te", "trailer", "upgrade"] {
        let error =
            Policy::read(header(json!({"key": key, "values": ["x"]})).to_string().as_bytes()).unwrap_err();
        assert!(error.contains("headers[0].key: cannot be matched: it belongs to HTTP or gRPC"), "{error}");
    }
    let error =
        Policy::read(header(json!({"key": "a-bin", "values": ["x"]})).to_string().as_bytes()).unwrap_err();
    assert!(error.contains("cannot be matched: it is binary"), "{error}");
    assert!(Policy::read(b"{").unwrap_err().starts_with("is no JSON: "));
}

// gRFC A59
#[test]
fn audit_log_says_what_was_decided_and_by_which_rule() {
    for (condition, on_deny, on_allow) in [
        ("NONE", false, false),
        ("ON_DENY", true, false),
        ("ON_ALLOW", false, true),
        ("ON_DENY_AND_ALLOW", true, true),
    ] {
        for list in ["audit_loggers", "audit_logger"] {
            let with = |loggers: Value| {
                policy(&json!({"name": "p", "allow_rules": [],
                    "audit_logging_options": {"audit_condition": condition, list: loggers}}))
                .audit
            };
            let logged = with(
                json!([{"name": "other", "is_optional": true}, {"name": "stdout_logger", "config": {}}]),
            );
            assert_eq!(logged, Audit { on_deny, on_allow });
            assert_eq!(with(json!([{"name": "other", "is_optional": true}])), Audit::default());
        }
    }

    let policy = policy(&json!({
        "name": "shop",
        "deny_rules": [{"name": "shut", "request": {"paths": ["/s/shut"]}}],
        "allow_rules": [{"name": "open", "request": {"paths": ["/s/*"]}}],
        "audit_logging_options": {"audit_condition": "ON_DENY_AND_ALLOW", "audit_loggers": [{"name": "stdout_logger"}]}
    }));
    let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
    let _log = tracing::subscriber::set_default(Audited(lines.clone()));
    let (ada, plain) = (peer(true, Some(ada())), peer(false, None));
    allows(&policy, &ada, "/s/open", &[]);
    allows(&policy, &ada, "/s/shut", &[]);
    allows(&policy, &plain, "/t/m", &[]);
    let mut lines = lines.lock().unwrap().clone();
    for line in &mut lines {
        let time = line["timestamp"].take();
        assert!(time.as_str().unwrap().parse::<u64>().unwrap() > 1_700_000_000);
    }
    let line = |method: &str, principal: &str, rule: &str, authorized: bool| {
        json!({"timestamp": null, "rpc_method": method, "principal": principal, "policy_name": "shop",
            "matched_rule": rule, "authorized": authorized})
    };
    let id = "spiffe://shop/staff/ada";
    assert_eq!(
        lines,
        [line("/s/open", id, "open", true), line("/s/shut", id, "shut", false), line("/t/m", "", "", false)]
    );
}

/// Keeps what goes to the audit log.
struct Audited(Arc<Mutex<Vec<Value>>>);

impl tracing::Subscriber for Audited {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == AUDIT
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 = format!("{value:?}");
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(serde_json::from_str(&text.0).unwrap());
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn changed_file_holds_and_a_bad_one_leaves_the_last_good_policy() {
    let for_path = |path: &str| {
        json!({"name": "p", "allow_rules": [{"name": "r", "request": {"paths": [path]}}]}).to_string()
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), for_path("/s/a")).unwrap();
    let answer = |_: Call| async { Ok(Reply::new(Messages::one("".into()))) };
    let builder = Server::builder().authorization_policy_file(file.path()).fallback(answer);
    let server = builder.bind("inprocess:authorization-file").await.unwrap();
    let channel = Channel::new(&server.target()).unwrap();
    tokio::spawn(server.run());
    let call = async |path: &'static str| {
        channel.unary::<Raw, Raw>(&Method::new(path, Kind::Unary), Raw::default()).await.map(drop)
    };
    assert!(call("/s/a").await.is_ok());
    assert_eq!(call("/s/b").await.unwrap_err().code(), Code::PermissionDenied);
    fs::write(file.path(), for_path("/s/b")).unwrap();
    tokio::time::sleep(PAUSE).await;
    assert_eq!(call("/s/a").await.unwrap_err().code(), Code::PermissionDenied);
    assert!(call("/s/b").await.is_ok());
    fs::write(file.path(), r#"{"name": "p"}"#).unwrap();
    tokio::time::sleep(PAUSE).await;
    assert!(call("/s/b").await.is_ok());

    let path = file.path().display();
    for (builder, expected) in [
        (
            Server::builder().authorization_policy_file(file.path()),
            format!("authorization_policy_file: {path}: the whole: has no allow_rules"),
        ),
        (
            Server::builder().authorization_policy("{}"),
            "authorization_policy: the whole: has no allow_rules".to_owned(),
        ),
    ] {
        let error = builder.bind("inprocess:authorization-error").await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
