//! The C API, called as C would call it: in any order, from several threads, rightly and wrongly.
//!
//! A script makes queues, channels, servers and calls, works with them and lets go of them, in whatever order it likes
//! and with handles that are stale, null, made up or of another kind. Callbacks, hooks and further threads have scripts
//! of their own, which do the same at the same time. What must hold meanwhile and at the end stands in [`books`].
//!
//! The time is real here, because threads of C programs are. Every wait is short, and an input that takes longer than
//! [`watchdog::LIMIT`] ends the process.
#![allow(unsafe_code, reason = "the functions of a C API")]

mod books;
mod calls;
mod clear;
mod events;
mod hooks;
mod lent;
mod options;
mod servers;
mod shelf;
mod things;
mod watchdog;
mod world;

use crate::Input;
use world::World;

/// One program, from its first handle until it has freed the last one.
pub fn run(data: &[u8]) {
    crate::let_h2_tear_down();
    let watched = watchdog::watch();
    let mut input = Input::new(data);
    let (how, end) = (input.byte(), input.byte());
    let world = World::new();
    world.furnish(how);
    world.play(&mut input);
    world.clear(end);
    drop(watched);
}

impl World {
    /// Does what the script says until it is used up.
    fn play(&self, input: &mut Input<'_>) {
        while !input.is_empty() && self.has_strength() {
            self.step(input);
        }
    }

    /// One operation. New ones are added at the end.
    fn step(&self, input: &mut Input<'_>) {
        let operation = input.below(64);
        if on_lane() {
            return self.step_on_a_lane(operation, input);
        }
        match operation {
            10..=13 if self.calls.recent_live(0).is_none() => self.start(&mut Input::new(&[])),
            17..=25 if self.server_calls.recent_live(0).is_none() => self.look_for_requests(),
            // The end of everything comes seldom.
            26..=29 if input.byte() & 3 != 0 => return self.pump(input),
            _ => {}
        }
        match operation {
            0 => self.new_engine(input),
            1 => self.new_queue(input),
            2 => self.new_push_queue(input),
            3 => self.new_channel(input),
            4 => self.new_server(input),
            5 => self.add_method(input),
            6 => self.add_fallback(input),
            7 => self.listen(input),
            8 => self.unary(input),
            9 => self.start(input),
            10 => self.send(input),
            11 => self.half_close(input),
            12 => self.grant(input),
            13 => self.cancel(input),
            14 => self.free_call(input),
            15 => self.next(input),
            16 => self.pump(input),
            17 => self.answer_headers(input),
            18 => self.answer_send(input),
            19 => self.answer_grant(input),
            20 => self.answer_respond(input),
            21 => self.answer_finish(input),
            22 => self.answer_cancel(input),
            23 => self.keep_data(input),
            24 => self.look_at_request(input),
            25 => self.free_server_call(input),
            26 => self.free_queue(input),
            27 => self.free_engine(input),
            28 => self.free_channel(input),
            29 => self.free_server(input),
            30 => self.shut_down(input),
            31 => self.shut_down_and_wait(input),
            32 => self.look_at_server(input),
            33 => self.look_at_channel(input),
            34 => self.look_at_queue(input),
            35 => self.batch(input),
            36 => self.intercept_channel(input),
            37 => self.intercept_server(input),
            38 => self.unary_and_wait(input),
            39 => self.handle_bytes(input),
            40 => self.handle_events(input),
            41 => self.set_log(input),
            42 => self.ask_library(input),
            43 => self.spawn(input),
            44 => self.wake_and_wait(input),
            45 => self.grant_many(input),
            // The ways through a whole call, more often than the rest.
            46 | 54..=56 => self.unary(input),
            47 | 57..=59 => self.start(input),
            60 | 61 => self.send(input),
            62 => self.half_close(input),
            63 => self.grant(input),
            _ => self.pump(input),
        }
    }

    /// One that neither waits nor ends threads.
    fn step_on_a_lane(&self, operation: usize, input: &mut Input<'_>) {
        match operation {
            0..=3 => self.unary(input),
            4..=7 => self.start(input),
            8..=11 => self.send(input),
            12..=15 => self.half_close(input),
            16..=19 => self.grant(input),
            20..=23 => self.cancel(input),
            24..=27 => self.free_call(input),
            28..=31 => self.answer_headers(input),
            32..=35 => self.answer_send(input),
            36..=39 => self.answer_grant(input),
            40..=43 => self.answer_respond(input),
            44..=47 => self.answer_finish(input),
            48..=51 => self.answer_cancel(input),
            52..=55 => self.free_server_call(input),
            56 | 57 => self.free_queue(input),
            58 => self.free_channel(input),
            59 => self.free_server(input),
            _ => self.keep_data(input),
        }
    }
}

/// Whether this is a thread of an engine.
fn on_lane() -> bool {
    std::thread::current()
        .name()
        .is_some_and(|name| name.starts_with("spanwire-") && name != "spanwire-events")
}
