//! What all calls are recorded in: the cells of their methods, and the spans that wait to be exported.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::cells::{CallCells, StreamCells};
use super::options::AccessLog;
use super::propagate::Tracing;
use super::span::{self, SpanQueue};
use crate::Method;
use crate::stats::ChannelCounters;

/// So many methods of a channel or a server are told apart: a proxy may call any number.
const MOST_METHODS: usize = 1000;

/// What stands for all others (gRFC A66).
pub(super) const OTHER: &str = "other";

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) metrics: bool,
    pub(super) tracing: Option<Tracing>,
    pub(super) access_log: AccessLog,
    pub(super) spans: SpanQueue,
    /// When recording began, since 1970.
    pub(super) began: Duration,
    targets: Mutex<BTreeMap<String, Arc<Target>>>,
    server_methods: Mutex<BTreeMap<String, Arc<ServerMethod>>>,
}

/// The calls of all channels to one target.
#[derive(Debug, Default)]
pub(super) struct Target {
    methods: ArcSwap<Methods>,
    /// Held while a method is added.
    adding: Mutex<()>,
    /// What the channels count themselves.
    counters: Mutex<Vec<Arc<ChannelCounters>>>,
}

type Methods = HashMap<Box<str>, Arc<ClientMethod>, BuildHasherDefault<PathHasher>>;

/// The calls of a client to one method.
#[derive(Debug)]
pub(super) struct ClientMethod {
    pub(super) name: String,
    pub(super) attempts: StreamCells,
    pub(super) calls: CallCells,
    pub(super) sent_span: Arc<str>,
    pub(super) attempt_span: Arc<str>,
}

/// The calls of a server to one method.
#[derive(Debug, Default)]
pub(super) struct ServerMethod {
    pub(super) calls: StreamCells,
}

/// Eight bytes at a time: paths are the program's own, and a call must not wait for a better hash.
#[derive(Default)]
pub(super) struct PathHasher(u64);

impl Hasher for PathHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn finish(&self) -> u64 {
        // The map looks at the high bits and at the low ones.
        self.0 ^ (self.0 >> 32)
    }
}

impl Recorder {
    pub(super) fn new(metrics: bool, tracing: Option<Tracing>, access_log: AccessLog) -> Self {
        Recorder {
            metrics,
            tracing,
            access_log,
            spans: SpanQueue::default(),
            began: span::now(),
            targets: Mutex::default(),
            server_methods: Mutex::default(),
        }
    }

    /// The cells of a target, for one more channel to it.
    pub(super) fn target(&self, name: &str, counters: &Arc<ChannelCounters>) -> Arc<Target> {
        let target = lock(&self.targets).entry(name.to_owned()).or_default().clone();
        lock(&target.counters).push(counters.clone());
        target
    }

    pub(super) fn targets(&self) -> Vec<(String, Arc<Target>)> {
        lock(&self.targets).iter().map(|(name, target)| (name.clone(), target.clone())).collect()
    }

    /// The cells of a server's method; `None` stands for those that it does not have.
    pub(super) fn server_method(&self, method: Option<&Method>) -> Arc<ServerMethod> {
        let name = method.map_or(OTHER, |method| without_slash(method.path()));
        lock(&self.server_methods).entry(name.to_owned()).or_default().clone()
    }

    pub(super) fn server_methods(&self) -> Vec<(String, Arc<ServerMethod>)> {
        lock(&self.server_methods).iter().map(|(name, method)| (name.clone(), method.clone())).collect()
    }
}

impl Target {
    /// The cells of a method. No lock is taken for one that is known.
    pub(super) fn method(&self, method: &Method) -> Arc<ClientMethod> {
        match self.methods.load().get(method.path()) {
            Some(known) => known.clone(),
            None => self.add(method.path()),
        }
    }

    #[cold]
    fn add(&self, path: &str) -> Arc<ClientMethod> {
        let _adding = lock(&self.adding);
        let known = self.methods.load();
        let path = if known.len() < MOST_METHODS { path } else { OTHER };
        if let Some(known) = known.get(path) {
            return known.clone();
        }
        let name = without_slash(path);
        let made = Arc::new(ClientMethod {
            name: name.to_owned(),
            attempts: StreamCells::default(),
            calls: CallCells::default(),
            sent_span: span_name("Sent", name),
            attempt_span: span_name("Attempt", name),
        });
        let mut methods = Methods::clone(&known);
        methods.insert(path.into(), made.clone());
        self.methods.store(Arc::new(methods));
        made
    }

    pub(super) fn methods(&self) -> Vec<Arc<ClientMethod>> {
        let mut methods: Vec<_> = self.methods.load().values().cloned().collect();
        methods.sort_by(|one, other| one.name.cmp(&other.name));
        methods
    }

    /// What the channels count themselves.
    pub(super) fn counters(&self) -> Vec<Arc<ChannelCounters>> {
        lock(&self.counters).clone()
    }
}

fn without_slash(path: &str) -> &str {
    path.strip_prefix('/').unwrap_or(path)
}

/// `Sent.package.Service.Method` (gRFC A72).
pub(super) fn span_name(prefix: &str, method: &str) -> Arc<str> {
    format!("{prefix}.{}", without_slash(method).replace('/', ".")).into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn methods_are_found_again_and_bounded() {
        let target = Target::default();
        let method = |path: &str| target.method(&Method::dynamic(path, Kind::Unary));
        let first = method("/a.B/C");
        assert!(Arc::ptr_eq(&first, &method("/a.B/C")));
        assert_eq!(
            (first.name.as_str(), &*first.sent_span, &*first.attempt_span),
            ("a.B/C", "Sent.a.B.C", "Attempt.a.B.C")
        );
        (1..MOST_METHODS).for_each(|number| drop(method(&format!("/a.B/M{number}"))));
        assert_eq!(method("/a.B/More").name, OTHER);
        assert_eq!(method("/a.B/Most").name, OTHER);
        assert_eq!(target.methods().len(), MOST_METHODS + 1);
    }
}
