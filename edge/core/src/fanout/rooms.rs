//! The rooms of one instance, on a platform that has no place of their own for them: readers of a performance who meet in an
//! instance share its upstream there.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use futures_util::{FutureExt, StreamExt};
use nugul_api::headers::LAST_EVENT_ID;

use super::{CLIENT_ADDRESS, Frame, Item, Joined, Parser, Reader, Shared, join};
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

/// A reader that catches up by itself before it is the room's.
pub struct Behind {
    own: ByteStream,
    parser: Parser,
    /// The version that the reader has.
    has: String,
    /// Whether the pieces so far end where a frame does.
    is_whole: bool,
    upstream: Outgoing,
    room: Rc<RefCell<Shared>>,
    /// So that the room is followed meanwhile. What it gets is for nobody.
    place: Reader,
}

impl Behind {
    /// The next piece for the reader. `None` at the end.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        let piece = self.own.next().await?;
        for item in self.parser.push(&piece).ok()? {
            if let Item::Frame(Frame { id: Some(id), .. }) = item {
                self.has = id;
            }
        }
        self.is_whole = piece.ends_with(b"\n\n");
        while self.place.next().now_or_never().flatten().is_some() {}
        Some(piece)
    }

    /// A place in the room, once that can go on after the pieces given so far.
    pub fn caught_up<H: Host>(&self, host: &H) -> Option<(Reader, Rc<RefCell<Shared>>)> {
        if !self.is_whole || !self.room.borrow().can_resume(&self.has) {
            return None;
        }
        let mut upstream = self.upstream.clone();
        upstream.headers.push((LAST_EVENT_ID.to_owned(), self.has.clone()));
        match join(host, &self.room, upstream) {
            Joined::Reader(reader) => Some((reader, Rc::clone(&self.room))),
            // Served as before.
            Joined::Full | Joined::TooMany => None,
        }
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
        let answer = host.fetch(upstream.clone()).await?;
        let Response { status: 200, body: Body::Stream(own), .. } = answer else { return Ok(Err(answer)) };
        upstream.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(LAST_EVENT_ID));
        Ok(Ok(Entered::Behind(Behind {
            own,
            parser: Parser::default(),
            has,
            is_whole: true,
            upstream,
            room,
            place: reader,
        })))
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
