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
        let seconds: u64 = get("NUGUL_TOSS_CONFIRM_WINDOW_SECONDS")
            .parse()
            .map_err(|e| format!("NUGUL_TOSS_CONFIRM_WINDOW_SECONDS: {e}"))?;
        Ok(Self {
            listen: get("NUGUL_TOSS_LISTEN").parse().map_err(|e| format!("NUGUL_TOSS_LISTEN: {e}"))?,
            secret_key: get("NUGUL_TOSS_SECRET_KEY"),
            client_key: get("NUGUL_TOSS_CLIENT_KEY"),
            data: get("NUGUL_TOSS_DATA").into(),
            confirm_window: Duration::from_secs(seconds),
            log: get("NUGUL_LOG"),
        })
    }

    /// The text of `--help`.
    pub fn help() -> String {
        let mut text = "toss-simulator: Toss Payments without money, for trying and testing\n\n\
                        toss-simulator [--help] [--check-config]\n\nEnvironment:\n"
            .to_owned();
        for (name, default, doc) in TABLE {
            text += &format!("  {name:<34} {doc} [{default}]\n");
        }
        text
    }
}
