//! A policy as people write it: JSON, as gRFC A43 has it, with the audit log of gRFC A59.
//!
//! Fields that are not known make a policy invalid: one that was written for more than this could otherwise let in whom
//! it keeps out.

use http::HeaderName;
use serde_json::Value;

use crate::json::At;

/// Hop-by-hop fields and their like, which a policy cannot match.
const UNMATCHED: [&str; 9] = [
    "connection",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Who may call what.
#[derive(Debug, PartialEq)]
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) deny: Vec<Rule>,
    pub(super) allow: Vec<Rule>,
    pub(super) audit: Audit,
}

/// Matches if everything matches that it has; lists that are empty match everything.
#[derive(Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) principals: Vec<Pattern>,
    pub(super) paths: Vec<Pattern>,
    pub(super) headers: Vec<(HeaderName, Vec<Pattern>)>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Pattern {
    /// Whatever is not empty.
    Present,
    Exact(String),
    Prefix(String),
    Suffix(String),
}

/// Which decisions are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Audit {
    pub(super) on_deny: bool,
    pub(super) on_allow: bool,
}

impl Pattern {
    fn read(at: &At<'_>) -> Result<Self, String> {
        let text = at.text()?;
        Ok(match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(""), _) => Pattern::Present,
            (Some(end), _) => Pattern::Suffix(end.to_owned()),
            (None, Some(start)) => Pattern::Prefix(start.to_owned()),
            (None, None) => Pattern::Exact(text.to_owned()),
        })
    }

    pub(super) fn matches(&self, value: &[u8]) -> bool {
        match self {
            Pattern::Present => !value.is_empty(),
            Pattern::Exact(text) => value == text.as_bytes(),
            Pattern::Prefix(start) => value.starts_with(start.as_bytes()),
            Pattern::Suffix(end) => value.ends_with(end.as_bytes()),
        }
    }
}

impl Policy {
    /// # Errors
    /// What is wrong, and where in the policy.
    pub(super) fn read(json: &[u8]) -> Result<Policy, String> {
        let value: Value = serde_json::from_slice(json).map_err(|error| format!("is no JSON: {error}"))?;
        let policy = At::root(&value);
        policy.only(&["name", "deny_rules", "allow_rules", "audit_logging_options"])?;
        let rules = |name| policy.list(name)?.iter().map(Rule::read).collect::<Result<Vec<_>, _>>();
        policy.need("allow_rules")?;
        Ok(Policy {
            name: name(&policy)?,
            deny: rules("deny_rules")?,
            allow: rules("allow_rules")?,
            audit: policy.get("audit_logging_options").map_or(Ok(Audit::default()), |at| Audit::read(&at))?,
        })
    }
}

impl Rule {
    fn read(rule: &At<'_>) -> Result<Self, String> {
        rule.only(&["name", "source", "request"])?;
        let mut read =
            Rule { name: name(rule)?, principals: Vec::new(), paths: Vec::new(), headers: Vec::new() };
        if let Some(source) = rule.get("source") {
            source.only(&["principals"])?;
            read.principals = patterns(&source, "principals")?;
        }
        if let Some(request) = rule.get("request") {
            request.only(&["paths", "headers"])?;
            read.paths = patterns(&request, "paths")?;
            read.headers = request.list("headers")?.iter().map(header).collect::<Result<_, _>>()?;
        }
        Ok(read)
    }
}

fn name(at: &At<'_>) -> Result<String, String> {
    let name = at.need("name")?;
    let text = name.text()?;
    if text.is_empty() { Err(name.wrong("must not be empty")) } else { Ok(text.to_owned()) }
}

fn patterns(at: &At<'_>, name: &str) -> Result<Vec<Pattern>, String> {
    at.list(name)?.iter().map(Pattern::read).collect()
}

fn header(at: &At<'_>) -> Result<(HeaderName, Vec<Pattern>), String> {
    at.only(&["key", "values"])?;
    let key = at.need("key")?;
    let text = key.text()?.to_ascii_lowercase();
    if text.starts_with(':') || text.starts_with("grpc-") || UNMATCHED.contains(&text.as_str()) {
        return Err(key.wrong("cannot be matched: it belongs to HTTP or gRPC"));
    }
    // Elsewhere such rules never match, which lets everybody past a rule that is to keep somebody out.
    if text.ends_with("-bin") {
        return Err(key.wrong("cannot be matched: it is binary"));
    }
    let name = HeaderName::try_from(text).map_err(|_| key.wrong("must be the name of a header"))?;
    let values = at.need("values")?;
    let patterns = patterns(at, "values")?;
    if patterns.is_empty() {
        return Err(values.wrong("must not be empty"));
    }
    Ok((name, patterns))
}

impl Audit {
    fn read(options: &At<'_>) -> Result<Self, String> {
        // The specification's schema has the one name, its text and everybody else the other.
        options.only(&["audit_condition", "audit_logger", "audit_loggers"])?;
        let mut loggers = options.list("audit_loggers")?;
        loggers.extend(options.list("audit_logger")?);
        let mut any = false;
        for logger in &loggers {
            any |= Self::is_known(logger)?;
        }
        let Some(condition) = options.get("audit_condition") else { return Ok(Audit::default()) };
        let (on_deny, on_allow) = match condition.text()? {
            "NONE" => (false, false),
            "ON_DENY" => (true, false),
            "ON_ALLOW" => (false, true),
            "ON_DENY_AND_ALLOW" => (true, true),
            _ => return Err(condition.wrong("must be NONE, ON_DENY, ON_ALLOW or ON_DENY_AND_ALLOW")),
        };
        Ok(Audit { on_deny: any && on_deny, on_allow: any && on_allow })
    }

    fn is_known(logger: &At<'_>) -> Result<bool, String> {
        logger.only(&["name", "config", "is_optional"])?;
        let optional = logger.get("is_optional").map_or(Ok(false), |at| at.truth())?;
        let name = logger.need("name")?;
        match name.text()? {
            "stdout_logger" => Ok(true),
            _ if optional => Ok(false),
            _ => Err(name.wrong("must be stdout_logger, the only one here")),
        }
    }
}
