//! Every setting of the coordinator, in one place, from the environment.

use std::{net::SocketAddr, path::PathBuf};

use nugul_domain::Region;

/// What `--help` says of the settings.
pub const SETTINGS: &str = "\
  NUGUL_LISTEN             address to listen on (default 127.0.0.1:7001)
  NUGUL_METRICS_LISTEN     private address of /metrics (default: none)
  NUGUL_DATA               folder for the signing key and the embedded database (default .data)
  NUGUL_REGION             number of this region, 0-255 (default 0)
  NUGUL_PUBLIC_ORIGIN      where people find the site (default http://127.0.0.1:7000)
  NUGUL_MYSQL_URL          mysql://user:password@host/database (default: SQLite in NUGUL_DATA)
  NUGUL_REDIS_URL          redis://host:port (default: seats in this process)
  NUGUL_PAYMENT_URL        https://host:port of the payment service
  NUGUL_TLS_CA             PEM file: who signed the payment service's certificate
  NUGUL_TLS_CERT           PEM file: our client certificate
  NUGUL_TLS_KEY            PEM file: its key
  NUGUL_SMTP_URL           smtp://host:port, or smtps://user:password@host
  NUGUL_MAIL_FROM          sender of our mail (default the demo's)
  NUGUL_SIGNING_KEY_FILE   PEM file of the Ed25519 key (default NUGUL_DATA/signing-key.pem, made when absent)
  NUGUL_REFRESH_REUSE_LEEWAY_MS  a rotated refresh token still answers this long (default 10000)
  NUGUL_PAY_WINDOW_MS      how long an order waits to be paid (default 600000)
  NUGUL_HOLD_TTL_MS        how long seats are held (default 300000)
  NUGUL_LOG                log filter, as in info,nugul_coordinator=debug (default info)";

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
    /// Where people find the site.
    pub public_origin: String,
    /// MySQL, or SQLite where absent.
    pub mysql_url: Option<String>,
    /// Redis, or memory where absent.
    pub redis_url: Option<String>,
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
    /// How long seats are held, in milliseconds.
    pub hold_ttl_ms: i64,
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
        let signing_key_file = file("NUGUL_SIGNING_KEY_FILE").unwrap_or_else(|| data.join("signing-key.pem"));
        Ok(Self {
            listen: parsed(&get, "NUGUL_LISTEN")?.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7001))),
            metrics_listen: parsed(&get, "NUGUL_METRICS_LISTEN")?,
            region: Region(parsed(&get, "NUGUL_REGION")?.unwrap_or(0)),
            public_origin: get("NUGUL_PUBLIC_ORIGIN").unwrap_or_else(|| "http://127.0.0.1:7000".into()),
            mysql_url: get("NUGUL_MYSQL_URL"),
            redis_url: get("NUGUL_REDIS_URL"),
            payment_url: get("NUGUL_PAYMENT_URL").unwrap_or_else(|| "https://localhost:7002".into()),
            tls,
            smtp_url: get("NUGUL_SMTP_URL").unwrap_or_else(|| "smtp://127.0.0.1:1025".into()),
            mail_from: get("NUGUL_MAIL_FROM"),
            signing_key_file,
            refresh_reuse_leeway_ms: parsed(&get, "NUGUL_REFRESH_REUSE_LEEWAY_MS")?.unwrap_or(10_000),
            pay_window_ms: parsed(&get, "NUGUL_PAY_WINDOW_MS")?.unwrap_or(nugul_domain::order::PAY_WINDOW_MS),
            hold_ttl_ms: parsed(&get, "NUGUL_HOLD_TTL_MS")?.unwrap_or(nugul_domain::seat_book::HOLD_TTL_MS),
            data,
        })
    }
}

fn parsed<T: std::str::FromStr>(get: impl Fn(&str) -> Option<String>, name: &str) -> Result<Option<T>, String> {
    get(name).map(|v| v.parse().map_err(|_| format!("{name} is not valid: {v}"))).transpose()
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
        assert!(with("NUGUL_TLS_CA", "ca.pem").unwrap_err().contains("NUGUL_TLS_KEY"));
    }
}
