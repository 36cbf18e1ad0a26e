//! Settings of the payment service: each variable, its default and what it means, in one table.
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::tls::Files;

/// Each variable: its name, its default (`None`: must be set, `Some("")`: may be absent), what it means.
const TABLE: &[(&str, Option<&str>, &str)] = &[
    ("NUGUL_PAYMENT_LISTEN", Some("127.0.0.1:7300"), "address of the gRPC listener (mutual TLS)"),
    ("NUGUL_PAYMENT_ADMIN_LISTEN", Some("127.0.0.1:7301"), "address of /healthz, /readyz and /metrics (HTTP, private)"),
    (
        "NUGUL_PAYMENT_WEBHOOK_LISTEN",
        Some(""),
        "address of the listener for Toss's webhooks (HTTP, the only public one); absent: none",
    ),
    ("NUGUL_PAYMENT_COORDINATORS", Some("coordinator"), "names in certificates that may move money, between commas"),
    (
        "NUGUL_PAYMENT_OPERATORS",
        Some("operator,coordinator"),
        "names in certificates that may read the books, between commas; with the coordinator's, its admins may through it",
    ),
    ("NUGUL_PAYMENT_MYSQL_URL", Some(""), "MySQL or MariaDB; absent: SQLite in the data folder"),
    ("NUGUL_PAYMENT_DATA", Some(".data/payment"), "folder of payment.db"),
    ("NUGUL_TLS_CA", None, "PEM file: the authority that signs callers"),
    ("NUGUL_TLS_CERT", None, "PEM file: this service's certificate"),
    ("NUGUL_TLS_KEY", None, "PEM file: the certificate's key"),
    ("NUGUL_TOSS_URL", Some("https://api.tosspayments.com"), "origin of the Toss Payments API"),
    ("NUGUL_TOSS_ANSWER_MS", Some("20000"), "longest wait for a whole answer of Toss, in milliseconds"),
    ("NUGUL_TOSS_SECRET_KEY", None, "secret key of the shop at Toss"),
    ("NUGUL_LOG", Some("info"), "log filter (tracing syntax)"),
];

/// How long Toss may be given to answer, in milliseconds.
const TOSS_ANSWER_MS: RangeInclusive<u64> = 100..=60_000;

/// Settings, read and checked.
#[derive(Clone)]
pub struct Config {
    /// gRPC listener.
    pub listen: SocketAddr,
    /// Admin listener.
    pub admin_listen: SocketAddr,
    /// Webhook listener, when set.
    pub webhook_listen: Option<SocketAddr>,
    /// Who may move money, by the names in their certificates.
    pub coordinators: String,
    /// Who may read the books.
    pub operators: String,
    /// MySQL, when set.
    pub mysql_url: Option<String>,
    /// Folder of the SQLite file.
    pub data: PathBuf,
    /// The certificates; their files are read again while the service runs.
    pub tls: Files,
    /// Origin of the Toss API.
    pub toss_url: String,
    /// Longest wait for a whole answer of Toss.
    pub toss_answer: Duration,
    /// Secret key of the shop.
    pub toss_secret_key: String,
    /// Log filter.
    pub log: String,
}

impl Config {
    /// Reads the settings through `lookup`, and the files they name; the error names the variable, never its value.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let get = |name: &str| {
            let default = TABLE.iter().find(|row| row.0 == name).and_then(|row| row.1).map(str::to_owned);
            lookup(name).filter(|value| !value.is_empty()).or(default).ok_or_else(|| format!("{name} is not set"))
        };
        let address = |name: &str| get(name)?.parse().map_err(|error| format!("{name}: {error}"));
        let webhook_listen = Some(get("NUGUL_PAYMENT_WEBHOOK_LISTEN")?)
            .filter(|text| !text.is_empty())
            .map(|text| text.parse().map_err(|error| format!("NUGUL_PAYMENT_WEBHOOK_LISTEN: {error}")))
            .transpose()?;
        let tls = Files {
            ca: get("NUGUL_TLS_CA")?.into(),
            cert: get("NUGUL_TLS_CERT")?.into(),
            key: get("NUGUL_TLS_KEY")?.into(),
        };
        tls.load()?;
        let toss_url = get("NUGUL_TOSS_URL")?;
        if !toss_url.starts_with("https://") && !toss_url.starts_with("http://") {
            return Err("NUGUL_TOSS_URL: not an http(s) origin".into());
        }
        let toss_answer =
            get("NUGUL_TOSS_ANSWER_MS")?.parse().map_err(|error| format!("NUGUL_TOSS_ANSWER_MS: {error}"))?;
        if !TOSS_ANSWER_MS.contains(&toss_answer) {
            return Err(format!(
                "NUGUL_TOSS_ANSWER_MS: between {} and {}",
                TOSS_ANSWER_MS.start(),
                TOSS_ANSWER_MS.end()
            ));
        }
        Ok(Self {
            listen: address("NUGUL_PAYMENT_LISTEN")?,
            admin_listen: address("NUGUL_PAYMENT_ADMIN_LISTEN")?,
            mysql_url: Some(get("NUGUL_PAYMENT_MYSQL_URL")?).filter(|url| !url.is_empty()),
            data: get("NUGUL_PAYMENT_DATA")?.into(),
            webhook_listen,
            coordinators: get("NUGUL_PAYMENT_COORDINATORS")?,
            operators: get("NUGUL_PAYMENT_OPERATORS")?,
            tls,
            toss_url,
            toss_answer: Duration::from_millis(toss_answer),
            toss_secret_key: get("NUGUL_TOSS_SECRET_KEY")?,
            log: get("NUGUL_LOG")?,
        })
    }

    /// The text of `--help`.
    pub fn help() -> String {
        let mut text = "nugul-payment: takes money for orders through Toss Payments, once, and gives it back\n\n\
                        nugul-payment [--help] [--check-config]\n\nEnvironment:\n"
            .to_owned();
        for (name, default, doc) in TABLE {
            let default = match default {
                None => " [must be set]".to_owned(),
                Some("") => String::new(),
                Some(value) => format!(" [{value}]"),
            };
            text += &format!("  {name:<30} {doc}{default}\n");
        }
        text
    }
}
