//! Settings of the payment service: each variable, its default and what it means, in one table.
use std::net::SocketAddr;
use std::path::PathBuf;

/// Each variable: its name, its default (`None`: must be set, `Some("")`: may be absent), what it means.
const TABLE: &[(&str, Option<&str>, &str)] = &[
    ("NUGUL_PAYMENT_LISTEN", Some("127.0.0.1:7300"), "address of the gRPC listener (mutual TLS)"),
    ("NUGUL_PAYMENT_ADMIN_LISTEN", Some("127.0.0.1:7301"), "address of /healthz, /readyz and /metrics (HTTP, private)"),
    ("NUGUL_PAYMENT_MYSQL_URL", Some(""), "MySQL or MariaDB; absent: SQLite in the data folder"),
    ("NUGUL_PAYMENT_DATA", Some(".data/payment"), "folder of payment.db"),
    ("NUGUL_TLS_CA", None, "PEM file: the authority that signs callers"),
    ("NUGUL_TLS_CERT", None, "PEM file: this service's certificate"),
    ("NUGUL_TLS_KEY", None, "PEM file: the certificate's key"),
    ("NUGUL_TOSS_URL", Some("https://api.tosspayments.com"), "origin of the Toss Payments API"),
    ("NUGUL_TOSS_SECRET_KEY", None, "secret key of the shop at Toss"),
    ("NUGUL_LOG", Some("info"), "log filter (tracing syntax)"),
];

/// Settings, read and checked.
#[derive(Clone)]
pub struct Config {
    /// gRPC listener.
    pub listen: SocketAddr,
    /// Admin listener.
    pub admin_listen: SocketAddr,
    /// MySQL, when set.
    pub mysql_url: Option<String>,
    /// Folder of the SQLite file.
    pub data: PathBuf,
    /// The authority that signs callers, PEM.
    pub tls_ca: String,
    /// This service's certificate, PEM.
    pub tls_cert: String,
    /// Its key, PEM.
    pub tls_key: String,
    /// Origin of the Toss API.
    pub toss_url: String,
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
        let file = |name: &str| std::fs::read_to_string(get(name)?).map_err(|error| format!("{name}: {error}"));
        let toss_url = get("NUGUL_TOSS_URL")?;
        if !toss_url.starts_with("https://") && !toss_url.starts_with("http://") {
            return Err("NUGUL_TOSS_URL: not an http(s) origin".into());
        }
        Ok(Self {
            listen: address("NUGUL_PAYMENT_LISTEN")?,
            admin_listen: address("NUGUL_PAYMENT_ADMIN_LISTEN")?,
            mysql_url: Some(get("NUGUL_PAYMENT_MYSQL_URL")?).filter(|url| !url.is_empty()),
            data: get("NUGUL_PAYMENT_DATA")?.into(),
            tls_ca: file("NUGUL_TLS_CA")?,
            tls_cert: file("NUGUL_TLS_CERT")?,
            tls_key: file("NUGUL_TLS_KEY")?,
            toss_url,
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
            text += &format!("  {name:<28} {doc}{default}\n");
        }
        text
    }
}
