//! A relay between client and server whose connections can be cut.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Passes bytes on, until it is told to cut.
pub struct Relay {
    address: SocketAddr,
    cut: Arc<Notify>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// A relay on a free port to `server`.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn to(server: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let cut = Arc::new(Notify::new());
        let accepting = tokio::spawn(accept(listener, server, cut.clone()));
        Ok(Relay { address, cut, accepting })
    }

    /// Where it listens, as a channel's target.
    #[must_use]
    pub fn target(&self) -> String {
        self.address.to_string()
    }

    /// Resets every connection that is open, on both sides.
    pub fn cut(&self) {
        self.cut.notify_waiters();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, cut: Arc<Notify>) {
    while let Ok((client, _)) = listener.accept().await {
        let cut = cut.clone();
        tokio::spawn(async move {
            let cut = cut.notified();
            let _ = pass_on(client, server, cut).await;
        });
    }
}

async fn pass_on(
    mut client: TcpStream,
    server: SocketAddr,
    cut: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    tokio::select! {
        done = copy_bidirectional(&mut client, &mut server) => done.map(drop),
        () = cut => {
            // Dropping a socket with this on sends RST, as a crash of the machine between would.
            client.set_zero_linger()?;
            server.set_zero_linger()
        }
    }
}
