//! The receiving half of SMTP, as far as a sender on the same machine needs it (RFC 5321; no TLS, no authentication).
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::mailbox::Mailbox;

/// No more conversations are held at once; the next waits.
pub const MAX_CONNECTIONS: usize = 64;
/// No longer mail is taken.
pub const MAX_MAIL: usize = 1024 * 1024;
/// No longer line is read.
pub const MAX_LINE: usize = 4096;
/// No more recipients are taken for one mail.
pub const MAX_RECIPIENTS: usize = 100;
/// A sender may be silent for this long.
pub const SILENCE: Duration = Duration::from_secs(30);
/// No conversation is longer.
pub const CONVERSATION: Duration = Duration::from_mins(10);

/// Takes mail until `stop`.
pub async fn serve(listener: TcpListener, mailbox: Mailbox, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accepted => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (mailbox, stop) = (mailbox.clone(), stop.clone());
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                () = stop.cancelled() => {}
                ended = tokio::time::timeout(CONVERSATION, converse(stream, &mailbox)) => match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "conversation broke off"),
                    Err(_) => tracing::debug!("conversation too long"),
                },
            }
        });
    }
}

/// One line without its end; nothing at the end of the stream.
async fn line(reader: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut bounded = reader.take(MAX_LINE as u64);
    let read = tokio::time::timeout(SILENCE, bounded.read_until(b'\n', &mut bytes)).await??;
    if read == 0 {
        return Ok(None);
    }
    if bytes.pop() != Some(b'\n') {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "line too long or cut off"));
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(Some(bytes))
}

/// The address of `FROM:<a@b> …` or `TO:<a@b> …`.
fn address(argument: &str, label: &str) -> Option<String> {
    let (head, rest) = argument.split_at_checked(label.len())?;
    let (inside, _) = rest.trim_start().strip_prefix('<')?.split_once('>')?;
    let plain = inside.len() <= 254 && inside.chars().all(|c| !c.is_control() && !c.is_whitespace() && c != '<');
    (head.eq_ignore_ascii_case(label) && plain).then(|| inside.to_owned())
}

/// The lines of a mail up to the single dot, unstuffed; nothing when it is too long.
async fn data(reader: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<Vec<u8>>> {
    let (mut mail, mut fits) = (Vec::new(), true);
    loop {
        let Some(text) = line(reader).await? else { return Err(std::io::ErrorKind::UnexpectedEof.into()) };
        if text == b"." {
            return Ok(fits.then_some(mail));
        }
        let text = text.strip_prefix(b".").unwrap_or(&text);
        fits = fits && mail.len() + text.len() + 2 <= MAX_MAIL;
        if fits {
            mail.extend_from_slice(text);
            mail.extend_from_slice(b"\r\n");
        }
    }
}

async fn converse(stream: TcpStream, mailbox: &Mailbox) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut reader = BufReader::new(read);
    write.write_all(b"220 nugul mail outbox\r\n").await?;
    let (mut sender, mut recipients): (Option<String>, Vec<String>) = (None, Vec::new());
    while let Some(bytes) = line(&mut reader).await? {
        let command = String::from_utf8_lossy(&bytes).into_owned();
        let (verb, argument) = command.split_once(' ').unwrap_or((&command, ""));
        let answer = match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                (sender, recipients) = (None, Vec::new());
                format!("250-nugul\r\n250-SIZE {MAX_MAIL}\r\n250-8BITMIME\r\n250 SMTPUTF8")
            }
            "HELO" => {
                (sender, recipients) = (None, Vec::new());
                "250 nugul".into()
            }
            "MAIL" if sender.is_some() => "503 5.5.1 one mail at a time".into(),
            "MAIL" => match address(argument, "FROM:") {
                Some(from) => {
                    sender = Some(from);
                    "250 2.1.0 ok".into()
                }
                None => "501 5.5.4 MAIL FROM:<address>".into(),
            },
            "RCPT" if sender.is_none() => "503 5.5.1 MAIL first".into(),
            "RCPT" if recipients.len() >= MAX_RECIPIENTS => "452 4.5.3 too many recipients".into(),
            "RCPT" => match address(argument, "TO:").filter(|to| to.contains('@')) {
                Some(to) => {
                    recipients.push(to);
                    "250 2.1.5 ok".into()
                }
                None => "501 5.5.4 RCPT TO:<address>".into(),
            },
            "DATA" if recipients.is_empty() => "503 5.5.1 RCPT first".into(),
            "DATA" => {
                write.write_all(b"354 end with a single dot\r\n").await?;
                let (from, to) = (sender.take().unwrap_or_default(), std::mem::take(&mut recipients));
                match data(&mut reader).await? {
                    None => "552 5.3.4 mail too long".into(),
                    Some(mail) => {
                        let mailbox = mailbox.clone();
                        let stored = tokio::task::spawn_blocking(move || mailbox.deliver(&from, &to, &mail)).await?;
                        match stored {
                            Ok(()) => {
                                tracing::info!("mail stored");
                                "250 2.0.0 stored".into()
                            }
                            Err(error) => {
                                tracing::error!(%error, "mail not stored");
                                "451 4.3.0 not stored".to_owned()
                            }
                        }
                    }
                }
            }
            "RSET" => {
                (sender, recipients) = (None, Vec::new());
                "250 2.0.0 ok".into()
            }
            "NOOP" => "250 2.0.0 ok".into(),
            "QUIT" => {
                write.write_all(b"221 2.0.0 bye\r\n").await?;
                return write.shutdown().await;
            }
            _ => "502 5.5.1 not implemented".into(),
        };
        write.write_all(answer.as_bytes()).await?;
        write.write_all(b"\r\n").await?;
    }
    Ok(())
}
