//! Delivers mail over a raw TCP conversation and reads it back over HTTP.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

struct World {
    smtp: std::net::SocketAddr,
    http: std::net::SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn start(dir: PathBuf) -> World {
    let (mail, web) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (smtp, http) = (mail.local_addr().unwrap(), web.local_addr().unwrap());
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tokio::spawn(async move { nugul_mail_outbox::serve(mail, web, dir, stopped).await.unwrap() });
    World { smtp, http, stop, task }
}

impl World {
    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    async fn list(&self, path: &str) -> Vec<Value> {
        serde_json::from_str(&self.get(path).await).unwrap()
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(std::time::Duration::from_secs(10), self.task).await.unwrap().unwrap();
    }
}

/// Says each text and checks how the last line of its answer starts.
async fn talk(world: &World, lines: &[(&str, &str)]) {
    let stream = TcpStream::connect(world.smtp).await.unwrap();
    let (read, mut write) = stream.into_split();
    let mut reader = BufReader::new(read);
    for (say, expected) in [("", "220")].iter().chain(lines) {
        if !say.is_empty() {
            write.write_all(say.as_bytes()).await.unwrap();
            write.write_all(b"\r\n").await.unwrap();
        }
        let mut answer = String::new();
        loop {
            answer.clear();
            assert!(reader.read_line(&mut answer).await.unwrap() > 0, "closed after {say:?}");
            if answer.as_bytes().get(3) == Some(&b' ') {
                break;
            }
        }
        assert!(answer.starts_with(expected), "{say:?} → {answer:?}");
    }
}

#[tokio::test]
async fn a_mail_is_readable_and_survives_a_restart() {
    let dir = std::env::temp_dir().join(format!("nugul-mail-{}", std::process::id()));
    let world = start(dir.clone()).await;
    let quoted = "From: a@nugul.test\r\nTo: b@nugul.test\r\nMIME-Version: 1.0\r\n\
        Subject: =?utf-8?b?7J247Kad7JWU7Zi4?=\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\n=EC=BD=94=EB=93=9C: 123456\r\n..dot\r\n.";
    let encoded = "Subject: second\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: base64\r\n\r\n7L2U65OcOiA2NTQzMjE=\r\n.";
    talk(
        &world,
        &[
            ("EHLO test", "250"),
            ("RCPT TO:<b@nugul.test>", "503"),
            ("DATA", "503"),
            ("MAIL FROM:nobody", "501"),
            ("MAIL FROM:<a@nugul.test> SIZE=100", "250"),
            ("MAIL FROM:<a@nugul.test>", "503"),
            ("RCPT TO:<nobody>", "501"),
            ("RCPT TO:<b@nugul.test>", "250"),
            ("RCPT TO:<c@nugul.test>", "250"),
            ("DATA", "354"),
            (quoted, "250"),
            ("NOOP", "250"),
            ("mail from:<a@nugul.test>", "250"),
            ("RSET", "250"),
            ("VRFY x", "502"),
            ("MAIL FROM:<>", "250"),
            ("RCPT TO:<b@nugul.test>", "250"),
            ("DATA", "354"),
            (encoded, "250"),
            ("QUIT", "221"),
        ],
    )
    .await;
    let check = async |world: &World| {
        let mails = world.list("/api/messages?to=B@nugul.test").await;
        assert_eq!(mails.len(), 2);
        assert_eq!((&mails[0]["subject"], &mails[0]["text"]), (&"second".into(), &"코드: 654321".into()));
        assert_eq!((&mails[1]["subject"], &mails[1]["from"]), (&"인증암호".into(), &"a@nugul.test".into()));
        assert_eq!(mails[1]["text"].as_str().unwrap().trim_end(), "코드: 123456\n.dot");
        assert_eq!(world.list("/api/messages").await.len(), 3);
        assert_eq!(world.list("/api/messages?to=d@nugul.test").await.len(), 0);
        assert!(world.get("/").await.contains("인증암호"));
    };
    check(&world).await;
    world.stop().await;
    let world = start(dir.clone()).await;
    check(&world).await;
    world.stop().await;
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn too_long_a_mail_is_refused_and_the_conversation_goes_on() {
    let dir = std::env::temp_dir().join(format!("nugul-mail-long-{}", std::process::id()));
    let world = start(dir.clone()).await;
    let long = format!("Subject: x\r\n\r\n{}.", "0123456789012345678901234567890123456789012345678\r\n".repeat(25_000));
    talk(
        &world,
        &[
            ("HELO test", "250"),
            ("MAIL FROM:<a@nugul.test>", "250"),
            ("RCPT TO:<b@nugul.test>", "250"),
            ("DATA", "354"),
            (&long, "552"),
            ("NOOP", "250"),
            ("QUIT", "221"),
        ],
    )
    .await;
    assert_eq!(world.list("/api/messages").await.len(), 0);
    world.stop().await;
    std::fs::remove_dir_all(dir).unwrap();
}
