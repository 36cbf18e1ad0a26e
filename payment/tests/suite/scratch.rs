//! What several tests share: a database of one's own, on SQLite or, with `NUGUL_TEST_MYSQL_URL`, on MySQL.
use std::path::PathBuf;

use nugul_payment::db::{self, Db};
use nugul_payment::state::State;
use nugul_payment::store::{NEVER, Payment, Prepare};
use uuid::Uuid;

/// An id nobody else has.
pub(crate) fn random_id() -> Uuid {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// A payment to be prepared at a time.
pub(crate) fn new_payment(order: Uuid, amount_krw: i64, at_ms: i64) -> Prepare {
    let new = Payment {
        order,
        user: Uuid::nil(),
        amount_krw,
        order_name: "x".into(),
        state: State::Prepared,
        payment_key: String::new(),
        code: String::new(),
        message: String::new(),
        left_krw: 0,
        attempts: 0,
        asked_at_ms: 0,
        next_check_ms: NEVER,
        expires_at_ms: at_ms,
        created_at_ms: at_ms,
        updated_at_ms: at_ms,
    };
    Prepare { request_id: random_id().to_string(), new }
}

/// A folder of one's own and, on MySQL, a database of one's own. The folder goes when it is dropped.
pub(crate) struct Scratch {
    pub(crate) folder: PathBuf,
    pub(crate) mysql_url: Option<String>,
}

impl Scratch {
    pub(crate) async fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("nugul-payment-{}", random_id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut mysql_url = None;
        if let Ok(server) = std::env::var("NUGUL_TEST_MYSQL_URL") {
            let name = format!("pay_{}", random_id().simple());
            let db = db::mysql(&server).await.unwrap();
            let text = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
            sqlx::query(text).execute(db.pool()).await.unwrap();
            db.close().await;
            mysql_url = Some(format!("{}/{name}", server.trim_end_matches('/')));
        }
        Self { folder, mysql_url }
    }

    /// The database, as it is; not migrated.
    pub(crate) async fn db(&self) -> Db {
        match &self.mysql_url {
            Some(url) => db::mysql(url).await.unwrap(),
            None => db::sqlite(&self.folder.join("payment.db")).await.unwrap(),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
