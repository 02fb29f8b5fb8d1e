//! Everything that says who is who changes while calls run: the server's certificate, the clients' authority and their
//! certificates, the keys of tokens in a file or at a URL. No call fails whose credentials are good before and after, and
//! what was withdrawn is good no more.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use spanwire::middleware::{Call, Messages, Reply};
use spanwire::{Channel, ClientTls, Code, Jwt, Kind, Method, Raw, Server, ServerHandle, ServerTls, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const CALL: Method = Method::new("/test.Rotation/Call", Kind::Unary);
const ISSUER: &str = "https://login.test";
const CALLERS: usize = 8;
const ROTATIONS: usize = 3;
/// Calls of one caller on one connection.
const CALLS: u64 = 20;
/// More than anything here takes, on a busy machine as well.
const LONG: Duration = Duration::from_secs(30);

/// Certificates and keys of one side, or those that it trusts.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for `localhost`, and its key.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// A key of the issuer's.
struct Signer {
    id: String,
    pair: Ed25519KeyPair,
}

impl Signer {
    fn new(id: usize) -> Self {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Signer { id: id.to_string(), pair: Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap() }
    }

    fn token(&self) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let header = format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, self.id);
        let claims = format!(r#"{{"iss":"{ISSUER}","sub":"ada","exp":{}}}"#, now + 600);
        let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes())))
    }
}

fn key_set(signers: &[&Signer]) -> String {
    let key = |signer: &&Signer| {
        let point = URL_SAFE_NO_PAD.encode(signer.pair.public_key());
        format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{}","x":"{point}"}}"#, signer.id)
    };
    format!(r#"{{"keys":[{}]}}"#, signers.iter().map(key).collect::<Vec<_>>().join(","))
}

/// Files that are replaced as a whole, as whoever rotates does it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        let new = self.path("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path(name)).unwrap();
    }

    /// One after the other: between the two they do not fit.
    fn put_identity(&self, name: &str, (certificate, key): &(String, String)) {
        self.put(&format!("{name}.pem"), certificate);
        self.put(&format!("{name}.key"), key);
    }
}

/// Says what is in a file to whoever asks, or that it has a problem.
async fn web(listener: TcpListener, file: PathBuf, broken: Arc<AtomicBool>) {
    loop {
        let (mut io, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match io.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        let text = fs::read_to_string(&file).unwrap();
        let status = if broken.load(Ordering::Relaxed) { "500 Broken" } else { "200 OK" };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        let _ = io.write_all(answer.as_bytes()).await;
    }
}

/// A client with the certificate of `folder/name`.
fn client(folder: &Folder, name: &str, target: &str) -> Channel {
    let file = |end: &str| folder.path(&format!("{name}.{end}"));
    let tls =
        ClientTls::new().with_ca_file(folder.path("ca.pem")).with_identity_files(file("pem"), file("key"));
    loop {
        // A channel that is made while there is half of a new identity has none: it is said when it is made.
        if let Ok(channel) = Channel::builder(target).tls(tls.clone()).build() {
            return channel;
        }
    }
}

async fn call(channel: &Channel, token: &str) -> Result<(), Status> {
    let call = channel.unary::<Raw, Raw>(&CALL, Raw::default());
    let call = call.metadata("authorization", &format!("Bearer {token}"));
    call.wait_for_ready(true).timeout(LONG).await.map(drop)
}

/// Calls until the outcome is as expected: what was written is read within a second.
async fn until(channel: &Channel, token: &str, good: bool) {
    let asked = async {
        while call(channel, token).await.is_ok() != good {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, asked).await.expect("the new keys are not read");
}

async fn serve(folder: &Folder, jwt: Jwt) -> (ServerHandle, String) {
    let tls = ServerTls::from_files(folder.path("server.pem"), folder.path("server.key"))
        .client_ca_file(folder.path("clients.pem"));
    let answer = |_: Call| async { Ok(Reply::new(Messages::one("".into()))) };
    let server = Server::builder().tls(tls).jwt(jwt.issuers([ISSUER])).fallback(answer);
    let server = server.bind("127.0.0.1:0").await.unwrap();
    let (handle, target) = (server.handle(), format!("localhost:{}", server.port().unwrap()));
    tokio::spawn(server.run());
    (handle, target)
}

/// Rotates everything under load. `jwt` has its keys from the file; `broken` breaks that.
async fn rotate(jwt: impl FnOnce(&Path) -> Jwt, broken: Option<&AtomicBool>) {
    let folder = Folder(tempfile::tempdir().unwrap());
    let servers = Authority::new("servers");
    let (mut clients, mut signer) = (Authority::new("clients 0"), Signer::new(0));
    folder.put("ca.pem", &servers.0.pem());
    folder.put_identity("server", &servers.issue());
    folder.put("clients.pem", &clients.0.pem());
    folder.put_identity("client", &clients.issue());
    folder.put("keys.json", &key_set(&[&signer]));
    let (handle, target) = serve(&folder, jwt(&folder.path("keys.json"))).await;

    let folder = Arc::new(folder);
    let token = Arc::new(Mutex::new(signer.token()));
    let over = Arc::new(AtomicBool::new(false));
    let done: Arc<[AtomicU64; CALLERS]> = Arc::default();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (folder, target, token) = (folder.clone(), target.clone(), token.clone());
            let (over, done) = (over.clone(), done.clone());
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    // Each few calls meet a new handshake.
                    let channel = client(&folder, "client", &target);
                    for _ in 0..CALLS {
                        let token = token.lock().unwrap().clone();
                        call(&channel, &token)
                            .await
                            .unwrap_or_else(|status| panic!("a call is lost: {status}"));
                        done[caller].fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    // Every caller has connected anew and called.
    let met = async || {
        for (done, caller) in done.iter().zip(&callers) {
            let due = done.load(Ordering::Relaxed) + 2 * CALLS;
            while done.load(Ordering::Relaxed) < due && !caller.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    };

    for number in 1..=ROTATIONS {
        let (new_clients, new_signer) = (Authority::new(&format!("clients {number}")), Signer::new(number));
        // What is new is known before it is used, and what is old goes when it is used no more.
        folder.put_identity("server", &servers.issue());
        folder.put("clients.pem", &(clients.0.pem() + &new_clients.0.pem()));
        folder.put("keys.json", &key_set(&[&signer, &new_signer]));
        let prober = client(&folder, "client", &target);
        until(&prober, &new_signer.token(), true).await;
        met().await;
        for end in ["pem", "key"] {
            fs::copy(folder.path(&format!("client.{end}")), folder.path(&format!("old.{end}"))).unwrap();
        }
        let stale = std::mem::replace(&mut *token.lock().unwrap(), new_signer.token());
        folder.put_identity("client", &new_clients.issue());
        met().await;
        if let Some(broken) = broken {
            let failed = handle.stats().limits.jwks_errors;
            broken.store(true, Ordering::Relaxed);
            while handle.stats().limits.jwks_errors < failed + 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            met().await;
            broken.store(false, Ordering::Relaxed);
        }
        folder.put("clients.pem", &new_clients.0.pem());
        folder.put("keys.json", &key_set(&[&new_signer]));
        until(&prober, &stale, false).await;
        let refused = call(&prober, &stale).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
        let withdrawn = client(&folder, "old", &target).unary::<Raw, Raw>(&CALL, Raw::default()).await;
        assert_eq!(
            withdrawn.unwrap_err().code(),
            Code::Unavailable,
            "a certificate of an authority that is gone"
        );
        met().await;
        (clients, signer) = (new_clients, new_signer);
    }
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    let calls: u64 = done.iter().map(|done| done.load(Ordering::Relaxed)).sum();
    println!("{calls} calls, {ROTATIONS} rotations");
    handle.shutdown(LONG).await;
}

#[tokio::test]
async fn rotation_with_keys_of_a_file_loses_no_call() {
    rotate(|file| Jwt::from_jwks_file(file), None).await;
}

#[tokio::test]
async fn rotation_with_keys_of_a_url_loses_no_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys.json", listener.local_addr().unwrap());
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = broken.clone();
    let jwt = |file: &Path| {
        tokio::spawn(web(listener, file.to_owned(), breaks));
        Jwt::from_jwks_url(url).jwks_refresh_interval(Duration::from_millis(100))
    };
    rotate(jwt, Some(&broken)).await;
}
