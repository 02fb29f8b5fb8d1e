//! What one JavaScript environment has: the main thread, or a worker.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use napi::Env;
use napi::bindgen_prelude::{BufferSlice, Function, Object, Result, Uint8ArraySlice};
use napi_derive::napi;
use spanwire::Kind;
use spanwire::bridge::{Channel, Queue};

use crate::bell::Bell;
use crate::call::{ClientCall, ServedCalls};
use crate::convert::error::{argument, op_error};
use crate::convert::options::{channel_options, closed};
use crate::drain::Inbox;
use crate::engine::Lease;
use crate::log::{Line, Log};
use crate::protocol::Writer;
use crate::server::Served;
use crate::token::Tokens;

/// The native half of the package in one environment. Everything happens on its thread; only the bell is rung elsewhere.
#[napi]
pub struct Environment(Rc<RefCell<Option<State>>>);

pub(crate) struct State {
    pub(crate) bell: Bell,
    pub(crate) queue: Queue,
    pub(crate) inbox: Inbox,
    pub(crate) methods: Vec<(String, Kind)>,
    pub(crate) channels: Vec<Option<Channel>>,
    pub(crate) servers: Vec<Option<Served>>,
    pub(crate) calls: Vec<Option<ClientCall>>,
    pub(crate) served: ServedCalls,
    pub(crate) tokens: Tokens,
    /// Calls and servers that keep the process alive, and whether they do at the moment.
    pub(crate) live: usize,
    alive: bool,
    log: Option<Log>,
    // Dropped last: the threads may end with it.
    pub(crate) lease: Lease,
}

impl State {
    /// Keeps the event loop going exactly while something is to be expected.
    pub(crate) fn settle(&mut self, env: &Env) {
        if self.alive != (self.live > 0) {
            self.alive = self.live > 0;
            self.bell.keep_alive(env, self.alive);
        }
    }
}

/// Puts a value into the first free place of a table.
fn keep<T>(table: &mut Vec<Option<T>>, value: T) -> u32 {
    let place = table.iter().position(Option::is_none).unwrap_or_else(|| {
        table.push(None);
        table.len() - 1
    });
    table[place] = Some(value);
    place as u32
}

impl Environment {
    pub(crate) fn state(&self) -> Result<RefMut<'_, State>> {
        RefMut::filter_map(self.0.borrow_mut(), Option::as_mut).map_err(|_| closed())
    }
}

#[napi]
impl Environment {
    /// `wake` is called whenever there is something to drain. Everything ends with the environment.
    ///
    /// # Errors
    /// The system refused threads.
    #[napi(constructor, catch_unwind)]
    pub fn new(env: Env, wake: Function<'_, (), ()>) -> Result<Self> {
        let bell = Bell::new(&wake)?;
        let lease = Lease::take().map_err(|error| op_error(&error))?;
        let queue = Queue::with_waker({
            let bell = bell.clone();
            move || bell.ring()
        });
        let state = Rc::new(RefCell::new(Some(State {
            bell,
            queue,
            inbox: Inbox::default(),
            methods: Vec::new(),
            channels: Vec::new(),
            servers: Vec::new(),
            calls: Vec::new(),
            served: ServedCalls::default(),
            tokens: Tokens::default(),
            live: 0,
            alive: false,
            log: None,
            lease,
        })));
        // Hooks run last in, first out: before Node's own for the function behind the bell.
        env.add_env_cleanup_hook(state.clone(), |state| {
            let Some(state) = state.borrow_mut().take() else { return };
            state.bell.silence();
            if let Some(log) = &state.log {
                log.stop();
            }
            state.tokens.close();
            state.queue.close();
        })?;
        Ok(Environment(state))
    }

    /// Carries out the operations in the first `length` bytes of `records`; `blobs` are the messages that lie outside. How many calls have no room to send
    /// more: they stand in the beginning of `records`, in pairs of words, the first of which is 1 for a server's call.
    ///
    /// # Errors
    /// The environment is ending.
    #[napi(catch_unwind)]
    pub fn submit(
        &self,
        env: Env,
        mut records: Uint8ArraySlice<'_>,
        length: u32,
        blobs: Vec<Uint8ArraySlice<'_>>,
    ) -> Result<u32> {
        let mut state = self.state()?;
        let full = state.submit(records.get(..length as usize).unwrap_or_default(), &blobs);
        state.settle(&env);
        // SAFETY: JavaScript lent the buffer for this call, runs nothing else meanwhile, and `records` is not read any more.
        let mut out = Writer::new(unsafe { records.as_mut() }, 0);
        let mut count = 0;
        for (side, call) in full {
            if !out.fits(2, &[]) {
                break;
            }
            out.words([side, call]);
            count += 1;
        }
        Ok(count)
    }

    /// Writes what happened into `chunk` from `at` on. Where it ends; negative if there is more than found room.
    ///
    /// # Errors
    /// The environment is ending.
    #[napi(catch_unwind)]
    pub fn drain(&self, env: Env, mut chunk: Uint8ArraySlice<'_>, at: u32) -> Result<i32> {
        let mut state = self.state()?;
        // SAFETY: JavaScript lent the buffer for this call, and runs nothing else meanwhile.
        let mut out = Writer::new(unsafe { chunk.as_mut() }, at as usize);
        let more = state.drain(&mut out);
        state.settle(&env);
        let end = out.at() as i32;
        Ok(if more { -end } else { end })
    }

    /// The next of the texts and messages that a drain left outside.
    ///
    /// # Errors
    /// There is none, or the environment is ending.
    #[napi(catch_unwind)]
    pub fn blob<'env>(&self, env: &'env Env) -> Result<BufferSlice<'env>> {
        let blob = self.state()?.inbox.take_blob();
        BufferSlice::copy_from(env, blob.ok_or_else(|| argument("there is no such message"))?)
    }

    /// How many calls there are, of clients and of servers, that have not come to their end here. For tests.
    ///
    /// # Errors
    /// The environment is ending.
    #[napi(catch_unwind)]
    pub fn open_calls(&self) -> Result<u32> {
        let state = self.state()?;
        Ok((state.calls.iter().flatten().count() + state.served.len()) as u32)
    }

    /// Has `take` get the engine's log up to a level, from 1 for errors to 5 for everything; without it there is silence.
    ///
    /// # Errors
    /// There is no such level.
    #[napi(catch_unwind)]
    pub fn log(&self, level: u32, take: Option<Function<'_, Line, ()>>) -> Result<()> {
        let log = take.map(|take| Log::start(&take, level)).transpose()?;
        let before = std::mem::replace(&mut self.state()?.log, log);
        if let Some(before) = before {
            before.stop();
        }
        Ok(())
    }

    /// A number for a method; records name it by that.
    ///
    /// # Errors
    /// The environment is ending.
    #[napi(catch_unwind)]
    pub fn method(&self, path: String, kind: u32) -> Result<u32> {
        let mut state = self.state()?;
        state.methods.push((path, kind_of(kind)));
        Ok((state.methods.len() - 1) as u32)
    }

    /// Makes a channel. `source` is the number of the function that gives it tokens.
    ///
    /// # Errors
    /// Which argument cannot be used, and why.
    #[napi(catch_unwind)]
    pub fn channel(&self, target: String, options: Object<'_>, source: Option<u32>) -> Result<u32> {
        let mut state = self.state()?;
        let mut options = channel_options(&options)?;
        options.bearer_token_source = source.map(|source| state.tokens.source(source, state.bell.clone()));
        let channel =
            Channel::new(state.lease.engine(), &target, &options).map_err(|error| op_error(&error))?;
        Ok(keep(&mut state.channels, channel))
    }

    /// Lets a channel go. Its calls go on.
    ///
    /// # Errors
    /// The environment is ending.
    #[napi(catch_unwind)]
    pub fn close_channel(&self, channel: u32) -> Result<()> {
        let closed = self.state()?.channels.get_mut(channel as usize).and_then(Option::take);
        drop(closed);
        Ok(())
    }

    /// The state of a channel's connection, in the words of gRPC.
    ///
    /// # Errors
    /// The channel is closed.
    #[napi(catch_unwind)]
    pub fn connectivity(&self, channel: u32) -> Result<String> {
        let connectivity = self.with_channel(channel, Channel::connectivity)?;
        Ok(format!("{connectivity:?}"))
    }

    /// Connects now, instead of with the first call.
    ///
    /// # Errors
    /// The channel is closed.
    #[napi(catch_unwind)]
    pub fn connect(&self, channel: u32) -> Result<()> {
        self.with_channel(channel, Channel::connect)
    }

    fn with_channel<T>(
        &self,
        channel: u32,
        work: impl FnOnce(&Channel) -> std::result::Result<T, spanwire::bridge::OpError>,
    ) -> Result<T> {
        let state = self.state()?;
        let channel = state.channels.get(channel as usize).and_then(Option::as_ref);
        work(channel.ok_or_else(|| argument("the channel is closed"))?).map_err(|error| op_error(&error))
    }
}

/// The kind of a number: 1 is set for a stream of requests, 2 for one of responses.
pub(crate) fn kind_of(number: u32) -> Kind {
    match number & 3 {
        0 => Kind::Unary,
        1 => Kind::ClientStreaming,
        2 => Kind::ServerStreaming,
        _ => Kind::Bidi,
    }
}
