//! An event as the full-text index has it.

use nugul_catalog::{
    CatalogEvent,
    text::{decompose, initials, normalise, normalise_words},
};
use nugul_domain::{EventId, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Row};

use super::mapping::{BEGINNING_CHARS_MAX, FIELDS};
use crate::{
    app::{Parts, hex},
    catalogue::store,
    db::{Db, marks},
    error::ApiError,
};

/// The bytes of a digest that are kept.
const DIGEST_BYTES: usize = 16;

/// An event with what the index is to have of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The event.
    pub id: EventId,
    /// Raised with every change of the event.
    pub version: i64,
    /// Names the content: two documents of one digest are the same.
    pub digest: String,
    /// The title, for a check that it is found.
    pub title: String,
    /// The document as JSON.
    pub json: String,
}

impl Document {
    /// The document of an event. It depends on the event and on nothing else.
    pub fn new(id: EventId, version: i64, entry: &CatalogEvent) -> Self {
        let mut fields = fields(entry);
        let digest = hex(&Sha256::digest(fields.to_string())[..DIGEST_BYTES]);
        fields["digest"] = Value::from(digest.as_str());
        Self { id, version, digest, title: entry.title.clone(), json: fields.to_string() }
    }
}

fn fields(e: &CatalogEvent) -> Value {
    let region = e.region.as_deref().unwrap_or_default();
    let mut fields = json!({
        "id": e.id,
        "title_pairs": normalise(&e.title),
        "category_is": normalise(&e.category),
        "region_is": normalise(region),
        "place_is": normalise(&e.place),
        "category_name": e.category,
        "region_name": e.region,
        "place_name": e.place,
        "starts_on": e.starts_on,
        "ends_on": e.ends_on,
        "min_price_krw": e.min_price_krw,
        "max_price_krw": e.max_price_krw,
        "sales_open_ms": e.sales_open_at.map(Timestamp::as_millis),
        "sales_close_ms": e.sales_close_at.map(Timestamp::as_millis),
        "transferable": e.transferable,
        "popularity": e.popularity,
        "entry": e,
    });
    for (name, _) in FIELDS {
        let texts = texts(e, name);
        fields[name] = json!(texts);
        fields[format!("{name}_keys")] = texts.iter().flat_map(|text| keys(text)).collect();
        fields[format!("{name}_initials")] = texts.iter().flat_map(|text| consonants(text)).collect();
    }
    fields
}

/// What an event says in one of the fields that are searched.
fn texts<'e>(e: &'e CatalogEvent, field: &str) -> Vec<&'e str> {
    match field {
        "title" => vec![&e.title],
        "title_en" => e.title_en.as_deref().into_iter().collect(),
        "cast" => e.cast.iter().map(String::as_str).collect(),
        "category" => vec![&e.category],
        "place" => vec![&e.place],
        "region" => e.region.as_deref().into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The keystrokes from each word on.
fn keys(text: &str) -> Vec<String> {
    beginnings(text).iter().map(|from| decompose(from).chars().take(BEGINNING_CHARS_MAX).collect()).collect()
}

/// The initial consonants from each word on.
fn consonants(text: &str) -> Vec<String> {
    beginnings(text).iter().map(|from| initials(from).chars().take(BEGINNING_CHARS_MAX).collect()).collect()
}

/// The text from each of its words on, normalised, without spaces.
fn beginnings(text: &str) -> Vec<String> {
    let words = normalise_words(text);
    (0..words.len()).map(|at| words[at..].concat()).collect()
}

/// The documents of these events as SQL has them now, sorted by id, with the region that the file of places says; those there
/// are.
///
/// Versions are read before the rest: a document may then be newer than its version says, and the change that made it so
/// comes with the next version. The other way round an old document could pass for a new one.
pub async fn of(app: &Parts, ids: &[EventId]) -> Result<Vec<Document>, ApiError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let db = &app.db;
    let sql = format!("SELECT id, search_version FROM events WHERE id IN {} ORDER BY id", marks(ids.len()));
    let query = ids.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, id| query.bind(id.to_bytes()));
    let versions = query.fetch_all(db.pool()).await?;
    let mut entries = store::index_entries_of(db, app.now(), ids).await?;
    let known = app.catalogue.borrow().words.clone();
    for entry in &mut entries {
        entry.region = known.words.region_of(&entry.place).map(str::to_owned);
    }
    let mut documents = Vec::with_capacity(versions.len());
    for row in &versions {
        let id = EventId::from_bytes(&row.try_get::<Vec<u8>, _>("id")?)?;
        // Both are sorted by id, and ids sort as text as they do as bytes.
        let text = id.to_string();
        if let Ok(at) = entries.binary_search_by(|e| e.id.as_str().cmp(&text)) {
            documents.push(Document::new(id, row.try_get("search_version")?, &entries[at]));
        }
    }
    Ok(documents)
}

/// The ids of the events after `after`, in their order.
pub async fn ids_after(db: &Db, after: Option<EventId>, limit: usize) -> Result<Vec<EventId>, ApiError> {
    let rows = sqlx::query("SELECT id FROM events WHERE id > ? ORDER BY id LIMIT ?")
        .bind(after.map(EventId::to_bytes).unwrap_or_default())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(db.pool())
        .await?;
    rows.iter().map(|row| Ok(EventId::from_bytes(&row.try_get::<Vec<u8>, _>("id")?)?)).collect()
}

/// How many events there are.
pub async fn count(db: &Db) -> Result<i64, ApiError> {
    Ok(sqlx::query("SELECT COUNT(*) AS n FROM events").fetch_one(db.pool()).await?.try_get("n")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_are_those_of_every_word() {
        assert_eq!(beginnings("뮤지컬 〈레 미제라블〉"), ["뮤지컬레미제라블", "레미제라블", "미제라블"]);
        assert_eq!(keys("값 뮤"), ["ㄱㅏㅂㅅㅁㅠ", "ㅁㅠ"]);
        assert_eq!(consonants("레미제라블 2026"), ["ㄹㅁㅈㄹㅂ2026", "2026"]);
        assert!(beginnings("…").is_empty());
        assert_eq!(keys(&"가".repeat(100))[0].chars().count(), BEGINNING_CHARS_MAX);
    }
}
