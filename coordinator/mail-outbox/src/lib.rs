//! Mail that is shown instead of sent: an SMTP receiver, a folder, a page.
pub mod mailbox;
pub mod settings;
pub mod smtp;
pub mod web;

use std::path::PathBuf;
use std::time::Duration;

use mailbox::Mailbox;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use settings::Settings;

/// Open requests have this long to end when the program stops.
pub const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Serves SMTP and HTTP until `stop`, then waits at most [`STOP_WITHIN`].
pub async fn serve(mail: TcpListener, http: TcpListener, dir: PathBuf, stop: CancellationToken) -> std::io::Result<()> {
    let mailbox = Mailbox::open(dir)?;
    let web = axum::serve(http, web::router(mailbox.clone())).with_graceful_shutdown(stop.clone().cancelled_owned());
    let both = async {
        let ((), result) = tokio::join!(smtp::serve(mail, mailbox, stop.clone()), async { web.await });
        result
    };
    let bound = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_WITHIN).await;
    };
    tokio::select! {
        result = both => result,
        () = bound => Ok(()),
    }
}
