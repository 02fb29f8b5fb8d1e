//! Bearer tokens that the host's program gets for itself.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::{Status, Token};

/// Asks the host for a token: with the first call, and shortly before the last one ends. It is called on a lane, and must
/// not wait; [`TokenRequest::answer`] comes when there is a token, from any thread. Until then the calls wait, each up to its
/// deadline.
#[derive(Clone)]
pub struct TokenSource(Arc<dyn Fn(TokenRequest) + Send + Sync>);

/// A token that is wanted. Dropping it fails the calls that wait, with UNAVAILABLE.
#[derive(Debug)]
pub struct TokenRequest(oneshot::Sender<Result<Token, Status>>);

impl TokenSource {
    /// A source out of a function that is told what is wanted.
    pub fn new(ask: impl Fn(TokenRequest) + Send + Sync + 'static) -> Self {
        TokenSource(Arc::new(ask))
    }

    pub(crate) fn ask(&self) -> impl Future<Output = Result<Token, Status>> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        (self.0)(TokenRequest(sender));
        async move {
            receiver.await.unwrap_or_else(|_| {
                Err(Status::unavailable("bearer_token: the program's token source gave no answer"))
            })
        }
    }
}

impl TokenRequest {
    /// The token, or why there is none: the status of the calls that wait, and of those of the next second.
    pub fn answer(self, token: Result<Token, Status>) {
        // Nobody waits any more if the channel is gone.
        let _ = self.0.send(token);
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").finish_non_exhaustive()
    }
}
