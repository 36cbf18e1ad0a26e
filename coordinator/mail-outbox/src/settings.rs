//! Settings of the mail outbox: each variable, its default and what it means, in one table.
use std::net::SocketAddr;
use std::path::PathBuf;

/// Each variable: its name, its default, what it means.
const TABLE: &[(&str, &str, &str)] = &[
    ("NUGUL_MAIL_SMTP_LISTEN", "127.0.0.1:7525", "address mail is delivered to (SMTP, no TLS, private)"),
    ("NUGUL_MAIL_HTTP_LISTEN", "127.0.0.1:7526", "address of the page and the API (HTTP, private)"),
    ("NUGUL_MAIL_DIR", ".data/mail", "folder of the mails"),
    ("NUGUL_LOG", "info", "log filter (tracing syntax)"),
];

/// Settings, read and checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where mail is delivered.
    pub smtp: SocketAddr,
    /// Where it is read.
    pub http: SocketAddr,
    /// Where it is kept.
    pub dir: PathBuf,
    /// Log filter.
    pub log: String,
}

impl Settings {
    /// Reads the settings through `lookup`; the error names the variable.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let get = |name: &str| {
            let default = TABLE.iter().find(|row| row.0 == name).map_or("", |row| row.1);
            lookup(name).filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
        };
        Ok(Self {
            smtp: get("NUGUL_MAIL_SMTP_LISTEN").parse().map_err(|e| format!("NUGUL_MAIL_SMTP_LISTEN: {e}"))?,
            http: get("NUGUL_MAIL_HTTP_LISTEN").parse().map_err(|e| format!("NUGUL_MAIL_HTTP_LISTEN: {e}"))?,
            dir: get("NUGUL_MAIL_DIR").into(),
            log: get("NUGUL_LOG"),
        })
    }

    /// The text of `--help`.
    pub fn help() -> String {
        let mut text = "nugul-mail-outbox: takes mail and shows it instead of sending it\n\n\
                        nugul-mail-outbox [--help] [--check-config]\n\nEnvironment:\n"
            .to_owned();
        for (name, default, doc) in TABLE {
            text += &format!("  {name:<24} {doc} [{default}]\n");
        }
        text
    }
}
