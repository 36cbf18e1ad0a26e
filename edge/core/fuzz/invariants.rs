//! What holds of whatever bytes an upstream sends. The fuzz target and the property tests call it.

use nugul_edge_core::fanout::{FRAME_BYTES_MAX, FrameTooLong, Item, Parser};

/// A stream in pieces, as long as `cuts` says again and again, says what it says as a whole, and no more than was sent. Only
/// one that is longer than a frame may be can be refused.
pub fn frames(stream: &[u8], cuts: &[usize]) {
    let whole = Parser::default().push(stream);
    assert_eq!(whole, in_pieces(stream, cuts));
    let Ok(items) = whole else {
        assert!(stream.len() > FRAME_BYTES_MAX);
        return;
    };
    let lines = stream.split(|&byte| byte == b'\n' || byte == b'\r').count();
    assert!(items.len() <= lines, "{} items of {lines} lines", items.len());
    // A byte that is no UTF-8 becomes a character of three.
    let said = |item: &Item| match item {
        Item::Heartbeat => 1,
        Item::Frame(frame) => frame.data.len() + frame.event.len() + frame.id.as_ref().map_or(0, String::len),
    };
    assert!(items.iter().map(said).sum::<usize>() <= 3 * stream.len());
    for item in &items {
        if let Item::Frame(frame) = item {
            assert!(!frame.event.contains(['\n', '\r']) && !frame.data.contains('\r'), "{frame:?}");
            assert!(frame.id.as_ref().is_none_or(|id| !id.contains(['\n', '\r', '\0'])), "{frame:?}");
        }
    }
}

fn in_pieces(stream: &[u8], cuts: &[usize]) -> Result<Vec<Item>, FrameTooLong> {
    let (mut parser, mut rest, mut items) = (Parser::default(), stream, Vec::new());
    for cut in cuts.iter().cycle() {
        let (now, later) = rest.split_at((*cut).max(1).min(rest.len()));
        items.extend(parser.push(now)?);
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    Ok(items)
}
