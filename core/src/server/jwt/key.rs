//! Keys that tokens are checked with: JSON Web Key Sets (RFC 7517), and the algorithms of RFC 7518 and RFC 8037 that have
//! a public key. Algorithms with a shared secret, and `none`, do not exist here: no token can choose them.

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::Value;

use super::cache::Cache;

/// The least that an RSA key has: shorter ones are not checked with.
const RSA_BYTES: usize = 256;

/// How a signature is made, under its name in a token's `alg`.
pub(super) struct Algorithm {
    pub(super) name: &'static str,
    how: How,
}

enum How {
    Rsa(&'static RsaParameters),
    Curve(Curve, &'static dyn VerificationAlgorithm),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
    Ed25519,
}

macro_rules! algorithms {
    ($($name:literal $how:expr;)+) => {
        /// All of them, in the order of their names.
        pub(super) static ALGORITHMS: [Algorithm; 9] = [$(Algorithm { name: $name, how: $how }),+];
    };
}

algorithms! {
    "ES256" How::Curve(Curve::P256, &signature::ECDSA_P256_SHA256_FIXED);
    "ES384" How::Curve(Curve::P384, &signature::ECDSA_P384_SHA384_FIXED);
    "EdDSA" How::Curve(Curve::Ed25519, &signature::ED25519);
    "PS256" How::Rsa(&signature::RSA_PSS_2048_8192_SHA256);
    "PS384" How::Rsa(&signature::RSA_PSS_2048_8192_SHA384);
    "PS512" How::Rsa(&signature::RSA_PSS_2048_8192_SHA512);
    "RS256" How::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256);
    "RS384" How::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384);
    "RS512" How::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512);
}

impl Algorithm {
    pub(super) fn named(name: &str) -> Option<&'static Algorithm> {
        ALGORITHMS.iter().find(|algorithm| algorithm.name == name)
    }
}

/// A public key.
pub(super) struct Key {
    id: Option<String>,
    /// The only algorithm that it is for, if it says so.
    algorithm: Option<String>,
    material: Material,
}

enum Material {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    Point(Curve, Vec<u8>),
}

impl Key {
    /// `None` for keys of other kinds and for other uses, which RFC 7517 has readers ignore.
    fn read(key: &Value) -> Option<Key> {
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        if let Some(operations) = key.get("key_ops").and_then(Value::as_array)
            && !operations.iter().any(|operation| operation == "verify")
        {
            return None;
        }
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                let (modulus, exponent) = (without_zeros(bytes("n")?), without_zeros(bytes("e")?));
                (modulus.len() >= RSA_BYTES).then_some(Material::Rsa { modulus, exponent })?
            }
            ("EC", Some("P-256")) => Material::Point(Curve::P256, point(&bytes("x")?, &bytes("y")?, 32)?),
            ("EC", Some("P-384")) => Material::Point(Curve::P384, point(&bytes("x")?, &bytes("y")?, 48)?),
            ("OKP", Some("Ed25519")) => {
                Material::Point(Curve::Ed25519, bytes("x").filter(|x| x.len() == 32)?)
            }
            _ => return None,
        };
        Some(Key { id: text("kid").map(str::to_owned), algorithm: text("alg").map(str::to_owned), material })
    }

    fn is_for(&self, algorithm: &Algorithm) -> bool {
        let kind = match (&algorithm.how, &self.material) {
            (How::Rsa(_), Material::Rsa { .. }) => true,
            (How::Curve(curve, _), Material::Point(own, _)) => curve == own,
            _ => false,
        };
        kind && self.algorithm.as_ref().is_none_or(|name| name == algorithm.name)
    }

    /// Whether the owner of this key has signed `message`.
    pub(super) fn has_signed(&self, algorithm: &Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match (&algorithm.how, &self.material) {
            (How::Rsa(parameters), Material::Rsa { modulus, exponent }) => {
                RsaPublicKeyComponents { n: modulus, e: exponent }
                    .verify(parameters, message, signature)
                    .is_ok()
            }
            (How::Curve(curve, how), Material::Point(own, point)) if curve == own => {
                UnparsedPublicKey::new(*how, point).verify(message, signature).is_ok()
            }
            _ => false,
        }
    }
}

/// Some tools put zeros in front, which the specification forbids and everybody reads.
fn without_zeros(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}

/// The uncompressed form of a point (SEC 1).
fn point(x: &[u8], y: &[u8], bytes: usize) -> Option<Vec<u8>> {
    (x.len() == bytes && y.len() == bytes).then(|| [&[4], x, y].concat())
}

/// The keys that are good now, and the tokens that were checked with them: when the keys change, no token that was
/// signed with an old one lives on.
#[derive(Default)]
pub(super) struct KeySet {
    keys: Vec<Key>,
    pub(super) known: Mutex<Cache>,
}

impl KeySet {
    /// # Errors
    /// What is wrong with the text, without anything of it.
    pub(super) fn read(text: &[u8]) -> Result<KeySet, String> {
        let set: Value = serde_json::from_slice(text).map_err(|error| format!("is no JSON: {error}"))?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or("has no list named keys")?;
        let keys: Vec<_> = keys.iter().filter_map(Key::read).collect();
        if keys.is_empty() {
            return Err(
                "has no key that checks signatures: RSA from 2048 bits, P-256, P-384 or Ed25519".to_owned()
            );
        }
        Ok(KeySet { keys, known: Mutex::default() })
    }

    /// The key of a token; without an id in the token, the only key for its algorithm.
    pub(super) fn key(&self, id: Option<&str>, algorithm: &Algorithm) -> Option<&Key> {
        let mut fitting = self
            .keys
            .iter()
            .filter(|key| key.is_for(algorithm) && id.is_none_or(|id| key.id.as_deref() == Some(id)));
        let key = fitting.next()?;
        fitting.next().is_none().then_some(key)
    }
}
