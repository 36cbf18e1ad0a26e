//! Every setting of the coordinator, in one place.

mod check;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use nugul_domain::Region;

pub use check::check;

use crate::{region_keys, search::client::Server, streams::StreamLimits};

/// What `--help` says of the settings.
pub const SETTINGS: &str = "\
  NUGUL_LISTEN             address to listen on (default 127.0.0.1:7001)
  NUGUL_METRICS_LISTEN     private address of /metrics (default: none)
  NUGUL_DATA               folder for the signing key and the embedded database (default .data)
  NUGUL_REGION             number of this region, 0-255 (default 0)
  NUGUL_REGION_KEYS        where the keys of other regions are, so that their people are believed here:
                           1=https://one.example/.well-known/jwks.json,2=/etc/two.json (default: none)
  NUGUL_PUBLIC_ORIGIN      where people find the site (default http://127.0.0.1:7000)
  NUGUL_MYSQL_URL          mysql://user:password@host/database (default: SQLite in NUGUL_DATA)
  NUGUL_REDIS_URL          redis://host:port, redis+sentinel://host:port,host:port/MASTER_NAME or
                           redis+cluster://host:port,host:port (default: seats in this process)
  NUGUL_OPENSEARCH_URL     http(s)://host:port of an OpenSearch 2 with the plugin analysis-nori (default: none; searches are
                           answered from the catalogue in this process)
  NUGUL_OPENSEARCH_USER, NUGUL_OPENSEARCH_PASSWORD  its account, where it asks for one
  NUGUL_OPENSEARCH_PREFIX  what the names of our indexes begin with (default nugul)
  NUGUL_SEARCH_WORDS       folder with synonyms.txt, names.txt, stop.txt, user_words.txt, places.txt in the place of ours;
                           read again when one changes: live at every edge within seconds, in the full-text index with
                           the next reindex
  NUGUL_SEARCH_COMPARE_MS  how often the full-text index is compared with the database (default 600000)
  NUGUL_PAYMENT_URL        https://host:port of the payment service
  NUGUL_TLS_CA             PEM file: who signed the payment service's certificate
  NUGUL_TLS_CERT           PEM file: our client certificate
  NUGUL_TLS_KEY            PEM file: its key
  NUGUL_SMTP_URL           smtp://host:port, or smtps://user:password@host
  NUGUL_MAIL_FROM          sender of our mail (default the demo's)
  NUGUL_SIGNING_KEY_FILE   PEM file of the Ed25519 key (default NUGUL_DATA/signing-key.pem, made when absent)
  NUGUL_REFRESH_REUSE_LEEWAY_MS  a rotated refresh token still answers this long (default 10000)
  NUGUL_PAY_WINDOW_MS      how long an order waits to be paid (default 600000)
  NUGUL_DECISION_WINDOW_MS how long after that its payment may be undecided (default 1800000)
  NUGUL_HOLD_TTL_MS        how long seats are held (default 300000)
  NUGUL_STREAMS_MAX        seat streams of this process at once (default 50000)
  NUGUL_STREAMS_PER_ADDRESS_MAX  of one client address; an edge place is one (default 20000)
  NUGUL_STREAMS_PER_USER_MAX  of one user (default 20)
  NUGUL_STREAM_LIFETIME_MS how long a seat stream is open at most (default 14400000)
  NUGUL_STREAM_STALLED_MAX_MS  how long a reader may take nothing (default 30000)
  NUGUL_EDGE_KEY           what our edges show to have their votes counted, 16 characters or more (default: no votes
                           from edges, so no rankings of searches and looks)
  NUGUL_BLOCKED_WORDS_FILE words that no ranking shows, one a line; read again when it changes (default: a short list)
  NUGUL_LOG                log filter, as in info,nugul_coordinator=debug (default info)";

/// The shortest key of our edges.
const EDGE_KEY_BYTES_MIN: usize = 16;

/// The settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where requests are taken.
    pub listen: SocketAddr,
    /// Where metrics are told, if anywhere.
    pub metrics_listen: Option<SocketAddr>,
    /// The folder of our files.
    pub data: PathBuf,
    /// Our region.
    pub region: Region,
    /// Where the keys of other regions are.
    pub region_keys: region_keys::Sources,
    /// Where people find the site.
    pub public_origin: String,
    /// `MySQL`, or `SQLite` where absent.
    pub mysql_url: Option<String>,
    /// Redis, or memory where absent.
    pub redis_url: Option<String>,
    /// The full-text engine, if there is one.
    pub opensearch: Option<Server>,
    /// A folder with the words of search, in the place of ours.
    pub search_words: Option<PathBuf>,
    /// How often the full-text index is compared with the database, in milliseconds.
    pub search_compare_ms: i64,
    /// The payment service.
    pub payment_url: String,
    /// Files of mutual TLS: authority, certificate, key.
    pub tls: Option<(PathBuf, PathBuf, PathBuf)>,
    /// Where mail goes.
    pub smtp_url: String,
    /// The sender of our mail.
    pub mail_from: Option<String>,
    /// The key that signs tokens.
    pub signing_key_file: PathBuf,
    /// How long a rotated refresh token still answers, in milliseconds.
    pub refresh_reuse_leeway_ms: i64,
    /// How long an order waits to be paid, in milliseconds.
    pub pay_window_ms: i64,
    /// How long after its time to pay an order waits for its payment to be decided, in milliseconds.
    pub decision_window_ms: i64,
    /// How long seats are held, in milliseconds.
    pub hold_ttl_ms: i64,
    /// How many seat streams may be open.
    pub stream_limits: StreamLimits,
    /// How long a seat stream is open at most.
    pub stream_lifetime: Duration,
    /// How long a reader of a seat stream may take nothing while something waits for it.
    pub stream_stalled_max: Duration,
    /// What our edges show to have their votes counted.
    pub edge_key: Option<String>,
    /// Words that no ranking shows; the shipped list where absent.
    pub blocked_words_file: Option<PathBuf>,
}

impl Config {
    /// Reads the settings; an error names the setting at fault.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let get = |name: &str| get(name).filter(|v| !v.is_empty());
        let data = PathBuf::from(get("NUGUL_DATA").unwrap_or_else(|| ".data".into()));
        let file = |name: &str| get(name).map(PathBuf::from);
        let tls = match (file("NUGUL_TLS_CA"), file("NUGUL_TLS_CERT"), file("NUGUL_TLS_KEY")) {
            (Some(ca), Some(cert), Some(key)) => Some((ca, cert, key)),
            (None, None, None) => None,
            _ => return Err("NUGUL_TLS_CA, NUGUL_TLS_CERT and NUGUL_TLS_KEY go together".into()),
        };
        let redis_url = get("NUGUL_REDIS_URL");
        if let Some(why) = redis_url.as_deref().and_then(nugul_coordination::redis::url_error) {
            return Err(format!("NUGUL_REDIS_URL is not valid: {why}"));
        }
        let edge_key = get("NUGUL_EDGE_KEY");
        if edge_key
            .as_ref()
            .is_some_and(|key| key.len() < EDGE_KEY_BYTES_MIN || !key.bytes().all(|b| b.is_ascii_graphic()))
        {
            return Err(format!("NUGUL_EDGE_KEY is not {EDGE_KEY_BYTES_MIN} or more plain characters"));
        }
        let signing_key_file = file("NUGUL_SIGNING_KEY_FILE").unwrap_or_else(|| data.join("signing-key.pem"));
        Ok(Self {
            listen: parsed(get, "NUGUL_LISTEN")?.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7001))),
            metrics_listen: parsed(get, "NUGUL_METRICS_LISTEN")?,
            region: Region(parsed(get, "NUGUL_REGION")?.unwrap_or(0)),
            region_keys: region_keys::parse(&get("NUGUL_REGION_KEYS").unwrap_or_default())
                .map_err(|why| format!("NUGUL_REGION_KEYS is not valid: {why}"))?,
            public_origin: get("NUGUL_PUBLIC_ORIGIN").unwrap_or_else(|| "http://127.0.0.1:7000".into()),
            mysql_url: get("NUGUL_MYSQL_URL"),
            redis_url,
            opensearch: Server::read(get)?,
            search_words: file("NUGUL_SEARCH_WORDS"),
            search_compare_ms: parsed(get, "NUGUL_SEARCH_COMPARE_MS")?.unwrap_or(600_000),
            payment_url: get("NUGUL_PAYMENT_URL").unwrap_or_else(|| "https://localhost:7002".into()),
            tls,
            smtp_url: get("NUGUL_SMTP_URL").unwrap_or_else(|| "smtp://127.0.0.1:1025".into()),
            mail_from: get("NUGUL_MAIL_FROM"),
            signing_key_file,
            refresh_reuse_leeway_ms: at_least(0, get, "NUGUL_REFRESH_REUSE_LEEWAY_MS")?.unwrap_or(10_000),
            pay_window_ms: at_least(1, get, "NUGUL_PAY_WINDOW_MS")?.unwrap_or(nugul_domain::order::PAY_WINDOW_MS),
            decision_window_ms: at_least(1, get, "NUGUL_DECISION_WINDOW_MS")?
                .unwrap_or(nugul_domain::order::DECISION_WINDOW_MS),
            hold_ttl_ms: at_least(1, get, "NUGUL_HOLD_TTL_MS")?.unwrap_or(nugul_domain::seat_book::HOLD_TTL_MS),
            stream_limits: StreamLimits {
                all: parsed(get, "NUGUL_STREAMS_MAX")?.unwrap_or(50_000),
                per_address: parsed(get, "NUGUL_STREAMS_PER_ADDRESS_MAX")?.unwrap_or(20_000),
                per_user: parsed(get, "NUGUL_STREAMS_PER_USER_MAX")?.unwrap_or(20),
            },
            stream_lifetime: Duration::from_millis(parsed(get, "NUGUL_STREAM_LIFETIME_MS")?.unwrap_or(14_400_000)),
            stream_stalled_max: Duration::from_millis(parsed(get, "NUGUL_STREAM_STALLED_MAX_MS")?.unwrap_or(30_000)),
            edge_key,
            blocked_words_file: file("NUGUL_BLOCKED_WORDS_FILE"),
            data,
        })
    }
}

fn at_least(least: i64, get: impl Fn(&str) -> Option<String>, name: &str) -> Result<Option<i64>, String> {
    let value = parsed(get, name)?;
    if value.is_some_and(|value: i64| value < least) {
        return Err(format!("{name} is less than {least}"));
    }
    Ok(value)
}

fn parsed<T: std::str::FromStr>(get: impl Fn(&str) -> Option<String>, name: &str) -> Result<Option<T>, String> {
    get(name).map(|v| v.parse().map_err(|_| format!("{name} is not valid"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_setting_is_named() {
        let with =
            |name: &'static str, value: &'static str| Config::read(move |n| (n == name).then(|| value.to_owned()));
        assert!(with("", "").is_ok());
        assert!(with("NUGUL_REGION", "256").unwrap_err().contains("NUGUL_REGION"));
        assert!(with("NUGUL_LISTEN", "here").unwrap_err().contains("NUGUL_LISTEN"));
        assert!(with("NUGUL_REDIS_URL", "redis+sentinel://here:1").unwrap_err().contains("NUGUL_REDIS_URL"));
        assert!(with("NUGUL_EDGE_KEY", "short").unwrap_err().contains("NUGUL_EDGE_KEY"));
        assert!(with("NUGUL_OPENSEARCH_URL", "redis://here:1").unwrap_err().contains("NUGUL_OPENSEARCH_URL"));
        assert!(with("NUGUL_OPENSEARCH_URL", "http://me:secret@here").unwrap_err().contains("NUGUL_OPENSEARCH_USER"));
        assert!(with("NUGUL_OPENSEARCH_USER", "me").unwrap_err().contains("NUGUL_OPENSEARCH_PASSWORD"));
        assert!(with("NUGUL_OPENSEARCH_PREFIX", "Nugul*").unwrap_err().contains("NUGUL_OPENSEARCH_PREFIX"));
        assert!(with("NUGUL_TLS_CA", "ca.pem").unwrap_err().contains("NUGUL_TLS_KEY"));
    }
}
