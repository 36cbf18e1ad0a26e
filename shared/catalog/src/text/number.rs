//! Numbers as they are read aloud: 42번가 as 사십이번가.

const DIGITS: [&str; 10] = ["", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구"];
const PLACES: [&str; 4] = ["", "십", "백", "천"];

/// A word with its numbers of up to four digits read out; none where it has no number, or a longer one.
pub(crate) fn read_out(word: &str) -> Option<String> {
    let mut out = String::with_capacity(word.len() * 2);
    let mut found = false;
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            out.push(c);
            rest = rest.get(c.len_utf8()..)?;
            continue;
        }
        let (number, after) = rest.split_at_checked(digits)?;
        rest = after;
        found = true;
        out.push_str(&spoken(number)?);
    }
    found.then_some(out)
}

fn spoken(number: &str) -> Option<String> {
    if number.len() > PLACES.len() {
        return None;
    }
    if number.bytes().all(|b| b == b'0') {
        return Some("영".to_owned());
    }
    let mut out = String::new();
    for (n, digit) in number.bytes().enumerate() {
        let place = PLACES.get(number.len() - 1 - n)?;
        match digit - b'0' {
            0 => {}
            // 십, not 일십; but 일 in the last place.
            1 if !place.is_empty() => out.push_str(place),
            digit => {
                out.push_str(DIGITS.get(usize::from(digit))?);
                out.push_str(place);
            }
        }
    }
    Some(out)
}
