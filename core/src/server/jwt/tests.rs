//! Tokens good and bad, against the published examples and against keys made here.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderMap;
use ring::rand::SystemRandom;
use ring::signature::{self as ring_signature, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use serde_json::{Value, json};

use super::*;
use crate::middleware::{Call, Messages, Reply};
use crate::reload::PAUSE;
use crate::{Channel, Code, Kind, Method, Raw, Server, ServerHandle};

pub(super) const ISSUER: &str = "https://login.test";
/// Whatever a test calls now, in seconds since 1970.
const NOW: f64 = 1_800_000_000.0;

enum Pair {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

/// Whoever issues tokens.
pub(super) struct Signer {
    id: String,
    pair: Pair,
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    fn p256(id: &str) -> Self {
        let (random, how) = (SystemRandom::new(), &ring_signature::ECDSA_P256_SHA256_FIXED_SIGNING);
        let der = EcdsaKeyPair::generate_pkcs8(how, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(how, der.as_ref(), &random).unwrap();
        Signer { id: id.to_owned(), pair: Pair::P256(pair) }
    }

    fn p384(id: &str) -> Self {
        let (random, how) = (SystemRandom::new(), &ring_signature::ECDSA_P384_SHA384_FIXED_SIGNING);
        let der = EcdsaKeyPair::generate_pkcs8(how, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(how, der.as_ref(), &random).unwrap();
        Signer { id: id.to_owned(), pair: Pair::P384(pair) }
    }

    pub(super) fn ed25519(id: &str) -> Self {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Signer { id: id.to_owned(), pair: Pair::Ed25519(Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap()) }
    }

    /// ring makes no RSA keys: this one was made once, for these tests.
    fn rsa(id: &str) -> Self {
        let pem = include_str!("rsa.test.pem").lines().filter(|line| !line.starts_with('-'));
        let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(pem.collect::<String>()).unwrap()).unwrap();
        Signer { id: id.to_owned(), pair: Pair::Rsa(Box::new(pair)) }
    }

    fn jwk(&self) -> Value {
        let point = |pair: &EcdsaKeyPair, curve: &str| {
            let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
            json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
        };
        let mut key = match &self.pair {
            Pair::P256(pair) => point(pair, "P-256"),
            Pair::P384(pair) => point(pair, "P-384"),
            Pair::Ed25519(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())}),
            Pair::Rsa(pair) => {
                let key = ring_signature::RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "n": encode(key.n), "e": encode(key.e)})
            }
        };
        key["kid"] = self.id.clone().into();
        key
    }

    fn default_algorithm(&self) -> &'static str {
        match self.pair {
            Pair::P256(_) => "ES256",
            Pair::P384(_) => "ES384",
            Pair::Ed25519(_) => "EdDSA",
            Pair::Rsa(_) => "RS256",
        }
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::P256(pair) | Pair::P384(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let how: &dyn ring_signature::RsaEncoding = match algorithm {
                    "PS256" => &ring_signature::RSA_PSS_SHA256,
                    "PS384" => &ring_signature::RSA_PSS_SHA384,
                    "PS512" => &ring_signature::RSA_PSS_SHA512,
                    "RS384" => &ring_signature::RSA_PKCS1_SHA384,
                    "RS512" => &ring_signature::RSA_PKCS1_SHA512,
                    _ => &ring_signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(how, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// A token of these parts, whatever they are.
    fn signed(&self, header: &[u8], payload: &[u8]) -> String {
        let algorithm = serde_json::from_slice::<Value>(header).ok();
        let algorithm = algorithm.as_ref().and_then(|header| header["alg"].as_str()).unwrap_or_default();
        let signed = format!("{}.{}", encode(header), encode(payload));
        let signature = self.sign(algorithm, signed.as_bytes());
        format!("{signed}.{}", encode(signature))
    }

    fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": self.default_algorithm(), "kid": self.id, "typ": "JWT"});
        self.signed(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }
}

pub(super) fn jwks(signers: &[&Signer]) -> String {
    json!({"keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>()}).to_string()
}

fn keys(signers: &[&Signer]) -> KeySet {
    KeySet::read(jwks(signers).as_bytes()).unwrap()
}

fn policy() -> Policy {
    Policy {
        issuers: vec![ISSUER.to_owned(), "joe".to_owned()],
        audiences: vec!["orders".to_owned(), "stock".to_owned()],
        algorithms: ALGORITHMS.iter().collect(),
        clock_skew: CLOCK_SKEW,
        required_claims: vec!["scope".to_owned()],
    }
}

/// Claims that are good at [`NOW`], with these on top; `null` takes one away.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": "orders", "sub": "ada", "scope": "read", "exp": NOW + 600.0, "iat": NOW - 1.0,
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

// RFC 7515, A.2 and A.3
#[test]
fn published_examples_are_read() {
    const CLAIMS: &str =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let rsa = json!({"kty": "RSA", "e": "AQAB", "n":
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCg\
         NMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xs\
         mtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"});
    let p256 = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
    let keys = KeySet::read(json!({"keys": [rsa, p256]}).to_string().as_bytes()).unwrap();
    let policy = Policy { audiences: Vec::new(), required_claims: Vec::new(), ..policy() };
    for (header, signature) in [
        (
            "eyJhbGciOiJSUzI1NiJ9",
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1\
             dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzD\
             wusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77\
             Rw",
        ),
        (
            "eyJhbGciOiJFUzI1NiJ9",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
    ] {
        let token = format!("{header}.{CLAIMS}.{signature}");
        let claims = token::check(&token, &keys, &policy, 1_300_819_379.0).unwrap();
        assert!(claims.json().contains("http://example.com/is_root"));
        assert_eq!(claims.subject(), None);
        let late = token::check(&token, &keys, &policy, 1_300_819_380.0 + 60.0);
        assert_eq!(late.unwrap_err(), Refused::Because("the bearer token has ended"));
    }
}

#[test]
fn every_algorithm_is_checked_with_keys_of_its_kind_alone() {
    let signers = [Signer::p256("1"), Signer::p384("2"), Signer::ed25519("3"), Signer::rsa("4")];
    let keys = keys(&signers.each_ref());
    for algorithm in &ALGORITHMS {
        for signer in &signers {
            let right = match signer.pair {
                Pair::Rsa(_) => algorithm.name.contains('S') && !algorithm.name.starts_with('E'),
                _ => signer.default_algorithm() == algorithm.name,
            };
            let header = json!({"alg": algorithm.name, "kid": signer.id}).to_string();
            let token = signer.signed(header.as_bytes(), claims(&json!({})).to_string().as_bytes());
            let checked = token::check(&token, &keys, &policy(), NOW);
            assert_eq!(checked.is_ok(), right, "{} with key {}", algorithm.name, signer.id);
        }
    }
}

#[test]
fn good_tokens_give_their_claims() {
    let signer = Signer::ed25519("k");
    let keys = keys(&[&signer]);
    for change in [
        json!({}),
        json!({"aud": ["other", "stock"]}),
        json!({"iss": "joe"}),
        json!({"exp": NOW - 59.0}),
        json!({"exp": NOW + 0.5}),
        json!({"nbf": NOW + 60.0}),
        json!({"scope": {"nested": [1, {"deep": true}]}}),
    ] {
        let claims = claims(&change);
        let good = token::check(&signer.token(&claims), &keys, &policy(), NOW).unwrap();
        assert_eq!(good.subject(), Some("ada"));
        assert_eq!(serde_json::from_str::<Value>(good.json()).unwrap(), claims);
        assert_eq!(format!("{good:?}"), "Claims { .. }");
    }
    let nobody = token::check(&signer.token(&claims(&json!({"sub": null}))), &keys, &policy(), NOW).unwrap();
    assert_eq!(nobody.subject(), None);
}

#[test]
fn bad_tokens_are_refused_in_fixed_words() {
    const NOT_A_JWT: &str = "the bearer token is not a signed JWT";
    const ALGORITHM: &str = "the bearer token's algorithm is not accepted";
    const SIGNATURE: &str = "the bearer token's signature is wrong";
    const UNKNOWN: &str = "the bearer token is signed with a key that this server does not know";
    const ENDED: &str = "the bearer token has ended";
    const EARLY: &str = "the bearer token is not valid yet";
    const ISSUER_WRONG: &str = "the bearer token is of an issuer that this server does not trust";
    const AUDIENCE: &str = "the bearer token is for another audience";
    const LACKS: &str = "the bearer token lacks a claim that this server requires";

    let (signer, other, stranger) = (Signer::p256("k"), Signer::p256("o"), Signer::p256("k"));
    let keys = keys(&[&signer, &other]);
    let with = |changes: Value| signer.token(&claims(&changes));
    let good = with(json!({}));
    let payload = claims(&json!({})).to_string();
    let header = |header: Value| signer.signed(header.to_string().as_bytes(), payload.as_bytes());
    let [first, second, third] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let mut bits = URL_SAFE_NO_PAD.decode(third).unwrap();
    bits[5] ^= 1;

    let table = [
        ("empty", String::new(), NOT_A_JWT),
        ("one part", "e30".to_owned(), NOT_A_JWT),
        ("two parts", format!("{first}.{second}"), NOT_A_JWT),
        ("four parts", format!("{good}.e30"), NOT_A_JWT),
        ("five parts, encrypted", "a.b.c.d.e".to_owned(), NOT_A_JWT),
        ("padding", format!("{first}.{second}.{third}=="), NOT_A_JWT),
        ("base64 of the other alphabet", format!("{first}.{second}.+/+/"), NOT_A_JWT),
        ("no signature", format!("{first}.{second}."), SIGNATURE),
        ("short signature", format!("{first}.{second}.{}", &third[..40]), SIGNATURE),
        ("one bit of the signature", format!("{first}.{second}.{}", encode(bits)), SIGNATURE),
        (
            "another's claims",
            format!("{first}.{}.{third}", encode(claims(&json!({"sub": "eve"})).to_string())),
            SIGNATURE,
        ),
        ("header is no JSON", signer.signed(b"{", payload.as_bytes()), NOT_A_JWT),
        ("header is a list", signer.signed(b"[]", payload.as_bytes()), NOT_A_JWT),
        ("header is no UTF-8", signer.signed(b"{\"alg\":\"\xff\"}", payload.as_bytes()), NOT_A_JWT),
        (
            "header of 10 000 brackets",
            signer.signed("[".repeat(10_000).as_bytes(), payload.as_bytes()),
            NOT_A_JWT,
        ),
        ("no alg", header(json!({"kid": "k"})), NOT_A_JWT),
        ("alg is a number", header(json!({"kid": "k", "alg": 1})), NOT_A_JWT),
        ("alg none", header(json!({"kid": "k", "alg": "none"})), ALGORITHM),
        ("alg None", header(json!({"kid": "k", "alg": "None"})), ALGORITHM),
        ("alg none, unsigned", format!("{}.{second}.", encode(r#"{"alg":"none"}"#)), ALGORITHM),
        ("shared secret", header(json!({"kid": "k", "alg": "HS256"})), ALGORITHM),
        ("es256", header(json!({"kid": "k", "alg": "es256"})), ALGORITHM),
        ("alg of another kind of key", header(json!({"kid": "k", "alg": "RS256"})), UNKNOWN),
        ("unknown kid", header(json!({"kid": "x", "alg": "ES256"})), UNKNOWN),
        ("empty kid", header(json!({"kid": "", "alg": "ES256"})), UNKNOWN),
        ("kid is a list", header(json!({"kid": ["k"], "alg": "ES256"})), NOT_A_JWT),
        ("no kid, two keys", header(json!({"alg": "ES256"})), UNKNOWN),
        ("another key's kid", header(json!({"kid": "o", "alg": "ES256"})), SIGNATURE),
        (
            "key of its own",
            header(json!({"kid": "k", "alg": "ES256", "jwk": stranger.jwk()})),
            "good, and jwk not looked at",
        ),
        ("stranger", stranger.token(&claims(&json!({}))), SIGNATURE),
        (
            "stranger with a jwk",
            stranger.signed(
                json!({"alg": "ES256", "kid": "k", "jwk": stranger.jwk()}).to_string().as_bytes(),
                payload.as_bytes(),
            ),
            SIGNATURE,
        ),
        (
            "critical extension",
            header(json!({"kid": "k", "alg": "ES256", "crit": ["b64"], "b64": false})),
            NOT_A_JWT,
        ),
        (
            "claims are a token",
            signer.signed(br#"{"alg":"ES256","kid":"k","cty":"JWT"}"#, good.as_bytes()),
            NOT_A_JWT,
        ),
        ("claims are a list", signer.signed(br#"{"alg":"ES256","kid":"k"}"#, b"[1]"), NOT_A_JWT),
        (
            "claims are no UTF-8",
            signer.signed(br#"{"alg":"ES256","kid":"k"}"#, b"{\"sub\":\"\xc3\"}"),
            NOT_A_JWT,
        ),
        (
            "10 000 brackets",
            signer.signed(br#"{"alg":"ES256","kid":"k"}"#, "[".repeat(10_000).as_bytes()),
            NOT_A_JWT,
        ),
        ("no exp", with(json!({"exp": null})), "the bearer token has no exp"),
        ("exp is a text", with(json!({"exp": "never"})), NOT_A_JWT),
        ("exp is a list", with(json!({"exp": [NOW + 600.0]})), NOT_A_JWT),
        ("just ended", with(json!({"exp": NOW - 60.0})), ENDED),
        ("exp before 1970", with(json!({"exp": -1})), ENDED),
        ("nbf to come", with(json!({"nbf": NOW + 60.5})), EARLY),
        ("nbf is a text", with(json!({"nbf": "99999999999"})), NOT_A_JWT),
        ("iat is a text", with(json!({"iat": "now"})), NOT_A_JWT),
        ("sub is a number", with(json!({"sub": 7})), NOT_A_JWT),
        ("no issuer", with(json!({"iss": null})), ISSUER_WRONG),
        ("another issuer", with(json!({"iss": "https://login.test/"})), ISSUER_WRONG),
        ("issuer is a list", with(json!({"iss": [ISSUER]})), ISSUER_WRONG),
        ("no audience", with(json!({"aud": null})), AUDIENCE),
        ("another audience", with(json!({"aud": "Orders"})), AUDIENCE),
        ("no audience in a list", with(json!({"aud": []})), AUDIENCE),
        ("audience is an object", with(json!({"aud": {"orders": true}})), NOT_A_JWT),
        ("audience with a number", with(json!({"aud": ["orders", 1]})), NOT_A_JWT),
        ("required claim missing", with(json!({"scope": null})), LACKS),
    ];
    for (name, token, expected) in table {
        match token::check(&token, &keys, &policy(), NOW) {
            Ok(_) => assert!(expected.starts_with("good"), "{name} was accepted"),
            Err(refused) => assert_eq!(refused.message(), expected, "{name}"),
        }
    }
    let nobody = Policy { audiences: Vec::new(), ..policy() };
    let for_orders = token::check(&good, &keys, &nobody, NOW);
    assert_eq!(for_orders.unwrap_err().message(), AUDIENCE);
    let narrow = Policy { algorithms: vec![Algorithm::named("RS256").unwrap()], ..policy() };
    assert_eq!(token::check(&good, &keys, &narrow, NOW).unwrap_err().message(), ALGORITHM);
}

#[test]
fn key_sets_leave_out_what_is_no_public_key_for_signatures() {
    let good = Signer::p256("k").jwk();
    let with = |name: &str, value: Value| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    let short = json!({"kty": "RSA", "n": encode([255; 255]), "e": "AQAB"});
    for useless in [
        with("use", json!("enc")),
        with("key_ops", json!(["sign"])),
        with("kty", json!("oct")),
        with("crv", json!("secp256k1")),
        with("x", json!("AAAA")),
        with("x", json!("!")),
        with("y", Value::Null),
        short,
        json!({"kty": "oct", "k": "c2VjcmV0"}),
        json!(7),
    ] {
        let error = KeySet::read(json!({"keys": [useless]}).to_string().as_bytes()).err().unwrap();
        assert!(error.starts_with("has no key that checks signatures"), "{error}");
        let both = KeySet::read(json!({"keys": [useless, good]}).to_string().as_bytes()).unwrap();
        assert!(both.key(None, Algorithm::named("ES256").unwrap()).is_some());
    }
    let bound = KeySet::read(json!({"keys": [with("alg", json!("ES384"))]}).to_string().as_bytes()).unwrap();
    assert!(bound.key(None, Algorithm::named("ES256").unwrap()).is_none(), "a key for one algorithm alone");
    for (text, problem) in
        [("", "is no JSON: "), ("[]", "has no list named keys"), (r#"{"keys":{}}"#, "has no list")]
    {
        let error = KeySet::read(text.as_bytes()).err().unwrap();
        assert!(error.starts_with(problem), "{error}");
    }
}

/// A server that answers whatever it is called with, with the subject of the caller.
pub(super) async fn serve(address: &str, jwt: Jwt) -> (Channel, ServerHandle) {
    let whoami = |call: Call| async move {
        let claims = call.extensions.get::<Arc<Claims>>().cloned().unwrap_or_default();
        Ok(Reply::new(Messages::one(claims.subject().unwrap_or_default().to_owned().into())))
    };
    let server = Server::builder().jwt(jwt).fallback(whoami).bind(address).await.unwrap();
    let (channel, handle) = (Channel::new(&server.target()).unwrap(), server.handle());
    tokio::spawn(server.run());
    (channel, handle)
}

pub(super) async fn ask(channel: &Channel, headers: &[&str]) -> Result<String, Status> {
    let method = Method::new("/any.Service/Method", Kind::Unary);
    let call = channel.unary::<Raw, Raw>(&method, Raw::default());
    let call = headers.iter().fold(call, |call, header| call.metadata("authorization", header));
    Ok(String::from_utf8(call.await?.0.to_vec()).unwrap())
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

pub(super) fn fresh(signer: &Signer) -> String {
    format!("Bearer {}", signer.token(&claims(&json!({"exp": now() + 600.0, "iat": null}))))
}

fn accepting(file: &std::path::Path) -> Jwt {
    Jwt::from_jwks_file(file).issuers([ISSUER]).audiences(["orders"]).required_claims(["sub"])
}

#[tokio::test(start_paused = true)]
async fn calls_need_one_good_token() {
    let signer = Signer::p256("k");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), jwks(&[&signer])).unwrap();
    let (channel, _) = serve("inprocess:jwt-one", accepting(file.path())).await;
    let good = fresh(&signer);
    let token = good.strip_prefix("Bearer ").unwrap();
    for same in [good.clone(), format!("bearer {token}"), format!("BEARER   {token}"), good.clone()] {
        assert_eq!(ask(&channel, &[&same]).await.unwrap(), "ada");
    }
    let (large, largest) = ("x".repeat(token::MAX_TOKEN_BYTES + 1), "x".repeat(token::MAX_TOKEN_BYTES - 600));
    let none = "the call has no bearer token";
    for (headers, expected) in [
        (vec![], none),
        (vec!["Bearer"], none),
        (vec!["Bearer "], none),
        (vec![token], none),
        (vec!["Basic YTpi"], none),
        (vec![&good, &good], "the call has more than one authorization header"),
        (vec!["Bearer x"], "the bearer token is not a signed JWT"),
        (vec![&format!("Bearer {largest}")], "the bearer token is not a signed JWT"),
    ] {
        let status = ask(&channel, &headers).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unauthenticated, expected));
    }
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Bearer {large}").parse().unwrap());
    let refused = token::of_request(&headers).unwrap_err();
    assert_eq!(refused.message(), "the bearer token is larger than 16384 bytes");
}

#[tokio::test]
async fn tokens_are_not_taken_from_plaintext_connections() {
    let signer = Signer::p256("k");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), jwks(&[&signer])).unwrap();
    let (refusing, _) = serve("127.0.0.1:0", accepting(file.path())).await;
    let status = ask(&refusing, &[&fresh(&signer)]).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unauthenticated, "bearer tokens are taken over TLS alone")
    );
    let (taking, _) = serve("127.0.0.1:0", accepting(file.path()).danger_accept_plaintext(true)).await;
    assert_eq!(ask(&taking, &[&fresh(&signer)]).await.unwrap(), "ada");
}

#[tokio::test(start_paused = true)]
async fn keys_rotate_under_load_and_no_call_is_lost() {
    let first = Signer::ed25519("0");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), jwks(&[&first])).unwrap();
    let (channel, _) = serve("inprocess:jwt-rotation", accepting(file.path())).await;
    let token = Arc::new(std::sync::Mutex::new(fresh(&first)));
    let stop = tokio_util::sync::CancellationToken::new();
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (channel, token, stop) = (channel.clone(), token.clone(), stop.clone());
            tokio::spawn(async move {
                let mut calls = 0;
                while !stop.is_cancelled() {
                    let token = token.lock().unwrap().clone();
                    assert_eq!(ask(&channel, &[&token]).await.unwrap(), "ada");
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    let mut old = first;
    for number in 1..=10 {
        let new = Signer::ed25519(&number.to_string());
        // As issuers do it: the new key is known before it signs, the old one goes when its tokens have ended.
        fs::write(file.path(), jwks(&[&old, &new])).unwrap();
        tokio::time::advance(PAUSE).await;
        let stale = std::mem::replace(&mut *token.lock().unwrap(), fresh(&new));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        fs::write(file.path(), jwks(&[&new])).unwrap();
        tokio::time::advance(PAUSE).await;
        let status = ask(&channel, &[&stale]).await.unwrap_err();
        assert_eq!(status.message(), Refused::UnknownKey.message(), "known tokens do not outlive their key");
        old = new;
    }
    // A file that is of no use leaves the keys that are there.
    fs::write(file.path(), "{").unwrap();
    tokio::time::advance(PAUSE).await;
    assert_eq!(ask(&channel, &[&fresh(&old)]).await.unwrap(), "ada");
    fs::remove_file(file.path()).unwrap();
    tokio::time::advance(PAUSE).await;
    assert_eq!(ask(&channel, &[&fresh(&old)]).await.unwrap(), "ada");
    stop.cancel();
    for caller in callers {
        assert!(caller.await.unwrap() > 10);
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_an_error_of_bind() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "{}").unwrap();
    let path = file.path().display().to_string();
    for (jwt, expected) in [
        (Jwt::from_jwks_file("/nowhere/keys.json").issuers(["i"]), "jwks_file: /nowhere/keys.json: "),
        (
            Jwt::from_jwks_file(file.path()).issuers(["i"]),
            &*format!("jwks_file: {path}: has no list named keys"),
        ),
        (Jwt::from_jwks_file(file.path()), "jwt: whose tokens are good? it needs issuers"),
        (
            Jwt::from_jwks_file(file.path()).issuers(["i"]).algorithms(["HS256"]),
            "jwt: \"HS256\" is no algorithm of public keys that is known here",
        ),
    ] {
        let error = Server::builder().jwt(jwt).bind("inprocess:jwt-error").await.unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}
