//! Who calls, by the name in the certificate, and what each may do, and how often.
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// No caller has more calls in a second, on average.
pub const CALLS_PER_SECOND: f64 = 2_000.0;
/// How many calls may come at once after a quiet time.
pub const BURST: f64 = 4_000.0;

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Move money and hear of it.
    Command,
    /// Read payments.
    Read,
    /// Read the books, compare them, close cases.
    Operate,
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The certificate's name may not do it.
    NotAllowed,
    /// Too many calls.
    TooMany,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// The callers known by name.
#[derive(Debug)]
pub struct Callers {
    coordinators: Vec<String>,
    operators: Vec<String>,
    /// One bucket a known name: there are as many as the settings name.
    buckets: Mutex<HashMap<String, Bucket>>,
}

fn names(list: &str) -> Vec<String> {
    list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

impl Callers {
    /// Coordinators may command and read, operators read and operate; each list is names between commas.
    pub fn new(coordinators: &str, operators: &str) -> Self {
        Self { coordinators: names(coordinators), operators: names(operators), buckets: Mutex::default() }
    }

    /// Lets a call pass, or says why not.
    pub fn check(&self, name: &str, right: Right, now: Instant) -> Result<(), Denied> {
        let is_in = |list: &[String]| list.iter().any(|known| known == name);
        let allowed = match right {
            Right::Command => is_in(&self.coordinators),
            Right::Read => is_in(&self.coordinators) || is_in(&self.operators),
            Right::Operate => is_in(&self.operators),
        };
        if !allowed {
            return Err(Denied::NotAllowed);
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(name.to_owned()).or_insert(Bucket { left: BURST, at: now });
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.left = (bucket.left + passed * CALLS_PER_SECOND).min(BURST);
        bucket.at = now;
        if bucket.left < 1.0 {
            return Err(Denied::TooMany);
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

/// A part of DER: its tag, what is in it, what comes after it.
fn part(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7F);
        if !(1..=4).contains(&count) {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
    };
    let (inside, after) = rest.split_at_checked(length)?;
    Some((tag, inside, after))
}

/// The common name of a certificate's subject (RFC 5280, 4.1.2.6). The certificate was verified before.
pub fn common_name(certificate: &[u8]) -> Option<String> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xA0;
    /// 2.5.4.3
    const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
    let (_, certificate, _) = part(certificate)?;
    let (_, mut fields, _) = part(certificate)?;
    if fields.first() == Some(&VERSION) {
        fields = part(fields)?.2;
    }
    // Serial number, algorithm, issuer, validity; then the subject.
    for _ in 0..4 {
        fields = part(fields)?.2;
    }
    let (tag, mut names, _) = part(fields)?;
    if tag != SEQUENCE {
        return None;
    }
    while let Some((_, mut set, rest)) = part(names) {
        while let Some((_, attribute, more)) = part(set) {
            let (_, kind, value) = part(attribute)?;
            if kind == COMMON_NAME {
                return String::from_utf8(part(value)?.1.to_vec()).ok();
            }
            set = more;
        }
        names = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_name_is_read_and_nothing_else_is_believed() {
        for name in ["coordinator", "한글 이름", &"x".repeat(300)] {
            let mut params = rcgen::CertificateParams::new(vec!["other.example".into()]).unwrap();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(rcgen::DnType::OrganizationName, "coordinator of nothing");
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            let der = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            assert_eq!(common_name(der.der()).as_deref(), Some(name));
            // Cut off anywhere, it is no name or the same.
            for end in 0..der.der().len() {
                let cut = der.der().get(..end).and_then(common_name);
                assert!(cut.is_none_or(|cut| cut == name), "{end}");
            }
        }
        assert_eq!(common_name(b"\x30\x84\xff\xff\xff\xff"), None);
    }

    #[test]
    fn each_may_do_its_own() {
        let callers = Callers::new("coordinator, second", "operator");
        let now = Instant::now();
        for (name, command, read, operate) in [
            ("coordinator", true, true, false),
            ("second", true, true, false),
            ("operator", false, true, true),
            ("", false, false, false),
            ("coordinator2", false, false, false),
        ] {
            for (right, may) in [(Right::Command, command), (Right::Read, read), (Right::Operate, operate)] {
                assert_eq!(callers.check(name, right, now).is_ok(), may, "{name} {right:?}");
            }
        }
    }

    #[test]
    fn a_flood_is_stopped_and_forgiven() {
        let callers = Callers::new("a,b", "");
        let start = Instant::now();
        let passed = (0..10_000).filter(|_| callers.check("a", Right::Command, start).is_ok()).count();
        assert_eq!(passed, 4_000);
        assert_eq!(callers.check("a", Right::Command, start), Err(Denied::TooMany));
        assert!(callers.check("b", Right::Command, start).is_ok());
        let later = start + Duration::from_millis(500);
        let passed = (0..10_000).filter(|_| callers.check("a", Right::Command, later).is_ok()).count();
        assert_eq!(passed, 1_000);
    }
}
