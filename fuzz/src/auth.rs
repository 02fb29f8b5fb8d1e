//! Tokens, keys and policies: what decides who may call.

use std::fmt::Write as _;

use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::Value;
use spanwire::testing::{check_token, read_policy};

use crate::Input;

const ISSUER: &str = "me";
const NOW: f64 = 1_800_000_000.0;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A text that somebody calls a token, a token with a good signature, keys, or a policy.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.below(5) {
        0 => {
            // Whoever can make one from outside can forge signatures.
            let text = String::from_utf8_lossy(input.rest());
            assert!(check_token(&text, good_keys().as_bytes(), ISSUER, NOW).is_err(), "{text}");
        }
        1 => signed(input.bytes(), input.rest()),
        2 => signed(br#"{"alg":"EdDSA"}"#, input.rest()),
        3 => {
            let refused = check_token("e30.e30.e30", input.rest(), ISSUER, NOW).expect_err("no token");
            assert!(!refused.is_empty());
        }
        _ => policy(input.rest()),
    }
}

fn signer() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed")
}

fn good_keys() -> String {
    let x = base64url(signer().public_key().as_ref());
    format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"1","x":"{x}"}}]}}"#)
}

/// A token of these parts whose signature is good: accepted only if it says what it must.
fn signed(header: &[u8], payload: &[u8]) {
    let text = format!("{}.{}", base64url(header), base64url(payload));
    let token = format!("{text}.{}", base64url(signer().sign(text.as_bytes()).as_ref()));
    match check_token(&token, good_keys().as_bytes(), ISSUER, NOW) {
        Ok(claims) => {
            assert_eq!(claims.as_bytes(), payload, "claims are what was signed");
            assert!(is_good(header, payload), "{token}");
        }
        // A sentence, and nothing of the token.
        Err(refused) => assert!(refused.len() < 100 && refused.is_ascii(), "{refused}"),
    }
}

fn is_good(header: &[u8], payload: &[u8]) -> bool {
    let object = |text| serde_json::from_slice::<Value>(text).ok().filter(Value::is_object);
    let (Some(header), Some(claims)) = (object(header), object(payload)) else { return false };
    let number = |name: &str| claims.get(name).map(Value::as_f64);
    header["alg"] == "EdDSA"
        && header.get("crit").is_none()
        && header.get("kid").is_none_or(|id| id == "1")
        && claims["iss"] == ISSUER
        && claims.get("aud").is_none()
        && number("exp").flatten().is_some_and(|ends| ends + 60.0 > NOW)
        && number("nbf").is_none_or(|begins| begins.is_some_and(|begins| begins <= NOW + 60.0))
        && number("iat").is_none_or(|issued| issued.is_some())
        && claims.get("sub").is_none_or(Value::is_string)
}

fn policy(json: &[u8]) {
    match read_policy(json) {
        Ok(()) => {
            let policy: Value = serde_json::from_slice(json).expect("JSON");
            assert!(policy["name"].is_string() && policy["allow_rules"].is_array(), "{policy}");
            for rules in [&policy["allow_rules"], &policy["deny_rules"]] {
                for rule in rules.as_array().into_iter().flatten() {
                    let known = ["name", "source", "request"];
                    assert!(
                        rule.as_object().expect("a rule").keys().all(|name| known.contains(&name.as_str()))
                    );
                }
            }
        }
        Err(problem) => assert!(!problem.is_empty()),
    }
}

/// Written a second time, because the engine's own comes from a library.
fn base64url(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let all =
            chunk.iter().fold(0_u32, |all, byte| all << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            let six = all >> (18 - 6 * place) & 63;
            let _ = write!(text, "{}", char::from(ALPHABET[six as usize]));
        }
    }
    text
}
