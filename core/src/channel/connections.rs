//! What the connections and attempts of a subchannel add up to, without I/O.
//!
//! ```text
//! at least one connection whose server serves ──► Ready                    (the first line that holds)
//! an attempt, or a server that did not say yet ─► Connecting
//! a pause after a failure, or none that serves ─► TransientFailure
//! else ─────────────────────────────────────────► Idle
//! ```
//!
//! More than one connection there is only where a server takes too few calls on one (gRFC A105).

use super::balance::SubchannelState;
use crate::Status;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Connections<C> {
    /// The oldest first.
    lines: Vec<Line<C>>,
    attempt: Attempt,
    told: SubchannelState,
    next_key: u64,
    /// Its policy is done with it.
    closed: bool,
}

#[derive(Debug)]
struct Line<C> {
    key: u64,
    connection: C,
    health: Health,
}

/// Whether a server serves, by its own word if that is asked for (gRFC A17).
#[derive(Clone, Debug)]
pub(crate) enum Health {
    /// It did not say yet.
    Unknown,
    Serving,
    /// It does not, or cannot say; the status is what calls get.
    Failing(Status),
}

/// The one attempt that there may be at a time.
#[derive(Debug)]
enum Attempt {
    None,
    UnderWay,
    /// It failed, and the pause is not over.
    Pausing(Status),
}

impl<C: Clone> Connections<C> {
    pub(crate) fn new() -> Self {
        Connections {
            lines: Vec::new(),
            attempt: Attempt::None,
            told: SubchannelState::Idle,
            next_key: 0,
            closed: false,
        }
    }

    /// Whether an attempt is to be made, if there may be `most` connections: one at a time, and none within a pause.
    pub(crate) fn begin(&mut self, most: usize) -> bool {
        let may = !self.closed && matches!(self.attempt, Attempt::None) && self.lines.len() < most;
        if may {
            self.attempt = Attempt::UnderWay;
        }
        may
    }

    /// The attempt led to a connection. Its key is given; `None` if nobody wants it any more.
    pub(crate) fn connected(&mut self, connection: C, health: Health) -> Option<u64> {
        self.attempt = Attempt::None;
        if self.closed {
            return None;
        }
        self.next_key += 1;
        self.lines.push(Line { key: self.next_key, connection, health });
        Some(self.next_key)
    }

    /// The attempt failed: a pause begins.
    pub(crate) fn failed(&mut self, status: Status) {
        self.attempt = Attempt::Pausing(status);
    }

    /// The pause is over, or the attempt has ended without an outcome.
    pub(crate) fn over(&mut self) {
        self.attempt = Attempt::None;
    }

    /// The server of a connection says whether it serves.
    pub(crate) fn set_health(&mut self, key: u64, health: Health) {
        if let Some(line) = self.lines.iter_mut().find(|line| line.key == key) {
            line.health = health;
        }
    }

    /// Forgets the connections that are `lost`, and gives them.
    pub(crate) fn forget(&mut self, lost: impl Fn(&C) -> bool) -> Vec<C> {
        let gone = self.lines.extract_if(.., |line| lost(&line.connection));
        gone.map(|line| line.connection).collect()
    }

    /// Forgets all, for ever.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.lines.clear();
    }

    /// Those that calls may be placed on, the oldest first.
    pub(crate) fn usable(&self) -> Vec<C> {
        let serving = self.lines.iter().filter(|line| matches!(line.health, Health::Serving));
        serving.map(|line| line.connection.clone()).collect()
    }

    /// The state, if it is not the one that was told last.
    pub(crate) fn news(&mut self) -> Option<SubchannelState> {
        let state = self.state();
        if self.closed || state.is_like(&self.told) {
            return None;
        }
        self.told = state.clone();
        Some(state)
    }

    /// The state that was told last.
    pub(crate) fn told(&self) -> &SubchannelState {
        &self.told
    }

    fn state(&self) -> SubchannelState {
        let is_any = |is: fn(&Health) -> bool| self.lines.iter().any(|line| is(&line.health));
        if is_any(|health| matches!(health, Health::Serving)) {
            return SubchannelState::Ready;
        }
        if matches!(self.attempt, Attempt::UnderWay) || is_any(|health| matches!(health, Health::Unknown)) {
            return SubchannelState::Connecting;
        }
        let failing = self.lines.iter().find_map(|line| match &line.health {
            Health::Failing(status) => Some(status),
            Health::Unknown | Health::Serving => None,
        });
        match (failing, &self.attempt) {
            (Some(status), _) | (None, Attempt::Pausing(status)) => {
                SubchannelState::TransientFailure(status.clone())
            }
            (None, Attempt::None | Attempt::UnderWay) => SubchannelState::Idle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Named = Connections<&'static str>;

    fn news(connections: &mut Named) -> String {
        match connections.news() {
            None => "none".to_owned(),
            Some(SubchannelState::TransientFailure(status)) => status.message().to_owned(),
            Some(state) => format!("{state:?}"),
        }
    }

    fn connected(name: &'static str, health: Health) -> (Named, u64) {
        let mut connections = Named::new();
        assert!(connections.begin(1));
        assert_eq!(news(&mut connections), "Connecting");
        let key = connections.connected(name, health).unwrap();
        (connections, key)
    }

    #[test]
    fn one_attempt_at_a_time_and_none_within_a_pause() {
        let mut connections = Named::new();
        assert!(connections.begin(1) && !connections.begin(1));
        assert_eq!([news(&mut connections), news(&mut connections)], ["Connecting", "none"]);
        connections.failed(Status::unavailable("down"));
        assert_eq!(news(&mut connections), "down");
        assert!(!connections.begin(1));
        connections.over();
        assert_eq!(news(&mut connections), "Idle");
        assert!(connections.begin(1));
        connections.connected("a", Health::Serving);
        assert_eq!((news(&mut connections), connections.usable()), ("Ready".to_owned(), vec!["a"]));
        assert!(!connections.begin(1), "one is all there may be");
        assert_eq!(connections.forget(|name| *name == "a"), ["a"]);
        assert_eq!((news(&mut connections), connections.usable()), ("Idle".to_owned(), vec![]));
    }

    // gRFC A17, "Client Workflow"
    #[test]
    fn server_is_ready_when_it_says_that_it_serves() {
        let (mut connections, key) = connected("a", Health::Unknown);
        assert_eq!((news(&mut connections), connections.usable()), ("none".to_owned(), vec![]));
        connections.set_health(key, Health::Serving);
        assert_eq!((news(&mut connections), connections.usable()), ("Ready".to_owned(), vec!["a"]));
        for why in ["it does not serve", "nobody knows it"] {
            connections.set_health(key, Health::Failing(Status::unavailable(why)));
            assert_eq!((news(&mut connections), connections.usable()), (why.to_owned(), vec![]));
        }
        connections.set_health(key, Health::Serving);
        assert_eq!(news(&mut connections), "Ready", "at once");
        connections.set_health(key, Health::Unknown);
        assert_eq!(news(&mut connections), "Connecting", "it is asked again");
        assert!(!connections.begin(1), "there is a connection");
        connections.forget(|_| true);
        assert_eq!(news(&mut connections), "Idle");
        connections.set_health(key, Health::Serving);
        assert_eq!(news(&mut connections), "none", "of one that is gone");
    }

    // gRFC A105, "Backoff Behavior and Connectivity State"
    #[test]
    fn attempt_for_one_more_shows_only_when_the_others_are_lost() {
        let (mut connections, _) = connected("a", Health::Serving);
        assert_eq!(news(&mut connections), "Ready");
        assert!(connections.begin(2) && !connections.begin(2));
        assert_eq!(news(&mut connections), "none");
        connections.forget(|_| true);
        assert_eq!(news(&mut connections), "Connecting", "straight from Ready");
        connections.connected("b", Health::Serving);
        assert_eq!(news(&mut connections), "Ready");
        assert!(connections.begin(2));
        connections.failed(Status::unavailable("down"));
        assert_eq!(news(&mut connections), "none");
        connections.forget(|_| true);
        assert_eq!(news(&mut connections), "down", "straight from Ready");
        connections.over();
        assert_eq!(news(&mut connections), "Idle");
    }

    #[test]
    fn oldest_comes_first() {
        let (mut connections, _) = connected("a", Health::Serving);
        for name in ["b", "c"] {
            assert!(connections.begin(3));
            connections.connected(name, Health::Serving);
        }
        assert!(!connections.begin(3));
        assert_eq!(connections.usable(), ["a", "b", "c"]);
        connections.forget(|name| *name == "a");
        assert!(connections.begin(3));
        connections.connected("d", Health::Serving);
        assert_eq!(connections.usable(), ["b", "c", "d"]);
    }

    #[test]
    fn closed_ones_begin_and_tell_nothing() {
        let (mut connections, _) = connected("a", Health::Serving);
        connections.close();
        assert!(!connections.begin(9) && connections.usable().is_empty());
        assert_eq!(
            (connections.connected("b", Health::Serving), news(&mut connections)),
            (None, "none".to_owned())
        );
    }
}
