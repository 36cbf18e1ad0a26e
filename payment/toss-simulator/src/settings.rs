//! Settings of the simulator: each variable, its default and what it means, in one table.
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Each variable: its name, its default, what it means.
const TABLE: &[(&str, &str, &str)] = &[
    ("NUGUL_TOSS_LISTEN", "127.0.0.1:7400", "address to listen on (HTTP)"),
    ("NUGUL_TOSS_SECRET_KEY", "test_sk_nugul_simulator", "secret key merchants authenticate with"),
    ("NUGUL_TOSS_CLIENT_KEY", "test_ck_nugul_simulator", "client key the browser script is given"),
    ("NUGUL_TOSS_DATA", ".data/toss", "folder of the state file"),
    ("NUGUL_TOSS_CONFIRM_WINDOW_SECONDS", "600", "how long a payment waits for its confirm"),
    ("NUGUL_TOSS_DEPOSIT_WINDOW_SECONDS", "604800", "how long a virtual account waits for its deposit"),
    ("NUGUL_TOSS_WEBHOOK_URL", "", "where webhooks go (http or https); absent: none are sent"),
    ("NUGUL_TOSS_WEBHOOK_PAUSE_MS", "60000", "pause before a webhook is sent again; it grows fourfold, 7 times"),
    ("NUGUL_LOG", "info", "log filter (tracing syntax)"),
];

/// Settings, read and checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What merchants authenticate with.
    pub secret_key: String,
    /// What the browser script is given.
    pub client_key: String,
    /// Folder of the state file.
    pub data: PathBuf,
    /// How long a payment waits for its confirm.
    pub confirm_window: Duration,
    /// How long a virtual account waits for its deposit.
    pub deposit_window: Duration,
    /// Where webhooks go.
    pub webhook_url: Option<String>,
    /// Pause before a webhook is sent again.
    pub webhook_pause: Duration,
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
        let number = |name: &str| get(name).parse::<u64>().map_err(|error| format!("{name}: {error}"));
        let webhook_url = Some(get("NUGUL_TOSS_WEBHOOK_URL")).filter(|url| !url.is_empty());
        if webhook_url.as_ref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            return Err("NUGUL_TOSS_WEBHOOK_URL: not an http(s) address".into());
        }
        Ok(Self {
            listen: get("NUGUL_TOSS_LISTEN").parse().map_err(|e| format!("NUGUL_TOSS_LISTEN: {e}"))?,
            secret_key: get("NUGUL_TOSS_SECRET_KEY"),
            client_key: get("NUGUL_TOSS_CLIENT_KEY"),
            data: get("NUGUL_TOSS_DATA").into(),
            confirm_window: Duration::from_secs(number("NUGUL_TOSS_CONFIRM_WINDOW_SECONDS")?),
            deposit_window: Duration::from_secs(number("NUGUL_TOSS_DEPOSIT_WINDOW_SECONDS")?),
            webhook_url,
            webhook_pause: Duration::from_millis(number("NUGUL_TOSS_WEBHOOK_PAUSE_MS")?),
            log: get("NUGUL_LOG"),
        })
    }

    /// The text of `--help`.
    pub fn help() -> String {
        let mut text = "toss-simulator: Toss Payments without money, for trying and testing\n\n\
                        toss-simulator [--help] [--check-config]\n\nEnvironment:\n"
            .to_owned();
        for (name, default, doc) in TABLE {
            let default = if default.is_empty() { String::new() } else { format!(" [{default}]") };
            text += &format!("  {name:<34} {doc}{default}\n");
        }
        text
    }
}
