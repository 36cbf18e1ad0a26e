//! Decides who may have an account, a code, a log-in and the next refresh token.

use axum::{http::StatusCode, response::Response};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lettre::Address;
use nugul_api::{
    Code,
    accounts::{Account, EmailCodeSent, LogIn, SignUp, Tokens},
};
use nugul_domain::{
    Timestamp, UserId,
    account::{
        EMAIL_CODE_DIGITS, EMAIL_CODE_TRIES_MAX, EMAIL_CODE_TTL_MS, NICKNAME_CHARS_MAX, PASSWORD_CHARS_MAX,
        PASSWORD_CHARS_MIN, Role, normal_email, normal_nickname, password_is_acceptable,
    },
};
use nugul_token::AccessClaims;
use sha2::{Digest, Sha256};

use super::{
    password,
    store::{self, EmailCode, Hash, Known, SessionId},
};
use crate::{
    app::{App, fill_random},
    db::Tx,
    error::{ApiError, Fault},
    extract::scope_of,
    idempotency::{self, Begun},
};

/// The least time between two codes to one address.
const CODE_PAUSE_MS: i64 = 30_000;
/// Codes to one address in a day.
const CODES_PER_DAY_MAX: i64 = 10;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Failed log-ins of one address in [`FAILURE_WINDOW_MS`] after which it has to wait.
const FAILURES_MAX: i64 = 10;
const FAILURE_WINDOW_MS: i64 = 15 * 60 * 1000;
/// How long an access token is good for, in seconds.
const ACCESS_TTL_S: i64 = 15 * 60;
/// How long a refresh token is good for.
const REFRESH_TTL_MS: i64 = 30 * DAY_MS;
const REFRESH_BYTES: usize = 32;
const MS_PER_S: i64 = 1000;
/// Uses of the region's secret digest.
const CODE_DIGEST: &str = "email code";
const REQUEST_DIGEST: &str = "request";

/// Where the idempotency keys of those live who have no account yet.
fn nobody() -> idempotency::Scope {
    scope_of("nobody")
}

fn email_key(email: &str) -> Hash {
    Sha256::digest(email.as_bytes()).into()
}

/// The digest of a request that carries a password or code, safe to keep.
fn keep_safe(app: &App, digest: &str) -> String {
    crate::app::hex(&app.keys.digest(REQUEST_DIGEST, digest.as_bytes()))
}

fn code_digest(app: &App, email: &str, code: &str) -> Hash {
    app.keys.digest(CODE_DIGEST, format!("{email}\n{code}").as_bytes())
}

/// Runs to its end even where the client goes away half-way.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(work).await.map_err(ApiError::internal)?
}

fn bad_email() -> Fault {
    Fault::new("/email", ("이메일 주소를 확인해 주세요.", "This is not an e-mail address."))
}

fn bad_fields(errors: Vec<Fault>) -> ApiError {
    ApiError { errors, ..Code::InvalidField.into() }
}

fn seconds_up(ms: i64) -> u64 {
    u64::try_from(ms.max(1).div_euclid(MS_PER_S) + i64::from(ms.max(1) % MS_PER_S != 0)).unwrap_or(1)
}

/// A code from eight random bytes; the unevenness is under one in 10^13.
fn code_from(random: [u8; 8]) -> String {
    let bound = 10u64.pow(u32::try_from(EMAIL_CODE_DIGITS).unwrap_or(6));
    format!("{:0EMAIL_CODE_DIGITS$}", u64::from_be_bytes(random) % bound)
}

/// What to keep of a new code after `before`, or how many milliseconds to wait.
fn next_code(before: Option<&EmailCode>, code_hash: Hash, now: Timestamp) -> Result<EmailCode, i64> {
    let new = |day_start, day_count| EmailCode {
        code_hash,
        tries: 0,
        expires_at: now.plus_ms(EMAIL_CODE_TTL_MS),
        sent_at: now,
        day_start,
        day_count,
    };
    let since = |t: Timestamp| now.as_millis().saturating_sub(t.as_millis());
    match before {
        Some(b) if since(b.sent_at) < CODE_PAUSE_MS => Err(CODE_PAUSE_MS.saturating_sub(since(b.sent_at).max(0))),
        Some(b) if since(b.day_start) < DAY_MS && b.day_count >= CODES_PER_DAY_MAX => Err(DAY_MS - since(b.day_start)),
        Some(b) if since(b.day_start) < DAY_MS => Ok(new(b.day_start, b.day_count + 1)),
        _ => Ok(new(now, 1)),
    }
}

fn wait(ms: i64) -> ApiError {
    ApiError::from(Code::TooManyRequests).retry_after_s(seconds_up(ms))
}

/// Sends a code to an address, whether or not it has an account.
///
/// Code and answer are stored before the mail goes out, so no mail has a code we do not know. Where the mail does not go
/// out both are taken back, and the client may try again with the same key.
pub async fn send_code(app: App, email: &str, key: String, digest: String) -> Result<Response, ApiError> {
    let email = normal_email(email).ok_or_else(|| bad_fields(vec![bad_email()]))?;
    let address: Address = email.parse().map_err(|_| bad_fields(vec![bad_email()]))?;
    to_the_end(async move {
        let now = app.now();
        let mut work = match idempotency::begin(&app.db, nobody(), &key, &digest, now).await? {
            Begun::Replay(response) => return Ok(response),
            Begun::Fresh(work) => work,
        };
        let mut random = [0; 8];
        fill_random(&mut random);
        let code = code_from(random);
        let email_key = email_key(&email);
        let before = store::email_code(&mut work.tx, email_key).await?;
        let new = next_code(before.as_ref(), code_digest(&app, &email, &code), now).map_err(wait)?;
        if !store::replace_email_code(&mut work.tx, email_key, before.as_ref().map(|b| b.code_hash), &new).await? {
            // Another request sent one at this moment.
            return Err(wait(CODE_PAUSE_MS));
        }
        let response = work.finish(StatusCode::ACCEPTED, &EmailCodeSent { expires_at: new.expires_at }).await?;
        if let Err(e) = app.mailer.send_code(address, &code).await {
            store::undo_email_code(&app.db, email_key, new.code_hash, before.as_ref(), nobody(), &key).await?;
            return Err(e);
        }
        Ok(response)
    })
    .await
}

/// Checks what a new account would be called, and all of it at once.
fn checked(email: &str, nickname: &str, password: &str) -> Result<(String, String), ApiError> {
    let mut errors = Vec::new();
    let normal = normal_email(email);
    if normal.is_none() {
        errors.push(bad_email());
    }
    if !password_is_acceptable(password) {
        let korean = format!("비밀번호는 {PASSWORD_CHARS_MIN}자 이상 {PASSWORD_CHARS_MAX}자 이하로 정해 주세요.");
        let english = format!("Choose a password of {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters.");
        errors.push(Fault::new("/password", (korean, english)));
    }
    let nick = normal_nickname(nickname);
    if nick.is_none() {
        let korean = format!("닉네임은 1자 이상 {NICKNAME_CHARS_MAX}자 이하로 정해 주세요.");
        let english = format!("Choose a nickname of 1 to {NICKNAME_CHARS_MAX} characters.");
        errors.push(Fault::new("/nickname", (korean, english)));
    }
    match (normal, nick) {
        (Some(email), Some(nickname)) if errors.is_empty() => Ok((email, nickname)),
        _ => Err(bad_fields(errors)),
    }
}

/// Makes an account for who has the code sent to the address.
pub async fn sign_up(app: App, body: SignUp, key: String, digest: String) -> Result<Response, ApiError> {
    let (email, nickname) = checked(&body.email, &body.nickname, &body.password)?;
    let digest = keep_safe(&app, &digest);
    // Before the code is tried: the first request with this key has used it up.
    if let Some(response) = idempotency::replay(&app.db, nobody(), &key, &digest).await? {
        return Ok(response);
    }
    let email_key = email_key(&email);
    let code_hash = code_digest(&app, &email, body.code.trim());
    if store::try_email_code(&app.db, email_key, EMAIL_CODE_TRIES_MAX, app.now()).await? != Some(code_hash) {
        // Unless the same request used it up at this moment.
        let replay = idempotency::replay(&app.db, nobody(), &key, &digest).await?;
        return replay.ok_or_else(|| Code::EmailCodeWrong.into());
    }
    let password_hash = password::hash(password::turn().await?, body.password).await?;
    let now = app.now();
    let mut work = match idempotency::begin(&app.db, nobody(), &key, &digest, now).await? {
        Begun::Replay(response) => return Ok(response),
        Begun::Fresh(work) => work,
    };
    if !store::use_email_code(&mut work.tx, email_key, code_hash).await? {
        return Err(Code::EmailCodeWrong.into());
    }
    let id = UserId::new(app.config.region, now, app.random_id());
    let new = Known { account: Account { id, email, nickname, role: Role::User }, password_hash };
    if !store::insert_account(&mut work.tx, email_key, &new, now).await? {
        return Err(Code::EmailTaken.into());
    }
    work.finish(StatusCode::CREATED, &new.account).await
}

/// Logs in. An address without an account is answered as a wrong password is, after as much work.
pub async fn log_in(app: &App, body: LogIn) -> Result<Tokens, ApiError> {
    let email = normal_email(&body.email).ok_or_else(|| bad_fields(vec![bad_email()]))?;
    let email_key = email_key(&email);
    // Looked at when it is our turn, and the turn is ours until a failure is counted: what is let through beyond the limit
    // is less than what hashes at once.
    let turn = password::turn().await?;
    let now = app.now();
    let window_start = now.plus_ms(-FAILURE_WINDOW_MS);
    let failures = store::failures(&app.db, email_key).await?.filter(|(_, since)| *since > window_start);
    if let Some((count, since)) = failures
        && count >= FAILURES_MAX
    {
        return Err(wait(since.as_millis() - window_start.as_millis()));
    }
    let known = store::by_email(&app.db, email_key).await?;
    let (same, turn) = password::verify(turn, body.password, known.as_ref().map(|k| k.password_hash.clone())).await?;
    let Some(known) = known.filter(|_| same) else {
        store::count_failure(&app.db, email_key, window_start, now).await?;
        return Err(Code::WrongCredentials.into());
    };
    drop(turn);
    let mut session = SessionId::default();
    fill_random(&mut session);
    let mut tx = app.db.begin_write().await?;
    if failures.is_some() {
        store::clear_failures(&mut tx, email_key).await?;
    }
    store::insert_session(&mut tx, session, known.account.id, now).await?;
    let tokens = issue(app, &mut tx, session, known.account, now).await?;
    tx.commit().await?;
    Ok(tokens)
}

/// Adds a refresh token to a log-in, and signs an access token.
async fn issue(
    app: &App,
    tx: &mut Tx,
    session: SessionId,
    account: Account,
    now: Timestamp,
) -> Result<Tokens, ApiError> {
    let mut random = [0; REFRESH_BYTES];
    fill_random(&mut random);
    let refresh_token = URL_SAFE_NO_PAD.encode(random);
    store::insert_refresh(tx, token_hash(&refresh_token), session, now.plus_ms(REFRESH_TTL_MS)).await?;
    let iat = now.as_millis().div_euclid(MS_PER_S);
    let nickname = account.nickname.clone();
    let claims = AccessClaims { sub: account.id, role: account.role, nickname, iat, exp: iat + ACCESS_TTL_S };
    let access_token = app.keys.signing().sign_access(claims).map_err(ApiError::internal)?;
    Ok(Tokens { token_type: "Bearer".into(), access_token, expires_in_s: ACCESS_TTL_S, refresh_token, account })
}

/// 256 random bits need no slow hash.
fn token_hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

/// What a refresh token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turnover {
    /// The first use, or one so soon after that its answer may have been lost.
    Issue,
    /// It has ended, or its log-in has.
    Refuse(Code),
    /// A second use: one of the two was not its owner's.
    Revoke,
}

fn turnover(expires_at: Timestamp, used_at: Option<Timestamp>, open: bool, now: Timestamp, leeway_ms: i64) -> Turnover {
    let late = used_at.is_some_and(|used| now.as_millis().saturating_sub(used.as_millis()) > leeway_ms);
    match (expires_at <= now, late, open) {
        (true, ..) => Turnover::Refuse(Code::TokenExpired),
        (_, true, _) => Turnover::Revoke,
        (_, _, false) => Turnover::Refuse(Code::TokenInvalid),
        _ => Turnover::Issue,
    }
}

/// Exchanges a refresh token for new tokens.
pub async fn refresh(app: &App, token: &str) -> Result<Tokens, ApiError> {
    let hash = token_hash(token);
    let now = app.now();
    let mut tx = app.db.begin_write().await?;
    let found = store::refresh_token(&mut tx, hash).await?.ok_or(Code::TokenInvalid)?;
    let open = store::lock_session(&mut tx, found.session, now).await?;
    // Read again: another request with the same token may have been first to the lock.
    let found = store::refresh_token(&mut tx, hash).await?.ok_or(Code::TokenInvalid)?;
    match turnover(found.expires_at, found.used_at, open, now, app.config.refresh_reuse_leeway_ms) {
        Turnover::Refuse(code) => Err(code.into()),
        Turnover::Revoke => {
            store::revoke_session(&mut tx, found.session).await?;
            tx.commit().await?;
            Err(Code::RefreshTokenReused.into())
        }
        Turnover::Issue => {
            store::mark_used(&mut tx, hash, now).await?;
            let account = store::by_id_in(&mut tx, found.account).await?.ok_or(Code::TokenInvalid)?.account;
            let tokens = issue(app, &mut tx, found.session, account, now).await?;
            tx.commit().await?;
            Ok(tokens)
        }
    }
}

/// Ends the log-in a refresh token came from. An unknown token is told nothing.
pub async fn log_out(app: &App, token: &str) -> Result<(), ApiError> {
    let mut tx = app.db.begin_write().await?;
    if let Some(found) = store::refresh_token(&mut tx, token_hash(token)).await? {
        store::revoke_session(&mut tx, found.session).await?;
    }
    Ok(tx.commit().await?)
}

/// The account of a verified token; it may have been deleted since.
pub async fn me(app: &App, id: UserId) -> Result<Account, ApiError> {
    Ok(store::by_id(&app.db, id).await?.ok_or(Code::TokenInvalid)?.account)
}

/// Makes an account without a code, for demonstrations; one that is there stays as it is.
pub async fn seed_account(
    app: &App,
    email: &str,
    nickname: &str,
    role: Role,
    password: &str,
) -> Result<UserId, ApiError> {
    let (email, nickname) = checked(email, nickname, password)?;
    let email_key = email_key(&email);
    if let Some(known) = store::by_email(&app.db, email_key).await? {
        return Ok(known.account.id);
    }
    let password_hash = password::hash(password::turn().await?, password.to_owned()).await?;
    let now = app.now();
    let id = UserId::new(app.config.region, now, app.random_id());
    let new = Known { account: Account { id, email, nickname, role }, password_hash };
    let mut tx = app.db.begin_write().await?;
    if store::insert_account(&mut tx, email_key, &new, now).await? {
        tx.commit().await?;
        return Ok(id);
    }
    tx.rollback().await?;
    let known = store::by_email(&app.db, email_key).await?;
    known.map(|k| k.account.id).ok_or_else(|| ApiError::internal("an account came and went"))
}

/// Deletes codes, failures and log-ins whose time is over. Any replica may do it, any number of times.
pub async fn sweep(app: &App) -> Result<(), ApiError> {
    let now = app.now();
    let ago = |ms: i64| now.plus_ms(-ms);
    store::sweep(&app.db, now, ago(DAY_MS), ago(FAILURE_WINDOW_MS), ago(REFRESH_TTL_MS)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn sent(at: Timestamp, day_start: Timestamp, day_count: i64) -> EmailCode {
        EmailCode { code_hash: [0; 32], tries: 0, expires_at: at, sent_at: at, day_start, day_count }
    }

    #[test]
    fn codes_are_six_digits() {
        assert_eq!(code_from([0; 8]), "000000");
        assert_eq!(code_from(42u64.to_be_bytes()), "000042");
        assert_eq!(code_from(1_999_999u64.to_be_bytes()), "999999");
    }

    #[test]
    fn one_code_in_thirty_seconds_and_ten_a_day() {
        let first = next_code(None, [1; 32], T).unwrap();
        assert_eq!((first.day_count, first.day_start, first.tries), (1, T, 0));
        assert_eq!(first.expires_at, T.plus_ms(EMAIL_CODE_TTL_MS));
        assert_eq!(next_code(Some(&first), [2; 32], T.plus_ms(1)), Err(29_999));
        assert_eq!(next_code(Some(&first), [2; 32], T.plus_ms(-5)), Err(30_000), "a clock that went back");
        let mut last = first;
        for n in 2..=10 {
            last = next_code(Some(&last), [2; 32], last.sent_at.plus_ms(30_000)).unwrap();
            assert_eq!((last.day_count, last.day_start), (n, T));
        }
        assert_eq!(next_code(Some(&last), [2; 32], T.plus_ms(DAY_MS - 1)), Err(1));
        assert_eq!(next_code(Some(&last), [2; 32], T.plus_ms(DAY_MS)).unwrap().day_count, 1);
        assert!(next_code(Some(&sent(T, T, 9)), [2; 32], T.plus_ms(30_000)).is_ok());
    }

    #[test]
    fn waits_are_whole_seconds_and_never_none() {
        assert_eq!([0, 1, 1000, 1001, 29_999].map(seconds_up), [1, 1, 1, 2, 30]);
    }

    #[test]
    fn all_bad_fields_are_named() {
        let e = checked("nobody", " ", "short").unwrap_err();
        let pointers: Vec<_> = e.errors.iter().map(|f| f.pointer.as_str()).collect();
        assert_eq!(pointers, ["/email", "/password", "/nickname"]);
        assert_eq!(checked(" A@B.kr", " 너굴 ", "12345678").unwrap(), ("a@b.kr".into(), "너굴".into()));
    }

    #[test]
    fn a_used_token_answers_within_the_leeway_and_betrays_after_it() {
        let (end, used) = (T.plus_ms(REFRESH_TTL_MS), Some(T));
        let at = |ms: i64, used, open| turnover(end, used, open, T.plus_ms(ms), 10_000);
        assert_eq!(at(0, None, true), Turnover::Issue);
        assert_eq!(at(0, None, false), Turnover::Refuse(Code::TokenInvalid));
        assert_eq!(at(10_000, used, true), Turnover::Issue);
        assert_eq!(at(10_000, used, false), Turnover::Refuse(Code::TokenInvalid));
        assert_eq!(at(10_001, used, true), Turnover::Revoke);
        assert_eq!(at(10_001, used, false), Turnover::Revoke);
        assert_eq!(at(REFRESH_TTL_MS, None, true), Turnover::Refuse(Code::TokenExpired));
    }
}
