//! The order of results as the full-text engine is asked for it, and where in it a page ends.

use nugul_catalog::{Cursor, Last, Sort, import::parse_date};
use serde_json::{Value, json};

/// What results are sorted by; ties by demand, first day and id.
pub fn by(sort: Sort) -> Value {
    let (first, second) = match sort {
        Sort::Relevance => (json!({ "_score": "desc" }), json!({ "popularity": "desc" })),
        Sort::Popularity => (json!({ "popularity": "desc" }), json!({ "starts_on": "asc" })),
        Sort::Date => (json!({ "starts_on": "asc" }), json!({ "popularity": "desc" })),
        Sort::Price => (json!({ "min_price_krw": "asc" }), json!({ "popularity": "desc" })),
    };
    json!([first, second, { "id": "asc" }])
}

/// Where the page after a cursor begins, in the numbers of [`by`].
pub fn after(sort: Sort, cursor: &Cursor) -> Value {
    let Last { score, popularity, starts_on, min_price_krw, id } = cursor.last();
    // Days are milliseconds since the epoch there.
    let day = starts_on.midnight().assume_utc().unix_timestamp() * 1_000;
    let (first, second) = match sort {
        Sort::Relevance => (json!(score), json!(popularity)),
        Sort::Popularity => (json!(popularity), json!(day)),
        Sort::Date => (json!(day), json!(popularity)),
        Sort::Price => (json!(min_price_krw), json!(popularity)),
    };
    json!([first, second, id])
}

/// The cursor of a page that ends with this hit; none where the hit does not say what it goes by.
pub fn cursor(sort: Sort, hit: &Value) -> Option<Cursor> {
    let source = &hit["_source"];
    let small = |name: &str| u32::try_from(source[name].as_u64().unwrap_or_default()).unwrap_or(u32::MAX);
    let score = if sort == Sort::Relevance { hit["sort"][0].as_f64()? } else { 0.0 };
    let last = Last {
        // It was such a number before it was written down.
        #[allow(clippy::cast_possible_truncation)]
        score: score as f32,
        popularity: small("popularity"),
        starts_on: parse_date(source["starts_on"].as_str()?)?,
        min_price_krw: small("min_price_krw"),
        id: source["id"].as_str()?.to_owned(),
    };
    Cursor::after(sort, &last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_on_where_the_one_before_ended() {
        let id = "019b0000-0000-7000-8000-0000000000ff";
        let hit = json!({ "sort": [7.346_217_6, 12, 0], "_source": {
            "id": id, "popularity": 12, "starts_on": "2027-01-05", "min_price_krw": 55_000 } });
        let goes_on = |sort| after(sort, &cursor(sort, &hit).unwrap());
        let day = 1_799_107_200_000_i64;
        assert_eq!(goes_on(Sort::Relevance), json!([7.346_217_6_f32, 12, id]));
        assert_eq!(goes_on(Sort::Popularity), json!([12, day, id]));
        assert_eq!(goes_on(Sort::Date), json!([day, 12, id]));
        assert_eq!(goes_on(Sort::Price), json!([55_000, 12, id]));
        assert_eq!(cursor(Sort::Date, &json!({ "_source": { "id": id } })), None);
    }
}
