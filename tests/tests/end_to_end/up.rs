//! `cargo xtask up` itself: what dies is started again, and Ctrl-C leaves nothing behind, whenever it comes.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use nugul_platform::{Addresses, wait_until};
use nugul_tests::{
    Buyer, eventually,
    http::{Api, Method},
    people::{DEMO_BUYER, PASSWORD, new_performance},
    world::{EDGE, PROFILE, REDIS},
};
use serde_json::json;

/// Building what is built already, and starting.
const START_LIMIT: Duration = Duration::from_mins(5);
/// Noticing a death, starting again, and being ready.
const RETURN_LIMIT: Duration = Duration::from_mins(1);
/// Each process has some seconds to end.
const STOP_LIMIT: Duration = Duration::from_mins(2);

/// `up` on a folder of its own.
struct Up {
    process: Child,
    dir: PathBuf,
}

impl Up {
    fn start(name: &str) -> Self {
        let dir = env::temp_dir().join(format!("nugul-test-{}-up-{name}", std::process::id()));
        fs::create_dir_all(&dir).expect("a folder");
        let log = fs::File::create(dir.join("up.log")).expect("a log");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut command = nugul_platform::cargo();
        command.args(["run", "--quiet", "--package", "xtask", "--", "up", "--events", "8"]);
        for (flag, variable) in [("--edge", EDGE), ("--profile", PROFILE), ("--redis", REDIS)] {
            if let Some(value) = env::var_os(variable) {
                command.arg(flag).arg(value);
            }
        }
        command.arg("--data").arg(dir.join("data")).arg("--addresses").arg(dir.join("addresses.json"));
        command.current_dir(root).stdin(Stdio::null()).stderr(log.try_clone().expect("a log")).stdout(log);
        Self { process: command.spawn().expect("cargo"), dir }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.dir.join("up.log")).unwrap_or_default()
    }

    /// Where everything is, once it is up.
    fn addresses(&mut self) -> Addresses {
        let file = self.dir.join("addresses.json");
        let mut addresses = None;
        wait_until(START_LIMIT, || {
            addresses = fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
            addresses.is_some() || self.process.try_wait().is_ok_and(|ended| ended.is_some())
        });
        addresses.unwrap_or_else(|| panic!("it does not come up:\n{}", self.said()))
    }

    /// The processes whose output goes into this folder, but for `up` itself: each one's log is there.
    fn processes(&self) -> BTreeSet<u32> {
        let logs = self.dir.join("data");
        let all = fs::read_dir("/proc").expect("/proc").flatten();
        let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        ids.filter(|id| fs::read_link(format!("/proc/{id}/fd/1")).is_ok_and(|out| out.starts_with(&logs))).collect()
    }

    fn interrupt(&self) {
        signal("-INT", self.process.id());
    }

    fn ended(&mut self) -> ExitStatus {
        let mut ended = None;
        wait_until(STOP_LIMIT, || {
            ended = self.process.try_wait().expect("its state");
            ended.is_some()
        });
        ended.unwrap_or_else(|| panic!("it does not end:\n{}", self.said()))
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn signal(signal: &str, process: u32) {
    let sent = Command::new("kill").args([signal, &process.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "{signal} {process}");
}

/// A log-in and a hold, which go through the edge to the database and the live state; and every other address.
async fn all_is_well(
    addresses: &Addresses,
    performance: nugul_domain::PerformanceId,
    (hold_key, release_key): (&str, &str),
) -> Option<()> {
    // Connections to a dead process are of no use.
    let api = Api::new(&addresses.edge);
    for (origin, path) in [
        (&addresses.coordinator, "/readyz"),
        (&addresses.payment_admin, "/readyz"),
        (&addresses.toss, "/readyz"),
        (&addresses.mail, "/readyz"),
        (&addresses.edge, "/healthz"),
    ] {
        let answer = api.at(origin).try_send(Method::GET, path, &[], None).await;
        answer.ok().filter(|answer| answer.status == 200)?;
    }
    let headers = [("idempotency-key", &*nugul_tests::http::new_key()), ("content-type", "application/json")];
    let who = serde_json::to_vec(&json!({ "email": DEMO_BUYER, "password": PASSWORD })).ok()?;
    let answer = api.try_send(Method::POST, "auth/log-in", &headers, Some(who)).await.ok()?;
    let tokens: nugul_api::accounts::Tokens = serde_json::from_slice(&answer.body).ok()?;
    let api = api.with_token(&tokens.access_token);
    let path = format!("performances/{performance}/holds");
    // The same keys at each try: an answer may have been lost to whatever died.
    let headers = [("idempotency-key", hold_key), ("content-type", "application/json")];
    let held = api.try_send(Method::POST, &path, &headers, Some(br#"{"seats":[0]}"#.to_vec())).await.ok()?;
    let hold: nugul_api::booking::Hold = serde_json::from_slice(&held.body).ok()?;
    let headers = [("idempotency-key", release_key)];
    let given_back = api.try_send(Method::DELETE, &format!("holds/{}", hold.id), &headers, None).await.ok()?;
    (given_back.status < 300).then_some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_is_started_again_and_ctrl_c_ends_everything() {
    let mut up = Up::start("deaths");
    let addresses = tokio::task::block_in_place(|| up.addresses());
    let performance = new_performance(&Api::new(&addresses.edge), 1, 4).await;
    // The payment of a person who was there before every death is there after.
    let first = Buyer::log_in(&Api::new(&addresses.edge), DEMO_BUYER).await;
    let order = first.order(&first.hold(performance, &[2]).await).await;

    let processes = up.processes();
    assert!(processes.len() >= 5, "{processes:?}:\n{}", up.said());
    for dead in processes {
        let name = fs::read_to_string(format!("/proc/{dead}/comm")).unwrap_or_default();
        let told = up.said().matches("answers again").count();
        signal("-KILL", dead);
        eventually(&format!("{} is started again", name.trim()), RETURN_LIMIT, async || {
            (up.said().matches("answers again").count() > told).then_some(())
        })
        .await;
        let (hold_key, release_key) = (nugul_tests::http::new_key(), nugul_tests::http::new_key());
        eventually(&format!("all is well after {} died", name.trim()), RETURN_LIMIT, async || {
            all_is_well(&addresses, performance, (&hold_key, &release_key)).await
        })
        .await;
        assert!(!up.processes().contains(&dead));
    }
    let back = Buyer { api: first.api.fresh(), ..first };
    assert_eq!(back.look(&order).await.id, order.id);

    up.interrupt();
    let ended = tokio::task::block_in_place(|| up.ended());
    assert!(ended.success(), "{ended}:\n{}", up.said());
    assert_eq!(up.processes(), BTreeSet::new(), "{}", up.said());
}

#[test]
fn ctrl_c_while_it_starts_leaves_nothing_behind() {
    let mut up = Up::start("early");
    let began = wait_until(START_LIMIT, || !up.processes().is_empty());
    assert!(began, "{}", up.said());
    up.interrupt();
    let ended = up.ended();
    assert!(ended.success(), "{ended}:\n{}", up.said());
    assert!(!up.dir.join("addresses.json").exists(), "it was up before it was interrupted");
    assert_eq!(up.processes(), BTreeSet::new(), "{}", up.said());
}
