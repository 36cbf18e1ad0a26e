//! Seats as an organiser writes them, one row a line: `R석 3열 1-4, 7`, `R, row 3, seats 1-4, 7`, or `R석 3열` for all of it.

use nugul_api::problem::Language;
use nugul_domain::{SeatIndex, SeatMap};

use super::text;

/// Words between the numbers that say nothing a number's place does not say.
const FILLERS: [&str; 6] = ["석", "열", "번", "row", "seats", "seat"];

/// Writes seats, given in ascending order.
pub(crate) fn write(lang: Language, map: &SeatMap, seats: &[SeatIndex]) -> String {
    let mut lines = Vec::new();
    let mut left = seats;
    for (grade, row, first) in map.rows() {
        let end = first + grade.seats_per_row;
        let count = left.partition_point(|&i| i < end);
        let (here, rest) = left.split_at(count);
        left = rest;
        if here.is_empty() {
            continue;
        }
        let name = text::row(lang, &grade.grade, row);
        let numbers = ranges(here.iter().map(|i| i - first + 1));
        lines.push(match (here.len() == grade.seats_per_row as usize, lang) {
            (true, _) => name,
            (_, Language::Korean) => format!("{name} {numbers}"),
            (_, Language::English) => format!("{name}, seats {numbers}"),
        });
    }
    lines.join("\n")
}

/// `1-4, 7`.
fn ranges(numbers: impl Iterator<Item = u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for n in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == n => *last = n,
            _ => runs.push((n, n)),
        }
    }
    let said = runs.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") });
    said.collect::<Vec<_>>().join(", ")
}

/// Reads what a person wrote: the seats in ascending order, each once. The error is the first line that names none.
pub(crate) fn read(map: &SeatMap, text: &str) -> Result<Vec<SeatIndex>, String> {
    let rows: Vec<_> = map.rows().collect();
    let mut seats = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let named = row(&rows, line).ok_or_else(|| line.to_owned())?;
        seats.extend(named);
    }
    seats.sort_unstable();
    seats.dedup();
    Ok(seats)
}

fn row(rows: &[(&nugul_domain::Grade, u32, SeatIndex)], line: &str) -> Option<Vec<SeatIndex>> {
    let after = |name: &str| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with(|c: char| c == '석' || c == ',' || c.is_whitespace()).then_some(rest)
    };
    // The longest name that fits: one grade's may begin another's.
    let named = rows.iter().filter_map(|(g, ..)| Some((g.grade.as_str(), after(&g.grade)?)));
    let (grade, rest) = named.max_by_key(|(name, _)| name.len()).map_or((None, line), |(n, rest)| (Some(n), rest));
    let mut rest = rest.replace(['–', '~'], "-").replace(',', " ");
    for filler in FILLERS {
        rest = rest.replace(filler, " ");
    }
    let mut words = rest.split_whitespace();
    let number: usize = words.next()?.parse().ok()?;
    let (of, _, first) = rows.get(number.checked_sub(1)?)?;
    if grade.is_some_and(|grade| grade != of.grade) {
        return None;
    }
    let mut seats = Vec::new();
    for word in words {
        let (a, b) = word.split_once('-').unwrap_or((word, word));
        let (a, b): (u32, u32) = (a.parse().ok()?, b.parse().ok()?);
        if a == 0 || a > b || b > of.seats_per_row {
            return None;
        }
        seats.extend(first + a - 1..first + b);
    }
    if seats.is_empty() {
        seats.extend(*first..first + of.seats_per_row);
    }
    Some(seats)
}

#[cfg(test)]
mod tests {
    use nugul_domain::{Grade, Krw};
    use proptest::prelude::*;

    use super::*;

    fn hall() -> SeatMap {
        let grade = |name: &str, rows| Grade { grade: name.into(), price_krw: Krw(1000), rows, seats_per_row: 6 };
        SeatMap::new(vec![grade("R", 2), grade("R 2층", 2), grade("3", 2)]).unwrap()
    }

    #[test]
    fn lines_are_read_as_people_write_them() {
        for (line, seats) in [
            ("R석 1열 1-3, 5", vec![0, 1, 2, 4]),
            ("R, row 2, seats 6, 1", vec![6, 11]),
            ("  R 2층석 3열 2~3번 ", vec![13, 14]),
            ("3석 5열 1번", vec![24]),
            ("3열 6", vec![17]),
            ("R석 2열", vec![6, 7, 8, 9, 10, 11]),
            ("1 2\r\n\n1 1-2", vec![0, 1]),
            ("", vec![]),
        ] {
            assert_eq!(read(&hall(), line), Ok(seats), "{line}");
        }
        for line in
            ["R석 3열 1", "R석 7열 1", "R석 0열", "R석 1열 7", "R석 1열 3-2", "R석 1열 0", "나무", "R석", "1열 -"]
        {
            assert_eq!(read(&hall(), &format!("1열 1\n{line}\n")), Err(line.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(seats in proptest::collection::btree_set(0u32..36, 0..36), english: bool) {
            let lang = if english { Language::English } else { Language::Korean };
            let seats: Vec<_> = seats.into_iter().collect();
            prop_assert_eq!(read(&hall(), &write(lang, &hall(), &seats)), Ok(seats));
        }

        #[test]
        fn any_text_is_answered(text in "[R석열번0-9 ,~–\n-]{0,40}") {
            if let Ok(seats) = read(&hall(), &text) {
                prop_assert!(seats.iter().all(|&i| i < 36));
            }
        }
    }
}
