//! Authorization by a policy: who may call what (gRFC A43), and a log of the decisions (gRFC A59).

mod policy;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::SystemTime;

use http::HeaderName;

use self::policy::{Pattern, Policy, Rule};
use super::guard::{Guard, Head, Stage};
use super::{ServeError, ServerBuilder};
use crate::Status;
use crate::reload::Reloading;

/// What is logged of a decision, for whoever collects it.
const AUDIT: &str = "spanwire::audit";

impl ServerBuilder {
    /// Refuses calls that this policy does not allow, with PERMISSION_DENIED: JSON, as gRFC A43 has it. Methods that
    /// nobody serves are under it too. Principals are the names in the client's certificate: its URIs, then its DNS names,
    /// then its subject (RFC 4514).
    ///
    /// With `audit_logging_options` and the `stdout_logger` of gRFC A59 decisions go into the log as one line of JSON
    /// each, with the target `spanwire::audit` and the level INFO.
    ///
    /// ```
    /// # use spanwire::Server;
    /// let builder = Server::builder().authorization_policy(
    ///     r#"{"name": "shop", "allow_rules": [
    ///         {"name": "staff", "source": {"principals": ["spiffe://shop/staff/*"]}},
    ///         {"name": "anyone", "request": {"paths": ["/shop.v1.Orders/Get"]}}
    ///     ]}"#,
    /// );
    /// ```
    pub fn authorization_policy(self, json: impl Into<String>) -> Self {
        let json = json.into();
        self.guard(Stage::Authorization, move || {
            let policy = Policy::read(json.as_bytes());
            let policy = policy.map_err(|problem| wrong("authorization_policy", problem))?;
            Ok(Box::new(Fixed(policy)))
        })
    }

    /// Like [`authorization_policy`](Self::authorization_policy), from a file that is read again within a second after it
    /// has changed. A policy that cannot be used then leaves the old one, with a warning.
    pub fn authorization_policy_file(self, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        self.guard(Stage::Authorization, move || {
            let file = Reloading::file("the rules of authorization_policy_file", path, Policy::read);
            Ok(Box::new(file.map_err(|problem| wrong("authorization_policy_file", problem))?))
        })
    }
}

fn wrong(setting: &'static str, problem: String) -> ServeError {
    ServeError::Security { setting, problem }
}

/// Reads a policy.
///
/// # Errors
/// What is wrong with it, and where.
pub fn read_policy(json: &[u8]) -> Result<(), String> {
    Policy::read(json).map(drop)
}

struct Fixed(Policy);

impl Guard for Fixed {
    fn check(&self, head: &mut Head<'_>) -> Result<(), Status> {
        self.0.check(head)
    }
}

impl Guard for Reloading<Policy> {
    fn check(&self, head: &mut Head<'_>) -> Result<(), Status> {
        self.current().check(head)
    }
}

impl Policy {
    fn check(&self, head: &Head<'_>) -> Result<(), Status> {
        let rule = |rules: &[Rule]| rules.iter().position(|rule| rule.matches(head));
        let denied = rule(&self.deny).map(|index| &self.deny[index]);
        let allowed = if denied.is_none() { rule(&self.allow).map(|index| &self.allow[index]) } else { None };
        let authorized = allowed.is_some();
        if if authorized { self.audit.on_allow } else { self.audit.on_deny } {
            let matched = denied.or(allowed).map_or("", |rule| &rule.name);
            tracing::info!(target: AUDIT, "{}", self.entry(head, matched, authorized));
        }
        if authorized { Ok(()) } else { Err(Status::permission_denied("unauthorized RPC request rejected")) }
    }

    /// One line of the audit log.
    fn entry(&self, head: &Head<'_>, matched: &str, authorized: bool) -> String {
        let identity = head.peer.tls_identity();
        let principal = identity.and_then(|identity| identity.principals().next()).unwrap_or_default();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        serde_json::json!({
            "timestamp": now.as_secs().to_string(),
            "rpc_method": head.method,
            "principal": principal,
            "policy_name": self.name,
            "matched_rule": matched,
            "authorized": authorized,
        })
        .to_string()
    }
}

impl Rule {
    fn matches(&self, head: &Head<'_>) -> bool {
        (self.principals.is_empty() || principal_matches(&self.principals, head))
            && (self.paths.is_empty() || any(&self.paths, head.method.as_bytes()))
            && self.headers.iter().all(|(name, values)| header_matches(name, values, head))
    }
}

fn any(patterns: &[Pattern], value: &[u8]) -> bool {
    patterns.iter().any(|pattern| pattern.matches(value))
}

fn principal_matches(patterns: &[Pattern], head: &Head<'_>) -> bool {
    match head.peer.tls_identity() {
        Some(identity) => identity.principals().any(|name| any(patterns, name.as_bytes())),
        // Encrypted, but nobody in particular.
        None => head.peer.is_tls() && any(patterns, b""),
    }
}

fn header_matches(name: &HeaderName, patterns: &[Pattern], head: &Head<'_>) -> bool {
    let mut values = head.headers.get_all(name).iter();
    let Some(first) = values.next() else { return false };
    let Some(second) = values.next() else { return any(patterns, first.as_bytes()) };
    // Several are one, with commas between them.
    let all: Vec<_> = [first, second].into_iter().chain(values).map(|value| value.as_bytes()).collect();
    any(patterns, &all.join(&b","[..]))
}
