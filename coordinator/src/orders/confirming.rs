//! Confirmations as stored: those of a performance that wait for their turn share a transaction.

use nugul_batch::all_or_each;
use nugul_domain::OrderId;

use super::store::{self, StoredOrder};
use crate::{
    app::App,
    batches::{not_done, stored},
    error::ApiError,
    idempotency::{self, Answer},
    messages::Message,
    outbox::{self, New},
};

/// A buyer who came back from Toss.
#[derive(Clone, Debug)]
pub struct Confirm {
    /// The order.
    pub id: OrderId,
    /// What the payment service is told.
    pub message: Message,
    /// That the buyer's key is used.
    pub answer: Answer,
}

/// Moves a pending order on and puts the message to the payment service, in one transaction. `false` where the order is not
/// pending any more, or the key was used before; nothing is stored then.
pub async fn store_confirm(app: &App, order: &StoredOrder, confirm: Confirm) -> Result<bool, ApiError> {
    let gate = app.gates.gate(order.performance);
    let store = |some| {
        all_or_each(app, some, |app, some: &[_]| {
            Box::pin(async move { stored(some.len(), store_all(app, some).await) })
        })
    };
    gate.batches.confirming.join(confirm, store).await.map_err(not_done)?
}

async fn store_all(app: &App, all: &[Confirm]) -> Result<bool, ApiError> {
    let mut ids: Vec<_> = all.iter().map(|confirm| confirm.id).collect();
    ids.sort_unstable();
    let mut tx = app.db.begin_write().await?;
    if !store::all_confirming(&mut tx, &ids).await? {
        return Ok(false);
    }
    let places = outbox::places(&mut tx, &ids).await?;
    let new = all.iter().map(|confirm| {
        let in_order_of = confirm.id.to_bytes();
        let (last, is_next) = places.get(&in_order_of).copied().unwrap_or((0, true));
        New { in_order_of, place: last + 1, is_next, message: confirm.message.clone() }
    });
    let put = outbox::put_all(app, &mut tx, &new.collect::<Vec<_>>()).await?;
    let answers: Vec<_> = all.iter().map(|confirm| &confirm.answer).collect();
    if !idempotency::record(&mut tx, &answers, app.now()).await? {
        return Ok(false);
    }
    tx.commit().await?;
    app.outbox.hand_over(put);
    Ok(true)
}
