//! What people are told by mail, in words.

use nugul_domain::{Krw, UserId};
use serde::{Deserialize, Serialize};

use crate::{accounts, app::App, error::ApiError};

/// Something a person has to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Notice {
    /// Paid after the order had ended; the money went back.
    PaidTooLate {
        /// What was ordered.
        order_name: String,
        /// How much went back.
        amount: Krw,
    },
    /// A ticket was given back.
    Refunded {
        /// What it was for.
        title: String,
        /// Its seat.
        seat: String,
        /// How much goes back.
        amount: Krw,
        /// How much was kept.
        fee: Krw,
    },
    /// The organiser refused to take a ticket back.
    RefundDeclined {
        /// What it is for.
        title: String,
        /// Its seat.
        seat: String,
    },
    /// The organiser cancelled a performance.
    Cancelled {
        /// What it was.
        title: String,
        /// When it was to begin, in words.
        starts_at: String,
        /// Why, in the organiser's words.
        reason: String,
    },
}

impl Notice {
    /// Subject and text.
    fn words(&self) -> (String, String) {
        match self {
            Self::PaidTooLate { order_name, amount } => (
                "[너굴티켓] 결제를 취소하고 환불했어요".into(),
                format!(
                    "‘{order_name}’의 결제가 주문 시간이 지난 뒤에 끝나서 좌석을 드릴 수 없었어요.\r\n\
                     {amount}을 모두 돌려드렸어요. 카드사에 따라 며칠 걸릴 수 있어요.\r\n"
                ),
            ),
            Self::Refunded { title, seat, amount, fee } => (
                "[너굴티켓] 티켓을 환불했어요".into(),
                format!(
                    "‘{title}’ {seat} 티켓을 환불했어요.\r\n돌려드리는 금액: {amount} (취소 수수료 {fee})\r\n\
                     카드사에 따라 며칠 걸릴 수 있어요. 이 티켓으로는 입장할 수 없어요.\r\n"
                ),
            ),
            Self::RefundDeclined { title, seat } => (
                "[너굴티켓] 환불 요청이 받아들여지지 않았어요".into(),
                format!(
                    "‘{title}’ {seat} 티켓의 환불을 주최자가 받아들이지 않았어요.\r\n티켓은 그대로 쓸 수 있어요.\r\n"
                ),
            ),
            Self::Cancelled { title, starts_at, reason } => (
                "[너굴티켓] 공연이 취소됐어요".into(),
                format!(
                    "주최자가 ‘{title}’ {starts_at} 회차를 취소했어요.\r\n이유: {reason}\r\n\
                     결제하신 금액은 수수료 없이 모두 돌려드려요.\r\n"
                ),
            ),
        }
    }
}

/// Sends a notice to a person's address; nothing where there is no such account any more.
pub async fn send(app: &App, user: UserId, notice: &Notice) -> Result<(), ApiError> {
    let Some(known) = accounts::store::by_id(&app.db, user).await? else { return Ok(()) };
    let to = known.account.email.parse().map_err(|_| ApiError::internal("a stored address is damaged"))?;
    let (subject, text) = notice.words();
    app.mailer.send_text(to, &subject, format!("안녕하세요, 너굴티켓이에요.\r\n\r\n{text}")).await
}
