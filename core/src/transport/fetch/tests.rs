//! A client of the web, and servers that are slow, too generous or no web servers at all.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Reads a request; gives its head.
async fn request(io: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// What a server says.
struct Answer {
    /// Sent bytes, and how often they are repeated.
    parts: Vec<(Vec<u8>, usize)>,
    /// It leaves the connection open and says nothing more.
    hangs: bool,
}

fn says(text: impl Into<Vec<u8>>) -> Answer {
    Answer { parts: vec![(text.into(), 1)], hangs: false }
}

async fn answer(mut io: impl AsyncRead + AsyncWrite + Unpin, answer: Answer) -> String {
    let head = request(&mut io).await;
    'sending: for (bytes, times) in &answer.parts {
        for _ in 0..*times {
            // Whoever has heard enough hangs up.
            if io.write_all(bytes).await.is_err() {
                break 'sending;
            }
        }
    }
    let _ = io.flush().await;
    if answer.hangs {
        std::future::pending::<()>().await;
    }
    let _ = io.shutdown().await;
    head
}

/// Fetches from a server that answers once; gives what it was asked, too.
async fn fetch(says: Answer) -> (Result<Fetched, String>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys?of=me", listener.local_addr().unwrap());
    let page = Page::new(&url, &ClientTls::new(), false).unwrap();
    let served = tokio::spawn(async move { answer(listener.accept().await.unwrap().0, says).await });
    let fetched = page.fetch().await;
    served.abort();
    (fetched, served.await.unwrap_or_default())
}

#[tokio::test]
async fn page_is_asked_for_and_comes_in_every_framing() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: max-age=7\r\n\r\nkeys",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: max-age=7\r\n\r\n1\r\nk\r\n3\r\neys\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nCache-Control: max-age=7\r\n\r\nkeys",
    ] {
        let (fetched, _) = fetch(says(text)).await;
        let fetched = fetched.unwrap();
        assert_eq!((&*fetched.bytes, fetched.max_age), (&b"keys"[..], Some(Duration::from_secs(7))));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let page = Page::new(&format!("http://{address}/keys?of=me"), &ClientTls::new(), false).unwrap();
    let served = async {
        let empty = says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        answer(listener.accept().await.unwrap().0, empty).await
    };
    let (fetched, asked) = tokio::join!(page.fetch(), served);
    assert_eq!(fetched.unwrap().bytes, b"");
    assert!(asked.starts_with("GET /keys?of=me HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains(&format!("\r\nhost: {address}\r\n")), "{asked}");
}

#[tokio::test]
async fn other_answers_are_errors_that_say_why() {
    for (text, problem) in [
        (
            "HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
            "the answer is 301: redirects are not followed",
        ),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "the answer is 404, not 200"),
        ("HTTP/1.1 204 Nothing\r\n\r\n", "the answer is 204, not 200"),
        (
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
            "the answer is compressed, which was not asked for",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nkeys", "end of file before message length reached"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "invalid chunk"),
        ("SSH-2.0-of-some-kind\r\n", "invalid HTTP version"),
        ("", "connection closed before message completed"),
    ] {
        let error = fetch(says(text)).await.0.unwrap_err();
        assert!(error.to_lowercase().contains(&problem.to_lowercase()), "{text}: {error}");
    }
}

#[tokio::test]
async fn page_is_bounded_to_the_byte_whether_it_says_its_length_or_not() {
    for (bytes, fits) in [(MAX_BYTES, true), (MAX_BYTES + 1, false)] {
        let told = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
        for head in [told.as_str(), "HTTP/1.1 200 OK\r\n\r\n"] {
            let parts = vec![(head.into(), 1), (vec![b'x'], bytes)];
            let (fetched, _) = fetch(Answer { parts, hangs: false }).await;
            match fetched {
                Ok(fetched) => assert_eq!((fetched.bytes.len(), fits), (bytes, true)),
                Err(error) => assert_eq!((&*error, fits), ("the answer is larger than 262144 bytes", false)),
            }
        }
    }
    let endless = vec![("HTTP/1.1 200 OK\r\n".into(), 1), (b"a: b\r\n".to_vec(), 1_000_000)];
    let error = fetch(Answer { parts: endless, hangs: false }).await.0.unwrap_err();
    assert!(error.contains("message head is too large"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn whole_page_has_one_time_limit() {
    for begin in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nkeys"] {
        let began = tokio::time::Instant::now();
        let error = fetch(Answer { parts: vec![(begin.into(), 1)], hangs: true }).await.0.unwrap_err();
        assert_eq!(error, "no whole answer within 10 s");
        assert_eq!(began.elapsed().as_secs(), 10);
    }
}

#[tokio::test]
async fn server_that_is_not_there_is_an_error_that_names_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let page = Page::new(&format!("http://{address}"), &ClientTls::new(), false).unwrap();
    let error = page.fetch().await.unwrap_err();
    assert!(error.starts_with(&format!("{address}: ")), "{error}");
}

#[test]
fn urls_are_encrypted_or_of_this_machine() {
    let page = |url, plaintext| {
        let page = Page::new(url, &ClientTls::new().danger_accept_any_certificate(), plaintext);
        page.map(|page| (page.host, page.port, page.tls.is_some(), page.local))
    };
    for (url, plaintext, host, port, encrypted, local) in [
        ("https://login.test/keys", false, "login.test", 443, true, false),
        ("https://login.test:8443", false, "login.test", 8443, true, false),
        ("https://[2001:db8::1]/keys", false, "2001:db8::1", 443, true, false),
        ("http://localhost:8080/keys", false, "localhost", 8080, false, true),
        ("http://127.0.0.9/keys", false, "127.0.0.9", 80, false, true),
        ("http://[::1]:81/keys", false, "::1", 81, false, true),
        ("http://login.test/keys", true, "login.test", 80, false, false),
    ] {
        assert_eq!(page(url, plaintext).unwrap(), (host.to_owned(), port, encrypted, local));
    }
    for (url, problem) in [
        ("", "\"\" is no URL"),
        ("/keys", "it names no host"),
        ("ftp://login.test/keys", "is neither https nor http"),
        ("https://me:secret@login.test/keys", "a URL with a password in it is not taken"),
        ("http://login.test/keys", "is not encrypted"),
        ("http://localhost.login.test/keys", "is not encrypted"),
        ("http://192.0.2.1/keys", "is not encrypted"),
    ] {
        let error = page(url, false).unwrap_err();
        assert!(error.contains(problem) && !error.contains("secret"), "{url}: {error}");
    }
}

#[tokio::test]
async fn plaintext_stays_on_this_machine_whatever_its_name_leads_to() {
    let mut page = Page::new("http://localhost/keys", &ClientTls::new(), false).unwrap();
    page.host = "192.0.2.1".to_owned();
    assert_eq!(page.fetch().await.unwrap_err(), "192.0.2.1 has no address");
}

#[tokio::test]
async fn https_pages_come_from_who_has_the_certificate_alone() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config =
        config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key.into()).unwrap();
    // A server that chooses by ALPN, and one that knows nothing of it.
    for alpn in [vec![b"h2".to_vec(), b"http/1.1".to_vec()], vec![]] {
        let mut config = config.clone();
        config.alpn_protocols = alpn.clone();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let Ok(io) = acceptor.accept(listener.accept().await.unwrap().0).await else { continue };
                answer(io, says("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nkeys")).await;
            }
        });
        let trusting = ClientTls::new().with_ca_pem(authority.pem());
        let page = |host| Page::new(&format!("https://{host}:{port}/keys"), &trusting, false).unwrap();
        assert_eq!(page("localhost").fetch().await.unwrap().bytes, b"keys");
        let error = page("127.0.0.1").fetch().await.unwrap_err();
        assert!(error.contains("TLS handshake failed"), "another name: {error}");
    }
}

#[test]
fn cache_control_says_how_long_a_page_is_current() {
    for (fields, seconds) in [
        (&[][..], None),
        (&[("cache-control", "public")], None),
        (&[("cache-control", "public, max-age=600")], Some(600)),
        (&[("cache-control", "Max-Age=\"600\", must-revalidate")], Some(600)),
        (&[("cache-control", "max-age=600"), ("age", "599")], Some(1)),
        (&[("cache-control", "max-age=600"), ("age", "700")], Some(0)),
        (&[("cache-control", "max-age=600"), ("cache-control", "no-cache")], Some(0)),
        (&[("cache-control", "no-store")], Some(0)),
        (&[("cache-control", "max-age=-1")], None),
        (&[("cache-control", "max-age=99999999999999999999999")], None),
        (&[("cache-control", "max-age")], None),
        (&[("age", "5")], None),
    ] {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        assert_eq!(max_age(&headers), seconds.map(Duration::from_secs), "{headers:?}");
    }
}
