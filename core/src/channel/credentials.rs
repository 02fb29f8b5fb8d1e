//! Tokens that go with every call: `authorization: Bearer …`.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use tokio::time::Instant;

use crate::Status;
use crate::middleware::BoxFuture;

/// A token is asked for again so long before it ends: it has to be good still when the server looks at it.
const MARGIN: Duration = Duration::from_secs(30);

/// For how long a token without an end is taken from memory: what a file has may be replaced at any time.
const FRESH: Duration = Duration::from_secs(60);

/// The pause after a failure; calls that come meanwhile fail with it.
const PAUSE: Duration = Duration::from_secs(1);

/// A token, and how long it is good.
#[derive(Clone)]
#[non_exhaustive]
pub struct Token {
    /// What stands behind `Bearer`.
    pub value: String,
    /// When it ends; it is asked for anew before. Without, a JWT's own `exp` counts, and of others that they are asked for
    /// once a minute.
    pub expires: Option<SystemTime>,
}

impl Token {
    /// A token that says itself how long it is good, or nobody does.
    pub fn new(value: impl Into<String>) -> Self {
        Token { value: value.into(), expires: None }
    }

    /// Sets when it ends.
    #[must_use]
    pub fn expires(mut self, at: SystemTime) -> Self {
        self.expires = Some(at);
        self
    }
}

/// A token is a secret: it is not printed.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("expires", &self.expires).finish_non_exhaustive()
    }
}

type Ask = Box<dyn Fn() -> BoxFuture<'static, Result<Token, Status>> + Send + Sync>;

/// Where tokens come from.
pub(crate) enum Source {
    Fixed(String),
    /// The file is read anew (gRFC A97).
    File(PathBuf),
    Asked(Ask),
}

impl Source {
    pub(crate) fn asked<F, Fut>(ask: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Token, Status>> + Send + 'static,
    {
        Source::Asked(Box::new(move || Box::pin(ask())))
    }

    async fn token(&self) -> Result<Token, Status> {
        match self {
            Source::Fixed(token) => Ok(Token::new(token)),
            Source::File(path) => {
                // A token is a line; reading one takes no longer than to hand it to another thread.
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Status::unavailable(format!("bearer_token_file: {}: {error}", path.display()))
                })?;
                Ok(Token::new(text.trim()))
            }
            Source::Asked(ask) => ask().await,
        }
    }
}

/// The tokens of a channel.
pub(crate) struct Credentials {
    source: Source,
    known: Mutex<Known>,
    /// One asks at a time; the others wait for what it gets.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    header: Option<(HeaderValue, Option<Instant>)>,
    failed: Option<(Status, Instant)>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials {
    pub(crate) fn new(source: Source) -> Arc<Self> {
        Arc::new(Credentials { source, known: Mutex::default(), asking: tokio::sync::Mutex::default() })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The header, if a good one is at hand.
    pub(crate) fn at_hand(&self) -> Option<HeaderValue> {
        let known = self.known();
        let (header, until) = known.header.as_ref()?;
        until.is_none_or(|until| Instant::now() < until).then(|| header.clone())
    }

    /// The header, asked for if need be.
    ///
    /// # Errors
    /// The source's status, with UNAVAILABLE for a file that cannot be read; UNAUTHENTICATED for a token that no header can
    /// carry, or that has ended.
    pub(crate) async fn header(&self) -> Result<HeaderValue, Status> {
        let _alone = self.asking.lock().await;
        if let Some(header) = self.at_hand() {
            return Ok(header);
        }
        if let Some((status, until)) = &self.known().failed
            && Instant::now() < *until
        {
            return Err(status.clone());
        }
        let asked = self.source.token().await.and_then(|token| self.take(&token));
        let mut known = self.known();
        known.failed = asked.as_ref().err().map(|status| (status.clone(), Instant::now() + PAUSE));
        known.header = asked.as_ref().ok().cloned();
        asked.map(|(header, _)| header)
    }

    fn take(&self, token: &Token) -> Result<(HeaderValue, Option<Instant>), Status> {
        let unusable = |why: &str| Status::unauthenticated(format!("the bearer token {why}"));
        let mut header = HeaderValue::try_from(format!("Bearer {}", token.value))
            .map_err(|_| unusable("has characters that a header cannot carry"))?;
        header.set_sensitive(true);
        let fixed = matches!(self.source, Source::Fixed(_));
        let Some(expires) = token.expires.or_else(|| jwt_expiry(&token.value)).filter(|_| !fixed) else {
            return Ok((header, (!fixed).then(|| Instant::now() + FRESH)));
        };
        let left = expires.duration_since(SystemTime::now()).map_err(|_| unusable("has ended"))?;
        // One that ends soon is used to its end.
        let good_for = left.checked_sub(MARGIN).filter(|good_for| *good_for > MARGIN).unwrap_or(left / 2);
        Ok((header, Some(Instant::now() + good_for)))
    }
}

/// The `exp` claim of a JWT (RFC 7519). It is only read: whether the token is good is for the server to say.
fn jwt_expiry(token: &str) -> Option<SystemTime> {
    let mut parts = token.split('.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    let seconds = claims.get("exp")?.as_f64().filter(|seconds| (0.0..1e11).contains(seconds))?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn jwt(expires: SystemTime) -> String {
        let seconds = expires.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{seconds}}}"#)))
    }

    fn counted(
        token: impl Fn(usize) -> Result<Token, Status> + Send + Sync + 'static,
    ) -> (Arc<AtomicUsize>, Arc<Credentials>) {
        let count = Arc::new(AtomicUsize::new(0));
        let (asked, token) = (count.clone(), Arc::new(token));
        let credentials = Credentials::new(Source::asked(move || {
            let (number, token) = (asked.fetch_add(1, Ordering::SeqCst), token.clone());
            async move { token(number) }
        }));
        (count, credentials)
    }

    async fn text(credentials: &Credentials) -> Result<String, Status> {
        let header = match credentials.at_hand() {
            Some(header) => header,
            None => credentials.header().await?,
        };
        assert!(header.is_sensitive());
        Ok(header.to_str().unwrap().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn token_is_kept_until_shortly_before_its_end() {
        let expires = SystemTime::now() + Duration::from_secs(600);
        let (count, credentials) =
            counted(move |number| Ok(Token::new(format!("t{number}")).expires(expires)));
        assert_eq!(text(&credentials).await.unwrap(), "Bearer t0");
        tokio::time::sleep(Duration::from_secs(565)).await;
        assert_eq!(text(&credentials).await.unwrap(), "Bearer t0");
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(text(&credentials).await.unwrap(), "Bearer t1");
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn many_calls_ask_once() {
        let (count, credentials) = counted(|_| Ok(Token::new("t")));
        let all = (0..100).map(|_| text(&credentials));
        for result in futures_util::future::join_all(all).await {
            assert_eq!(result.unwrap(), "Bearer t");
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn failure_is_not_asked_for_with_every_call() {
        let down = |number| if number < 2 { Err(Status::unavailable("no")) } else { Ok(Token::new("t")) };
        let (count, credentials) = counted(down);
        for _ in 0..10 {
            assert_eq!(text(&credentials).await.unwrap_err().message(), "no");
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
        tokio::time::sleep(PAUSE).await;
        assert!(text(&credentials).await.is_err());
        tokio::time::sleep(PAUSE).await;
        assert_eq!(text(&credentials).await.unwrap(), "Bearer t");
    }

    // gRFC A97
    #[tokio::test(start_paused = true)]
    async fn file_is_read_again_when_its_token_ends() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |text: &str| std::fs::write(file.path(), text).unwrap();
        let credentials = Credentials::new(Source::File(file.path().to_owned()));
        let first = jwt(SystemTime::now() + Duration::from_secs(3600));
        write(&format!("{first}\n"));
        assert_eq!(text(&credentials).await.unwrap(), format!("Bearer {first}"));
        write("second");
        tokio::time::sleep(Duration::from_secs(3500)).await;
        assert_eq!(text(&credentials).await.unwrap(), format!("Bearer {first}"));
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(text(&credentials).await.unwrap(), "Bearer second");
        write("third");
        tokio::time::sleep(FRESH).await;
        assert_eq!(text(&credentials).await.unwrap(), "Bearer third");
        write(&jwt(SystemTime::now() - Duration::from_secs(1)));
        tokio::time::sleep(FRESH).await;
        let ended = text(&credentials).await.unwrap_err();
        assert_eq!(
            (ended.code(), ended.message()),
            (crate::Code::Unauthenticated, "the bearer token has ended")
        );
        let nowhere = Credentials::new(Source::File("/nowhere/token".into()));
        assert!(
            text(&nowhere).await.unwrap_err().message().starts_with("bearer_token_file: /nowhere/token: ")
        );
    }

    #[test]
    fn ends_are_read_of_jwts_alone() {
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000);
        assert_eq!(jwt_expiry(&jwt(end)), Some(end));
        for other in [
            "",
            "a.b",
            "a.b.c.d",
            "e30.e30.c2ln",
            "e30.!!.c2ln",
            "e30.eyJleHAiOiJ4In0.c2ln",
            "e30.eyJleHAiOi0xfQ.c2ln",
        ] {
            assert_eq!(jwt_expiry(other), None, "{other:?}");
        }
    }

    #[tokio::test]
    async fn secrets_are_not_printed_and_bad_ones_are_named() {
        let credentials = Credentials::new(Source::Fixed("se\ncret".to_owned()));
        let status = text(&credentials).await.unwrap_err();
        assert_eq!(status.message(), "the bearer token has characters that a header cannot carry");
        assert!(!format!("{credentials:?} {:?}", Token::new("secret")).contains("secret"));
    }
}
