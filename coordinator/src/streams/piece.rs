//! An encoded frame, made once and shared by all readers: as it is, and as a chunk of HTTP/1.1 (RFC 9112, 7.1).

use bytes::Bytes;

/// What ends a chunk.
const CHUNK_END: &[u8] = b"\r\n";
/// The chunk that ends a body.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// How the body of an answer is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// In chunks: HTTP/1.1.
    Chunked,
    /// Not at all, its end is the connection's: HTTP/1.0.
    Bare,
}

/// An encoded frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    chunk: Bytes,
    head: usize,
}

impl Piece {
    /// From the frame's text, which is not empty: an empty chunk would end the body.
    pub(super) fn new(text: &str) -> Self {
        let size = format!("{:x}\r\n", text.len());
        let chunk = [size.as_bytes(), text.as_bytes(), CHUNK_END].concat();
        Self { chunk: chunk.into(), head: size.len() }
    }

    /// As it goes to the socket.
    pub(super) fn framed(&self, framing: Framing) -> &[u8] {
        match framing {
            Framing::Chunked => &self.chunk,
            Framing::Bare => self.chunk.get(self.head..self.chunk.len() - CHUNK_END.len()).unwrap_or_default(),
        }
    }

    /// The rest of it after `sent` bytes, sharing its memory.
    pub(super) fn rest(&self, framing: Framing, sent: usize) -> Bytes {
        self.chunk.slice_ref(self.framed(framing).get(sent..).unwrap_or_default())
    }
}

/// Several frames, to be written at once.
pub(super) fn joined(pieces: &[Piece], framing: Framing) -> Bytes {
    match pieces {
        [only] => only.rest(framing, 0),
        several => several.iter().flat_map(|piece| piece.framed(framing)).copied().collect(),
    }
}

/// What ends a body.
pub(super) fn end(framing: Framing) -> Bytes {
    Bytes::from_static(if framing == Framing::Chunked { LAST_CHUNK } else { b"" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_it_is_and_as_a_chunk() {
        let piece = Piece::new("data: 0123456789\n\n");
        assert_eq!(piece.framed(Framing::Chunked), b"12\r\ndata: 0123456789\n\n\r\n");
        assert_eq!(piece.framed(Framing::Bare), b"data: 0123456789\n\n");
        assert_eq!(&piece.rest(Framing::Bare, 6)[..], b"0123456789\n\n");
        assert_eq!(&piece.rest(Framing::Chunked, 22)[..], b"\r\n");
        assert_eq!(&joined(&[piece.clone(), Piece::new("x")], Framing::Bare)[..], b"data: 0123456789\n\nx");
        assert_eq!(joined(std::slice::from_ref(&piece), Framing::Chunked), piece.rest(Framing::Chunked, 0));
        assert!(piece.rest(Framing::Bare, 18).is_empty() && piece.rest(Framing::Bare, 19).is_empty());
    }
}
