//! The filters of a search as the full-text engine takes them.

use nugul_catalog::{Query, import::iso_date, text::normalise};
use serde_json::{Value, json};

/// What a filter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// The days of the run.
    Date,
    /// The category.
    Category,
    /// The region.
    Region,
    /// The hall.
    Place,
    /// The price of a seat.
    Price,
    /// Whether it can be bought now.
    OnSale,
    /// Whether tickets are offered for transfer.
    Transferable,
}

/// The clauses of those that are set.
pub fn of(query: &Query) -> Vec<(Filter, Value)> {
    let mut all = Vec::new();
    if let Some(from) = query.date_from {
        all.push((Filter::Date, json!({ "range": { "ends_on": { "gte": iso_date(from) } } })));
    }
    if let Some(to) = query.date_to {
        all.push((Filter::Date, json!({ "range": { "starts_on": { "lte": iso_date(to) } } })));
    }
    for (filter, field, names) in
        [(Filter::Category, "category_is", &query.category), (Filter::Region, "region_is", &query.region)]
    {
        let names: Vec<String> = names.iter().map(|name| normalise(name)).filter(|name| !name.is_empty()).collect();
        if !names.is_empty() {
            all.push((filter, json!({ "terms": { field: names } })));
        }
    }
    if let Some(place) = query.place.as_deref().map(normalise).filter(|text| !text.is_empty()) {
        // Letters and digits alone are left: nothing in it means more than itself.
        all.push((Filter::Place, json!({ "wildcard": { "place_is": format!("*{place}*") } })));
    }
    if let Some(min) = query.price_min {
        all.push((Filter::Price, json!({ "range": { "max_price_krw": { "gte": min } } })));
    }
    if let Some(max) = query.price_max {
        all.push((Filter::Price, json!({ "range": { "min_price_krw": { "lte": max } } })));
    }
    if query.on_sale {
        all.push((Filter::OnSale, on_sale(query)));
    }
    if query.transferable {
        all.push((Filter::Transferable, transferable()));
    }
    all
}

/// What can be bought at the time of asking.
pub fn on_sale(query: &Query) -> Value {
    let Some(now) = query.now else { return json!({ "match_none": {} }) };
    let now = now.as_millis();
    json!({ "bool": { "filter": [
        { "range": { "sales_open_ms": { "lte": now } } },
        { "range": { "sales_close_ms": { "gt": now } } },
    ] } })
}

/// What tickets are offered for transfer.
pub fn transferable() -> Value {
    json!({ "range": { "transferable": { "gt": 0 } } })
}
