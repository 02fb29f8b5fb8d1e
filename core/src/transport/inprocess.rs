//! Servers in the same process, found by name: no socket, the same HTTP/2.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use super::io::RawIo;

/// Bytes in flight each way inside the process.
const PIPE_BYTES: usize = 64 * 1024;

type Listeners = HashMap<String, mpsc::Sender<DuplexStream>>;
static LISTENERS: LazyLock<Mutex<Listeners>> = LazyLock::new(Mutex::default);

/// A name that clients of this process can connect to, until it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    name: String,
    incoming: mpsc::Receiver<DuplexStream>,
}

/// Takes the name `name`.
pub(crate) fn listen(name: &str) -> std::io::Result<Listener> {
    let (sender, incoming) = mpsc::channel(64);
    let mut listeners = LISTENERS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if listeners.get(name).is_some_and(|sender| !sender.is_closed()) {
        let text = format!("inprocess:{name} is taken by another server of this process");
        return Err(std::io::Error::new(std::io::ErrorKind::AddrInUse, text));
    }
    listeners.insert(name.to_owned(), sender);
    Ok(Listener { name: name.to_owned(), incoming })
}

/// Connects to the server that took `name`.
pub(crate) async fn connect(name: &str) -> std::io::Result<RawIo> {
    let refused = || {
        let text = format!("no server of this process listens on inprocess:{name}");
        std::io::Error::new(std::io::ErrorKind::ConnectionRefused, text)
    };
    let sender = {
        let listeners = LISTENERS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        listeners.get(name).cloned().ok_or_else(refused)?
    };
    let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
    sender.send(theirs).await.map_err(|_| refused())?;
    Ok(ours.into())
}

impl Listener {
    pub(crate) async fn accept(&mut self) -> Option<RawIo> {
        self.incoming.recv().await.map(RawIo::from)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.incoming.close();
        let mut listeners = LISTENERS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if listeners.get(&self.name).is_some_and(mpsc::Sender::is_closed) {
            listeners.remove(&self.name);
        }
    }
}
