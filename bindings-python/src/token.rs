//! Bearer tokens that a program in Python gets for itself.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use pyo3::prelude::*;
use spanwire::bridge::{TokenRequest, TokenSource};
use spanwire::{Code, Status, Token};

/// A source out of what `spanwire._token.bound` made. It runs on a thread of its own: a lane must not wait for the GIL.
pub(crate) fn source(get: Py<PyAny>) -> TokenSource {
    let get = Arc::new(get);
    TokenSource::new(move |request: TokenRequest| {
        let get = get.clone();
        // Without a thread or an interpreter the request is dropped, which fails the calls that wait for it.
        let started = thread::Builder::new().name("spanwire-token".to_owned()).spawn(move || {
            if let Some(answer) = Python::try_attach(|py| answer(py, &get)) {
                request.answer(answer);
            }
        });
        drop(started);
    })
}

fn answer(py: Python<'_>, get: &Py<PyAny>) -> Result<Token, Status> {
    let failed = |error: PyErr| Status::unavailable(format!("bearer_token: {error}"));
    let (code, text, expires): (u32, String, Option<f64>) =
        get.call0(py).and_then(|answer| answer.extract(py)).map_err(failed)?;
    match Code::from_u32(code).unwrap_or(Code::Unknown) {
        Code::Ok => {
            let mut token = Token::new(text);
            token.expires = expires
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
            Ok(token)
        }
        code => Err(Status::new(code, text)),
    }
}
