//! What holds of whatever bytes an upstream sends. The fuzz target and the property tests call it.

use nugul_edge_core::fanout::parser::{Item, Parser};

/// A stream in pieces says what it says as a whole, and no more than was sent.
pub fn frames(stream: &[u8], piece: usize) {
    let whole = Parser::default().push(stream);
    let (mut parser, mut items) = (Parser::default(), Ok(Vec::new()));
    for piece in stream.chunks(piece) {
        match (parser.push(piece), &mut items) {
            (Ok(more), Ok(items)) => items.extend(more),
            (Err(refused), Ok(_)) => items = Err(refused),
            (_, Err(_)) => break,
        }
    }
    assert_eq!(whole, items);
    let Ok(items) = items else { return };
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
