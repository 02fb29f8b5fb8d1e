//! Pages of the web: GET over HTTP/1.1, each time on a connection of its own, for what is asked for now and then.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use bytes::Buf;
use http::header::{ACCEPT, AGE, CACHE_CONTROL, CONTENT_ENCODING, HOST, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Uri};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::io::{Io, connect_tcp};
use super::tls::{ALPN_HTTP1, ClientTls, ClientTlsConfig};

/// Longest for all of it, from the name to the last byte.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest for one of several addresses.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The largest page.
const MAX_BYTES: usize = 256 * 1024;

/// What a server may say before the page.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// A page that can be fetched again and again.
pub(crate) struct Page {
    uri: Uri,
    /// Without brackets.
    host: String,
    port: u16,
    tls: Option<ClientTlsConfig>,
    /// Plaintext stays on this machine.
    local: bool,
}

/// What a server sent.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) bytes: Vec<u8>,
    /// How long it may be taken for current, if the server says something about that.
    pub(crate) max_age: Option<Duration>,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Page({})", self.uri)
    }
}

impl Page {
    /// An `https` URL, or an `http` one of this machine; with `plaintext`, of any.
    ///
    /// # Errors
    /// What is wrong with the URL, or with the TLS settings.
    pub(crate) fn new(url: &str, tls: &ClientTls, plaintext: bool) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{url:?} is no URL: {error}"))?;
        let authority = uri.authority().ok_or_else(|| format!("{url:?} is no URL: it names no host"))?;
        if authority.as_str().contains('@') {
            return Err("a URL with a password in it is not taken".to_owned());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let encrypted = uri.scheme() == Some(&Scheme::HTTPS);
        if !encrypted && uri.scheme() != Some(&Scheme::HTTP) {
            return Err(format!("{url:?} is neither https nor http"));
        }
        if !encrypted && !plaintext && !names_this_machine(&host) {
            return Err(format!("{url:?} is not encrypted: whoever is on the way could change what it says"));
        }
        Ok(Page {
            port: authority.port_u16().unwrap_or(if encrypted { 443 } else { 80 }),
            tls: if encrypted {
                Some(tls.build_for(ALPN_HTTP1).map_err(|error| error.to_string())?)
            } else {
                None
            },
            local: !encrypted && !plaintext,
            host,
            uri,
        })
    }

    /// Fetches it.
    ///
    /// # Errors
    /// Why it cannot be had, without anything that the server sent: no answer in time, one that is not 200 or goes
    /// elsewhere, one that is too large.
    pub(crate) async fn fetch(&self) -> Result<Fetched, String> {
        match timeout(TIMEOUT, self.exchange()).await {
            Ok(fetched) => fetched,
            Err(_) => Err(format!("no whole answer within {} s", TIMEOUT.as_secs())),
        }
    }

    async fn exchange(&self) -> Result<Fetched, String> {
        let io = TokioIo::new(self.connect().await?);
        let mut builder = http1::Builder::new();
        let handshake = builder.max_buf_size(MAX_HEAD_BYTES).handshake::<_, String>(io).await;
        let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
        let answer = async {
            let response = sender.send_request(self.request()?).await.map_err(|error| explain(&error))?;
            read(response).await
        };
        tokio::select! {
            biased;
            fetched = answer => fetched,
            // It ends without an error only when both sides have said all; then the answer is there.
            Err(error) = connection => Err(explain(&error)),
        }
    }

    async fn connect(&self) -> Result<Io, String> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let found = found.map_err(|error| format!("{} cannot be found: {error}", self.host))?;
        let mut problem = format!("{} has no address", self.host);
        for address in found.filter(|address| !self.local || address.ip().is_loopback()) {
            match timeout(CONNECT_TIMEOUT, self.connect_to(address)).await {
                Ok(Ok(io)) => return Ok(io),
                Ok(Err(error)) => problem = format!("{address}: {error}"),
                Err(_) => problem = format!("{address}: no connection in time"),
            }
        }
        Err(problem)
    }

    async fn connect_to(&self, address: SocketAddr) -> std::io::Result<Io> {
        let raw = connect_tcp(address).await?;
        match &self.tls {
            Some(tls) => tls.handshake(raw, &self.host).await,
            None => Ok(raw.into()),
        }
    }

    fn request(&self) -> Result<Request<String>, String> {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        Request::get(path)
            .header(HOST, authority)
            .header(ACCEPT, "application/json, */*;q=0.5")
            .header(USER_AGENT, concat!("spanwire/", env!("CARGO_PKG_VERSION")))
            .body(String::new())
            .map_err(|error| error.to_string())
    }
}

fn names_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// hyper's own words for what went wrong end before the cause.
fn explain(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

async fn read(response: Response<Incoming>) -> Result<Fetched, String> {
    let (head, mut body) = response.into_parts();
    if head.status.is_redirection() {
        return Err(format!("the answer is {}: redirects are not followed", head.status.as_u16()));
    }
    if head.status != StatusCode::OK {
        return Err(format!("the answer is {}, not 200", head.status.as_u16()));
    }
    if head.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err("the answer is compressed, which was not asked for".to_owned());
    }
    let too_large = || format!("the answer is larger than {MAX_BYTES} bytes");
    if body.size_hint().lower() > MAX_BYTES as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        // Trailers say nothing here.
        let Ok(data) = frame.map_err(|error| explain(&error))?.into_data() else { continue };
        if data.remaining() > MAX_BYTES - bytes.len() {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Fetched { bytes, max_age: max_age(&head.headers) })
}

/// What `Cache-Control` (RFC 9111) says of a private cache's time, less the time that the page is old already.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |text: &str| text.trim_matches('"').parse().ok().map(Duration::from_secs);
    let texts = |name: HeaderName| headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    let mut said = None;
    for directive in texts(CACHE_CONTROL).flat_map(|text| text.split(',')).map(str::trim) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return Some(Duration::ZERO);
        }
        if name.eq_ignore_ascii_case("max-age") && said.is_none() {
            said = seconds(value);
        }
    }
    let age = texts(AGE).next().and_then(seconds).unwrap_or_default();
    said.map(|said| said.saturating_sub(age))
}
