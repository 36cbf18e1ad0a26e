//! Orders looked up by id: who asks while one look is under way shares the next.

use std::collections::HashMap;

use nugul_batch::{Batch, NotDone};
use nugul_domain::OrderId;

use super::store::{self, StoredOrder};
use crate::{app::Parts, batches::not_done, error::ApiError};

/// Orders of one look: a power of two.
const AT_ONCE: usize = 32;
/// No more wait for the next; one more is refused at once. As many as there are requests under way, more or less.
const WAITING_MAX: usize = 4_096;

/// What waits for the next look.
#[derive(Debug)]
pub struct Looks(Batch<OrderId, Result<Option<StoredOrder>, ApiError>>);

impl Default for Looks {
    fn default() -> Self {
        Self(Batch::new(AT_ONCE, WAITING_MAX))
    }
}

/// An order by id, as it is now or was stored meanwhile.
pub async fn find(app: &Parts, id: OrderId) -> Result<Option<StoredOrder>, ApiError> {
    let look = async |ids: Vec<OrderId>| match store::find_all(app.db.pool(), &ids).await {
        Ok(orders) => {
            let orders: HashMap<_, _> = orders.into_iter().map(|order| (order.id, order)).collect();
            ids.iter().map(|id| Ok(orders.get(id).cloned())).collect()
        }
        Err(e) => vec![Err(e); ids.len()],
    };
    match app.looks.0.join(id, look).await {
        // Whoever looked for all has left.
        Err(NotDone::Abandoned) => store::find(&app.db, id).await,
        answer => answer.map_err(not_done)?,
    }
}
