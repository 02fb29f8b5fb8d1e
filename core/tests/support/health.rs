//! A server that answers with its name and says how it is (`grpc.health.v1.Health`), as a test tells it to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use spanwire::server::{Handler, Service};
use spanwire::{Context, Raw, ServerHandle, Status};
use tokio::sync::watch;
use tokio::time::Instant;

use super::who::start_beside;

pub const UNKNOWN: u8 = 0;
pub const SERVING: u8 = 1;
pub const NOT_SERVING: u8 = 2;
pub const SERVICE_UNKNOWN: u8 = 3;
/// Ends the streams.
pub const END: u8 = 255;

/// A `Watch` call: when it came, for which service, and with what token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub at: Instant,
    pub service: String,
    pub token: Option<String>,
}

#[derive(Clone)]
pub struct Health {
    pub status: watch::Sender<u8>,
    /// How the next streams end at once, instead of saying the status.
    pub endings: Arc<Mutex<VecDeque<Status>>>,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    /// Streams that are open.
    pub open: Arc<AtomicUsize>,
}

impl Health {
    pub fn new(status: u8) -> Self {
        Health {
            status: watch::Sender::new(status),
            endings: Arc::default(),
            asked: Arc::default(),
            open: Arc::default(),
        }
    }

    pub fn set(&self, status: u8) {
        self.status.send_replace(status);
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// The time between the calls, in milliseconds.
    pub fn gaps(&self) -> Vec<u128> {
        let asked = self.asked.lock().unwrap();
        asked.windows(2).map(|pair| (pair[1].at - pair[0].at).as_millis()).collect()
    }

    /// Starts a server at `inprocess:<name>` that is as well as this says.
    pub async fn start(&self, name: &'static str) -> ServerHandle {
        start_beside(name, self.clone()).await
    }
}

/// One open stream.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service for Health {
    fn name(&self) -> &'static str {
        "grpc.health.v1.Health"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let watch = Handler::server_streaming(
            Arc::new(self.clone()),
            |this, request: Raw, mut replies, context: Context| async move {
                // A string as field 1, or nothing: the empty one.
                let service = request.0.get(2..).unwrap_or_default();
                this.asked.lock().unwrap().push(Asked {
                    at: Instant::now(),
                    service: String::from_utf8_lossy(service).into_owned(),
                    token: context.metadata().get("authorization").map(str::to_owned),
                });
                this.open.fetch_add(1, Ordering::SeqCst);
                let _open = Open(this.open.clone());
                let ending = this.endings.lock().unwrap().pop_front();
                if let Some(status) = ending {
                    return (Err(status), context);
                }
                let mut statuses = this.status.subscribe();
                loop {
                    let status = *statuses.borrow_and_update();
                    if status == END {
                        return (Ok(()), context);
                    }
                    let message = if status == 0 { Vec::new() } else { vec![8, status] };
                    if let Err(status) = replies.send(Raw::from(message)).await {
                        return (Err(status), context);
                    }
                    let _ = statuses.changed().await;
                }
            },
        );
        vec![("Watch", watch)]
    }
}
