//! Mail to people, over SMTP.

use std::time::Duration;

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};
use nugul_domain::account::EMAIL_CODE_TTL_MS;

use crate::error::ApiError;

/// The sender where none is set.
pub const SENDER_DEFAULT: &str = "no-reply@nugul.test";
/// The sender's name.
const SENDER_NAME: &str = "너굴티켓";
/// How long one step of the conversation may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long all of it may take.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
const MS_PER_MINUTE: i64 = 60_000;

/// Sends mail.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    sender: Mailbox,
}

impl Mailer {
    /// Over `smtp_url`, as in `smtp://127.0.0.1:1025` or `smtps://user:password@host`, from `sender` or
    /// [`SENDER_DEFAULT`]. Nothing is connected yet.
    pub fn new(smtp_url: &str, sender: Option<&str>) -> Result<Self, String> {
        // The error of a bad address may quote it, password and all.
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(smtp_url)
            .map_err(|_| "NUGUL_SMTP_URL is not an smtp:// or smtps:// address".to_owned())?
            .timeout(Some(STEP_TIMEOUT))
            .build();
        let address = sender.unwrap_or(SENDER_DEFAULT).parse().map_err(|e| format!("the sender of mail: {e}"))?;
        Ok(Self { transport, sender: Mailbox::new(Some(SENDER_NAME.to_owned()), address) })
    }

    /// Sends a code that proves the address. Errors do not tell the address: they go to the logs.
    pub async fn send_code(&self, to: Address, code: &str) -> Result<(), ApiError> {
        self.send(self.code_message(to, code)?).await
    }

    /// Sends a text.
    pub async fn send_text(&self, to: Address, subject: &str, text: String) -> Result<(), ApiError> {
        self.send(self.message(to, subject, text)?).await
    }

    async fn send(&self, message: Message) -> Result<(), ApiError> {
        match tokio::time::timeout(SEND_TIMEOUT, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(ApiError::unavailable(format_args!("mail: {}", told(&e)))),
            Err(_) => Err(ApiError::unavailable("mail: no answer in time")),
        }
    }

    fn code_message(&self, to: Address, code: &str) -> Result<Message, ApiError> {
        let minutes = EMAIL_CODE_TTL_MS / MS_PER_MINUTE;
        let body = format!(
            "안녕하세요, 너굴티켓이에요.\r\n\r\n인증 코드: {code}\r\n\r\n{minutes}분 안에 가입 화면에 입력해 주세요.\r\n\
             이 코드를 다른 사람에게 알려 주지 마세요. 직접 요청하지 않으셨다면 이 메일은 지우셔도 돼요.\r\n"
        );
        self.message(to, "[너굴티켓] 이메일 인증 코드", body)
    }

    fn message(&self, to: Address, subject: &str, body: String) -> Result<Message, ApiError> {
        Message::builder()
            .from(self.sender.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(body)
            .map_err(|e| ApiError::internal(format_args!("mail: {e}")))
    }
}

/// What the logs may know: a server's sentence often quotes the address, its status does not.
fn told(e: &lettre::transport::smtp::Error) -> String {
    match e.status() {
        Some(status) => format!("the server answered {status}"),
        None if e.is_timeout() => "no answer in time".to_owned(),
        None => "the server does not talk to us".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_url_is_refused_without_being_quoted() {
        let e = Mailer::new("ftp://u:secret@h", None).err().unwrap();
        assert!(e.contains("NUGUL_SMTP_URL") && !e.contains("secret"));
    }

    #[tokio::test]
    async fn the_message_is_in_korean_and_has_the_code_once() {
        let mailer = Mailer::new("smtp://127.0.0.1:1", None).unwrap();
        let message = mailer.code_message("buyer@nugul.test".parse().unwrap(), "012345").unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        assert!(text.contains("To: buyer@nugul.test"));
        assert!(!text.lines().take_while(|l| !l.is_empty()).any(|l| l.contains("012345")));
        assert_eq!(
            mailer.send_code("buyer@nugul.test".parse().unwrap(), "012345").await.unwrap_err().code,
            nugul_api::Code::Unavailable
        );
    }
}
