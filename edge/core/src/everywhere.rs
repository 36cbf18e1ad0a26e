//! Lists of a person that every region has a part of: each region is asked in turn, and its cursors carry its number.
//!
//! What someone bought is in the region of the event, not in theirs.

use nugul_api::{Code, headers::API};
use serde_json::{Value, json};

use crate::{
    host::Host,
    http::{Method, Response, encode, field},
    upstream::{ANSWER_BYTES_MAX, Ctx, regions},
};

/// The paths, below `/api/v1`.
pub(crate) const LISTS: [&str; 4] = ["me/tickets", "me/orders", "me/refund-requests", "me/payments"];

/// A page of `path` over all regions. An answer that is no list, such as a refusal, is given as it came.
pub(crate) async fn list<H: Host>(
    ctx: &Ctx<'_, H>,
    path: &str,
    params: &[(String, String)],
    token: Option<&str>,
) -> Result<Response, Code> {
    let all: Vec<u8> = regions(ctx.host).into_iter().map(|(number, _)| number).collect();
    let limit = field(params, "limit").map(str::parse::<usize>).transpose();
    let mut wanted = limit.map_err(|_| Code::InvalidParameter)?;
    let (mut at, mut cursor) = match field(params, "cursor") {
        None => (0, None),
        Some(text) => {
            let (region, inner) = text.split_once('.').ok_or(Code::InvalidParameter)?;
            let region: u8 = region.parse().map_err(|_| Code::InvalidParameter)?;
            let at = all.iter().position(|number| *number == region).ok_or(Code::InvalidParameter)?;
            (at, Some(inner.to_owned()).filter(|inner| !inner.is_empty()))
        }
    };
    let mut items: Vec<Value> = Vec::new();
    let mut next: Option<String> = None;
    while let Some(region) = all.get(at) {
        let mut target = format!("{API}/{path}?");
        if let Some(limit) = wanted {
            target += &format!("limit={limit}&");
        }
        if let Some(cursor) = &cursor {
            target += &format!("cursor={}&", encode(cursor));
        }
        let target = target.trim_end_matches(['?', '&']);
        let answer = ctx.ask(Some(*region), Method::Get, target, ctx.request_headers(&[], token), Vec::new()).await?;
        if answer.status != 200 {
            return Ok(answer);
        }
        let body = answer.body.collect(ANSWER_BYTES_MAX).await.map_err(|_| Code::Internal)?;
        let page: Value = serde_json::from_slice(&body).map_err(|_| Code::Internal)?;
        let part = page.get("items").and_then(Value::as_array).ok_or(Code::Internal)?;
        items.extend(part.iter().cloned());
        if let Some(inner) = page.get("next_cursor").and_then(Value::as_str) {
            next = Some(format!("{region}.{inner}"));
            break;
        }
        (at, cursor) = (at + 1, None);
        wanted = wanted.map(|limit| limit.saturating_sub(part.len()));
        if wanted == Some(0) {
            next = all.get(at).map(|region| format!("{region}."));
            break;
        }
    }
    let body = serde_json::to_vec(&json!({ "items": items, "next_cursor": next })).map_err(|_| Code::Internal)?;
    Ok(Response::new(200, "application/json", body).with("cache-control", "no-store"))
}
