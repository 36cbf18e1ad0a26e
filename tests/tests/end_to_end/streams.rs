//! Seat streams: a crowd of readers through every path while everything breaks, and what a stream promises one reader.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use nugul_api::{
    Code,
    booking::Hold,
    catalogue::Event,
    headers::LAST_EVENT_ID,
    seats::{EVENT_CHANGES, EVENT_SNAPSHOT, EVENT_STATUS, SaleStatus, SeatChanges, SeatSnapshot, StreamTicket},
};
use nugul_domain::{PerformanceId, SeatState};
use nugul_platform::Service;
use nugul_tests::{
    Api, Buyer, World,
    checker::{Reader, Trouble, Watch},
    eventually,
    http::Method,
    people::{DEMO_BUYER, DEMO_SELLER, crowd, event_body, in_days, new_performance, performance_of, signing_key},
};
use nugul_token::{SEED_BYTES, SigningKey, StreamClaims};
use serde_json::json;
use tokio::task::JoinSet;

const LIMIT: Duration = Duration::from_secs(20);
/// Readers at the edge, and past it.
const READERS: [usize; 2] = [600, 400];
/// Readers of a room at the edge before more are sent elsewhere.
const ROOM_READERS: &str = "150";
/// Instances of the component for Spin in which these readers meet, at most. How many there are is the host's choice: 10 to 20 on a
/// machine with time to spare, and about 100 where the processors are never free, because it takes a new one while all are busy.
const INSTANCES_MAX: i64 = 200;
/// Readers that may be on their way back while upstreams are counted.
const AWAY_MAX: i64 = 20;
/// Clients that hold and give back, each for itself.
const HOLDERS: usize = 8;
/// How long all readers may take to be back and right after the last fault.
const BACK_LIMIT: Duration = Duration::from_mins(1);

async fn status_of(api: &Api, path: &str, headers: &[(&str, &str)], method: Method) -> nugul_tests::Answer {
    api.send(method, path, headers, None).await
}

/// Holds and gives back until told to stop; what is refused or away is tried again.
async fn hammer(api: Api, id: PerformanceId, number: usize, watch: Arc<Watch>) {
    let seats = 200;
    let mut at = number * 31;
    while !watch.over.load(Ordering::Relaxed) {
        at = (at * 7 + 13) % (seats - 1);
        let body = json!({ "seats": [at, at + 1] }).to_string().into_bytes();
        let key = nugul_tests::new_key();
        let headers = [("idempotency-key", key.as_str()), ("content-type", "application/json")];
        let path = format!("performances/{id}/holds");
        let held = api.try_send(Method::POST, &path, &headers, Some(body)).await;
        if let Ok(answer) = held
            && answer.status == 201
        {
            let hold: Hold = answer.expect(201);
            let key = nugul_tests::new_key();
            // A hold whose release is lost ends by itself, or is lost too.
            let _ =
                api.try_send(Method::DELETE, &format!("holds/{}", hold.id), &[("idempotency-key", &key)], None).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn metric(world: &World, name: &str) -> Option<i64> {
    let answer = Api::new(&world.addresses.metrics).try_send(Method::GET, "/metrics", &[], None).await.ok()?;
    answer.text().lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_readers_see_the_truth_while_everything_breaks() {
    // So that those at the edge are spread over several rooms.
    let edge = [("NUGUL_ROOM_READERS", ROOM_READERS)];
    let world = World::own_with_edge("streams", &[("NUGUL_HOLD_TTL_MS", "5000")], &edge);
    let id = new_performance(&world.api(), 10, 20).await;
    let trouble = Trouble { cut_in: 3, pause_in: 5, within: Duration::from_secs(6) };
    let watch = Watch::new(trouble);
    let path = format!("/api/v1/performances/{id}/stream");
    let mut readers = JoinSet::new();
    for (origin, count) in [&world.addresses.edge, &world.addresses.coordinator].into_iter().zip(READERS) {
        for _ in 0..count {
            let reader = Reader::new(origin, &path, readers.len() as u64);
            readers.spawn(reader.run(Arc::clone(&watch)));
        }
    }
    let holding = Watch::new(trouble);
    let mut holders = JoinSet::new();
    for (number, (_, api)) in crowd(&world, &world.coordinator(), HOLDERS).into_iter().enumerate() {
        holders.spawn(hammer(api.fresh(), id, number, Arc::clone(&holding)));
    }
    let all = i64::try_from(READERS.iter().sum::<usize>()).expect("few");
    // Some are always on their way back from a cut of their own.
    let most = all * 8 / 10;
    eventually("most readers are there", BACK_LIMIT, async || {
        (watch.connected.load(Ordering::Relaxed) >= most).then_some(())
    })
    .await;

    let mut faults = vec![Service::Edge, Service::Coordinator];
    if world.redis(|_| ()).is_some() {
        faults.push(Service::Redis);
    }
    for service in faults {
        let seen = watch.record.versions();
        world.kill(service);
        world.restart(service);
        // The truth is looked at past all streams, too.
        let api = world.coordinator();
        eventually("the live state answers, and readers hear of it", BACK_LIMIT, async || {
            let answer = api.try_send(Method::GET, &format!("performances/{id}/seats"), &[], None).await.ok()?;
            let snapshot: SeatSnapshot = (answer.status == 200).then(|| answer.expect(200))?;
            watch.record.note(&"the live state", snapshot.version, &snapshot.unpack()?);
            (watch.record.versions() > seen + 20 && watch.connected.load(Ordering::Relaxed) >= most).then_some(())
        })
        .await;
    }

    watch.calm();
    holding.over.store(true, Ordering::Relaxed);
    while holders.join_next().await.is_some() {}
    // Until the last hold ended.
    let last = eventually("all seats are free", BACK_LIMIT, async || {
        let answer =
            world.coordinator().try_send(Method::GET, &format!("performances/{id}/seats"), &[], None).await.ok()?;
        let snapshot: SeatSnapshot = (answer.status == 200).then(|| answer.expect(200))?;
        snapshot.unpack()?.iter().all(|s| *s == SeatState::Available).then_some(snapshot)
    })
    .await;
    watch.record.note(&"the live state", last.version, &last.unpack().expect("whole"));
    // One upstream for all at the edge; on Spin one for all in an instance.
    let past = i64::try_from(READERS[1]).expect("few");
    let upstreams = if std::env::var("NUGUL_TEST_EDGE").as_deref() == Ok("spin") { INSTANCES_MAX } else { 1 };
    eventually("the edge has few upstreams", BACK_LIMIT, async || {
        let open = metric(&world, "nugul_streams ").await? - past;
        (watch.connected.load(Ordering::Relaxed) >= all - AWAY_MAX && (1..=upstreams).contains(&open)).then_some(())
    })
    .await;
    assert_eq!(metric(&world, "nugul_stream_feeds ").await, Some(1));
    watch.last.store(last.version, Ordering::Relaxed);
    let ended = tokio::time::timeout(BACK_LIMIT, readers.join_all()).await;
    let behind = ended.map(|versions| versions.iter().filter(|v| **v != last.version).count());
    assert_eq!(behind.ok(), Some(0), "every reader is at the last version");
    assert_eq!(watch.record.verdict(), Vec::<String>::new());
    let (frames, resumes) = (watch.record.frames.load(Ordering::Relaxed), watch.record.resumes.load(Ordering::Relaxed));
    assert!(frames > 1_000 && resumes > 100, "{frames} frames, {resumes} resumed");
    // Nobody listens any more: nothing follows the live state.
    eventually("every stream is closed", BACK_LIMIT, async || {
        (metric(&world, "nugul_streams ").await == Some(0)).then_some(())
    })
    .await;
    eventually("the feed ends", BACK_LIMIT, async || {
        (metric(&world, "nugul_stream_feeds ").await == Some(0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_goes_on_exactly_where_it_was_left() {
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, 2, 8).await;
    let buyer = Buyer::log_in(&api, nugul_tests::people::DEMO_BUYER).await;
    let before: SeatSnapshot = api.get(&format!("performances/{id}/seats")).await.expect(200);
    let hold = buyer.hold(id, &[0, 1]).await;
    buyer.api.delete(&format!("holds/{}", hold.id)).await.expect_status(204);
    for origin in [api.clone(), world.coordinator()] {
        let mut stream = origin.seat_stream(id, Some(before.version)).await;
        let mut version = before.version;
        while version < before.version + 2 {
            let frame = stream.next(LIMIT).await;
            match frame.event.as_str() {
                EVENT_CHANGES => {
                    let changes: SeatChanges = serde_json::from_str(&frame.data).expect("changes");
                    assert_eq!(changes.from, version, "{}", origin.origin());
                    version = changes.to;
                }
                // A room that was empty has not seen what came before it.
                EVENT_SNAPSHOT => {
                    let snapshot: SeatSnapshot = serde_json::from_str(&frame.data).expect("a snapshot");
                    assert!(snapshot.reset && origin.origin() == world.addresses.edge, "{frame:?}");
                    version = snapshot.version;
                }
                EVENT_STATUS => {}
                other => panic!("{other}"),
            }
        }
        // What nobody knows any more comes as a snapshot that says so.
        let mut lost = origin.seat_stream(id, Some(7)).await;
        let frame = lost.next(LIMIT).await;
        let snapshot: SeatSnapshot = serde_json::from_str(&frame.data).expect("a snapshot");
        assert!(snapshot.reset && snapshot.version >= version, "{frame:?}");
    }
}

#[tokio::test]
async fn who_wants_no_stream_gets_the_snapshot() {
    let world = World::shared();
    let id = new_performance(&world.api(), 1, 4).await;
    let path = format!("performances/{id}/stream");
    for api in [world.api(), world.coordinator()] {
        let answer = status_of(&api, &path, &[("accept", "application/json")], Method::GET).await;
        let snapshot: SeatSnapshot = answer.expect(200);
        assert_eq!(snapshot.unpack(), Some(vec![SeatState::Available; 4]));
        let head = status_of(&api, &path, &[], Method::HEAD).await;
        head.expect_status(200);
        assert_eq!((head.header("content-type"), head.body.len()), (Some("application/json"), 0));
        status_of(&api, &path, &[(LAST_EVENT_ID, "x"), ("accept", "application/json")], Method::GET)
            .await
            .expect_status(200);
    }
}

#[tokio::test]
async fn the_seats_of_a_members_only_event_need_a_ticket() {
    let world = World::shared();
    let seller = Buyer::log_in(&world.api(), DEMO_SELLER).await;
    let mut body = event_body(1, 4);
    body["members_only"] = json!(true);
    let event: Event = seller.api.post("events", &body).await.expect(201);
    assert!(event.members_only);
    let (id, public) = (performance_of(&seller, &event).await, new_performance(&world.api(), 1, 4).await);
    let buyer = Buyer::log_in(&world.api(), DEMO_BUYER).await;
    let signed = |key: &SigningKey, performance: PerformanceId, in_ms: i64| {
        let exp = in_days(0).plus_ms(in_ms).as_millis() / 1000;
        key.sign_stream(StreamClaims { sub: buyer.account.id, performance, exp }).expect("a ticket")
    };
    let (ours, forger) = (signing_key(world), SigningKey::from_seed([1; SEED_BYTES]).expect("a key"));
    let bad = [
        ("nonsense".to_owned(), Code::StreamTicketInvalid),
        (buyer.tokens.access_token.clone(), Code::StreamTicketInvalid),
        (signed(&forger, id, 60_000), Code::StreamTicketInvalid),
        (signed(&ours, public, 60_000), Code::StreamTicketInvalid),
        (signed(&ours, id, -2_000), Code::StreamTicketExpired),
    ];
    for api in [world.api(), world.coordinator()] {
        let path = format!("performances/{id}/stream");
        for accept in ["application/json", "text/event-stream"] {
            let accept = [("accept", accept)];
            status_of(&api, &path, &accept, Method::GET).await.refused(Code::StreamTicketMissing);
            for (ticket, code) in &bad {
                status_of(&api, &format!("{path}?ticket={ticket}"), &accept, Method::GET).await.refused(*code);
            }
        }
        status_of(&api, &path, &[], Method::HEAD).await.expect_status(401);
        api.get(&format!("performances/{id}/seats")).await.refused(Code::StreamTicketMissing);
        let tickets = format!("performances/{id}/stream-tickets");
        api.post(&tickets, &json!({})).await.refused(Code::NotLoggedIn);
        // A token is no ticket, but gets one.
        let member = api.with_token(&buyer.tokens.access_token);
        let ticket: StreamTicket = member.post(&tickets, &json!({})).await.expect(201);
        let opened = format!("{path}?ticket={}", ticket.ticket);
        let snapshot: SeatSnapshot =
            status_of(&api, &opened, &[("accept", "application/json")], Method::GET).await.expect(200);
        assert_eq!(snapshot.unpack(), Some(vec![SeatState::Available; 4]));
        let _: SeatSnapshot = member.get(&format!("performances/{id}/seats")).await.expect(200);
        let frame = api.stream_at(&opened, None).await.next(LIMIT).await;
        assert_eq!(frame.event, EVENT_SNAPSHOT, "{frame:?}");
        // Whose seats everyone may see asks for nothing.
        api.get(&format!("performances/{public}/seats")).await.expect_status(200);
    }
    // The page asks who came to log in, and says why.
    let page = world.api().get(&format!("/events/{}", event.summary.id)).await.text();
    assert!(page.contains("회원 전용"), "{page}");
    let page = world.api().get(&format!("/performances/{id}")).await;
    let to = page.header("location").unwrap_or_default();
    assert!(page.status == 303 && to.starts_with("/log-in"), "{} {to}", page.status);
}

#[tokio::test]
async fn what_is_beside_seats_is_told_too() {
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, 1, 4).await;
    let mut stream = api.seat_stream(id, None).await;
    let mut next = async |wanted: &dyn Fn(&SaleStatus) -> bool| {
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            let frame = stream.next(LIMIT).await;
            if frame.event == EVENT_STATUS {
                let status: SaleStatus = serde_json::from_str(&frame.data).expect("a status");
                if wanted(&status) {
                    return status;
                }
            }
        }
        panic!("no such status");
    };
    let status = next(&|_| true).await;
    assert_eq!((status.remaining[0].grade.as_str(), status.remaining[0].free, status.cancelled), ("R", 4, false));
    let buyer = Buyer::log_in(&api, nugul_tests::people::DEMO_BUYER).await;
    buyer.hold(id, &[0, 1]).await;
    next(&|s| s.remaining[0].free == 2).await;
    let seller = Buyer::log_in(&api, DEMO_SELLER).await;
    seller
        .api
        .post(&format!("performances/{id}/cancellation"), &json!({ "reason": "비가 와요" }))
        .await
        .expect_status(202);
    next(&|s| s.cancelled).await;
}

#[tokio::test]
async fn nobody_has_more_streams_than_one_may() {
    let world =
        World::own_with("stream-limits", &[("NUGUL_STREAMS_PER_USER_MAX", "2"), ("NUGUL_STREAM_LIFETIME_MS", "4000")]);
    let api = world.coordinator();
    let id = new_performance(&api, 1, 4).await;
    let buyer = Buyer::sign_up(&world, &world.api()).await;
    let mine = buyer.api.at(&world.addresses.coordinator);
    let mut first = mine.seat_stream(id, None).await;
    let second = mine.seat_stream(id, None).await;
    let path = format!("performances/{id}/stream");
    let refused = mine.get(&path).await;
    refused.refused(Code::TooManyRequests);
    assert!(refused.header("retry-after").is_some());
    // Others are not concerned, and a place is free when a stream ends.
    drop(api.seat_stream(id, None).await);
    drop(second);
    eventually("a place is free", LIMIT, async || (metric(&world, "nugul_streams ").await == Some(1)).then_some(()))
        .await;
    drop(mine.seat_stream(id, None).await);
    // The time of a stream ends with a reason.
    let end = Instant::now() + LIMIT;
    loop {
        let frame = first.next(LIMIT).await;
        if frame.event == "close" {
            assert_eq!(frame.data, r#"{"reason":"lifetime"}"#);
            break;
        }
        assert!(Instant::now() < end, "it goes on");
    }
}
