//! Keys of a URL, in virtual time: when they are fetched, and what calls get meanwhile.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::time::{Instant, advance, sleep};

use super::remote::Fetch;
use super::tests::{ISSUER, Signer, ask, fresh, jwks, serve};
use super::*;
use crate::transport::fetch::Fetched;
use crate::{Code, Kind, Method, Raw, Server};

/// A page and its `max-age`, or what is wrong.
type Said = Result<(String, Option<u64>), &'static str>;

/// A web server without a web.
#[derive(Default)]
struct Web {
    /// What it says; the last one again and again.
    answers: Mutex<VecDeque<Said>>,
    asked: Mutex<Vec<Instant>>,
}

impl Web {
    fn new(answers: impl IntoIterator<Item = Said>) -> Arc<Self> {
        Arc::new(Web { answers: Mutex::new(answers.into_iter().collect()), asked: Mutex::default() })
    }

    fn fetch(self: &Arc<Self>) -> Fetch {
        let web = self.clone();
        Box::new(move || {
            web.asked.lock().unwrap().push(Instant::now());
            let mut answers = web.answers.lock().unwrap();
            let answer = if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() };
            Box::pin(async move {
                let (text, seconds) = answer.map_err(str::to_owned)?;
                Ok(Fetched { bytes: text.into(), max_age: seconds.map(Duration::from_secs) })
            })
        })
    }

    fn says(&self, text: String) {
        *self.answers.lock().unwrap() = VecDeque::from([Ok((text, None))]);
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Seconds from one time that it was asked to the next.
    fn pauses(&self) -> Vec<f64> {
        self.asked.lock().unwrap().windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
    }
}

fn good(signer: &Signer, max_age: Option<u64>) -> Said {
    Ok((jwks(&[signer]), max_age))
}

async fn started(web: &Arc<Web>, interval: u64) -> (Remote, Arc<Counters>) {
    let remote = Remote::new(web.fetch(), Duration::from_secs(interval));
    let counters = Arc::default();
    remote.start(&counters).unwrap().await;
    (remote, counters)
}

/// Jitter takes up to a tenth off; the clock of the runtime has whole milliseconds.
fn assert_pauses(pauses: &[f64], expected: &[f64]) {
    assert_eq!(pauses.len(), expected.len(), "{pauses:?}");
    for (pause, expected) in pauses.iter().zip(expected) {
        assert!((expected * 0.9 - 0.01..=expected + 0.01).contains(pause), "{pauses:?}, not {expected}");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_when_the_server_says_within_bounds() {
    let signer = Signer::ed25519("k");
    let ages = [None, Some(60), Some(1), Some(0), Some(100_000), None];
    let web = Web::new(ages.map(|age| good(&signer, age)));
    let (remote, counters) = started(&web, 300).await;
    // All lanes start, one fetches.
    remote.start(&counters).unwrap().await;
    sleep(Duration::from_secs(300 + 60 + 5 + 5 + 300 + 1)).await;
    let mut pauses = web.pauses();
    pauses.truncate(5);
    assert_pauses(&pauses, &[300.0, 60.0, 5.0, 5.0, 300.0]);
    assert_eq!(counters.read().jwks_errors, 0);
    drop(remote);
    let asked = web.asked();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(web.asked(), asked, "nobody needs them any more");
}

#[tokio::test(start_paused = true)]
async fn an_interval_below_all_pauses_holds() {
    let web = Web::new([good(&Signer::ed25519("k"), Some(3600))]);
    let _remote = started(&web, 1).await;
    sleep(Duration::from_secs_f64(3.05)).await;
    let mut pauses = web.pauses();
    pauses.truncate(2);
    assert_pauses(&pauses, &[1.0, 1.0]);
}

#[tokio::test(start_paused = true)]
async fn failures_leave_the_keys_and_are_counted() {
    let signer = Signer::ed25519("k");
    let mut answers = vec![good(&signer, Some(5))];
    answers.extend(std::iter::repeat_n(Err("no"), 8));
    answers.push(Ok(("{}".to_owned(), None)));
    answers.push(good(&signer, None));
    let web = Web::new(answers);
    let (remote, counters) = started(&web, 300).await;
    let keys = remote.keys().clone();
    sleep(Duration::from_secs(5 + 1 + 2 + 4 + 8 + 16 + 32 + 60 + 60 + 60 + 1)).await;
    assert_pauses(&web.pauses(), &[5.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
    assert_eq!(counters.read().jwks_errors, 9);
    assert!(Arc::ptr_eq(&remote.keys(), &keys), "what is the same stays, with the tokens that it checked");
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_have_them_fetched_once_in_a_while() {
    let web = Web::new([good(&Signer::ed25519("k"), None)]);
    let (remote, _) = started(&web, 3600).await;
    // 20 s of tokens that nobody signed, a thousand a second.
    let mut early = 0;
    for _ in 0..20_000 {
        early += usize::from(remote.awaits_newer());
        advance(Duration::from_millis(1)).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(web.asked(), 1 + 4);
    assert!(early <= 8, "most are refused for good: {early}");
    // Time without such tokens is without such fetches.
    sleep(Duration::from_secs(60)).await;
    assert!(web.asked() <= 1 + 5);
}

fn by(web: &Arc<Web>) -> Jwt {
    let fetch = web.fetch();
    let keys = Jwt::with_keys(Box::new(move |options| Ok(Box::new(Remote::new(fetch, options.interval)))));
    keys.issuers([ISSUER]).audiences(["orders"])
}

#[tokio::test(start_paused = true)]
async fn calls_are_unavailable_until_there_are_keys() {
    let signer = Signer::ed25519("k");
    let web = Web::new([Err("no"), good(&signer, None)]);
    let (channel, handle) = serve("inprocess:jwt-remote-late", by(&web)).await;
    let status = ask(&channel, &[&fresh(&signer)]).await.unwrap_err();
    let expected = "the keys that bearer tokens are checked with are being fetched";
    assert_eq!((status.code(), status.message()), (Code::Unavailable, expected));
    assert_eq!(handle.stats().limits.jwks_errors, 1);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(ask(&channel, &[&fresh(&signer)]).await.unwrap(), "ada");
}

#[tokio::test(start_paused = true)]
async fn no_connection_is_accepted_before_the_first_fetch_is_over() {
    let signer = Signer::ed25519("k");
    let text = jwks(&[&signer]);
    let fetch: Fetch = Box::new(move || {
        let bytes = text.clone().into_bytes();
        Box::pin(async move {
            sleep(Duration::from_secs(9)).await;
            Ok(Fetched { bytes, max_age: None })
        })
    });
    let keys = Jwt::with_keys(Box::new(move |_| Ok(Box::new(Remote::new(fetch, remote::INTERVAL)))));
    let jwt = keys.issuers([ISSUER]).audiences(["orders"]);
    let (channel, _) = serve("inprocess:jwt-remote-slow", jwt).await;
    let began = Instant::now();
    assert_eq!(ask(&channel, &[&fresh(&signer)]).await.unwrap(), "ada");
    assert_eq!(began.elapsed().as_secs(), 9);
}

#[tokio::test(start_paused = true)]
async fn new_keys_come_with_the_first_token_and_old_ones_go() {
    let (old, new, forged) = (Signer::ed25519("old"), Signer::ed25519("new"), Signer::ed25519("forged"));
    let web = Web::new([good(&old, None)]);
    let (channel, _) = serve("inprocess:jwt-remote-new", by(&web)).await;
    let stale = fresh(&old);
    assert_eq!(ask(&channel, &[&stale]).await.unwrap(), "ada");
    // An issuer that signs with a key at once: the call that shows it may be made again.
    web.says(jwks(&[&new]));
    sleep(Duration::from_secs(6)).await;
    assert_eq!(ask(&channel, &[&fresh(&new)]).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(ask(&channel, &[&fresh(&new)]).await.unwrap(), "ada");
    for token in [stale, fresh(&forged)] {
        let status = ask(&channel, &[&token]).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unauthenticated, Refused::UnknownKey.message()));
    }
    assert_eq!(web.asked(), 2);
}

#[tokio::test]
async fn urls_that_cannot_be_used_are_errors_of_bind() {
    let of = |url: &str| Jwt::from_jwks_url(url).issuers(["i"]);
    for (jwt, expected) in [
        (of("keys.json"), "jwks_url: \"keys.json\" is neither https nor http"),
        (of("http://login.test/keys"), "jwks_url: \"http://login.test/keys\" is not encrypted"),
        (of("https://login.test/keys").jwks_ca_file("/nowhere/ca.pem"), "jwks_url: CA certificate"),
        (
            of("http://localhost/keys").jwks_refresh_interval(Duration::ZERO),
            "jwks_refresh_interval: it must be above 0",
        ),
    ] {
        let error = Server::builder().jwt(jwt).bind("inprocess:jwt-url-error").await.unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    let open = of("http://login.test/keys").danger_jwks_over_plaintext(true);
    Server::builder().jwt(open).bind("inprocess:jwt-url-open").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn listed_methods_need_no_token_and_others_do() {
    let signer = Signer::ed25519("k");
    let web = Web::new([good(&signer, None)]);
    let jwt = by(&web).unauthenticated_methods(["/open.Service/*", "/any.Service/Open"]);
    let (channel, _) = serve("inprocess:jwt-open", jwt).await;
    let call = async |path: &str, header: Option<&str>| {
        let method = Method::dynamic(path, Kind::Unary);
        let call = channel.unary::<Raw, Raw>(&method, Raw::default());
        let call = if let Some(header) = header { call.metadata("authorization", header) } else { call };
        call.await.map(|answer| String::from_utf8(answer.0.to_vec()).unwrap())
    };
    for path in ["/open.Service/Method", "/open.Service/Other", "/any.Service/Open"] {
        assert_eq!(call(path, None).await.unwrap(), "", "{path}");
        assert_eq!(call(path, Some("Bearer nonsense")).await.unwrap(), "", "it is not looked at");
        assert_eq!(call(path, Some(&fresh(&signer))).await.unwrap(), "", "nor believed");
    }
    for path in ["/any.Service/Method", "/open.ServiceToo/Method", "/grpc.health.v1.Health/Check"] {
        assert_eq!(call(path, None).await.unwrap_err().code(), Code::Unauthenticated, "{path}");
    }
    let wrong = by(&web).unauthenticated_methods(["/open.Service/*", "Health"]);
    let error = Server::builder().jwt(wrong).bind("inprocess:jwt-open-error").await.unwrap_err();
    let expected = "unauthenticated_methods: \"Health\" must be a method: ";
    assert!(error.to_string().starts_with(expected), "{error}");
}
