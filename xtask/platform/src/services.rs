//! Each service's command line and settings: the one place that names them.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::options::{Edge, Service};
use crate::probe::Probe;
use crate::process::Spec;
use crate::{Artifacts, Error, TlsFiles, opensearch, servers};

/// The simulator's secret key; good nowhere else.
pub const TOSS_SECRET_KEY: &str = "test_sk_nugul_local";
/// The simulator's client key; good nowhere else.
pub const TOSS_CLIENT_KEY: &str = "test_ck_nugul_local";

/// What the local edge and coordinator know each other by; good nowhere else.
pub const EDGE_KEY: &str = "nugul-local-edge-key";

const REGION: &str = "0";
/// Requests that the component has at work on wasmtime.
const COMPONENT_REQUESTS_MAX: &str = "8000";

/// How much of young memory V8 fills before it collects, in MB. workerd frees what every collected request had held before
/// anything else goes on: with V8's 16 MB a pause of 80 ms each second under load, with this one of a few.
const YOUNG_MB: u8 = 2;

/// The names of the ports a platform needs, besides its Redis'.
pub(crate) const PORTS: [&str; 11] = [
    "mariadb",
    "mail_smtp",
    "mail",
    "toss",
    "payment",
    "payment_admin",
    "payment_webhook",
    "coordinator",
    "metrics",
    "edge",
    "inspector",
];

/// Settings that begin so are the payment service's; all others the coordinator's.
const OF_PAYMENT: &str = "NUGUL_TOSS_";

fn is_of_payment(setting: &str) -> bool {
    setting.starts_with(OF_PAYMENT)
}

/// What every command line is made from.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) artifacts: Artifacts,
    pub(crate) data_dir: PathBuf,
    pub(crate) edge: Option<Edge>,
    pub(crate) ports: BTreeMap<&'static str, u16>,
    pub(crate) tls: TlsFiles,
    pub(crate) mysql: Option<String>,
    pub(crate) payment_mysql: Option<String>,
    pub(crate) redis: Option<String>,
    /// The server's address and what the names of its indexes begin with.
    pub(crate) opensearch: Option<(String, Option<String>)>,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) edge_settings: Vec<(String, String)>,
    pub(crate) more_regions: Vec<(u8, String)>,
}

impl Plan {
    pub(crate) fn port(&self, name: &str) -> u16 {
        self.ports.get(name).copied().unwrap_or(0)
    }

    fn listen(&self, name: &str) -> String {
        format!("127.0.0.1:{}", self.port(name))
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}", self.listen(name))
    }

    pub(crate) fn payment_url(&self) -> String {
        format!("https://localhost:{}", self.port("payment"))
    }

    /// Where browsers go: the edge, or the coordinator when there is none.
    pub(crate) fn public_origin(&self) -> String {
        self.url(if self.edge.is_some() { "edge" } else { "coordinator" })
    }

    pub(crate) fn dir(&self, name: &str) -> Result<PathBuf, Error> {
        let dir = self.data_dir.join(name);
        fs::create_dir_all(&dir).map_err(|error| Error::io("cannot make", &dir, &error))?;
        Ok(dir)
    }

    pub(crate) fn probe(&self, service: Service) -> Option<Probe> {
        Some(match service {
            Service::Redis | Service::Sentinel => return None,
            Service::MariaDb => Probe::MariaDb(self.port("mariadb")),
            Service::OpenSearch => opensearch::probe(self.port(opensearch::PORT)),
            Service::Mail => Probe::Http(self.port("mail"), "/readyz"),
            Service::Toss => Probe::Http(self.port("toss"), "/readyz"),
            Service::Payment => Probe::Http(self.port("payment_admin"), "/readyz"),
            Service::Coordinator => Probe::Http(self.port("coordinator"), "/readyz"),
            Service::Edge => Probe::Http(self.port("edge"), "/healthz"),
        })
    }

    pub(crate) fn spec(&self, service: Service) -> Result<Spec, Error> {
        match service {
            Service::MariaDb => servers::mariadb(&self.dir("mariadb")?, self.port("mariadb"), ""),
            Service::Redis | Service::Sentinel => Err(Error::new(format!("{service} is started with its set"))),
            Service::OpenSearch => opensearch::spec(&self.dir("opensearch")?, self.port(opensearch::PORT)),
            Service::Mail => Ok(Spec::new(self.artifacts.binary("nugul-mail-outbox"))
                .env("NUGUL_MAIL_SMTP_LISTEN", self.listen("mail_smtp"))
                .env("NUGUL_MAIL_HTTP_LISTEN", self.listen("mail"))
                .env("NUGUL_MAIL_DIR", self.dir("mail")?)),
            Service::Toss => Ok(Spec::new(self.artifacts.binary("toss-simulator"))
                .env("NUGUL_TOSS_LISTEN", self.listen("toss"))
                .env("NUGUL_TOSS_WEBHOOK_URL", format!("{}/webhooks/toss", self.url("payment_webhook")))
                .env("NUGUL_TOSS_SECRET_KEY", TOSS_SECRET_KEY)
                .env("NUGUL_TOSS_CLIENT_KEY", TOSS_CLIENT_KEY)
                .env("NUGUL_TOSS_DATA", self.dir("toss")?)),
            Service::Payment => self.payment(),
            Service::Coordinator => self.coordinator(),
            Service::Edge => match self.edge {
                Some(Edge::Cloudflare) => self.cloudflare(),
                Some(Edge::Spin) => self.spin(),
                None => Err(Error::new("this platform has no edge")),
            },
        }
    }

    fn payment(&self) -> Result<Spec, Error> {
        let mut spec = Spec::new(self.artifacts.binary("nugul-payment"))
            .env("NUGUL_PAYMENT_LISTEN", self.listen("payment"))
            .env("NUGUL_PAYMENT_ADMIN_LISTEN", self.listen("payment_admin"))
            .env("NUGUL_PAYMENT_WEBHOOK_LISTEN", self.listen("payment_webhook"))
            .env("NUGUL_PAYMENT_DATA", self.dir("payment")?)
            .env("NUGUL_TLS_CA", &self.tls.ca)
            .env("NUGUL_TLS_CERT", &self.tls.server_cert)
            .env("NUGUL_TLS_KEY", &self.tls.server_key)
            .env("NUGUL_TOSS_URL", self.url("toss"))
            .env("NUGUL_TOSS_SECRET_KEY", TOSS_SECRET_KEY);
        if let Some(url) = &self.payment_mysql {
            spec = spec.env("NUGUL_PAYMENT_MYSQL_URL", url);
        }
        for (name, value) in self.settings.iter().filter(|(name, _)| is_of_payment(name)) {
            spec = spec.env(name, value);
        }
        Ok(spec)
    }

    pub(crate) fn coordinator(&self) -> Result<Spec, Error> {
        let mut spec = Spec::new(self.artifacts.binary("nugul-coordinator"))
            .env("NUGUL_LISTEN", self.listen("coordinator"))
            .env("NUGUL_METRICS_LISTEN", self.listen("metrics"))
            .env("NUGUL_DATA", self.dir("coordinator")?)
            .env("NUGUL_REGION", REGION)
            .env("NUGUL_EDGE_KEY", EDGE_KEY)
            .env("NUGUL_PUBLIC_ORIGIN", self.public_origin())
            .env("NUGUL_PAYMENT_URL", self.payment_url())
            .env("NUGUL_TLS_CA", &self.tls.ca)
            .env("NUGUL_TLS_CERT", &self.tls.client_cert)
            .env("NUGUL_TLS_KEY", &self.tls.client_key)
            .env("NUGUL_SMTP_URL", format!("smtp://{}", self.listen("mail_smtp")));
        if let Some(url) = &self.mysql {
            spec = spec.env("NUGUL_MYSQL_URL", url);
        }
        if let Some(url) = &self.redis {
            spec = spec.env("NUGUL_REDIS_URL", url);
        }
        if let Some((url, prefix)) = &self.opensearch {
            spec = spec.env(opensearch::URL_VARIABLE, url);
            if let Some(prefix) = prefix {
                spec = spec.env(opensearch::PREFIX_VARIABLE, prefix);
            }
        }
        for (name, value) in self.settings.iter().filter(|(name, _)| !is_of_payment(name)) {
            spec = spec.env(name, value);
        }
        Ok(spec)
    }

    /// The edge's settings, the same for both.
    fn edge_variables(&self) -> Vec<(&str, String)> {
        let more = self.more_regions.iter().map(|(number, origin)| format!(",{number}={origin}")).collect::<String>();
        let regions = format!("{REGION}={}{more}", self.url("coordinator"));
        let usual = [
            ("NUGUL_PUBLIC_ORIGIN", self.public_origin()),
            ("NUGUL_REGIONS", regions),
            ("NUGUL_TOSS_SDK_URL", format!("{}/v2/standard", self.url("toss"))),
            ("NUGUL_TOSS_CLIENT_KEY", TOSS_CLIENT_KEY.to_owned()),
            ("NUGUL_EDGE_KEY", EDGE_KEY.to_owned()),
        ];
        let more = self.edge_settings.iter().map(|(name, value)| (name.as_str(), value.clone()));
        usual.into_iter().chain(more).collect()
    }

    fn cloudflare(&self) -> Result<Spec, Error> {
        if let Some(wrangler) = &self.artifacts.wrangler {
            return self.wrangler(wrangler);
        }
        let workerd = need(self.artifacts.workerd.as_deref(), "workerd")?;
        let bundle = need(self.artifacts.worker_bundle.as_deref(), "the worker's bundle")?;
        let dir = self.dir("edge")?;
        // A configuration may only embed files beside it.
        for name in ["index.js", "index_bg.wasm"] {
            let from = bundle.join(name);
            fs::copy(&from, dir.join(name)).map_err(|error| Error::io("cannot read", &from, &error))?;
        }
        let storage = self.dir("edge/durable-objects")?;
        let config = dir.join("workerd.capnp");
        let text = workerd_config(&self.listen("edge"), &storage, &self.edge_variables());
        fs::write(&config, text).map_err(|error| Error::io("cannot write", &config, &error))?;
        Ok(Spec::new(workerd).arg("serve").arg(config))
    }

    fn wrangler(&self, wrangler: &Path) -> Result<Spec, Error> {
        let dir = self.dir("edge")?;
        let mut spec = Spec::new(wrangler)
            .args(["dev", "--ip", "127.0.0.1", "--show-interactive-dev-session=false", "--port"])
            .arg(self.port("edge").to_string())
            .arg("--inspector-port")
            .arg(self.port("inspector").to_string())
            .arg("--persist-to")
            .arg(dir.join("wrangler"))
            .env("WRANGLER_SEND_METRICS", "false")
            .env("CLOUDFLARE_CF_FETCH_ENABLED", "false")
            .env("DO_NOT_TRACK", "1")
            .env("CI", "1")
            .env("XDG_CONFIG_HOME", self.dir("edge/config")?)
            .dir(&self.artifacts.root);
        for (name, value) in self.edge_variables() {
            spec = spec.arg("--var").arg(format!("{name}:{value}"));
        }
        Ok(spec)
    }

    fn spin(&self) -> Result<Spec, Error> {
        let component = need(self.artifacts.component.as_deref(), "the WASI component")?;
        let mut spec = if let Some(spin) = &self.artifacts.spin {
            Spec::new(spin)
                .args(["up", "--quiet", "--from"])
                .arg(self.artifacts.root.join("spin.toml"))
                .arg("--state-dir")
                .arg(self.dir("edge/spin")?)
                .arg("--listen")
                .arg(self.listen("edge"))
        } else {
            let wasmtime = need(self.artifacts.wasmtime.as_deref(), "wasmtime")?;
            // Each seat stream is a request for as long as somebody looks; wasmtime takes 1,000 where it is told nothing.
            Spec::new(wasmtime)
                .args(["serve", "-Scli", "--max-concurrent-requests", COMPONENT_REQUESTS_MAX])
                .args(["--max-concurrent-connections", COMPONENT_REQUESTS_MAX, "--addr"])
                .arg(self.listen("edge"))
        };
        for (name, value) in self.edge_variables() {
            spec = spec.arg("--env").arg(format!("{name}={value}"));
        }
        if self.artifacts.spin.is_none() {
            spec = spec.arg(component);
        }
        Ok(spec)
    }
}

fn need<'a>(path: Option<&'a Path>, what: &str) -> Result<&'a Path, Error> {
    path.ok_or_else(|| Error::new(format!("{what} is not there; run `cargo xtask build`")))
}

/// The worker on workerd: one socket, the Durable Object on disk, and outgoing requests allowed to loopback.
fn workerd_config(listen: &str, storage: &Path, variables: &[(&str, String)]) -> String {
    let mut bindings = String::from("    (name = \"SEAT_ROOM\", durableObjectNamespace = \"SeatRoom\"),\n");
    for (name, value) in variables {
        bindings += &format!("    (name = {}, text = {}),\n", quoted(name), quoted(value));
    }
    format!(
        r#"# Written by `cargo xtask`; changes here are lost.
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  v8Flags = ["--max-semi-space-size={YOUNG_MB}"],
  services = [
    (name = "edge", worker = .edge),
    (name = "durable-objects", disk = (path = {storage}, writable = true)),
    (name = "network", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [(name = "http", address = {listen}, http = (), service = "edge")],
);
const edge :Workerd.Worker = (
  modules = [
    (name = "index.js", esModule = embed "index.js"),
    (name = "index_bg.wasm", wasm = embed "index_bg.wasm"),
  ],
  compatibilityDate = "2026-04-01",
  globalOutbound = "network",
  durableObjectNamespaces = [(className = "SeatRoom", uniqueKey = "nugul-seat-room", enableSql = true)],
  durableObjectStorage = (localDisk = "durable-objects"),
  bindings = [
{bindings}  ],
);
"#,
        storage = quoted(&storage.display().to_string()),
        listen = quoted(listen),
    )
}

/// A Cap'n Proto string; JSON's quoting is understood there.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
