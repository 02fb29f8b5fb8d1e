//! Calls of both sides, and what waits behind one that is full.

use std::collections::VecDeque;

use spanwire::Status;
use spanwire::bridge::{Answer, Call, OpError, Outgoing, Room, ServerCall};

/// A client's call. The number by which JavaScript knows it is its place in the table.
pub(crate) struct ClientCall {
    pub(crate) call: Call,
    pub(crate) line: Line<()>,
    /// Why the binding ended it.
    pub(crate) failed: Option<Status>,
}

/// A server's call.
pub(crate) struct ServedCall {
    pub(crate) call: ServerCall,
    pub(crate) line: Line<(Status, Answer)>,
    /// JavaScript is done with it.
    pub(crate) finishing: bool,
}

/// What waits to be sent. JavaScript learns only with the turn's end that a call is full; what it sent until then is kept here.
pub(crate) struct Line<End> {
    waiting: VecDeque<Outgoing>,
    end: Option<End>,
}

impl<End> Default for Line<End> {
    fn default() -> Self {
        Line { waiting: VecDeque::new(), end: None }
    }
}

/// How far a line came.
pub(crate) enum Moved<End> {
    /// Everything was taken, and the end may follow, if it is to.
    All(Room, Option<End>),
    /// Some waits for room.
    Waits,
    /// It was refused.
    Refused(OpError),
}

impl<End> Line<End> {
    /// Puts a message in line, and moves the line.
    pub(crate) fn send(
        &mut self,
        message: Outgoing,
        send: impl FnMut(Outgoing) -> Result<Room, OpError>,
    ) -> Moved<End> {
        let moves = self.waiting.is_empty();
        self.waiting.push_back(message);
        if moves { self.go_on(send) } else { Moved::Waits }
    }

    /// Puts the end in line; gives it back if nothing is before it.
    pub(crate) fn end(&mut self, end: End) -> Option<End> {
        if self.waiting.is_empty() {
            return Some(end);
        }
        self.end.get_or_insert(end);
        None
    }

    /// Sends what waits, as far as there is room.
    pub(crate) fn go_on(&mut self, mut send: impl FnMut(Outgoing) -> Result<Room, OpError>) -> Moved<End> {
        let mut room = Room::Ready;
        while let Some(message) = self.waiting.pop_front() {
            if room == Room::Full {
                self.waiting.push_front(message);
                return Moved::Waits;
            }
            // Counted by reference: a refused message is put back.
            match send(message.clone()) {
                Ok(now) => room = now,
                Err(OpError::Blocked) => {
                    self.waiting.push_front(message);
                    return Moved::Waits;
                }
                Err(error) => {
                    self.waiting.clear();
                    self.end = None;
                    return Moved::Refused(error);
                }
            }
        }
        Moved::All(room, self.end.take())
    }
}

/// Bits of a server call's number that say where it stands; those above tell its successors in that place apart.
const PLACE_BITS: u32 = usize::BITS / 2;

/// The calls that a server's JavaScript has not finished.
#[derive(Default)]
pub(crate) struct ServedCalls {
    places: Vec<Place>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Place {
    generation: usize,
    call: Option<ServedCall>,
}

impl ServedCalls {
    /// Keeps a call; by the number its later events find it.
    pub(crate) fn insert(&mut self, call: ServerCall) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            (self.places.len() - 1) as u32
        });
        let at = &mut self.places[place as usize];
        at.call = Some(ServedCall { call, line: Line::default(), finishing: false });
        at.generation << PLACE_BITS | place as usize
    }

    /// The place of a number, if its call is still there.
    pub(crate) fn place(&self, number: usize) -> Option<u32> {
        let place = (number & ((1 << PLACE_BITS) - 1)) as u32;
        let at = self.places.get(place as usize)?;
        (at.call.is_some() && at.generation == number >> PLACE_BITS).then_some(place)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.places.iter().filter(|place| place.call.is_some()).count()
    }

    pub(crate) fn get(&mut self, place: u32) -> Option<&mut ServedCall> {
        self.places.get_mut(place as usize)?.call.as_mut()
    }

    /// Lets the call go; its number leads nowhere from here on.
    pub(crate) fn remove(&mut self, place: u32) {
        let Some(at) = self.places.get_mut(place as usize) else { return };
        if at.call.take().is_some() {
            at.generation = (at.generation + 1) & (usize::MAX >> PLACE_BITS);
            self.free.push(place);
        }
    }
}
