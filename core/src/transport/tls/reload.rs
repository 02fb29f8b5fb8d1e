//! What is made of files, and made anew when they change.
//!
//! Asked for with every new connection. The files' data are not read for that, only when they were last written: a
//! certificate that was renewed holds from the next connection on, without a thread that watches and without a restart.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;

use super::TlsError;

/// See the [module](self).
pub(super) struct Reloading<T> {
    current: ArcSwap<T>,
    files: Vec<PathBuf>,
    /// The files as they were when they were last read, well or not.
    seen: Mutex<Vec<Option<Stamp>>>,
    make: Box<dyn Fn() -> Result<T, TlsError> + Send + Sync>,
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
    pub(super) fn new(
        files: Vec<PathBuf>,
        make: impl Fn() -> Result<T, TlsError> + Send + Sync + 'static,
    ) -> Result<Self, TlsError> {
        let seen = stamps(&files);
        let current = ArcSwap::from_pointee(make()?);
        Ok(Reloading { current, files, seen: Mutex::new(seen), make: Box::new(make) })
    }

    /// What the files say now, or what they said when they were last of use.
    pub(super) fn current(&self) -> Arc<T> {
        if !self.files.is_empty() {
            self.look();
        }
        self.current.load_full()
    }

    fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Before they are read: whatever is written from here on is seen the next time.
        let now = stamps(&self.files);
        if *seen == now {
            return;
        }
        *seen = now;
        match (self.make)() {
            Ok(new) => self.current.store(Arc::new(new)),
            // Certificate and key may be replaced one after the other: the second brings us here again.
            Err(error) => {
                tracing::warn!(%error, "TLS files have changed and cannot be used: the old ones stay")
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
