use http::{Extensions, HeaderMap};
use rcgen::{CertificateParams, DnType, KeyPair};

use super::*;
use crate::stats::Counters;
use crate::transport::{Peer, TlsIdentity};
use crate::{Channel, Code, Kind, Method, Raw, Server};

fn ip(text: &str) -> Peer {
    Peer::made(PeerAddr::Tcp(format!("{text}:5000").parse().unwrap()), false, None)
}

fn with_certificate(address: &str, name: &str) -> Peer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let identity = TlsIdentity::from_chain(&[certificate.der().clone()]);
    Peer::made(PeerAddr::Tcp(address.parse().unwrap()), true, identity)
}

/// The milliseconds of its pushback, if the call is refused.
fn call(limiter: &Limiter, method: &str, peer: &Peer, subject: Option<&str>) -> Option<u64> {
    let (headers, limits) = (HeaderMap::new(), Counters::default());
    let mut extensions = Extensions::new();
    if let Some(subject) = subject {
        extensions.insert(Arc::new(Claims::of(subject)));
    }
    let mut head = Head { method, headers: &headers, peer, extensions: &mut extensions, limits: &limits };
    let status = limiter.check(&mut head).err()?;
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(limits.rate_limits.get(), 1);
    Some(status.metadata().get("grpc-retry-pushback-ms").unwrap().parse().unwrap())
}

async fn pass(millis: u64) {
    tokio::time::advance(Duration::from_millis(millis)).await;
}

#[tokio::test(start_paused = true)]
async fn the_allowance_is_used_up_and_grows_again() {
    let (limiter, peer) = (Limiter::new(RateLimit::new(3, 10.0)).unwrap(), ip("192.0.2.1"));
    let call = || call(&limiter, "/a.B/C", &peer, None);
    for _ in 0..2 {
        assert_eq!([call(), call(), call()], [None; 3]);
        assert_eq!([call(), call()], [Some(100); 2], "what is refused costs nothing");
        pass(40).await;
        assert_eq!(call(), Some(60));
        pass(60).await;
        assert_eq!([call(), call()], [None, Some(100)]);
        pass(10_000).await;
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_named_methods_count() {
    let limit = RateLimit::new(1, 1.0).method("/a.B/One").method("/a.C/*");
    let (limiter, peer) = (Limiter::new(limit).unwrap(), ip("192.0.2.1"));
    assert_eq!(call(&limiter, "/a.B/Two", &peer, None), None);
    assert_eq!(call(&limiter, "/a.B/One", &peer, None), None);
    assert!(call(&limiter, "/a.C/Any", &peer, None).is_some(), "all of them together");
    assert_eq!(call(&limiter, "/a.Cd/Any", &peer, None), None);
}

#[tokio::test(start_paused = true)]
async fn each_client_has_its_own() {
    let limiter = Limiter::new(RateLimit::new(1, 1.0).for_each_client()).unwrap();
    let first = |peer: &Peer, subject| call(&limiter, "/a.B/C", peer, subject).is_none();
    assert!(first(&ip("192.0.2.1"), None));
    assert!(!first(&ip("192.0.2.1"), None));
    assert!(first(&ip("192.0.2.2"), None));
    // The same address in its other form.
    assert!(!first(&ip("[::ffff:192.0.2.2]"), None));
    assert!(first(&ip("[2001:db8:0:1::1]"), None));
    assert!(!first(&ip("[2001:db8:0:1:ffff::2]"), None), "of the same network");
    assert!(first(&ip("[2001:db8:0:2::1]"), None));
    // By name if there is one, wherever it comes from.
    assert!(first(&with_certificate("192.0.2.1:1", "ada"), None));
    assert!(!first(&with_certificate("192.0.2.9:1", "ada"), None), "a new certificate of the same");
    assert!(first(&with_certificate("192.0.2.9:1", "bob"), None));
    assert!(first(&ip("192.0.2.1"), Some("carol")));
    assert!(!first(&ip("192.0.2.7"), Some("carol")));
}

#[tokio::test(start_paused = true)]
async fn clients_that_are_known_are_bounded() {
    let limiter = Limiter::new(RateLimit::new(1, 1.0).for_each_client()).unwrap();
    for client in 0..MOST_CLIENTS as u64 {
        limiter.take(client).unwrap();
    }
    limiter.take(0).unwrap_err();
    pass(1100).await;
    limiter.take(0).unwrap();
    limiter.take(u64::MAX).unwrap();
    assert_eq!(limiter.whole_at.lock().unwrap().len(), 2, "those who have recovered are forgotten");
    limiter.take(0).unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_server_refuses_what_is_too_much() {
    let builder = Server::builder().rate_limits([RateLimit::new(2, 4.0)]);
    let server = builder.bind("inprocess:rate-limits").await.unwrap();
    let (channel, handle) = (Channel::new(&server.target()).unwrap(), server.handle());
    tokio::spawn(server.run());
    let call = async || {
        let method = Method::new("/no.Service/Method", Kind::Unary);
        channel.unary::<Raw, Raw>(&method, Raw::default()).await.unwrap_err()
    };
    for code in [Code::Unimplemented, Code::Unimplemented, Code::ResourceExhausted] {
        assert_eq!(call().await.code(), code);
    }
    let status = call().await;
    assert!(status.message().contains("rate_limits let 2 through at once and 4 a second"), "{status}");
    assert_eq!(handle.stats().limits.rate_limits, 2);
}

#[test]
fn limits_are_read_from_json() {
    let json = r#"[{"burst": 20, "perSecond": 0.5}, {"burst": 1, "perSecond": "2", "methods": ["/a.B/*", "/a.C/D"],
        "forEachClient": true}]"#;
    let second = RateLimit::new(1, 2.0).method("/a.B/*").method("/a.C/D").for_each_client();
    assert_eq!(read(json).unwrap(), [RateLimit::new(20, 0.5), second]);
    assert_eq!(read("[]").unwrap(), []);
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (json, problem) in [
        ("[", "is no JSON"),
        ("{}", "rate_limits: limits: must be a list"),
        ("[1]", "rate_limits: limits[0]: must be an object"),
        (r#"[{"perSecond": 1}]"#, "rate_limits: limits[0]: has no burst"),
        (
            r#"[{"burst": 0, "perSecond": 1}]"#,
            "rate_limits: limits[0].burst: must be a whole number from 1 on",
        ),
        (r#"[{"burst": 5000000000, "perSecond": 1}]"#, "rate_limits: limits[0].burst: must be below 2^32"),
        (r#"[{"burst": 1, "perSecond": 0}]"#, "rate_limits: limits[0].perSecond: must be above 0, and is 0"),
        (r#"[{"burst": 1, "perSecond": 1, "per": 2}]"#, "rate_limits: limits[0].per: is not known here"),
        (
            r#"[{"burst": 1, "perSecond": 1, "methods": ["a.B"]}]"#,
            "rate_limits: limits[0].methods[0]: must be a method: /package.Service/Method",
        ),
    ] {
        let error = read(json).unwrap_err();
        assert!(error.contains(problem), "{json}: {error}");
    }
}

#[tokio::test]
async fn a_limit_that_makes_no_sense_is_an_error_of_bind() {
    for (limit, problem) in [
        (RateLimit::new(0, 1.0), "rate_limits: burst must be above 0"),
        (RateLimit::new(1, f64::NAN), "rate_limits: per_second must be a number above 0"),
        (RateLimit::new(1, 1.0).method("a.B/C"), "rate_limits: \"a.B/C\" must be a method"),
    ] {
        let error = Server::builder().rate_limits([limit]).bind("inprocess:no-limit").await.unwrap_err();
        assert!(error.to_string().starts_with(problem), "{error}");
    }
}
