//! A whole purchase as a program makes it, watched by another reader of the same performance.

use std::time::Duration;

use nugul_api::{
    Code, Page,
    booking::{Order, Ticket},
    catalogue::{Event, EventSummary, Performance},
    seats::SeatSnapshot,
};
use nugul_domain::{SeatState, order::OrderState};
use nugul_proto::payment::v1::{GetPaymentRequest, PaymentState, payment_service_client::PaymentServiceClient};
use nugul_tests::{
    Api, Buyer, SeatLog, Toss, World,
    people::{in_days, new_performance},
};
use nugul_token::EntryVerifier;
use serde_json::Value;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

/// How long a change may take to reach a reader.
const FRAME_LIMIT: Duration = Duration::from_secs(15);

async fn payment_of(world: &World, order: &Order) -> nugul_proto::payment::v1::Payment {
    let read = |path: &std::path::Path| std::fs::read(path).expect("a certificate");
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read(&world.tls.ca)))
        .identity(Identity::from_pem(read(&world.tls.client_cert), read(&world.tls.client_key)));
    let endpoint = Endpoint::from_shared(world.payment_grpc.clone()).expect("an address").tls_config(tls).expect("TLS");
    let mut client = PaymentServiceClient::new(endpoint.connect().await.expect("a connection"));
    let asked = GetPaymentRequest { order_id: order.id.to_string() };
    client.get_payment(asked).await.expect("the payment").into_inner()
}

async fn first_event_with_a_performance(api: &Api) -> Event {
    let page: Page<EventSummary> = api.get("events?limit=20").await.expect(200);
    for summary in page.items {
        let event: Event = api.get(&format!("events/{}", summary.id)).await.expect(200);
        if event.performances.iter().any(|p| p.starts_at > in_days(1)) {
            return event;
        }
    }
    panic!("no event of the first page is on sale");
}

#[tokio::test]
async fn from_a_search_to_a_ticket_while_another_watches() {
    let world = World::shared();
    let (buyer, other) = (Buyer::sign_up(world, &world.api()).await, world.api());

    // Found by its own title: searches are the edge's work.
    let event = first_event_with_a_performance(&buyer.api).await;
    let word: String = event.summary.title.chars().take_while(|c| c.is_alphanumeric()).collect();
    let encoded: String = word.bytes().map(|b| format!("%{b:02X}")).collect();
    let found: Page<EventSummary> = buyer.api.get(&format!("search/events?q={encoded}&limit=100")).await.expect(200);
    assert!(found.items.iter().any(|e| e.id == event.summary.id), "{word} finds {}", event.summary.title);
    let on_sale = event.performances.iter().find(|p| p.starts_at > in_days(1)).expect("on sale");
    let performance: Performance = buyer.api.get(&format!("performances/{}", on_sale.id)).await.expect(200);
    assert_eq!(performance.event.id, event.summary.id);
    let id = on_sale.id;
    let grade = &performance.grades.last().expect("a grade").grade;

    let mut watcher = SeatLog::begin(other.seat_stream(id, None).await, FRAME_LIMIT).await;
    let (version, before) = (watcher.version, watcher.seats.clone());

    let hold = buyer.hold_best(id, grade, 2).await;
    let seats: Vec<_> = hold.seats.iter().map(|s| s.index).collect();
    assert!(seats.len() == 2 && seats[1] == seats[0] + 1, "side by side: {seats:?}");
    assert_eq!(hold.total_krw.0, hold.seats.iter().map(|s| s.price_krw.0).sum::<i64>());
    watcher.until(FRAME_LIMIT, |log| log.all(&seats, SeatState::Held)).await;
    let held_at = watcher.version;

    let order = buyer.order(&hold).await;
    assert_eq!((order.state, order.total_krw, &order.seats), (OrderState::Pending, hold.total_krw, &hold.seats));
    let toss = Toss::new(world);
    let payment_key = toss.pay(&order).await;
    buyer.confirm(&order, &payment_key).await.expect_status(200);
    let paid = buyer.decided(&order).await;
    assert_eq!((paid.state, paid.tickets.len()), (OrderState::Paid, 2));
    watcher.until(FRAME_LIMIT, |log| log.all(&seats, SeatState::Sold)).await;
    let of_ours: Vec<_> = watcher.changes.iter().filter(|(_, c)| c.iter().any(|(i, _)| seats.contains(i))).collect();
    let states: Vec<_> = of_ours.iter().map(|(_, c)| c[0].1).collect();
    assert_eq!(states, [SeatState::Held, SeatState::Sold], "held, then sold, once each, both seats in one step");
    assert!(of_ours.iter().all(|(_, c)| c.len() == 2));

    // A reader that comes back gets exactly what it missed.
    for (seen, known) in [(version, before), (held_at, Vec::new())] {
        let known = if known.is_empty() { watcher.seats.clone() } else { known };
        let mut resumed = SeatLog::resume(world.api().seat_stream(id, Some(seen)).await, seen, known);
        resumed.until(FRAME_LIMIT, |log| log.version >= watcher.version).await;
        assert_eq!(resumed.seats, watcher.seats);
        let missed: Vec<_> = watcher.changes.iter().filter(|(v, _)| *v > seen).cloned().collect();
        assert_eq!(resumed.changes, missed);
    }
    let snapshot: SeatSnapshot = other.get(&format!("performances/{id}/seats")).await.expect(200);
    assert_eq!((snapshot.version, snapshot.unpack()), (watcher.version, Some(watcher.seats.clone())));

    // Tickets, and what a gate makes of them.
    let mine: Page<Ticket> = buyer.api.get("me/tickets").await.expect(200);
    assert_eq!(mine.items.len(), 2);
    let jwks: Value = other.get("/.well-known/jwks.json").await.expect(200);
    let gate = EntryVerifier::from_jwks(&jwks).expect("keys");
    for ticket_id in &paid.tickets {
        let ticket: Ticket = buyer.api.get(&format!("tickets/{ticket_id}")).await.expect(200);
        assert_eq!((ticket.order_id, ticket.performance.id), (order.id, id));
        assert!(hold.seats.contains(&ticket.seat), "{:?}", ticket.seat);
        let claims = gate.verify(&ticket.entry_token, in_days(0)).expect("a ticket of ours");
        assert_eq!((claims.ticket, claims.performance, claims.seat), (ticket.id, id, ticket.seat.index));
        let qr = buyer.api.get(&format!("tickets/{ticket_id}/qr.svg")).await;
        qr.expect_status(200);
        assert_eq!(qr.header("content-type"), Some("image/svg+xml"));
        assert!(qr.text().contains("<svg"));
        other.get(&format!("tickets/{ticket_id}/qr.svg")).await.refused(Code::NotLoggedIn);
    }

    let payment = payment_of(world, &order).await;
    assert_eq!((payment.state(), payment.amount_krw), (PaymentState::Approved, order.total_krw.0));
    assert_eq!((payment.payment_key, payment.user_id), (payment_key, buyer.account.id.to_string()));
    assert_eq!(toss.charged(&order).await, (order.total_krw.0, 1));
}

#[tokio::test]
async fn giving_back_frees_the_seats() {
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, 3, 4).await;
    let (one, two) = (Buyer::sign_up(world, &api).await, Buyer::sign_up(world, &api).await);

    let hold = one.hold(id, &[0, 1]).await;
    two.api.get(&format!("holds/{}", hold.id)).await.refused(Code::NotFound);
    two.api.delete(&format!("holds/{}", hold.id)).await.refused(Code::NotFound);
    let taken = two.try_hold(id, &[1, 2]).await.refused(Code::SeatsTaken);
    assert_eq!(taken.seats.iter().map(|s| s.index).collect::<Vec<_>>(), [1], "the one in conflict, and no other");
    one.api.delete(&format!("holds/{}", hold.id)).await.expect_status(204);
    let hold = two.hold(id, &[0, 1]).await;

    let order = two.order(&hold).await;
    two.api.delete(&format!("holds/{}", hold.id)).await.refused(Code::OrderState);
    two.api.delete(&format!("orders/{}", order.id)).await.expect_status(204);
    assert_eq!(two.look(&order).await.state, OrderState::Cancelled);
    let mut log = SeatLog::begin(api.seat_stream(id, None).await, FRAME_LIMIT).await;
    log.until(FRAME_LIMIT, |log| log.all(&[0, 1], SeatState::Available)).await;
    one.hold(id, &[0, 1]).await;
    one.try_hold(id, &[4, 5, 6]).await.refused(Code::SeatLimit);
}
