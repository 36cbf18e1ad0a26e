//! Counts to narrow a search by, as the full-text engine is asked for them. A filter does not narrow its own counts, so that
//! they say what another choice would find.

use nugul_catalog::{
    Facets, Query,
    facets::{BANDS_KRW, MAX_PLACES, MAX_VALUES},
    query::{Band, Count},
};
use serde_json::{Value, json};

use super::filters::{self, Filter};

/// The aggregations of a search with these filters.
pub fn wanted(query: &Query, filters: &[(Filter, Value)]) -> Value {
    let among = |own: Filter, counted: Value| {
        let others: Vec<&Value> =
            filters.iter().filter(|(filter, _)| *filter != own).map(|(_, clause)| clause).collect();
        json!({ "filter": { "bool": { "filter": others } }, "aggs": { "counts": counted } })
    };
    let names = |field: &str, most: usize| json!({ "terms": { "field": field, "size": most } });
    let bands: Vec<Value> = bands()
        .map(|(from, to)| match to {
            Some(to) => json!({ "from": from, "to": to }),
            None => json!({ "from": from }),
        })
        .collect();
    json!({
        "category": among(Filter::Category, names("category_name", MAX_VALUES)),
        "region": among(Filter::Region, names("region_name", MAX_VALUES)),
        "place": among(Filter::Place, names("place_name", MAX_PLACES)),
        "price": among(Filter::Price, json!({ "range": { "field": "min_price_krw", "ranges": bands } })),
        "on_sale": among(Filter::OnSale, json!({ "filter": filters::on_sale(query) })),
        "transferable": among(Filter::Transferable, json!({ "filter": filters::transferable() })),
    })
}

/// Each band of prices, from its first won to the first beyond it.
fn bands() -> impl Iterator<Item = (i64, Option<i64>)> {
    BANDS_KRW.into_iter().zip(BANDS_KRW.into_iter().skip(1).map(Some).chain([None]))
}

/// The counts in an answer.
pub fn read(aggregations: &Value) -> Facets {
    let buckets = |of: &str| aggregations[of]["counts"]["buckets"].as_array().cloned().unwrap_or_default();
    let count =
        |bucket: &Value| usize::try_from(bucket["doc_count"].as_u64().unwrap_or_default()).unwrap_or(usize::MAX);
    let names = |of: &str| -> Vec<Count> {
        let named = |bucket: &Value| Some(Count { value: bucket["key"].as_str()?.to_owned(), count: count(bucket) });
        buckets(of).iter().filter_map(named).collect()
    };
    let prices = buckets("price");
    let price = bands().zip(0..).map(|((min_krw, max_krw), n)| Band {
        min_krw,
        max_krw,
        count: prices.get(n).map_or(0, count),
    });
    Facets {
        category: names("category"),
        region: names("region"),
        place: names("place"),
        price: price.collect(),
        on_sale: count(&aggregations["on_sale"]["counts"]),
        transferable: count(&aggregations["transferable"]["counts"]),
    }
}
