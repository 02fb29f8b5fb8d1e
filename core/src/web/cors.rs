//! Cross-origin resource sharing: which pages may call, and what browsers are told about it.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode, Uri};

use super::{Web, list};
use crate::transport::limits::{BadOption, check};

/// What clients of gRPC-Web send that browsers ask about.
const NEEDED: [&str; 6] =
    ["content-type", "grpc-accept-encoding", "grpc-encoding", "grpc-timeout", "x-grpc-web", "x-user-agent"];

/// What clients of gRPC-Web read.
const READ: [&str; 4] = ["grpc-encoding", "grpc-message", "grpc-status", "grpc-status-details-bin"];

/// Everything, in place of names.
const ANY: &str = "*";

pub(super) struct Cors {
    /// `None`: any.
    origins: Option<Vec<HeaderValue>>,
    credentials: bool,
    allow_headers: HeaderValue,
    expose_headers: HeaderValue,
    max_age: HeaderValue,
}

impl Cors {
    pub(super) fn new(web: &Web) -> Result<Self, BadOption> {
        let any = web.origins.iter().any(|origin| origin == ANY);
        check(
            !(any && web.allow_credentials),
            "web.origins",
            &ANY,
            "with allow_credentials, origins must be listed: any page could act for its visitors",
        )?;
        let origins = web.origins.iter().map(|origin| read_origin(origin)).collect::<Result<_, _>>()?;
        Ok(Cors {
            origins: if any { None } else { Some(origins) },
            credentials: web.allow_credentials,
            allow_headers: names("web.allow_headers", &NEEDED, &web.allow_headers)?,
            expose_headers: names("web.expose_headers", &READ, &web.expose_headers)?,
            max_age: HeaderValue::from(web.max_age.as_secs()),
        })
    }

    /// Whether a request with this origin may be made. Without one, it is no page's.
    pub(super) fn allows(&self, origin: Option<&HeaderValue>) -> bool {
        match (origin, &self.origins) {
            (None, _) | (_, None) => true,
            (Some(origin), Some(origins)) => origins.contains(origin),
        }
    }

    /// What an answer tells the browser, for pages of an origin that may call.
    pub(super) fn headers(&self, origin: Option<&HeaderValue>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.origins.is_some() {
            // Caches must not give one page what was said to another.
            headers.insert(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = origin {
            self.allow(origin, &mut headers);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, self.expose_headers.clone());
        }
        headers
    }

    fn allow(&self, origin: &HeaderValue, headers: &mut HeaderMap) {
        let allowed = if self.origins.is_some() { origin.clone() } else { HeaderValue::from_static(ANY) };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if self.credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
    }

    /// The answer to a browser that asks whether a page may call. `None`: it is no such question.
    pub(super) fn preflight(&self, asked: &HeaderMap) -> Option<Response<()>> {
        let origin = asked.get(header::ORIGIN)?;
        asked.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        let mut answer = Response::new(());
        let headers = answer.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
        if !self.allows(Some(origin)) {
            *answer.status_mut() = StatusCode::FORBIDDEN;
            return Some(answer);
        }
        self.allow(origin, headers);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, self.allow_headers.clone());
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        Some(answer)
    }
}

/// An origin as browsers write it.
fn read_origin(origin: &str) -> Result<HeaderValue, BadOption> {
    const WHY: &str =
        "an origin is a scheme and a host, such as https://shop.example or http://localhost:3000";
    let bad = || BadOption { setting: "web.origins", value: format!("{origin:?}"), reason: WHY };
    if origin == ANY {
        return Ok(HeaderValue::from_static(ANY));
    }
    let uri: Uri = origin.parse().map_err(|_| bad())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(bad()) };
    let written = format!("{scheme}://{authority}").to_ascii_lowercase();
    // Nothing else in it: no path, no user, and no port that browsers leave out.
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    if !origin.eq_ignore_ascii_case(&written)
        || authority.as_str().contains('@')
        || (!default_port.is_empty() && written.ends_with(default_port))
    {
        return Err(bad());
    }
    HeaderValue::try_from(written).map_err(|_| bad())
}

fn names(setting: &'static str, always: &[&str], more: &[String]) -> Result<HeaderValue, BadOption> {
    let bad =
        |name: &str| BadOption { setting, value: format!("{name:?}"), reason: "it is no name of metadata" };
    for name in more {
        HeaderName::try_from(name.as_str()).map_err(|_| bad(name))?;
    }
    let all = always.iter().map(|name| (*name).to_owned());
    list(all.chain(more.iter().map(|name| name.to_ascii_lowercase()))).ok_or_else(|| bad(""))
}
