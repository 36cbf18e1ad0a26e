//! `cargo xtask reindex`: has a running coordinator build the next version of a search index, and shows how far it is.
use std::env;
use std::fs;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::args::Args;
use crate::paths;
use crate::run::{Failure, Fallible, say};

/// How long one request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// How often the job is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The job is left alone after so many looks: it goes on by itself.
const LOOKS_MAX: u32 = 4 * 60 * 60;
/// Of so many looks one is told although nothing is new.
const TELL_EVERY: u32 = 40;

pub(crate) fn reindex(args: &Args) -> Fallible {
    let index = args.words.first().map_or("events", String::as_str);
    let work = match (args.has("way-back"), args.has("compare")) {
        (false, false) => "reindex",
        (true, false) => "way_back",
        (false, true) => "compare",
        (true, true) => return Err(Failure::new("--way-back and --compare are two jobs")),
    };
    let api = format!("{}/api/v1", coordinator(args)?);
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(REQUEST_LIMIT)).http_status_as_error(false).build().into();

    let from_env = |name: &str, demo: &str| env::var(name).unwrap_or_else(|_| demo.to_owned());
    let account = json!({
        "email": from_env("NUGUL_ADMIN_EMAIL", "admin@nugul.test"),
        "password": from_env("NUGUL_ADMIN_PASSWORD", "nugul-demo-2026"),
    });
    let tokens = answer(agent.post(format!("{api}/auth/log-in")).send_json(&account))?;
    let token = format!("Bearer {}", tokens["access_token"].as_str().unwrap_or_default());

    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let asked = agent
        .post(format!("{api}/admin/search/jobs"))
        .header("authorization", &token)
        .header("idempotency-key", format!("xtask-{since}"))
        .send_json(json!({ "work": work, "index": index }));
    let id = answer(asked)?["id"].as_str().unwrap_or_default().to_owned();
    let url = format!("{api}/admin/search/jobs/{id}");
    let mut told = String::new();
    for look in 0..LOOKS_MAX {
        let job = answer(agent.get(&url).header("authorization", &token).call())?;
        let text = |name: &str| job[name].as_str().unwrap_or_default().to_owned();
        let line = format!("{work} {index}: {}, {} of {}", text("step"), job["done"], job["total"]);
        if line != told || look % TELL_EVERY == 0 {
            say(&line);
            told = line;
        }
        match text("state").as_str() {
            "done" => {
                say(&summary(work, &job));
                return Ok(());
            }
            "failed" => return Err(Failure::new(format!("{work} {index} failed: {}", text("reason")))),
            _ => thread::park_timeout(LOOK_EVERY),
        }
    }
    Err(Failure::new("the job takes long; it goes on, and GET /api/v1/admin/search tells how far it is"))
}

fn summary(work: &str, job: &Value) -> String {
    if work == "compare" {
        return format!(
            "compared: {} missing, {} outdated, {} surplus; what differed is put right",
            job["missing"], job["outdated"], job["surplus"]
        );
    }
    format!("version {} is searched", job["version"])
}

/// The coordinator that was named, or that of the platform which `cargo xtask up` runs.
fn coordinator(args: &Args) -> Fallible<String> {
    if let Some(origin) = args.value::<String>("coordinator")? {
        return Ok(origin.trim_end_matches('/').to_owned());
    }
    let file = args.path("data").unwrap_or_else(|| paths::root().join(".data/up")).join("ports.json");
    let ports: Option<Value> = fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let port = ports.as_ref().and_then(|ports| ports["coordinator"].as_u64());
    let port = port.ok_or_else(|| {
        Failure::new(format!(
            "no coordinator known in {}: start one with `cargo xtask up`, or name it with --coordinator",
            file.display()
        ))
    })?;
    Ok(format!("http://127.0.0.1:{port}"))
}

/// The body of an answer that is no refusal.
fn answer(sent: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Fallible<Value> {
    let mut response = sent.map_err(|error| Failure::new(format!("the coordinator does not answer: {error}")))?;
    let status = response.status();
    let body: Value = response.body_mut().read_json().unwrap_or_default();
    if status.is_success() {
        return Ok(body);
    }
    let detail = body["detail"].as_str().unwrap_or_default();
    Err(Failure::new(format!("the coordinator refused ({status}): {detail}")))
}
