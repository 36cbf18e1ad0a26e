//! What is kept of accounts and log-ins.

use nugul_api::accounts::Account;
use nugul_domain::{Timestamp, UserId, account::Role};
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    db::{Db, Tx, is_unique_violation},
    error::ApiError,
    idempotency::Scope,
};

/// A SHA-256 digest: of an address, a code or a refresh token.
pub type Hash = [u8; 32];
/// Names a log-in.
pub type SessionId = [u8; 16];

/// An account with its password's hash.
pub struct Known {
    /// What its owner sees.
    pub account: Account,
    /// Its password's hash.
    pub password_hash: String,
}

/// The last code sent to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailCode {
    /// The code's digest.
    pub code_hash: Hash,
    /// How often it was tried.
    pub tries: i64,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When the day of `day_count` began.
    pub day_start: Timestamp,
    /// How many codes were sent on that day.
    pub day_count: i64,
}

/// A refresh token.
pub struct Refresh {
    /// Its log-in.
    pub session: SessionId,
    /// Whose it is.
    pub account: UserId,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// When it was used, if it was.
    pub used_at: Option<Timestamp>,
}

const ACCOUNT: &str = "SELECT id, email, nickname, role, password_hash FROM accounts WHERE ";

fn time(row: &AnyRow, column: &str) -> Result<Timestamp, ApiError> {
    Ok(Timestamp::from_millis(row.try_get(column)?))
}

fn bytes<const N: usize>(row: &AnyRow, column: &str) -> Result<[u8; N], ApiError> {
    row.try_get::<Vec<u8>, _>(column)?.try_into().map_err(|_| ApiError::internal(format_args!("{column} is damaged")))
}

fn known(row: &AnyRow) -> Result<Known, ApiError> {
    let role: String = row.try_get("role")?;
    let account = Account {
        id: UserId::from_bytes(&row.try_get::<Vec<u8>, _>("id")?)?,
        email: row.try_get("email")?,
        nickname: row.try_get("nickname")?,
        role: Role::parse(&role).ok_or_else(|| ApiError::internal("a stored role is damaged"))?,
    };
    Ok(Known { account, password_hash: row.try_get("password_hash")? })
}

/// The account of an address.
pub async fn by_email(db: &Db, email_key: Hash) -> Result<Option<Known>, ApiError> {
    let sql = sqlx::AssertSqlSafe(format!("{ACCOUNT} email_key = ?"));
    let row = sqlx::query(sql).bind(email_key.to_vec()).fetch_optional(db.pool()).await?;
    row.as_ref().map(known).transpose()
}

/// The account of an id.
pub async fn by_id(db: &Db, id: UserId) -> Result<Option<Known>, ApiError> {
    by_id_in(&mut *db.pool().acquire().await?, id).await
}

/// The account of an id, read on a connection that may be in a transaction.
pub async fn by_id_in(connection: &mut AnyConnection, id: UserId) -> Result<Option<Known>, ApiError> {
    let sql = sqlx::AssertSqlSafe(format!("{ACCOUNT} id = ?"));
    let row = sqlx::query(sql).bind(id.to_bytes()).fetch_optional(connection).await?;
    row.as_ref().map(known).transpose()
}

/// Adds an account; false where the address has one.
pub async fn insert_account(tx: &mut Tx, email_key: Hash, new: &Known, now: Timestamp) -> Result<bool, ApiError> {
    let done = sqlx::query(
        "INSERT INTO accounts (id, email_key, email, nickname, role, password_hash, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(new.account.id.to_bytes())
    .bind(email_key.to_vec())
    .bind(new.account.email.clone())
    .bind(new.account.nickname.clone())
    .bind(new.account.role.as_str())
    .bind(new.password_hash.clone())
    .bind(now.as_millis())
    .execute(&mut **tx)
    .await;
    match done {
        Ok(_) => Ok(true),
        Err(e) if is_unique_violation(&e) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// The last code sent to an address.
pub async fn email_code(tx: &mut Tx, email_key: Hash) -> Result<Option<EmailCode>, ApiError> {
    let row = sqlx::query(
        "SELECT code_hash, tries, expires_at, sent_at, day_start, day_count FROM email_codes WHERE email_key = ?",
    )
    .bind(email_key.to_vec())
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(EmailCode {
        code_hash: bytes(&row, "code_hash")?,
        tries: row.try_get("tries")?,
        expires_at: time(&row, "expires_at")?,
        sent_at: time(&row, "sent_at")?,
        day_start: time(&row, "day_start")?,
        day_count: row.try_get("day_count")?,
    }))
}

/// Puts `new` where `old` is; false where that is no longer so.
pub async fn replace_email_code(
    tx: &mut Tx,
    email_key: Hash,
    old: Option<Hash>,
    new: &EmailCode,
) -> Result<bool, ApiError> {
    let sql = match old {
        Some(_) => {
            "UPDATE email_codes SET code_hash = ?, tries = ?, expires_at = ?, sent_at = ?, day_start = ?, day_count = ? \
             WHERE email_key = ? AND code_hash = ?"
        }
        None => {
            "INSERT INTO email_codes (code_hash, tries, expires_at, sent_at, day_start, day_count, email_key) \
             VALUES (?, ?, ?, ?, ?, ?, ?)"
        }
    };
    let mut query = sqlx::query(sql)
        .bind(new.code_hash.to_vec())
        .bind(new.tries)
        .bind(new.expires_at.as_millis())
        .bind(new.sent_at.as_millis())
        .bind(new.day_start.as_millis())
        .bind(new.day_count)
        .bind(email_key.to_vec());
    if let Some(old) = old {
        query = query.bind(old.to_vec());
    }
    match query.execute(&mut **tx).await {
        Ok(done) => Ok(done.rows_affected() == 1),
        Err(e) if is_unique_violation(&e) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Undoes [`replace_email_code`] and the answer stored with it, because the mail did not go out.
pub async fn undo_email_code(
    db: &Db,
    email_key: Hash,
    sent: Hash,
    before: Option<&EmailCode>,
    scope: Scope,
    key: &str,
) -> Result<(), ApiError> {
    let mut tx = db.begin_write().await?;
    match before {
        Some(before) => {
            replace_email_code(&mut tx, email_key, Some(sent), before).await?;
        }
        None => {
            sqlx::query("DELETE FROM email_codes WHERE email_key = ? AND code_hash = ?")
                .bind(email_key.to_vec())
                .bind(sent.to_vec())
                .execute(&mut *tx)
                .await?;
        }
    }
    sqlx::query("DELETE FROM idempotency WHERE scope = ? AND idem_key = ?")
        .bind(scope.to_vec())
        .bind(key.to_owned())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// Counts a try of an address's code, and says what the code's digest is; `None` where no try is left. Counted before it
/// is compared, so that tries at the same time cannot be more than are allowed.
pub async fn try_email_code(
    db: &Db,
    email_key: Hash,
    tries_max: i64,
    now: Timestamp,
) -> Result<Option<Hash>, ApiError> {
    let mut tx = db.begin_write().await?;
    let counted =
        sqlx::query("UPDATE email_codes SET tries = tries + 1 WHERE email_key = ? AND tries < ? AND expires_at > ?")
            .bind(email_key.to_vec())
            .bind(tries_max)
            .bind(now.as_millis())
            .execute(&mut *tx)
            .await?;
    if counted.rows_affected() == 0 {
        tx.rollback().await?;
        return Ok(None);
    }
    let code = email_code(&mut tx, email_key).await?;
    tx.commit().await?;
    Ok(code.map(|c| c.code_hash))
}

/// Makes a code void; false where it is so already. The row stays, so that mail to the address stays counted.
pub async fn use_email_code(tx: &mut Tx, email_key: Hash, code_hash: Hash) -> Result<bool, ApiError> {
    let done =
        sqlx::query("UPDATE email_codes SET expires_at = 0 WHERE email_key = ? AND code_hash = ? AND expires_at > 0")
            .bind(email_key.to_vec())
            .bind(code_hash.to_vec())
            .execute(&mut **tx)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// How many log-ins of an address failed since when.
pub async fn failures(db: &Db, email_key: Hash) -> Result<Option<(i64, Timestamp)>, ApiError> {
    let row = sqlx::query("SELECT failures, since FROM log_in_failures WHERE email_key = ?")
        .bind(email_key.to_vec())
        .fetch_optional(db.pool())
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((row.try_get("failures")?, time(&row, "since")?)))
}

/// Counts a failed log-in; a count begun before `window_start` begins anew.
pub async fn count_failure(db: &Db, email_key: Hash, window_start: Timestamp, now: Timestamp) -> Result<(), ApiError> {
    if add_failure(db, email_key, window_start).await? {
        return Ok(());
    }
    let mut tx = db.begin_write().await?;
    sqlx::query("DELETE FROM log_in_failures WHERE email_key = ? AND since <= ?")
        .bind(email_key.to_vec())
        .bind(window_start.as_millis())
        .execute(&mut *tx)
        .await?;
    let begun = sqlx::query("INSERT INTO log_in_failures (email_key, failures, since) VALUES (?, 1, ?)")
        .bind(email_key.to_vec())
        .bind(now.as_millis())
        .execute(&mut *tx)
        .await;
    match begun {
        Ok(_) => tx.commit().await?,
        Err(e) if is_unique_violation(&e) => {
            // Another began the count at the same moment.
            tx.rollback().await?;
            add_failure(db, email_key, window_start).await?;
        }
        Err(e) => return Err(e.into()),
    }
    Ok(())
}

/// Adds one to a count that has begun; false where none has.
async fn add_failure(db: &Db, email_key: Hash, window_start: Timestamp) -> Result<bool, ApiError> {
    let done = sqlx::query("UPDATE log_in_failures SET failures = failures + 1 WHERE email_key = ? AND since > ?")
        .bind(email_key.to_vec())
        .bind(window_start.as_millis())
        .execute(db.writes())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets an address's failed log-ins.
pub async fn clear_failures(tx: &mut Tx, email_key: Hash) -> Result<(), ApiError> {
    sqlx::query("DELETE FROM log_in_failures WHERE email_key = ?").bind(email_key.to_vec()).execute(&mut **tx).await?;
    Ok(())
}

/// Begins a log-in.
pub async fn insert_session(tx: &mut Tx, id: SessionId, account: UserId, now: Timestamp) -> Result<(), ApiError> {
    sqlx::query("INSERT INTO sessions (id, account_id, refreshed_at, revoked) VALUES (?, ?, ?, 0)")
        .bind(id.to_vec())
        .bind(account.to_bytes())
        .bind(now.as_millis())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Adds a refresh token to a log-in.
pub async fn insert_refresh(
    tx: &mut Tx,
    token: Hash,
    session: SessionId,
    expires_at: Timestamp,
) -> Result<(), ApiError> {
    sqlx::query("INSERT INTO refresh_tokens (token_hash, session_id, expires_at, used_at) VALUES (?, ?, ?, NULL)")
        .bind(token.to_vec())
        .bind(session.to_vec())
        .bind(expires_at.as_millis())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A refresh token with its log-in.
pub async fn refresh_token(tx: &mut Tx, token: Hash) -> Result<Option<Refresh>, ApiError> {
    let row = sqlx::query(
        "SELECT t.session_id, t.expires_at, t.used_at, s.account_id FROM refresh_tokens t \
         JOIN sessions s ON s.id = t.session_id WHERE t.token_hash = ?",
    )
    .bind(token.to_vec())
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Refresh {
        session: bytes(&row, "session_id")?,
        account: UserId::from_bytes(&row.try_get::<Vec<u8>, _>("account_id")?)?,
        expires_at: time(&row, "expires_at")?,
        used_at: row.try_get::<Option<i64>, _>("used_at")?.map(Timestamp::from_millis),
    }))
}

/// Takes a log-in's row for this transaction, so that its tokens change one after another; false where it is revoked.
pub async fn lock_session(tx: &mut Tx, id: SessionId, now: Timestamp) -> Result<bool, ApiError> {
    let done = sqlx::query("UPDATE sessions SET refreshed_at = ? WHERE id = ? AND revoked = 0")
        .bind(now.as_millis())
        .bind(id.to_vec())
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a log-in: none of its refresh tokens is good any more.
pub async fn revoke_session(tx: &mut Tx, id: SessionId) -> Result<(), ApiError> {
    sqlx::query("UPDATE sessions SET revoked = 1 WHERE id = ?").bind(id.to_vec()).execute(&mut **tx).await?;
    Ok(())
}

/// Marks a refresh token used.
pub async fn mark_used(tx: &mut Tx, token: Hash, now: Timestamp) -> Result<(), ApiError> {
    sqlx::query("UPDATE refresh_tokens SET used_at = ? WHERE token_hash = ? AND used_at IS NULL")
        .bind(now.as_millis())
        .bind(token.to_vec())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Deletes what can no longer matter; each bound is the age from which that is so.
pub async fn sweep(
    db: &Db,
    now: Timestamp,
    codes_before: Timestamp,
    failures_before: Timestamp,
    sessions_before: Timestamp,
) -> Result<(), ApiError> {
    for (sql, before) in [
        ("DELETE FROM email_codes WHERE sent_at < ?", codes_before),
        ("DELETE FROM log_in_failures WHERE since < ?", failures_before),
        ("DELETE FROM refresh_tokens WHERE expires_at < ?", now),
        ("DELETE FROM sessions WHERE refreshed_at < ?", sessions_before),
    ] {
        sqlx::query(sql).bind(before.as_millis()).execute(db.writes()).await?;
    }
    Ok(())
}
