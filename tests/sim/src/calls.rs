//! Calls: what a client asks for, how it reads the answer, and how it knows that the answer is right.

use std::future::IntoFuture;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use spanwire::{Channel, Encoding, Kind, Raw, Status};

use crate::service::method;
use crate::{Ledger, Random, ms};

/// One call, as the client plans it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which of the four methods.
    pub kind: Kind,
    /// Messages that the client sends, where it may send several.
    pub requests: u32,
    /// Messages that the server sends, where it may send several; a bidirectional one answers each request.
    pub replies: u32,
    /// Bytes of each message, each way.
    pub size: u32,
    /// What the handler waits before each of its messages.
    pub work: Duration,
    /// What the client waits before each message that it sends or reads.
    pub idle: Duration,
    /// After so many messages the handler gives up with FAILED_PRECONDITION.
    pub quits_after: Option<u32>,
    /// The call's deadline.
    pub timeout: Option<Duration>,
    /// Whether it waits for a server.
    pub wait_for_ready: bool,
    /// How requests are compressed.
    pub encoding: Option<Encoding>,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            kind: Kind::Unary,
            requests: 1,
            replies: 1,
            size: 10,
            work: Duration::ZERO,
            idle: Duration::ZERO,
            quits_after: None,
            timeout: None,
            wait_for_ready: false,
            encoding: None,
        }
    }
}

impl Plan {
    /// Any kind of call, with few messages of up to `most` bytes, that waits here and there for up to `pause`
    /// milliseconds.
    #[must_use]
    pub fn any(random: &mut Random, most: u64, pause: u64) -> Self {
        let kind = random.pick(&[Kind::Unary, Kind::ServerStreaming, Kind::ClientStreaming, Kind::Bidi]);
        let mut wait = || if random.percent(50) { random.ms(0..=pause) } else { Duration::ZERO };
        let (work, idle) = (wait(), wait());
        Plan {
            kind,
            requests: random.within(0..=6) as u32,
            replies: random.within(0..=6) as u32,
            size: random.size(most) as u32,
            work,
            idle,
            encoding: random.percent(10).then(|| random.pick(&[Encoding::Gzip, Encoding::Deflate])),
            ..Plan::default()
        }
    }
}

/// One message. Its content follows from the call and its place there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) call: u64,
    pub(crate) place: u32,
    pub(crate) replies: u32,
    pub(crate) size: u32,
    pub(crate) work: Duration,
    pub(crate) quits_after: Option<u32>,
}

impl Note {
    fn new(call: u64, place: u32, plan: &Plan) -> Self {
        let &Plan { replies, size, work, quits_after, .. } = plan;
        Note { call, place, replies, size, work, quits_after }
    }

    pub(crate) fn at(&self, place: u32) -> Self {
        Note { place, ..self.clone() }
    }

    pub(crate) fn encode(&self) -> Raw {
        let mut bytes = BytesMut::with_capacity(32 + self.size as usize);
        bytes.put_u64(self.call);
        bytes.put_u32(self.place);
        bytes.put_u32(self.replies);
        bytes.put_u32(self.size);
        bytes.put_u64(self.work.as_millis() as u64);
        bytes.put_u32(self.quits_after.map_or(u32::MAX, |after| after));
        bytes.extend((0..self.size).map(|index| self.byte(index)));
        Raw(bytes.freeze())
    }

    fn byte(&self, index: u32) -> u8 {
        (index ^ (index >> 8) ^ self.place.wrapping_mul(31)).wrapping_add(self.call as u32) as u8
    }

    /// Reads a message and checks every byte of it.
    pub(crate) fn decode(raw: &Raw) -> Result<Self, Status> {
        let mut bytes: Bytes = raw.0.clone();
        let wrong = |what: &str| Status::data_loss(format!("a message came wrong: {what}"));
        if bytes.len() < 32 {
            return Err(wrong("it is too short"));
        }
        let (call, place, replies, size) =
            (bytes.get_u64(), bytes.get_u32(), bytes.get_u32(), bytes.get_u32());
        let work = ms(bytes.get_u64());
        let quits_after = Some(bytes.get_u32()).filter(|after| *after != u32::MAX);
        let note = Note { call, place, replies, size, work, quits_after };
        if bytes.len() != size as usize || (0..size).any(|index| bytes[index as usize] != note.byte(index)) {
            return Err(wrong("its bytes are not those that were sent"));
        }
        Ok(note)
    }

    /// Checks that `raw` is the message `place` of this call.
    fn expect(&self, place: u32, raw: &Raw) -> Result<(), Status> {
        let got = Note::decode(raw)?;
        if got != self.at(place) {
            return Err(Status::data_loss(format!("instead of message {place} came {got:?}")));
        }
        Ok(())
    }
}

async fn pause(length: Duration) {
    if length > Duration::ZERO {
        tokio::time::sleep(length).await;
    }
}

/// Makes the call and notes its end in the books. Dropped, it is noted as dropped.
///
/// # Errors
/// The call's status; DATA_LOSS if it succeeded with a wrong answer.
pub async fn call(ledger: &Ledger, channel: &Channel, plan: &Plan) -> Result<(), Status> {
    let number = ledger.open();
    let first = Note::new(number, 0, plan);
    let result = match plan.kind {
        Kind::Unary => unary(channel, plan, &first).await,
        Kind::ServerStreaming => down(channel, plan, &first).await,
        Kind::ClientStreaming => up(channel, plan, &first).await,
        Kind::Bidi => bidi(channel, plan, &first).await,
    };
    ledger.ended(number, &result);
    result
}

macro_rules! with_options {
    ($call:expr, $plan:expr, $note:expr) => {{
        let mut call = $call.wait_for_ready($plan.wait_for_ready).metadata("call", &$note.call.to_string());
        if let Some(timeout) = $plan.timeout {
            call = call.timeout(timeout);
        }
        if let Some(encoding) = $plan.encoding {
            call = call.compress(encoding);
        }
        call
    }};
}

async fn unary(channel: &Channel, plan: &Plan, note: &Note) -> Result<(), Status> {
    let call = channel.unary::<_, Raw>(&method(plan.kind), note.encode());
    note.expect(0, &with_options!(call, plan, note).into_future().await?)
}

async fn down(channel: &Channel, plan: &Plan, note: &Note) -> Result<(), Status> {
    let call = channel.server_streaming::<_, Raw>(&method(plan.kind), note.encode());
    let mut stream = with_options!(call, plan, note).into_future().await?;
    let mut place = 0;
    loop {
        pause(plan.idle).await;
        match stream.next().await? {
            Some(message) => note.expect(place, &message)?,
            None => break,
        }
        place += 1;
    }
    whole(place, plan.replies)
}

async fn up(channel: &Channel, plan: &Plan, note: &Note) -> Result<(), Status> {
    let call = channel.client_streaming::<_, Raw>(&method(plan.kind));
    let mut stream = with_options!(call, plan, note).into_future().await?;
    for place in 0..plan.requests {
        pause(plan.idle).await;
        stream.send(note.at(place).encode()).await?;
    }
    pause(plan.idle).await;
    let answer = stream.finish().await?;
    let answer: [u8; 4] = answer.0.as_ref().try_into().map_err(|_| Status::data_loss("no number"))?;
    whole(u32::from_be_bytes(answer), plan.requests)
}

async fn bidi(channel: &Channel, plan: &Plan, note: &Note) -> Result<(), Status> {
    let call = channel.bidi::<_, Raw>(&method(plan.kind));
    let (mut sending, mut stream) = with_options!(call, plan, note).into_future().await?.split();
    let send = async {
        for place in 0..plan.requests {
            pause(plan.idle).await;
            if sending.send(note.at(place).encode()).await.is_err() {
                // The reader learns why.
                return;
            }
        }
        pause(plan.idle).await;
        sending.half_close();
    };
    let read = async {
        let mut place = 0;
        loop {
            pause(plan.idle).await;
            match stream.next().await? {
                Some(message) => note.expect(place, &message)?,
                None => return whole(place, plan.requests),
            }
            place += 1;
        }
    };
    // The answer decides; sending ends with it.
    tokio::pin!(send, read);
    tokio::select! {
        biased;
        result = &mut read => result,
        () = &mut send => read.await,
    }
}

fn whole(came: u32, due: u32) -> Result<(), Status> {
    if came == due {
        return Ok(());
    }
    Err(Status::data_loss(format!("OK after {came} messages of {due}")))
}
