//! What is logged: nothing that names a buyer or moves money, however much is logged.
use std::io::Write;
use std::sync::{Mutex, Once, PoisonError};

use nugul_proto::TRACE_ID_KEY;
use nugul_proto::payment::v1::{PaymentOutcome, PaymentState, PrepareRequest};

use crate::scratch::random_id;
use crate::world::{ORDER_NAME, SECRET, World, cancel, confirm, outcome, part, prepare, script};

/// The request all of it came from.
const TRACE: &str = "trace-of-a-whole-run";

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Recorder;

impl Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Records everything every test of this process logs, at the finest level the service can be set to.
pub(crate) fn record() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .json()
            .with_writer(|| Recorder)
            .with_env_filter(nugul_program::filter("trace").unwrap())
            .init();
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_run_logs_no_key_and_nobody() {
    let world = World::new().await;
    let mut client = world.client().await;
    let user = random_id();
    let mut keys = Vec::new();
    let mut orders = Vec::new();
    // Paid with a lost answer, declined, given back in parts with a lost answer, refused, forged.
    for (decision, end) in [("pay", PaymentState::Approved), ("decline", PaymentState::Declined)] {
        let order = random_id();
        client.prepare(PrepareRequest { user_id: user.to_string(), ..prepare(order, 9_000) }).await.unwrap();
        let key = world.decide(order, 9_000, decision).await;
        world.faults(script("confirm", "drop_after", 1)).await;
        let mut request = tonic::Request::new(confirm(order, &key, 9_000));
        request.metadata_mut().insert(TRACE_ID_KEY, TRACE.parse().unwrap());
        assert_ne!(outcome(client.confirm(request).await), PaymentOutcome::Unspecified);
        world.wait_for(order, end).await;
        keys.push(key);
        orders.push(order);
    }
    world.faults(script("cancel", "drop_after", 1)).await;
    client.cancel(part(orders[0], 1_000)).await.unwrap();
    client.cancel(cancel(orders[0])).await.unwrap();
    world.wait_for(orders[0], PaymentState::Refunded).await;
    client.confirm(confirm(orders[0], &keys[0], 1)).await.unwrap_err();
    assert_eq!(world.webhook(format!(r#"{{"orderId":"{}","secret":"{}"}}"#, orders[0], keys[0])).await, 200);
    world.close().await;

    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let log = String::from_utf8_lossy(&log);
    // It is the log of this run, and a talkative one.
    for order in &orders {
        // What went wrong with a command is found by the request it came from.
        let is_found = |line: &str| line.contains(&order.to_string()) && line.contains(TRACE);
        assert!(log.lines().any(is_found));
    }
    let authorization = "dGVzdF9za190ZXN0czo";
    let user = user.to_string();
    let words = [ORDER_NAME, SECRET, authorization, "tsim_", &user].into_iter().chain(keys.iter().map(String::as_str));
    for word in words {
        let line = log.lines().find(|line| line.contains(word));
        assert_eq!(line, None, "{word} was logged");
    }
}
