//! Who may call, with which certificate, and certificates that change while the service runs.
use std::time::Duration;

use nugul_proto::payment::v1::payment_service_client::PaymentServiceClient;
use nugul_proto::payment::v1::{
    CaseKind, GetBalancesRequest, GetPaymentRequest, ListCasesRequest, ListPaymentsRequest, WatchResultsRequest,
};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_client::ServerReflectionClient};

use crate::scratch::random_id;
use crate::world::{Authority, PATIENCE, POLL, World, authority, confirm, name_of, prepare, reason};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_without_a_certificate_is_refused() {
    let world = World::new().await;
    let address = world.payment.as_ref().unwrap().address;
    let stranger = rcgen::generate_simple_self_signed(vec!["coordinator".into()]).unwrap();
    let trusted =
        || ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&authority().pem)).domain_name("localhost");
    let foreign = Identity::from_pem(stranger.cert.pem(), stranger.signing_key.serialize_pem());
    for tls in [trusted(), trusted().identity(foreign)] {
        let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap();
        let refused = match endpoint.connect().await {
            Err(_) => true,
            Ok(channel) => PaymentServiceClient::new(channel).prepare(prepare(random_id(), 1)).await.is_err(),
        };
        assert!(refused);
    }
    // Nor is anything said in the clear.
    let plain = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let refused = match plain.connect().await {
        Err(_) => true,
        Ok(channel) => PaymentServiceClient::new(channel).prepare(prepare(random_id(), 1)).await.is_err(),
    };
    assert!(refused);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_caller_may_do_its_own() {
    let world = World::new().await;
    world.approved(1_000).await;
    let denied = |result: Result<(), Status>| match result {
        Ok(()) => false,
        Err(status) => {
            assert_eq!((status.code(), reason(&status)), (Code::PermissionDenied, "not_allowed"));
            true
        }
    };
    // (name, may command, may read, may operate)
    for (name, command, read, operate) in
        [("coordinator", true, true, false), ("operator", false, true, true), ("stranger", false, false, false)]
    {
        let mut client = world.as_caller(name).await;
        let one = denied(client.prepare(prepare(random_id(), 1)).await.map(drop));
        let two = denied(client.watch_results(WatchResultsRequest::default()).await.map(drop));
        assert_eq!((!one, !two), (command, command), "{name}");
        let one = denied(client.list_payments(ListPaymentsRequest::default()).await.map(drop));
        assert_eq!(!one, read, "{name}");
        let one = denied(client.get_balances(GetBalancesRequest::default()).await.map(drop));
        let two = denied(client.list_cases(ListCasesRequest::default()).await.map(drop));
        assert_eq!((!one, !two), (operate, operate), "{name}");
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_rotate_without_a_restart() {
    let world = World::new().await;
    let mut before = world.client().await;
    let order = world.prepared(1_000).await;
    let next = Authority::new();
    let files = world.scratch.files();
    // Half a change, and nonsense, change nothing.
    std::fs::write(&files.key, "nonsense").unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    world.client().await.get_payment(GetPaymentRequest { order_id: order.to_string() }).await.unwrap();
    let (cert, key) = next.sign("payment");
    std::fs::write(&files.cert, cert).unwrap();
    std::fs::write(&files.key, key).unwrap();
    std::fs::write(&files.ca, &next.pem).unwrap();
    let identity = next.sign("coordinator");
    assert_eq!(name_of(&identity.0).as_deref(), Some("coordinator"));
    let until = tokio::time::Instant::now() + PATIENCE;
    let mut fresh = loop {
        if let Ok(client) = world.connect(&next.pem, &identity).await {
            break client;
        }
        assert!(tokio::time::Instant::now() < until, "the new certificates are not used");
        tokio::time::sleep(POLL).await;
    };
    fresh.get_payment(GetPaymentRequest { order_id: order.to_string() }).await.unwrap();
    // Who is connected stays; who comes with the old certificate does not get in.
    before.get_payment(GetPaymentRequest { order_id: order.to_string() }).await.unwrap();
    let refused = match world.connect(&authority().pem, &authority().sign("coordinator")).await {
        Err(_) => true,
        Ok(mut client) => client.get_payment(GetPaymentRequest { order_id: order.to_string() }).await.is_err(),
    };
    assert!(refused);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_can_never_be_done_is_put_aside_and_shown() {
    let world = World::new().await;
    let order = world.prepared(1_000).await;
    let poison = confirm(order, "tsim_forged", 999);
    let mut client = world.client().await;
    for _ in 0..3 {
        let status = client.confirm(poison.clone()).await.unwrap_err();
        assert_eq!(reason(&status), "amount_mismatch");
    }
    // What comes after it is not held up.
    world.approved(2_000).await;
    let list = ListCasesRequest::default();
    let cases = world.operator().await.list_cases(list).await.unwrap().into_inner().cases;
    assert_eq!(cases.len(), 1);
    let case = &cases[0];
    assert_eq!(
        (case.kind(), &case.order_id, &case.subject),
        (CaseKind::Command, &order.to_string(), &poison.request_id)
    );
    assert!(case.reason.starts_with("confirm: amount_mismatch"), "{}", case.reason);
    assert!(!world.look(order).await.open_case, "its money is not in doubt");
    assert_eq!(world.metric("nugul_payment_open_cases_command").await, 1);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_reflection_answer() {
    let world = World::new().await;
    let address = world.payment.as_ref().unwrap().address;
    let (cert, key) = authority().sign("coordinator");
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&authority().pem))
        .identity(Identity::from_pem(cert, key))
        .domain_name("localhost");
    let channel =
        Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap().connect().await.unwrap();
    let name = "nugul.payment.v1.PaymentService";
    let ask = tonic_health::pb::HealthCheckRequest { service: name.into() };
    let health = tonic_health::pb::health_client::HealthClient::new(channel.clone()).check(ask).await.unwrap();
    assert_eq!(health.into_inner().status(), tonic_health::pb::health_check_response::ServingStatus::Serving);

    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::FileContainingSymbol(name.into())),
    };
    let mut answers = ServerReflectionClient::new(channel)
        .server_reflection_info(tokio_stream::iter([ask]))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::FileDescriptorResponse(found) = answer else { panic!("{answer:?}") };
    assert_eq!(found.file_descriptor_proto.len(), 1);
    world.close().await;
}
