//! The rooms of one instance, on a platform that has no place of their own for them: readers of a performance who meet in an
//! instance share its upstream there.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use super::{Joined, Reader, Shared, join};
use crate::host::{Host, HostError, Outgoing};

/// The most rooms of one instance; whoever looks at another performance then is refused there.
pub const ROOMS_MAX: usize = 1_000;

/// Rooms by performance. One that nobody follows any more is forgotten with the next that begins.
#[derive(Default)]
pub struct Rooms(RefCell<HashMap<String, Rc<RefCell<Shared>>>>);

impl Rooms {
    /// Joins the room of a performance, and gives it with the reader. `upstream` is the coordinator's stream.
    ///
    /// # Errors
    ///
    /// [`HostError::TooMany`] for a client with too many streams; [`HostError::Failed`] where nobody else fits in.
    pub fn join<H: Host>(
        &self,
        host: &H,
        performance: &str,
        upstream: Outgoing,
    ) -> Result<(Reader, Rc<RefCell<Shared>>), HostError> {
        let room = self.room(performance)?;
        match join(host, &room, upstream) {
            Joined::Reader(reader) => Ok((reader, room)),
            Joined::Full => Err(HostError::Failed("the room is full".to_owned())),
            Joined::TooMany => Err(HostError::TooMany),
        }
    }

    fn room(&self, performance: &str) -> Result<Rc<RefCell<Shared>>, HostError> {
        let rooms = &mut *self.0.borrow_mut();
        if let Some(room) = rooms.get(performance) {
            return Ok(Rc::clone(room));
        }
        rooms.retain(|_, room| room.borrow().is_followed());
        if rooms.len() >= ROOMS_MAX {
            return Err(HostError::Failed("as many rooms as one instance may have".to_owned()));
        }
        Ok(Rc::clone(rooms.entry(performance.to_owned()).or_default()))
    }
}
