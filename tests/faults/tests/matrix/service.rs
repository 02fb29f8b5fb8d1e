//! The service behind the faults, and its books: which calls were begun, and which were answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use spanwire::server::{Handler, Service};
use spanwire::{Context, Kind, Method, Raw, Status, Streaming};

pub(crate) const UNARY: Method = Method::new("/test.Books/Unary", Kind::Unary);
pub(crate) const DOWN: Method = Method::new("/test.Books/Down", Kind::ServerStreaming);
pub(crate) const UP: Method = Method::new("/test.Books/Up", Kind::ClientStreaming);
pub(crate) const BIDI: Method = Method::new("/test.Books/Bidi", Kind::Bidi);

/// The metadata key under which a call says its name.
pub(crate) const CALL: &str = "call";

/// What became of one call in the handlers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) begun: usize,
    /// The request was read whole, and the answer handed over.
    pub(crate) finished: usize,
}

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub(crate) struct Books(Arc<Mutex<BTreeMap<String, Entry>>>);

impl Books {
    pub(crate) fn of(&self, call: &str) -> Entry {
        self.0.lock().unwrap().get(call).copied().unwrap_or_default()
    }

    fn note(&self, context: &Context, change: impl FnOnce(&mut Entry)) {
        let call = context.metadata().get(CALL).unwrap_or_default().to_owned();
        change(self.0.lock().unwrap().entry(call).or_default());
    }

    fn begin(&self, context: &Context) {
        self.note(context, |entry| entry.begun += 1);
    }

    fn finish(&self, context: &Context, result: &Result<(), Status>) {
        if result.is_ok() {
            self.note(context, |entry| entry.finished += 1);
        }
    }
}

/// How many messages go in a direction that has several.
pub(crate) const MESSAGES: usize = 3;

impl Service for Books {
    fn name(&self) -> &'static str {
        "test.Books"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let books = Arc::new(self.clone());
        let unary = |books: Arc<Books>, request: Raw, context| async move {
            books.begin(&context);
            books.finish(&context, &Ok(()));
            (Ok(request), context)
        };
        let down = |books: Arc<Books>, request: Raw, mut replies: spanwire::Sending<Raw>, context| async move {
            books.begin(&context);
            let mut result = Ok(());
            for _ in 0..MESSAGES {
                result = result.and(replies.send(request.clone()).await);
            }
            books.finish(&context, &result);
            (result, context)
        };
        let up = |books: Arc<Books>, mut requests: Streaming<Raw>, context| async move {
            books.begin(&context);
            let mut all = Vec::new();
            let result = loop {
                match requests.next().await {
                    Ok(Some(message)) => all.extend_from_slice(&message.0),
                    Ok(None) => break Ok(()),
                    Err(status) => break Err(status),
                }
            };
            books.finish(&context, &result);
            (result.map(|()| Raw::from(all)), context)
        };
        let bidi = |books: Arc<Books>,
                    mut requests: Streaming<Raw>,
                    mut replies: spanwire::Sending<Raw>,
                    context| async move {
            books.begin(&context);
            let result = loop {
                match requests.next().await {
                    Ok(Some(message)) => match replies.send(message).await {
                        Ok(()) => {}
                        Err(status) => break Err(status),
                    },
                    Ok(None) => break Ok(()),
                    Err(status) => break Err(status),
                }
            };
            books.finish(&context, &result);
            (result, context)
        };
        vec![
            ("Unary", Handler::unary(books.clone(), unary)),
            ("Down", Handler::server_streaming(books.clone(), down)),
            ("Up", Handler::client_streaming(books.clone(), up)),
            ("Bidi", Handler::bidi(books, bidi)),
        ]
    }
}
