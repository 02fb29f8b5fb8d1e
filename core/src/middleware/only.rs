//! Interceptors of some methods.

use super::{BoxFuture, Call, Interceptor, Next, Reply};
use crate::Status;
use crate::method::Pattern;

/// Methods that are none; see [`only`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadMethods(String);

/// An interceptor of some methods; see [`only`].
#[derive(Debug)]
pub struct Only<I> {
    methods: Vec<Pattern>,
    interceptor: I,
}

/// Has `interceptor` run around calls of these methods alone: `/package.Service/Method`, or all of a service,
/// `/package.Service/*`. Calls of other methods pass it by. Its place among the others is where it is added, whatever they
/// are for.
///
/// ```
/// use spanwire::Server;
/// use spanwire::middleware::{self, Call, Next, Reply};
/// # use spanwire::Status;
/// # async fn log(call: Call, next: Next) -> Result<Reply, Status> { next.run(call).await }
/// # async fn require_key(call: Call, next: Next) -> Result<Reply, Status> { next.run(call).await }
/// let builder = Server::builder()
///     .interceptor(log)
///     .interceptor(middleware::only(["/shop.v1.Orders/*", "/shop.v1.Stock/Set"], require_key)?);
/// # Ok::<(), middleware::BadMethods>(())
/// ```
///
/// # Errors
/// One of the methods is not of these forms.
pub fn only<M: Into<String>, I: Interceptor>(
    methods: impl IntoIterator<Item = M>,
    interceptor: I,
) -> Result<Only<I>, BadMethods> {
    let methods: Vec<_> = methods.into_iter().map(Into::into).collect();
    Ok(Only { methods: Pattern::all(&methods).map_err(BadMethods)?, interceptor })
}

impl<I: Interceptor> Interceptor for Only<I> {
    fn intercept(&self, call: Call, next: Next) -> BoxFuture<'static, Result<Reply, Status>> {
        if self.methods.iter().any(|methods| methods.matches(call.method.path())) {
            self.interceptor.intercept(call, next)
        } else {
            next.run(call)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::middleware::Messages;
    use crate::{Channel, Kind, Method, Raw, Server};

    type Log = Arc<Mutex<String>>;

    /// Writes its name down.
    fn named(name: char, log: &Log) -> impl Interceptor + use<> {
        let log = log.clone();
        move |call: Call, next: Next| {
            log.lock().unwrap().push(name);
            next.run(call)
        }
    }

    #[tokio::test]
    async fn interceptors_of_methods_run_in_the_order_in_which_they_were_added() {
        let log = Log::default();
        let answer = |_: Call| async { Ok(Reply::new(Messages::one("".into()))) };
        let server = Server::builder()
            .interceptor(only(["/a.A/One"], named('1', &log)).unwrap())
            .interceptor(named('2', &log))
            .interceptor(only(["/a.A/*", "/b.B/Two"], named('3', &log)).unwrap())
            .interceptor(only(["/b.B/*"], named('4', &log)).unwrap())
            .fallback(answer)
            .bind("inprocess:only")
            .await
            .unwrap();
        let channel = Channel::builder(&server.target())
            .interceptor(only(["/b.B/*"], named('b', &log)).unwrap())
            .interceptor(only(["/a.A/*"], named('a', &log)).unwrap())
            .interceptor(named('c', &log))
            .build()
            .unwrap();
        tokio::spawn(server.run());
        for (path, ran) in [
            ("/a.A/One", "ac123"),
            ("/a.A/Two", "ac23"),
            ("/b.B/Two", "bc234"),
            ("/b.B/One", "bc24"),
            ("/a.AA/One", "c2"),
        ] {
            channel.unary::<Raw, Raw>(&Method::new(path, Kind::Unary), Raw::default()).await.unwrap();
            assert_eq!(std::mem::take(&mut *log.lock().unwrap()), ran, "{path}");
        }
    }

    #[test]
    fn methods_that_are_none_are_refused() {
        let error = only(["/a.A/*", "a.A"], named('x', &Log::default())).err().unwrap();
        assert!(error.to_string().starts_with("\"a.A\" must be a method: "), "{error}");
    }
}
