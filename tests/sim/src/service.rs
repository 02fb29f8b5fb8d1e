//! The service: a method of each kind, whose handlers keep the books and check every message.

use std::sync::Arc;
use std::time::Duration;

use spanwire::server::{Handler, Service};
use spanwire::{Context, Kind, Method, Raw, Sending, Status, Streaming};

use crate::Ledger;
use crate::calls::Note;
use crate::ledger::Running;

/// The method of a kind.
pub(crate) fn method(kind: Kind) -> Method {
    match kind {
        Kind::Unary => Method::new("/sim.Work/Once", kind),
        Kind::ServerStreaming => Method::new("/sim.Work/Down", kind),
        Kind::ClientStreaming => Method::new("/sim.Work/Up", kind),
        Kind::Bidi => Method::new("/sim.Work/Both", kind),
    }
}

/// Does what the requests say.
#[derive(Clone, Debug)]
pub struct Work(pub Ledger);

impl Work {
    fn starts(&self, context: &Context) -> Running {
        let call = context.metadata().get("call").and_then(|call| call.parse().ok());
        self.0.started(call.expect("each call says its number"), context.cancellation())
    }
}

async fn work(note: &Note) -> Result<(), Status> {
    if note.work > Duration::ZERO {
        tokio::time::sleep(note.work).await;
    }
    match note.quits_after {
        Some(after) if note.place >= after => Err(Status::failed_precondition("enough")),
        _ => Ok(()),
    }
}

async fn once(request: Raw) -> Result<Raw, Status> {
    let note = Note::decode(&request)?;
    work(&note).await?;
    Ok(note.encode())
}

async fn down(request: Raw, replies: &mut Sending<Raw>) -> Result<(), Status> {
    let note = Note::decode(&request)?;
    for place in 0..note.replies {
        let note = note.at(place);
        work(&note).await?;
        replies.send(note.encode()).await?;
    }
    work(&note.at(note.replies)).await
}

/// The next request, which must be the one of its place.
async fn next(requests: &mut Streaming<Raw>, place: u32) -> Result<Option<Note>, Status> {
    let Some(request) = requests.next().await? else { return Ok(None) };
    let note = Note::decode(&request)?;
    if note.place != place {
        return Err(Status::data_loss(format!("instead of request {place} came {}", note.place)));
    }
    work(&note).await?;
    Ok(Some(note))
}

async fn up(requests: &mut Streaming<Raw>) -> Result<Raw, Status> {
    let mut count = 0_u32;
    while next(requests, count).await?.is_some() {
        count += 1;
    }
    Ok(Raw::from(count.to_be_bytes().to_vec()))
}

async fn both(requests: &mut Streaming<Raw>, replies: &mut Sending<Raw>) -> Result<(), Status> {
    let mut count = 0;
    while let Some(note) = next(requests, count).await? {
        replies.send(note.encode()).await?;
        count += 1;
    }
    Ok(())
}

impl Service for Work {
    fn name(&self) -> &'static str {
        "sim.Work"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let this = Arc::new(self.clone());
        vec![
            (
                "Once",
                Handler::unary(this.clone(), |this, request, context| async move {
                    let running = this.starts(&context);
                    let result = once(request).await;
                    running.finish();
                    (result, context)
                }),
            ),
            (
                "Down",
                Handler::server_streaming(this.clone(), |this, request, mut replies, context| async move {
                    let running = this.starts(&context);
                    let result = down(request, &mut replies).await;
                    running.finish();
                    (result, context)
                }),
            ),
            (
                "Up",
                Handler::client_streaming(this.clone(), |this, mut requests, context| async move {
                    let running = this.starts(&context);
                    let result = up(&mut requests).await;
                    running.finish();
                    (result, context)
                }),
            ),
            (
                "Both",
                Handler::bidi(this, |this, mut requests, mut replies, context| async move {
                    let running = this.starts(&context);
                    let result = both(&mut requests, &mut replies).await;
                    running.finish();
                    (result, context)
                }),
            ),
        ]
    }
}
