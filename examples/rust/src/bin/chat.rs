//! Messages both ways at once: what one says, all hear.
//!
//! ```sh
//! cargo run -p spanwire-examples --bin chat -- server 127.0.0.1:50052
//! cargo run -p spanwire-examples --bin chat -- client 127.0.0.1:50052 ada
//! cargo run -p spanwire-examples --bin chat -- client 127.0.0.1:50052 grace
//! ```

use spanwire::{Channel, Context, Sending, Server, Status, Streaming};
use spanwire_examples::chat::v1::{Chat, ChatClient, ChatServer, Said, Say};
use spanwire_examples::{Failure, serve};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;

/// What a listener may be behind, in messages.
const BACKLOG: usize = 256;

struct Room {
    said: broadcast::Sender<Said>,
}

impl Room {
    fn tell(&self, name: &str, text: String) {
        // An error means that nobody listens.
        let _ = self.said.send(Said { name: name.to_owned(), text });
    }
}

/// Tells the room that someone left, however the call ends: a handler that is cancelled is dropped.
struct Presence<'a> {
    room: &'a Room,
    name: String,
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.room.tell("", format!("{} left", self.name));
    }
}

impl Chat for Room {
    async fn join(
        &self,
        requests: &mut Streaming<Say>,
        replies: &mut Sending<Said>,
        context: &mut Context,
    ) -> Result<(), Status> {
        let Some(name) = context.metadata().get("chat-name").map(str::to_owned) else {
            return Err(Status::invalid_argument("the metadata have no chat-name"));
        };
        let mut room = self.said.subscribe();
        self.tell("", format!("{name} joined"));
        let presence = Presence { room: self, name };
        loop {
            tokio::select! {
                request = requests.next() => match request? {
                    Some(say) => self.tell(&presence.name, say.text),
                    None => break,
                },
                said = room.recv() => match said {
                    Ok(said) => replies.send(said).await?,
                    Err(RecvError::Lagged(missed)) => {
                        return Err(Status::resource_exhausted(format!("{missed} messages came faster than you read")));
                    }
                    Err(RecvError::Closed) => return Ok(()),
                },
            }
        }
        // The client has half-closed; it still gets what was said before.
        while let Ok(said) = room.try_recv() {
            replies.send(said).await?;
        }
        Ok(())
    }
}

async fn chat(target: &str, name: &str) -> Result<(), Failure> {
    let client = ChatClient::new(Channel::new(target)?);
    let (mut sending, mut heard) =
        client.join().metadata("chat-name", name).wait_for_ready(true).await?.split();
    let mut lines = lines_of_stdin();
    tokio::spawn(async move {
        while let Some(text) = lines.recv().await {
            // An error means that the call is over; the other half says why.
            if sending.send(Say { text }).await.is_err() {
                return;
            }
        }
        sending.half_close();
    });
    while let Some(Said { name, text }) = heard.next().await? {
        if name.is_empty() {
            println!("* {text}");
        } else {
            println!("{name}: {text}");
        }
    }
    Ok(())
}

/// Lines as they are typed. On a thread of its own, because reading a terminal cannot be cancelled.
fn lines_of_stdin() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["server", address] => {
            let room = Room { said: broadcast::Sender::new(BACKLOG) };
            serve(Server::builder().service(ChatServer::new(room)), address).await
        }
        ["client", target, name] => chat(target, name).await,
        _ => Err("usage: chat server ADDRESS | client TARGET NAME".into()),
    }
}
