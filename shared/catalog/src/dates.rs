//! Words that say when: a year, a month, 오늘, 내일, 주말.

use time::{Date, Duration, Month, Weekday};

/// The first and the last day that a normalised word means, as of a day; only a year is known without one.
pub(crate) fn window(word: &str, today: Option<Date>) -> Option<(Date, Date)> {
    const FIRST_YEAR: i32 = 1900;
    const LAST_YEAR: i32 = 2199;
    let year = word.strip_suffix('년').unwrap_or(word);
    if year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit()) {
        let year = year.parse().ok().filter(|year| (FIRST_YEAR..=LAST_YEAR).contains(year))?;
        let day = |month, day| Date::from_calendar_date(year, month, day).ok();
        return day(Month::January, 1).zip(day(Month::December, 31));
    }
    let today = today?;
    if let Some(number) = word.strip_suffix('월') {
        let month = Month::try_from(number.parse::<u8>().ok()?).ok()?;
        let next_year = i32::from(u8::from(month) < u8::from(today.month()));
        let first = Date::from_calendar_date(today.year() + next_year, month, 1).ok()?;
        return Some((first, first.replace_day(month.length(first.year())).ok()?));
    }
    match word {
        "오늘" => Some((today, today)),
        "내일" => today.next_day().map(|day| (day, day)),
        "주말" | "이번주말" => {
            let saturday = i64::from(Weekday::Saturday.number_days_from_monday());
            let days = saturday - i64::from(today.weekday().number_days_from_monday());
            let first = today.checked_add(Duration::days(days))?.max(today);
            let sunday = today.checked_add(Duration::days(days + 1))?;
            Some((first, sunday))
        }
        _ => None,
    }
}
