//! Bearer tokens that JavaScript gets: wanted on a lane, answered on the environment's thread.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use napi::bindgen_prelude::Result;
use napi_derive::napi;
use spanwire::bridge::{TokenRequest, TokenSource};
use spanwire::{Code, Status, Token};

use crate::bell::Bell;
use crate::environment::Environment;

/// The requests of an environment.
#[derive(Clone, Default)]
pub(crate) struct Tokens(Arc<Mutex<Wanted>>);

#[derive(Default)]
struct Wanted {
    /// By the number of their source; JavaScript does not know of them yet.
    asked: Vec<(u32, TokenRequest)>,
    /// By numbers of their own.
    open: HashMap<u32, TokenRequest>,
    next: u32,
    closed: bool,
}

impl Tokens {
    /// A source that JavaScript knows by `number`.
    pub(crate) fn source(&self, number: u32, bell: Bell) -> TokenSource {
        let this = self.clone();
        TokenSource::new(move |request| {
            let mut wanted = this.lock();
            if !wanted.closed {
                wanted.asked.push((number, request));
                drop(wanted);
                bell.ring();
            }
        })
    }

    /// The environment ends: nobody answers any more.
    pub(crate) fn close(&self) {
        let mut wanted = self.lock();
        let left = std::mem::replace(&mut *wanted, Wanted { closed: true, ..Wanted::default() });
        drop(wanted);
        drop(left);
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[napi]
impl Environment {
    /// The tokens that became wanted: pairs of a source's number and that of the request.
    ///
    /// # Errors
    /// The environment is ending.
    #[napi(catch_unwind)]
    pub fn wanted_tokens(&self) -> Result<Vec<u32>> {
        let state = self.state()?;
        let mut wanted = state.tokens.lock();
        let asked = std::mem::take(&mut wanted.asked);
        let mut numbers = Vec::with_capacity(2 * asked.len());
        for (source, request) in asked {
            let number = wanted.next;
            wanted.next = wanted.next.wrapping_add(1);
            wanted.open.insert(number, request);
            numbers.extend([source, number]);
        }
        Ok(numbers)
    }

    /// Answers a request with a token, and when it ends in milliseconds since 1970; or with a code and why there is none.
    ///
    /// # Errors
    /// The environment is ending.
    #[napi(catch_unwind)]
    pub fn answer_token(&self, request: u32, text: String, expires_ms: Option<f64>, code: u32) -> Result<()> {
        let request = self.state()?.tokens.lock().open.remove(&request);
        let answer = match Code::from_u32(code).unwrap_or(Code::Unknown) {
            Code::Ok => {
                let mut token = Token::new(text);
                token.expires = expires_ms.and_then(|ms| {
                    SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(ms / 1e3).ok()?)
                });
                Ok(token)
            }
            code => Err(Status::new(code, text)),
        };
        if let Some(request) = request {
            request.answer(answer);
        }
        Ok(())
    }
}
