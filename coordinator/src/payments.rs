//! The payment service as a peer: commands go out through the outbox, results come in as a stream resumed by offset.

use std::time::Duration;

use nugul_domain::{OrderId, order::OrderEvent};
use nugul_proto::payment::v1::{
    CancelRequest, ConfirmRequest, PaymentOutcome, PaymentResult, PrepareRequest, ResultKind, WatchResultsRequest,
    payment_service_client::PaymentServiceClient,
};
use sqlx::Row;
use tokio_stream::StreamExt;
use tonic::{
    Code, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::{app::App, config::Config, error::ApiError, orders, outbox::Message};

/// How long a command may take. Toss's own time-out is inside it.
const CALL_TIMEOUT: Duration = Duration::from_secs(40);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The pause before the stream is asked for again.
const WATCH_PAUSE: Duration = Duration::from_millis(500);

/// A connection to the payment service, made when first used and again when lost.
#[derive(Clone, Debug)]
pub struct PaymentClient(PaymentServiceClient<Channel>);

impl PaymentClient {
    /// Reads the certificates; the connection itself is made later.
    pub fn new(config: &Config) -> Result<Self, String> {
        let mut endpoint = Endpoint::from_shared(config.payment_url.clone())
            .map_err(|e| format!("NUGUL_PAYMENT_URL is not valid: {e}"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true);
        if let Some((ca, cert, key)) = &config.tls {
            let read = |path: &std::path::Path| {
                std::fs::read(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))
            };
            let tls = ClientTlsConfig::new()
                .ca_certificate(Certificate::from_pem(read(ca)?))
                .identity(Identity::from_pem(read(cert)?, read(key)?));
            endpoint = endpoint.tls_config(tls).map_err(|e| format!("the certificates are not valid: {e}"))?;
        }
        Ok(Self(PaymentServiceClient::new(endpoint.connect_lazy())))
    }

    /// Delivers one command. An error means it is to be delivered again.
    pub async fn deliver(&self, request_id: &str, order: OrderId, message: &Message) -> Result<(), String> {
        let mut client = self.0.clone();
        let (request_id, order_id) = (request_id.to_owned(), order.to_string());
        let sent = tokio::time::timeout(CALL_TIMEOUT, async {
            match message {
                Message::Prepare { user_id, amount_krw, order_name, expires_at } => client
                    .prepare(PrepareRequest {
                        request_id,
                        order_id,
                        user_id: user_id.to_string(),
                        amount_krw: amount_krw.0,
                        order_name: order_name.clone(),
                        expires_at_ms: expires_at.as_millis(),
                    })
                    .await
                    .map(drop),
                Message::Confirm { payment_key, amount_krw } => client
                    .confirm(ConfirmRequest {
                        request_id,
                        order_id,
                        payment_key: payment_key.clone(),
                        amount_krw: amount_krw.0,
                    })
                    .await
                    .map(|answer| {
                        // Approved and declined arrive on the result stream; unknown is the payment service's to find out.
                        if answer.get_ref().outcome() == PaymentOutcome::Unknown {
                            tracing::info!(order = %order, "the outcome of a payment is not known yet");
                        }
                    }),
                Message::Cancel { reason } => {
                    client.cancel(CancelRequest { request_id, order_id, reason: reason.clone() }).await.map(drop)
                }
                Message::Settle { .. } => Ok(()),
            }
        })
        .await;
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) if is_final(&status) => {
                // Delivering it again would be refused again; an operator finds it in the logs.
                tracing::error!(order = %order, code = ?status.code(), "the payment service refused a message: {}", status.message());
                Ok(())
            }
            Ok(Err(status)) => Err(format!("{:?}: {}", status.code(), status.message())),
            Err(_) => Err("no answer in time".into()),
        }
    }
}

/// Whether the same message would be refused for ever.
fn is_final(status: &Status) -> bool {
    matches!(status.code(), Code::InvalidArgument | Code::FailedPrecondition | Code::AlreadyExists | Code::NotFound)
}

/// Applies the payment service's results in their order, each once, until the process stops.
pub async fn watch_results(app: App, payment: PaymentClient) {
    let mut stopping = app.stopping.clone();
    loop {
        tokio::select! {
            ended = watch_once(&app, &payment) => {
                if let Err(reason) = ended {
                    tracing::warn!("the payment results are interrupted: {reason}");
                }
            }
            _ = stopping.changed() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH_PAUSE) => {}
            _ = stopping.changed() => return,
        }
    }
}

async fn watch_once(app: &App, payment: &PaymentClient) -> Result<(), String> {
    let context = |e: ApiError| e.context.unwrap_or_else(|| e.code.as_str().to_owned());
    let after_offset = offset(app).await.map_err(context)?;
    let mut client = payment.0.clone();
    let mut results =
        client.watch_results(WatchResultsRequest { after_offset }).await.map_err(|s| s.to_string())?.into_inner();
    while let Some(result) = results.next().await {
        let result = result.map_err(|s| s.to_string())?;
        apply(app, &result).await.map_err(context)?;
        app.outbox_filled.notify_one();
        app.announce_order();
    }
    Ok(())
}

async fn offset(app: &App) -> Result<i64, ApiError> {
    let row = sqlx::query("SELECT last_offset FROM inbox WHERE source = 'payment'").fetch_one(app.db.pool()).await?;
    Ok(row.try_get("last_offset")?)
}

/// The offset moves in the transaction of the effect: a result is applied once, whoever reads it and however often.
async fn apply(app: &App, result: &PaymentResult) -> Result<(), ApiError> {
    let event = match result.kind() {
        ResultKind::Approved => OrderEvent::Approved,
        ResultKind::Declined => OrderEvent::Declined,
        ResultKind::Refunded => OrderEvent::Refunded,
        ResultKind::Unspecified => return Err(ApiError::internal("a payment result of no kind")),
    };
    let mut tx = app.db.begin_write().await?;
    let moved = sqlx::query("UPDATE inbox SET last_offset = ? WHERE source = 'payment' AND last_offset < ?")
        .bind(result.offset)
        .bind(result.offset)
        .execute(&mut *tx)
        .await?;
    if moved.rows_affected() == 0 {
        return Ok(());
    }
    match result.order_id.parse::<OrderId>() {
        Ok(order) => orders::service::apply(app, &mut tx, order, event, &result.message).await?,
        Err(_) => tracing::error!(offset = result.offset, "a payment result names no order of ours"),
    }
    tx.commit().await?;
    Ok(())
}
