//! What an instance remembers between requests: soft state, lost at any time, never a truth.

use std::rc::Rc;

use crate::{
    api::Audiences, catalogue::Catalogue, fanout::rooms::Rooms, rankings::Gathered, session::Keys, session::Refreshes,
    upstream::Cache,
};

/// The memory of an instance. No borrow of it is held across an await.
#[derive(Default)]
pub struct App {
    pub(crate) catalogue: Catalogue,
    pub(crate) keys: Keys,
    pub(crate) refreshes: Refreshes,
    pub(crate) cache: Cache,
    pub(crate) audiences: Audiences,
    pub(crate) gathered: Gathered,
    pub(crate) rooms: Rooms,
}

thread_local! {
    static APP: Rc<App> = Rc::default();
}

impl App {
    /// The memory of this instance (WASM instances have one thread).
    pub fn shared() -> Rc<Self> {
        APP.with(Rc::clone)
    }
}
