//! The live state is lost: its process dies, or Redis forgets, or another master takes over. What was sold stays sold.

use std::time::Duration;

use nugul_api::{Code, Page, booking::SeatCorrection, seats::SeatSnapshot};
use nugul_domain::SeatState;
use nugul_platform::{RedisSet, Service};
use nugul_tests::{
    Api, Buyer, World, eventually,
    http::Method,
    people::{DEMO_ADMIN, OUTCOME_LIMIT, new_performance},
};

/// How long seats may be away: a master is taken for dead after two seconds, and the machine may be busy.
const AWAY_MAX: Duration = Duration::from_mins(1);

async fn snapshot(api: &Api, id: nugul_domain::PerformanceId) -> SeatSnapshot {
    eventually("the seats are shown", AWAY_MAX, async || {
        let answer = api.try_send(Method::GET, &format!("performances/{id}/seats"), &[], None).await.ok()?;
        (answer.status == 200).then(|| answer.expect(200))
    })
    .await
}

#[tokio::test]
async fn what_was_sold_stays_sold_when_the_live_state_is_lost() {
    let world = World::own("live-state");
    let api = world.api();
    let id = new_performance(&api, 2, 8).await;
    let (first, late) = (Buyer::sign_up(&world, &api).await, Buyer::sign_up(&world, &api).await);
    first.buy(&world, id, &[0, 1]).await;
    let ordered = first.order(&first.hold(id, &[2]).await).await;
    let before = eventually("two seats are sold, one is held", OUTCOME_LIMIT, async || {
        let now = snapshot(&api, id).await;
        let states = now.unpack()?;
        (states[..4] == [SeatState::Sold, SeatState::Sold, SeatState::Held, SeatState::Available]).then_some(now)
    })
    .await;

    // In memory it dies with the coordinator. In Redis every master is killed that another can stand in for.
    let masters = world.redis(|redis| (redis.masters(), redis.servers()));
    match &masters {
        None => {
            world.kill(Service::Coordinator);
            world.restart(Service::Coordinator);
        }
        Some((masters, servers)) => {
            world.kill((Service::Redis, masters[0]));
            if *servers == 1 {
                world.restart((Service::Redis, masters[0]));
            }
        }
    }
    let fresh = api.fresh();
    let after = snapshot(&fresh, id).await;
    assert_eq!(after.unpack(), before.unpack());
    assert!(after.version >= before.version, "{} after {}", after.version, before.version);

    if let Some((masters, servers)) = masters {
        if servers > 1 {
            world.restart((Service::Redis, masters[0]));
        }
        eventually("the servers are in step again", AWAY_MAX, async || {
            world.redis(RedisSet::is_whole).filter(|whole| *whole)
        })
        .await;
        world.redis(|redis| redis.flush().expect("it forgets")).expect("a Redis");
        let emptied = snapshot(&fresh, id).await;
        assert_eq!(emptied.unpack(), before.unpack());
        assert!(emptied.version > before.version, "{} after {}", emptied.version, before.version);
    }

    let (first, late) =
        (Buyer { api: first.api.fresh(), ..first.clone() }, Buyer { api: late.api.fresh(), ..late.clone() });
    for seat in 0..3 {
        late.try_hold(id, &[seat]).await.refused(Code::SeatsTaken);
    }
    late.buy(&world, id, &[3, 4]).await;
    // An order made before is paid after.
    let key = nugul_tests::Toss::new(&world).pay(&ordered).await;
    first.confirm(&ordered, &key).await.expect_status(200);
    assert_eq!(first.decided(&ordered).await.tickets.len(), 1);
    // Whatever was put right on the way, an admin can be told, and nobody else.
    let path = "admin/seat-corrections?limit=100";
    first.api.get(path).await.refused(Code::Forbidden);
    let admin = Buyer::log_in(&fresh, DEMO_ADMIN).await;
    let corrections: Page<SeatCorrection> = admin.api.get(path).await.expect(200);
    assert!(corrections.items.iter().all(|c| c.performance_id == id && c.seat < 16), "{corrections:?}");
    admin.api.get("admin/seat-corrections?limit=101").await.refused(Code::InvalidParameter);
    eventually("five seats are sold", OUTCOME_LIMIT, async || {
        let states = snapshot(&fresh, id).await.unpack()?;
        (states[..5] == [SeatState::Sold; 5]).then_some(())
    })
    .await;
}
