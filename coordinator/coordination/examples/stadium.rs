//! What holding costs: sells out a stadium in holds of four and tells Redis' own figures, the functions' time without any
//! client's, and the bytes of each key. Takes the URL of an empty Redis.

use std::{collections::BTreeMap, error::Error, time::Instant};

use nugul_coordination::Seats;
use nugul_domain::{
    HoldId, PerformanceId, Region, Timestamp, UserId,
    seat_book::{HoldRequest, Load},
    seat_map::SEATS_MAX,
};
use tokio::task::JoinSet;

/// Seats in each hold.
const EACH: u32 = 4;
/// Buyers asking at the same time.
const AT_ONCE: u32 = 64;

fn random(n: u32) -> [u8; 9] {
    let mut out = [0; 9];
    out[5..].copy_from_slice(&n.to_be_bytes());
    out
}

/// Calls of functions, and Redis' processor time in microseconds for them alone.
async fn functions(connection: &mut redis::aio::MultiplexedConnection) -> Result<(f64, f64), Box<dyn Error>> {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(connection).await?;
    let line = info.lines().find(|l| l.starts_with("cmdstat_fcall:")).ok_or("no function ran")?;
    let figure = |name: &str| -> Option<f64> {
        line.split([':', ',']).find_map(|part| part.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    };
    Ok((figure("calls").ok_or("calls")?, figure("usec").ok_or("usec")?))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: stadium REDIS-URL")?;
    let seats = Seats::redis(&url).await?;
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let at = Timestamp::from_millis(1);
    let p = PerformanceId::new(Region(0), at, random(1));
    seats.load(p, Load { seat_count: SEATS_MAX, ..Load::default() }).await?;
    redis::cmd("CONFIG").arg("RESETSTAT").exec_async(&mut connection).await?;

    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for lane in 0..AT_ONCE {
        let seats = seats.clone();
        tasks.spawn(async move {
            for n in (lane..SEATS_MAX / EACH).step_by(AT_ONCE as usize) {
                let request = HoldRequest {
                    id: HoldId::new(Region(0), at, random(n)),
                    user: UserId::new(Region(0), at, random(n)),
                    seats: (n * EACH..(n + 1) * EACH).collect(),
                    // As long as the keys and digests the HTTP side passes on.
                    key: format!("{n:036}"),
                    digest: format!("{n:064}"),
                    ttl_ms: 60 * 60 * 1000,
                    limit: EACH as usize,
                };
                let held = seats.hold(p, request).await.map_err(|e| e.to_string())?;
                held.map_err(|e| format!("{e:?}"))?;
            }
            Ok::<_, String>(())
        });
    }
    for done in tasks.join_all().await {
        done?;
    }
    let wall = began.elapsed();
    let (calls, micros) = functions(&mut connection).await?;
    let holds = f64::from(SEATS_MAX / EACH);
    let each = micros / holds;
    println!("{holds} holds of {EACH} in {calls} calls: {each:.1} us each in Redis, {:.0} a second", 1e6 / each);
    println!("{:.0} a second from this client", holds / wall.as_secs_f64());

    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await?;
    let mut bytes: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for key in keys {
        let used: u64 =
            redis::cmd("MEMORY").arg("USAGE").arg(&key).arg("SAMPLES").arg(0).query_async(&mut connection).await?;
        let name = key.replace(&format!("{{{p}}}"), "{P}");
        let kind = name.splitn(4, ':').take(3).collect::<Vec<_>>().join(":");
        let kind = if kind.starts_with("nugul:hold:") { "nugul:hold:HOLD".to_owned() } else { kind };
        let entry = bytes.entry(kind).or_default();
        *entry = (entry.0 + 1, entry.1 + used);
    }
    for (kind, (count, used)) in &bytes {
        println!("{kind}: {used} bytes in {count} keys");
    }
    println!("all: {} bytes", bytes.values().map(|b| b.1).sum::<u64>());
    Ok(())
}
