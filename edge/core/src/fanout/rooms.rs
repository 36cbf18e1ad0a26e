//! The rooms of one instance, on a platform that has no place of their own for them: readers of a performance who meet in an
//! instance share its upstream there.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use futures_util::{
    FutureExt, StreamExt,
    future::{Either, select},
};
use nugul_api::headers::LAST_EVENT_ID;

use super::{CLIENT_ADDRESS, Frame, Item, Joined, Parser, Reader, SILENCE_MS, Shared, join};
use crate::{
    host::{Host, HostError, Outgoing},
    http::{Body, ByteStream, Response, header},
};

/// The most rooms of one instance; whoever looks at another performance then is refused there.
pub const ROOMS_MAX: usize = 1_000;

/// Rooms by performance. One that nobody follows any more is forgotten with the next that begins.
#[derive(Default)]
pub struct Rooms(RefCell<HashMap<String, Rc<RefCell<Shared>>>>);

/// How one who joins a room is served.
pub enum Entered {
    /// By the room.
    Here(Reader, Rc<RefCell<Shared>>),
    /// By an upstream of its own for now: it was elsewhere before, and the room does not know what it missed.
    Behind(Behind),
}

/// A reader that catches up by itself before the room serves it.
pub struct Behind {
    own: ByteStream,
    parser: Parser,
    /// The version that the reader has.
    has: String,
    /// Whether the pieces so far end where a frame does.
    is_whole: bool,
    /// Its place in the room, which is followed for it meanwhile.
    place: Reader,
    room: Rc<RefCell<Shared>>,
}

impl Behind {
    /// The next piece for the reader. `None` at the end, and where upstream is silent for longer than it may be.
    pub async fn next<H: Host>(&mut self, host: &H) -> Option<Vec<u8>> {
        let silence = Box::pin(host.sleep(SILENCE_MS));
        let Either::Left((Some(piece), _)) = select(self.own.next(), silence).await else { return None };
        for item in self.parser.push(&piece).ok()? {
            if let Item::Frame(Frame { id: Some(id), .. }) = item {
                self.has = id;
            }
        }
        self.is_whole = piece.ends_with(b"\n\n");
        // What the room has sent it so far; taken, so that it does not count as one who takes nothing.
        while self.place.next().now_or_never().flatten().is_some() {}
        Some(piece)
    }

    /// Whether the room can go on after the pieces given so far.
    pub fn is_caught_up(&self) -> bool {
        self.is_whole && self.room.borrow().can_resume(&self.has)
    }

    /// The place in the room, which goes on after the pieces given so far.
    pub fn into_place(self) -> (Reader, Rc<RefCell<Shared>>) {
        self.room.borrow_mut().bring_up_to_date(&self.place, &self.has);
        (self.place, self.room)
    }
}

impl Rooms {
    /// Joins the room of a performance. `upstream` is the coordinator's stream; where it is asked for at once and gives none, its
    /// answer comes instead.
    ///
    /// # Errors
    ///
    /// [`HostError::TooMany`] for a client with too many streams; [`HostError::Failed`] where nobody else fits in; what the
    /// platform says where the coordinator is asked and does not answer.
    pub async fn join<H: Host>(
        &self,
        host: &H,
        performance: &str,
        mut upstream: Outgoing,
    ) -> Result<Result<Entered, Response>, HostError> {
        let room = self.room(performance)?;
        let last = header(&upstream.headers, LAST_EVENT_ID).map(str::to_owned);
        let behind = last.filter(|last| !room.borrow().can_resume(last));
        let reader = match join(host, &room, upstream.clone()) {
            Joined::Reader(reader) => reader,
            Joined::Full => return Err(HostError::Failed("the room is full".to_owned())),
            Joined::TooMany => return Err(HostError::TooMany),
        };
        let Some(has) = behind else { return Ok(Ok(Entered::Here(reader, room))) };
        upstream.headers.retain(|(name, _)| name != CLIENT_ADDRESS);
        let answer = host.fetch(upstream).await?;
        let Response { status: 200, body: Body::Stream(own), .. } = answer else { return Ok(Err(answer)) };
        Ok(Ok(Entered::Behind(Behind { own, parser: Parser::default(), has, is_whole: true, place: reader, room })))
    }

    fn room(&self, performance: &str) -> Result<Rc<RefCell<Shared>>, HostError> {
        let rooms = &mut *self.0.borrow_mut();
        // One that nobody followed for a while would show its seats as they were then.
        if let Some(room) = rooms.get(performance)
            && room.borrow().is_followed()
        {
            return Ok(Rc::clone(room));
        }
        rooms.retain(|_, room| room.borrow().is_followed());
        if rooms.len() >= ROOMS_MAX {
            return Err(HostError::Failed("as many rooms as one instance may have".to_owned()));
        }
        Ok(Rc::clone(rooms.entry(performance.to_owned()).or_default()))
    }
}
