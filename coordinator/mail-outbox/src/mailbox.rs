//! The mails: one file each, the newest [`MAX_MESSAGES`] kept, read into memory at start.
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use mail_parser::MessageParser;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// No more mails are kept; the oldest goes first.
pub const MAX_MESSAGES: usize = 1000;

/// One mail for one recipient, decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// Its number, growing, as text.
    pub id: String,
    /// The envelope's recipient.
    pub to: String,
    /// The envelope's sender.
    pub from: String,
    /// Decoded.
    pub subject: String,
    /// The body as readable text.
    pub text: String,
    /// RFC 3339, UTC.
    pub received_at: String,
}

struct Inner {
    dir: PathBuf,
    mails: VecDeque<Arc<Mail>>,
    next: u64,
}

/// The mails, shared.
#[derive(Clone)]
pub struct Mailbox(Arc<Mutex<Inner>>);

impl Mailbox {
    /// Reads the folder, made when absent. Files that are no mail are left alone.
    pub fn open(dir: PathBuf) -> std::io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let mut mails = Vec::new();
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ext| ext == "json")
                && let Ok(mail) = serde_json::from_slice::<Mail>(&fs::read(&path)?)
            {
                mails.push(Arc::new(mail));
            }
        }
        mails.sort_by(|a, b| a.id.cmp(&b.id));
        let next = mails.last().and_then(|mail| mail.id.parse::<u64>().ok()).map_or(1, |id| id + 1);
        Ok(Self(Arc::new(Mutex::new(Inner { dir, mails: mails.into(), next }))))
    }

    /// Stores a mail for each recipient, durably. Blocks on the disk.
    pub fn deliver(&self, from: &str, recipients: &[String], raw: &[u8]) -> std::io::Result<()> {
        let parsed = MessageParser::default().parse(raw);
        let subject = parsed.as_ref().and_then(|m| m.subject()).unwrap_or_default().to_owned();
        let text = parsed.as_ref().and_then(|m| m.body_text(0)).unwrap_or_default().replace("\r\n", "\n");
        let received_at = OffsetDateTime::now_utc().format(&Rfc3339).map_err(std::io::Error::other)?;
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for to in recipients {
            let mail = Mail {
                id: format!("{:012}", inner.next),
                to: to.clone(),
                from: from.to_owned(),
                subject: subject.clone(),
                text: text.clone(),
                received_at: received_at.clone(),
            };
            let (path, draft) =
                (inner.dir.join(format!("{}.json", mail.id)), inner.dir.join(format!("{}.new", mail.id)));
            let mut file = File::create(&draft)?;
            file.write_all(&serde_json::to_vec(&mail)?)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            inner.next += 1;
            inner.mails.push_back(Arc::new(mail));
            while inner.mails.len() > MAX_MESSAGES {
                if let Some(old) = inner.mails.pop_front() {
                    fs::remove_file(inner.dir.join(format!("{}.json", old.id)))?;
                }
            }
        }
        File::open(&inner.dir)?.sync_all()
    }

    /// Mails newest first, of one recipient when given.
    pub fn list(&self, to: Option<&str>) -> Vec<Arc<Mail>> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |mail: &&Arc<Mail>| to.is_none_or(|to| mail.to.eq_ignore_ascii_case(to));
        inner.mails.iter().rev().filter(wanted).cloned().collect()
    }
}
