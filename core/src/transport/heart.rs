//! The pings of a connection, and what their answers lead to.

use std::sync::Arc;
use std::task::{Context, Poll};

use h2::{Ping, PingPong};
use tokio::time::Instant;

use super::ping::{Action, Pinger};
use super::watch::WireFacts;
use crate::timer::Timer;

/// Pings of one connection: keepalive and the bandwidth estimate, on the single user ping that h2 has.
pub(crate) struct Heart {
    facts: Arc<WireFacts>,
    ping: Option<PingPong>,
    pinger: Pinger,
    timer: Timer,
    frames: u64,
    data: u64,
}

/// What a driver has to do now.
pub(crate) enum Beat {
    /// Nothing; the task is woken when there is.
    Quiet,
    /// Poll the connection again: a ping waits to be written.
    Again,
    /// Set this stream window, then poll the connection again.
    Window(u32),
    /// The peer is gone.
    Dead,
}

impl Heart {
    pub(crate) fn new(facts: Arc<WireFacts>, ping: Option<PingPong>, pinger: Pinger) -> Self {
        Heart { facts, ping, pinger, timer: Timer::default(), frames: 0, data: 0 }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, now: Instant, has_calls: bool) -> Beat {
        let frames = self.facts.read_frames();
        if frames != self.frames {
            self.frames = frames;
            self.pinger.on_read(now);
            let data = self.facts.read_data_bytes();
            if data != self.data {
                self.pinger.on_data(data - self.data);
                self.data = data;
            }
        }
        let Some(ping) = self.ping.as_mut() else { return Beat::Quiet };
        if let Poll::Ready(Ok(_)) = ping.poll_pong(cx)
            && let Some(window) = self.pinger.on_pong(now)
        {
            return Beat::Window(window);
        }
        match self.pinger.poll(now, has_calls) {
            Action::Dead => Beat::Dead,
            Action::SendPing => {
                if ping.send_ping(Ping::opaque()).is_err() {
                    return Beat::Quiet;
                }
                self.pinger.on_ping_sent(now);
                Beat::Again
            }
            Action::Nothing(until) => match self.timer.poll(until, cx) {
                Poll::Ready(()) => {
                    self.timer = Timer::default();
                    Beat::Again
                }
                Poll::Pending => Beat::Quiet,
            },
        }
    }
}
