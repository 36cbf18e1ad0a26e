//! Requests and answers, queries, forms and cookies: small, lenient in what they read, never failing.

use std::{any::Any, pin::Pin};

use futures_util::{Stream, StreamExt};

/// A body that comes in pieces.
pub type ByteStream = Pin<Box<dyn Stream<Item = Vec<u8>>>>;

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Read the head only.
    Head,
    /// Write.
    Post,
    /// Replace.
    Put,
    /// Change.
    Patch,
    /// Remove.
    Delete,
    /// Anything else; refused.
    Other,
}

impl Method {
    /// From its name.
    pub fn from_name(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            _ => Self::Other,
        }
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get | Self::Other => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether it only reads.
    pub const fn is_read(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }
}

/// A body.
pub enum Body {
    /// None.
    Empty,
    /// All of it.
    Bytes(Vec<u8>),
    /// Piece by piece.
    Stream(ByteStream),
    /// In the platform's own form: passed on unread by the adapter that made it.
    Native(Box<dyn Any>),
}

/// A body over its bound, cut off, or not for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl Body {
    /// All of it, where it is at most `max` bytes.
    pub async fn collect(self, max: usize) -> Result<Vec<u8>, TooLarge> {
        match self {
            Self::Empty => Ok(Vec::new()),
            Self::Bytes(bytes) if bytes.len() <= max => Ok(bytes),
            Self::Bytes(_) | Self::Native(_) => Err(TooLarge),
            Self::Stream(mut stream) => {
                let mut all = Vec::new();
                while let Some(piece) = stream.next().await {
                    if all.len() + piece.len() > max {
                        return Err(TooLarge);
                    }
                    all.extend(piece);
                }
                Ok(all)
            }
        }
    }
}

/// A value by the name of its header; names are compared without case.
pub fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
}

/// A request as it came.
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path, as written.
    pub path: String,
    /// The query, without the question mark.
    pub query: String,
    /// Whether it came over TLS.
    pub https: bool,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

impl Request {
    /// A request for `target`, a path with or without a query.
    pub fn new(method: Method, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self { method, path: path.into(), query: query.into(), https: false, headers: Vec::new(), body: Body::Empty }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The path with the query.
    pub fn target(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case("cookie"))
            .flat_map(|(_, v)| v.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v)
            .filter(|v| !v.is_empty())
    }
}

/// An answer.
pub struct Response {
    /// The status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

impl Response {
    /// An answer with a body of this media type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type".into(), content_type.into())], body: Body::Bytes(body.into()) }
    }

    /// `303 See Other`.
    pub fn see_other(location: &str) -> Self {
        Self { status: 303, headers: Vec::new(), body: Body::Empty }.with("location", location)
    }

    /// The same with one more header; a value that could end the line is left out.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if value.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            self.headers.push((name.into(), value.into()));
        }
        self
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// Reads `application/x-www-form-urlencoded`, as queries and forms are written. At most 500 pairs.
pub fn parse_form(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .take(500)
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        })
        .collect()
}

/// The first value of a name, without surrounding space; nothing where empty.
pub fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter().find(|(n, _)| n == name).map(|(_, v)| v.trim()).filter(|v| !v.is_empty())
}

/// Undoes percent-encoding; what is no UTF-8 becomes U+FFFD.
pub fn decode(text: &str, plus_is_space: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        let hex = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let mut ahead = bytes.clone();
        match (b, ahead.next().and_then(hex), ahead.next().and_then(hex)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                bytes = ahead;
            }
            (b'+', ..) if plus_is_space => out.push(b' '),
            _ => out.push(b),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Percent-encodes everything but unreserved characters (RFC 3986, 2.3).
pub fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, b| {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_are_read_as_browsers_write_them() {
        assert_eq!(
            parse_form("q=%EB%84%88%EA%B5%B4+a&x&seat=1&seat=2"),
            [("q", "너굴 a"), ("x", ""), ("seat", "1"), ("seat", "2")].map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
        assert_eq!(decode("%zz%4", true), "%zz%4");
    }

    #[test]
    fn a_value_with_a_line_break_is_no_header() {
        assert_eq!(Response::see_other("/a\r\nset-cookie: x=1").header("location"), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_reads_back(text in ".*") {
            prop_assert_eq!(decode(&encode(&text), true), text);
        }

        #[test]
        fn hostile_forms_never_panic(text in ".*") {
            parse_form(&text);
        }
    }
}
