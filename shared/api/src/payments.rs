//! Payments as their buyer sees them; the books and what a person has to look at, as operators do.

use nugul_domain::{Krw, OrderId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PaymentState {
    /// The amount is known; nothing was asked of the payment provider.
    Prepared,
    /// What came of asking for the money is not known yet.
    Confirming,
    /// The money was taken. Parts of it may have been given back.
    Approved,
    /// No money was taken and none will be.
    Declined,
    /// What came of asking for a refund is not known yet.
    Refunding,
    /// All of the money was given back.
    Refunded,
}

/// `GET me/payments`: a payment, as its buyer sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Payment {
    /// What was paid for.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub order_id: OrderId,
    /// What the payment page calls it.
    pub name: String,
    /// Where it stands.
    pub state: PaymentState,
    /// What the order costs.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub amount_krw: Krw,
    /// How much of the money taken was not given back; 0 before it is taken.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub left_krw: Krw,
    /// Why it was declined, in the provider's words; absent where the buyer gave it up.
    pub decline_reason: Option<String>,
    /// When the order was made.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When it last changed.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub changed_at: Timestamp,
}

/// Why an entry was booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Movement {
    /// Money was taken from the buyer.
    Capture,
    /// Money was given back to the buyer.
    Refund,
}

/// `GET admin/ledger`: one side of a booking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LedgerEntry {
    /// 1, 2, 3 and so on, in the order of booking.
    pub entry: i64,
    /// The order.
    pub order_id: String,
    /// What it was booked for.
    pub movement: Movement,
    /// Of a refund: which one of the payment, from 1; of a capture 0.
    pub number: i64,
    /// The account.
    pub account: String,
    /// ISO 4217.
    pub currency: String,
    /// In the currency's smallest unit; never 0.
    pub amount: i64,
    /// When it was booked.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub booked_at: Timestamp,
}

/// What an account holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountBalance {
    /// Its name.
    pub account: String,
    /// ISO 4217.
    pub currency: String,
    /// In the currency's smallest unit.
    pub balance: i64,
}

/// `GET admin/ledger/balances`: what every account held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Balances {
    /// Entries booked up to and at this time count; absent where all do.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub at: Option<Timestamp>,
    /// Every account that was booked to by then.
    pub accounts: Vec<AccountBalance>,
    /// The sum of those in won: zero, or the books are wrong.
    pub sum_krw: i64,
}

/// `POST admin/reconciliation`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewReconciliation {
    /// The day in Seoul, as YYYY-MM-DD; not one that is yet to come.
    pub day: String,
}

/// What came of comparing a day's ledger with the provider's settlement and with the payments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reconciliation {
    /// The day in Seoul, as YYYY-MM-DD.
    pub day: String,
    /// Captures and refunds the ledger has on the day.
    pub movements: i64,
    /// Rows the provider's settlement has for the day.
    pub settlement_rows: i64,
    /// Differences found; each is an open case.
    pub differences: i64,
    /// Cases closed because their difference has gone away.
    pub closed: i64,
    /// The sum of the whole ledger: zero, or the books are wrong.
    pub ledger_sum_krw: i64,
    /// Ledger entries that were not yet part of the sum checked before.
    pub new_entries: i64,
    /// When it was compared.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub compared_at: Timestamp,
}

/// Why a person has to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CaseKind {
    /// The provider has not said for too long what became of money.
    Outcome,
    /// Ledger, payments and provider do not agree.
    Difference,
    /// A command that can never be done was refused and put aside.
    Command,
}

/// `GET admin/reconciliation/cases`: something a person has to look at, with what is needed to do so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Case {
    /// Its number.
    pub case: i64,
    /// Why.
    pub kind: CaseKind,
    /// The order; empty where none is known.
    pub order_id: String,
    /// What it is about within the order: the provider's name of a movement, or the id of a command.
    pub subject: String,
    /// What is wrong, as a sentence.
    pub reason: String,
    /// What we have.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub ours_krw: Krw,
    /// What the provider has.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub theirs_krw: Krw,
    /// When it was opened.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub opened_at: Timestamp,
    /// When it was closed; absent while it is open.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub closed_at: Option<Timestamp>,
    /// What was written when it was closed.
    pub note: String,
    /// The payment as it stands now, where there is one.
    pub payment: Option<CasePayment>,
}

/// A payment as an operator needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CasePayment {
    /// As its buyer sees it.
    pub payment: Payment,
    /// The buyer.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub user_id: UserId,
    /// What the provider calls it; empty before it was asked.
    pub payment_key: String,
    /// The provider's code for a decline; empty otherwise.
    pub decline_code: String,
    /// When the order stops waiting for money.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub pay_before: Timestamp,
}

/// `POST admin/reconciliation/cases/{case}/close`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CloseCase {
    /// Why it may be closed, 1 to 200 characters.
    pub note: String,
}
