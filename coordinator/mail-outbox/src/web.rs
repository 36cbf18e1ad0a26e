//! Reading mail: a page for people, JSON for programs.
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use maud::{DOCTYPE, PreEscaped, html};
use serde::Deserialize;

use crate::mailbox::{Mail, Mailbox};

#[derive(Debug, Deserialize)]
struct Filter {
    to: Option<String>,
}

impl Filter {
    fn to(&self) -> Option<&str> {
        self.to.as_deref().map(str::trim).filter(|to| !to.is_empty())
    }
}

/// All routes.
pub fn router(mailbox: Mailbox) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/api/messages", get(messages))
        .route("/readyz", get(|| async { "ok" }))
        .with_state(mailbox)
}

async fn messages(State(mailbox): State<Mailbox>, Query(filter): Query<Filter>) -> Json<Vec<Mail>> {
    Json(mailbox.list(filter.to()).into_iter().map(Arc::unwrap_or_clone).collect())
}

async fn page(State(mailbox): State<Mailbox>, Query(filter): Query<Filter>) -> Response {
    let mails = mailbox.list(filter.to());
    let page = html! {
        (DOCTYPE)
        html lang="ko" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { "너굴티켓 보낸 메일함" }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body { main {
                h1 { "보낸 메일함" }
                p { "너굴티켓이 보낸 메일을 실제로 보내지 않고 여기에 모아요." }
                form method="get" action="/" role="search" {
                    label for="to" { "받는 사람" }
                    input id="to" name="to" type="email" value=(filter.to().unwrap_or_default());
                    button { "찾기" }
                }
                @if mails.is_empty() { p.empty { "아직 메일이 없어요." } }
                @for mail in &mails {
                    article {
                        h2 { @if mail.subject.is_empty() { "(제목 없음)" } @else { (mail.subject) } }
                        dl {
                            dt { "받는 사람" } dd { (mail.to) }
                            dt { "보낸 사람" } dd { (mail.from) }
                            dt { "받은 때" } dd { time datetime=(mail.received_at) { (mail.received_at) } }
                        }
                        pre { (mail.text) }
                    }
                }
            } }
        }
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'",
        ),
    ];
    (headers, page.into_string()).into_response()
}
