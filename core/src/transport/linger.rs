//! Answers that are complete for us and not for the client, which gives no window for the end of them.
//!
//! h2 keeps such an end until there is room, and says nothing when it is gone. The frame watcher sees it go: a stream
//! whose answer may stay is put down here before it is ended, and its frames are looked for as long as it is here.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// The streams of one connection whose answers are not taken.
#[derive(Debug, Default)]
pub(crate) struct Lingering {
    count: AtomicUsize,
    streams: Mutex<Streams>,
}

#[derive(Debug, Default)]
struct Streams {
    waiting: Vec<Stream>,
    /// The connection is over.
    closed: bool,
}

#[derive(Debug)]
struct Stream {
    id: u32,
    news: Taken,
    waker: Option<Waker>,
}

/// What a client took of an answer since we last looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Nothing,
    Some,
    All,
}

impl Lingering {
    pub(crate) fn add(self: &Arc<Self>, id: u32) -> Untaken {
        let mut streams = self.lock();
        if !streams.closed {
            streams.waiting.push(Stream { id, news: Taken::Nothing, waker: None });
        }
        drop(streams);
        self.count.fetch_add(1, Ordering::Relaxed);
        Untaken { lingering: self.clone(), id }
    }

    /// How many there are: one load, for every frame that is written.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// A frame of a stream was written, which was the `last` or not; or the client has reset the stream, and none
    /// follows either: h2 says nothing of a reset behind a complete answer.
    pub(crate) fn moved_on(&self, id: u32, last: bool) {
        if let Some(stream) = self.lock().waiting.iter_mut().find(|stream| stream.id == id) {
            stream.news = if last { Taken::All } else { Taken::Some };
            if let Some(waker) = stream.waker.take() {
                waker.wake();
            }
        }
    }

    /// The connection is over: nobody takes anything any more.
    pub(crate) fn close(&self) {
        let waiting = {
            let mut streams = self.lock();
            streams.closed = true;
            std::mem::take(&mut streams.waiting)
        };
        waiting.into_iter().filter_map(|stream| stream.waker).for_each(Waker::wake);
    }

    /// Nothing in here can be left half done.
    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Untaken {
    lingering: Arc<Lingering>,
    id: u32,
}

impl Untaken {
    /// What was taken since the last look; if nothing was, the task is woken when that changes.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Taken {
        let mut streams = self.lingering.lock();
        let waiting = &mut streams.waiting;
        let Some(stream) = waiting.iter_mut().find(|stream| stream.id == self.id) else { return Taken::All };
        let news = std::mem::replace(&mut stream.news, Taken::Nothing);
        if news == Taken::Nothing {
            stream.waker = Some(cx.waker().clone());
        }
        news
    }
}

impl Drop for Untaken {
    fn drop(&mut self) {
        self.lingering.lock().waiting.retain(|stream| stream.id != self.id);
        self.lingering.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_frames_move_a_stream_on() {
        let lingering = Arc::new(Lingering::default());
        let mut cx = Context::from_waker(Waker::noop());
        let (mut one, mut two) = (lingering.add(1), lingering.add(3));
        lingering.moved_on(3, false);
        lingering.moved_on(5, true);
        assert_eq!((one.poll(&mut cx), two.poll(&mut cx)), (Taken::Nothing, Taken::Some));
        assert_eq!((lingering.count(), two.poll(&mut cx)), (2, Taken::Nothing));
        lingering.moved_on(1, false);
        lingering.moved_on(1, true);
        assert_eq!(one.poll(&mut cx), Taken::All);
        drop(one);
        assert_eq!(lingering.count(), 1);
        lingering.close();
        assert_eq!((two.poll(&mut cx), lingering.add(7).poll(&mut cx)), (Taken::All, Taken::All));
        drop(two);
        assert_eq!(lingering.count(), 0);
    }
}
