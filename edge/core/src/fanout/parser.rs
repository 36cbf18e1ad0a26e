//! Cuts a stream of bytes into frames.

/// The longest frame, in bytes. A snapshot of the largest hall takes about 20,000.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;

/// One thing that came over the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A comment: the stream lives.
    Heartbeat,
    /// An event.
    Frame(Frame),
}

/// An event as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its name.
    pub event: String,
    /// Its id.
    pub id: Option<String>,
    /// Its data.
    pub data: String,
}

/// The stream holds a frame over [`FRAME_BYTES_MAX`]; nothing after it can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameTooLong;

/// Cuts a stream of bytes into frames (HTML Standard, 9.2.5), however they are split on the way.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    frame: Frame,
    has_data: bool,
    frame_bytes: usize,
}

impl Parser {
    /// Takes the next bytes; gives what they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Item>, FrameTooLong> {
        let mut items = Vec::new();
        for &byte in bytes {
            let after_cr = std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    self.take_line(&String::from_utf8_lossy(&line), &mut items);
                }
                _ => {
                    self.line.push(byte);
                    self.frame_bytes += 1;
                    if self.frame_bytes > FRAME_BYTES_MAX {
                        *self = Self::default();
                        return Err(FrameTooLong);
                    }
                }
            }
        }
        Ok(items)
    }

    fn take_line(&mut self, line: &str, items: &mut Vec<Item>) {
        if line.is_empty() {
            let frame = std::mem::take(&mut self.frame);
            self.frame_bytes = 0;
            if std::mem::take(&mut self.has_data) {
                items.push(Item::Frame(frame));
            }
            return;
        }
        if line.starts_with(':') {
            self.frame_bytes = self.frame_bytes.saturating_sub(line.len());
            items.push(Item::Heartbeat);
            return;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.frame.event),
            "id" if !value.contains('\0') => self.frame.id = Some(value.to_owned()),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.frame.data.push('\n');
                }
                self.frame.data.push_str(value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_however_lines_end() {
        for end in ["\n", "\r", "\r\n"] {
            let text =
                ["retry: 1000", "", ": alive", "", "event: changes", "id: 7", "data: a", "data:b", "", ""].join(end);
            let mut parser = Parser::default();
            let items: Vec<Item> = text.bytes().flat_map(|b| parser.push(&[b]).unwrap()).collect();
            let frame = Frame { event: "changes".into(), id: Some("7".into()), data: "a\nb".into() };
            assert_eq!(items, [Item::Heartbeat, Item::Frame(frame)]);
        }
    }

    #[test]
    fn an_endless_frame_is_refused() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(&vec![b'x'; FRAME_BYTES_MAX + 1]), Err(FrameTooLong));
        for _ in 0..3 * FRAME_BYTES_MAX / 8 {
            assert!(parser.push(b": alive\n").is_ok());
        }
    }
}
