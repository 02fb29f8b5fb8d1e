//! The network: who listens, who connects, and under which weather.

use std::collections::VecDeque;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;

use crate::stream::{Connection, Path};
use crate::{Fate, Random, SimStream, Trace};

/// What new connections will be like.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Milliseconds that bytes take, each way.
    pub latency_ms: RangeInclusive<u64>,
    /// Most bytes of one read or write.
    pub piece: RangeInclusive<u64>,
    /// Bytes that can be under way in each direction.
    pub capacity: RangeInclusive<u64>,
    /// Of a hundred connections, so many meet one of `fates`.
    pub unlucky_percent: u64,
    /// After how many bytes in one direction.
    pub lucky_bytes: RangeInclusive<u64>,
    /// What happens then.
    pub fates: Vec<Fate>,
    /// Nobody answers attempts to connect.
    pub dark: bool,
}

impl Default for Weather {
    /// Moderate: some delay, pieces of all sizes, nothing is lost.
    fn default() -> Self {
        Weather {
            latency_ms: 0..=5,
            piece: 100..=100_000,
            capacity: 1_000..=100_000,
            unlucky_percent: 0,
            lucky_bytes: 0..=20_000,
            fates: vec![Fate::Reset, Fate::Lost],
            dark: false,
        }
    }
}

/// The network of one run. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Network(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    random: Random,
    trace: Trace,
    weather: Weather,
    listener: Option<Arc<Mutex<Backlog>>>,
    connections: Vec<Arc<Mutex<Connection>>>,
    made: u64,
    attempts: Vec<(String, u64)>,
}

#[derive(Debug, Default)]
struct Backlog {
    waiting: VecDeque<SimStream>,
    waker: Option<Waker>,
}

impl Network {
    pub(crate) fn new(random: Random, trace: Trace) -> Self {
        Network(Arc::new(Mutex::new(Inner {
            random,
            trace,
            weather: Weather::default(),
            listener: None,
            connections: Vec::new(),
            made: 0,
            attempts: Vec::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Sets the weather of connections from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.lock().weather = weather;
    }

    /// Takes the place of whoever listens now. Dropped, nobody does.
    #[must_use]
    pub fn listen(&self) -> Incoming {
        let backlog = Arc::new(Mutex::new(Backlog::default()));
        self.lock().listener = Some(backlog.clone());
        Incoming { backlog, network: self.clone() }
    }

    /// Makes connections for the client `name`.
    pub fn connector(
        &self,
        name: &str,
    ) -> impl Fn() -> Pin<Box<dyn Future<Output = io::Result<SimStream>> + Send>> + Send + Sync + use<> {
        let (network, name) = (self.clone(), name.to_owned());
        move || Box::pin(network.clone().connect(name.clone()))
    }

    async fn connect(self, name: String) -> io::Result<SimStream> {
        let there_and_back = {
            let mut inner = self.lock();
            let now = inner.trace.now();
            inner.trace.note(format_args!("{name} connects"));
            inner.attempts.push((name, now));
            let latency = inner.weather.latency_ms.clone();
            (!inner.weather.dark).then(|| inner.random.ms(latency.clone()) + inner.random.ms(latency))
        };
        match there_and_back {
            Some(time) if time > Duration::ZERO => tokio::time::sleep(time).await,
            Some(_) => {}
            None => pending().await,
        }
        let mut inner = self.lock();
        let Some(backlog) = inner.listener.clone() else { return Err(ErrorKind::ConnectionRefused.into()) };
        let mut random = inner.random.fork();
        let weather = &inner.weather;
        let (least, most) = (*weather.latency_ms.start(), *weather.latency_ms.end());
        // Some connections are much like one latency, some jitter over all of them.
        let base = random.within(least..=most);
        let latency = if random.percent(50) { (base, base) } else { (least, most) };
        let path = Path {
            latency,
            piece: between(&mut random, &weather.piece),
            capacity: between(&mut random, &weather.capacity),
        };
        let plan = random.percent(weather.unlucky_percent).then(|| {
            let bytes = between(&mut random, &weather.lucky_bytes) as u64;
            (random.pick(&[0, 1]), bytes, random.pick(&weather.fates))
        });
        inner.made += 1;
        let (trace, number) = (inner.trace.clone(), inner.made);
        trace.note(format_args!("connection {number}: {path:?} {plan:?}"));
        let (connection, client, server) =
            Connection::open(number, random, trace, [path.clone(), path], plan);
        inner.connections.push(connection);
        let mut backlog = backlog.lock().unwrap();
        backlog.waiting.push_back(server);
        if let Some(waker) = backlog.waker.take() {
            waker.wake();
        }
        Ok(client)
    }

    /// Ends all connections that exist.
    pub fn end_all(&self, fate: Fate) {
        let connections = self.lock().connections.clone();
        for connection in connections {
            let mut connection = connection.lock().unwrap();
            if connection.is_held() {
                connection.end(fate);
            }
        }
    }

    /// Connections of which somebody still holds an end.
    #[must_use]
    pub fn open(&self) -> usize {
        self.lock().connections.iter().filter(|connection| connection.lock().unwrap().is_held()).count()
    }

    /// Notes the state of the connections that are still there, for whoever looks for a fault.
    pub(crate) fn note_state(&self) {
        let connections = self.lock().connections.clone();
        for connection in connections {
            let connection = connection.lock().unwrap();
            if connection.is_held() {
                connection.note_state();
            }
        }
    }

    /// Connections that were ever made.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.lock().made
    }

    /// Who tried to connect, and when in microseconds.
    #[must_use]
    pub fn attempts(&self) -> Vec<(String, u64)> {
        self.lock().attempts.clone()
    }
}

/// One of `range`, each order of magnitude as likely as the next.
fn between(random: &mut Random, range: &RangeInclusive<u64>) -> usize {
    let above = range.end() - range.start();
    *range.start() as usize + random.size(above)
}

/// The connections of one listener.
#[derive(Debug)]
pub struct Incoming {
    backlog: Arc<Mutex<Backlog>>,
    network: Network,
}

impl Stream for Incoming {
    type Item = io::Result<SimStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut backlog = self.backlog.lock().unwrap();
        backlog.waker = Some(cx.waker().clone());
        backlog.waiting.pop_front().map_or(Poll::Pending, |stream| Poll::Ready(Some(Ok(stream))))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let waiting = std::mem::take(&mut self.backlog.lock().unwrap().waiting);
        let mut inner = self.network.lock();
        match &inner.listener {
            Some(listener) if Arc::ptr_eq(listener, &self.backlog) => inner.listener = None,
            // As where a socket is handed over: who follows gets what was not accepted yet.
            Some(next) => {
                let mut next = next.lock().unwrap();
                next.waiting.extend(waiting);
                next.waker.take().into_iter().for_each(Waker::wake);
            }
            None => {}
        }
    }
}
