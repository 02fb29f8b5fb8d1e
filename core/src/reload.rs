//! What is made of files, and made anew when they change.
//!
//! Asked for with every new connection, or every call. The files' data are not read for that, only when they were last
//! written: a certificate that was renewed holds from the next connection on, without a thread that watches and without
//! a restart.

use std::fmt::Display;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, Guard};
use tokio::time::Instant;

/// Longest that a change of [one file](Reloading::file) goes unnoticed.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// See the [module](self).
pub(crate) struct Reloading<T> {
    current: ArcSwap<T>,
    /// What the files are to a reader of the log.
    what: &'static str,
    files: Vec<PathBuf>,
    /// Longest that a change goes unnoticed.
    pause: Duration,
    seen: Mutex<Seen>,
    #[allow(clippy::type_complexity, reason = "named once, here")]
    make: Box<dyn Fn() -> Result<T, String> + Send + Sync>,
}

/// The files as they were when they were last read, well or not.
struct Seen {
    stamps: Vec<Option<Stamp>>,
    next: Instant,
}

/// Tells one state of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    written: Option<SystemTime>,
    bytes: u64,
    /// A file that was put in the place of another, and one that was written twice within a tick of the clock.
    #[cfg(unix)]
    node: (u64, i64, i64),
}

impl<T> Reloading<T> {
    /// # Errors
    /// Those of `make`, which reads `files`.
    pub(crate) fn new<E: Display>(
        what: &'static str,
        files: Vec<PathBuf>,
        pause: Duration,
        make: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E> {
        let seen = Seen { stamps: stamps(&files), next: Instant::now() + pause };
        let current = ArcSwap::from_pointee(make()?);
        let make = Box::new(move || make().map_err(|error| error.to_string()));
        Ok(Reloading { current, what, files, pause, seen: Mutex::new(seen), make })
    }

    /// Of one file, which `read` makes it of; a change goes unnoticed for [`PAUSE`] at most.
    ///
    /// # Errors
    /// What is wrong with the file, and its path.
    pub(crate) fn file(
        what: &'static str,
        path: PathBuf,
        read: impl Fn(&[u8]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        Reloading::new(what, vec![path.clone()], PAUSE, move || {
            let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            read(&text).map_err(|problem| format!("{}: {problem}", path.display()))
        })
    }

    /// What the files say now, or what they said when they were last of use.
    pub(crate) fn current(&self) -> Guard<Arc<T>> {
        if !self.files.is_empty() {
            self.look();
        }
        self.current.load()
    }

    fn look(&self) {
        // Whoever comes while another looks takes what is there: nobody waits for a file.
        let Ok(mut seen) = self.seen.try_lock() else { return };
        if !self.pause.is_zero() {
            let now = Instant::now();
            if now < seen.next {
                return;
            }
            seen.next = now + self.pause;
        }
        // Before they are read: whatever is written from here on is seen the next time.
        let now = stamps(&self.files);
        if seen.stamps == now {
            return;
        }
        seen.stamps = now;
        match (self.make)() {
            Ok(new) => self.current.store(Arc::new(new)),
            // Certificate and key may be replaced one after the other: the second brings us here again.
            Err(error) => {
                tracing::warn!(%error, "{} have changed and cannot be used: the old ones stay", self.what)
            }
        }
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    files.iter().map(|file| fs::metadata(file).ok().map(|metadata| stamp(&metadata))).collect()
}

fn stamp(metadata: &fs::Metadata) -> Stamp {
    #[cfg(unix)]
    use std::os::unix::fs::MetadataExt;
    Stamp {
        written: metadata.modified().ok(),
        bytes: metadata.len(),
        #[cfg(unix)]
        node: (metadata.ino(), metadata.ctime(), metadata.ctime_nsec()),
    }
}
