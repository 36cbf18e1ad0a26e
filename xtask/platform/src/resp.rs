//! Asking a Redis server one thing: enough of its protocol to start, watch and break a set of them.
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// No text in an answer that is asked for here is longer.
const TEXT_MAX_BYTES: usize = 1024 * 1024;
/// Nor does any list have more items.
const ITEMS_MAX: usize = 10_000;

/// Sends one command to the server on this port and gives the texts of its answer, lists within lists made flat.
pub fn redis_command(port: u16, words: &[&str]) -> io::Result<Vec<String>> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), ASK_TIMEOUT)?;
    stream.set_read_timeout(Some(ASK_TIMEOUT))?;
    stream.set_write_timeout(Some(ASK_TIMEOUT))?;
    let mut request = vec![format!("*{}", words.len())];
    for word in words {
        request.extend([format!("${}", word.len()), (*word).to_owned()]);
    }
    request.push(String::new());
    stream.write_all(request.join("\r\n").as_bytes())?;
    let (mut answer, mut texts) = (BufReader::new(stream), Vec::new());
    // Items that are still to come.
    let mut due = 1;
    while due > 0 {
        due = due - 1 + item(&mut answer, &mut texts)?;
        if texts.len() > ITEMS_MAX || due > ITEMS_MAX {
            return Err(io::Error::other("an answer of too many items"));
        }
    }
    Ok(texts)
}

/// Reads one item, and gives how many more it announces.
fn item(answer: &mut impl BufRead, texts: &mut Vec<String>) -> io::Result<usize> {
    let mut line = String::new();
    answer.by_ref().take(TEXT_MAX_BYTES as u64).read_line(&mut line)?;
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    let number = || rest.parse::<i64>().map_err(io::Error::other);
    match kind {
        "+" | ":" => texts.push(rest.to_owned()),
        "-" => return Err(io::Error::other(rest.to_owned())),
        "$" => match usize::try_from(number()?) {
            Ok(length) if length <= TEXT_MAX_BYTES => {
                let mut text = vec![0; length + 2];
                answer.read_exact(&mut text)?;
                text.truncate(length);
                texts.push(String::from_utf8_lossy(&text).into_owned());
            }
            Ok(_) => return Err(io::Error::other("an answer that is too long")),
            // Nothing is there.
            Err(_) => texts.push(String::new()),
        },
        "*" => return Ok(usize::try_from(number()?).unwrap_or(0)),
        _ => return Err(io::Error::other(format!("not an answer of Redis: {line}"))),
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_flat() {
        let mut bytes: &[u8] = b"*3\r\n$6\r\nma\r\ner\r\n*2\r\n:7\r\n$-1\r\n+OK\r\n";
        let (mut texts, mut due) = (Vec::new(), 1);
        while due > 0 {
            due = due - 1 + item(&mut bytes, &mut texts).unwrap();
        }
        assert_eq!(texts, ["ma\r\ner", "7", "", "OK"]);
        assert!(item(&mut &b"-ERR no\r\n"[..], &mut texts).unwrap_err().to_string().contains("ERR no"));
        assert!(item(&mut &b""[..], &mut texts).is_err());
    }
}
