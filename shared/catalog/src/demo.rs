//! The shipped catalogue: real Korean titles, halls and prices, and a generator that dates and grows them.
//!
//! `venues.tsv` and `titles.tsv` hold the data. Everything else is a pure function of the first day: the same day and
//! count give the same events, on every machine.

use std::collections::HashMap;

use time::macros::offset;
use time::{Date, Duration, Month, OffsetDateTime, Time, Weekday};

use crate::import::{ImportEvent, ImportGrade, MAX_EVENTS};

const VENUES: &str = include_str!("demo/venues.tsv");
const TITLES: &str = include_str!("demo/titles.tsv");

/// The categories, in the order in which the catalogue mixes them.
pub const CATEGORIES: [&str; 7] = ["뮤지컬", "연극", "콘서트", "클래식", "무용", "전시", "가족"];

/// Runs begin at most this many days after the first day.
const HORIZON_DAYS: u64 = 150;
/// Long runs may have begun up to this many days before it.
const HEAD_START_DAYS: u64 = 12;
/// From this many performances on, a run is long.
const LONG_RUN: usize = 20;
/// No run looks further than this for its days.
const MAX_RUN_DAYS: i64 = 370;
/// A tour goes to halls at most this many times larger or smaller.
const TOUR_SIZE_RATIO: u32 = 4;

/// What a title says about its month.
const SEASONS: [(&str, Month); 8] = [
    ("호두까기", Month::December),
    ("메시아", Month::December),
    ("송년", Month::December),
    ("연말", Month::December),
    ("CHRISTMAS", Month::December),
    ("신년", Month::January),
    ("SUMMER", Month::July),
    ("썸머", Month::July),
];

/// A hall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Venue {
    /// Its name on tickets.
    pub name: &'static str,
    /// Its city.
    pub city: &'static str,
    /// How many seats it is known to have.
    pub capacity: u32,
    /// The categories that play there on tour.
    hosts: Vec<&'static str>,
    /// Grade, rows, seats per row, from the front to the back.
    blocks: Vec<(&'static str, u32, u32)>,
}

impl Venue {
    /// How many seats its blocks have together.
    pub fn seats(&self) -> u32 {
        self.blocks.iter().map(|(_, rows, seats)| rows * seats).sum()
    }
}

/// One line of the titles' table.
struct Production {
    category: &'static str,
    title: &'static str,
    venue: usize,
    runtime_min: u32,
    rating: &'static str,
    performances: usize,
    description: &'static str,
}

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(|line| line.split('\t').collect())
}

fn keyed_venues() -> Vec<(&'static str, Venue)> {
    let block = |text: &'static str| {
        let (grade, size) = text.trim().split_once(' ')?;
        let (rows, seats) = size.split_once('x')?;
        Some((grade, rows.parse().ok()?, seats.parse().ok()?))
    };
    let venue = |row: Vec<&'static str>| {
        let [key, name, city, capacity, hosts, blocks] = row.try_into().ok()?;
        Some((
            key,
            Venue {
                name,
                city,
                capacity: capacity.parse().ok()?,
                hosts: hosts.split(',').collect(),
                blocks: blocks.split(',').map(block).collect::<Option<_>>()?,
            },
        ))
    };
    rows(VENUES).filter_map(venue).collect()
}

/// The halls.
pub fn venues() -> Vec<Venue> {
    keyed_venues().into_iter().map(|(_, venue)| venue).collect()
}

/// The titles, mixed: one of each category in turn, the best known first.
fn productions(venues: &[(&'static str, Venue)]) -> Vec<Production> {
    let numbers: HashMap<&str, usize> = venues.iter().enumerate().map(|(n, (key, _))| (*key, n)).collect();
    let production = |row: Vec<&'static str>| {
        let [category, title, venue, runtime_min, rating, performances, description] = row.try_into().ok()?;
        Some(Production {
            category,
            title,
            venue: *numbers.get(venue)?,
            runtime_min: runtime_min.parse().ok()?,
            rating,
            performances: performances.parse().ok()?,
            description,
        })
    };
    let mut turn: HashMap<&str, usize> = HashMap::new();
    let mut mixed: Vec<(usize, usize, Production)> = rows(TITLES)
        .filter_map(production)
        .map(|production| {
            let turn = turn.entry(production.category).or_default();
            *turn += 1;
            let category = CATEGORIES.iter().position(|c| *c == production.category).unwrap_or(CATEGORIES.len());
            (*turn, category, production)
        })
        .collect();
    mixed.sort_by_key(|(turn, category, _)| (*turn, *category));
    mixed.into_iter().map(|(.., production)| production).collect()
}

/// The catalogue as of a day: each title once, or grown (or cut) to `count` events by sending the titles on tour.
///
/// ```
/// # use nugul_catalog::demo;
/// let events = demo::events(time::macros::date!(2026-12-01), Some(1_000));
/// assert_eq!(events.len(), 1_000);
/// ```
pub fn events(start_date: Date, count: Option<u32>) -> Vec<ImportEvent> {
    let venues = keyed_venues();
    let productions = productions(&venues);
    let tours: Vec<Vec<usize>> = productions.iter().map(|production| tour(production, &venues)).collect();
    let count = count.map_or(productions.len(), |count| count as usize).min(MAX_EVENTS);
    // Round 0 is each title at home; every further round is the next stop of each tour.
    (0..)
        .flat_map(|round| productions.iter().zip(&tours).map(move |(production, tour)| (round, production, tour)))
        .take(if productions.is_empty() { 0 } else { count })
        .filter_map(|(round, production, tour)| stage(production, tour, round, &venues, start_date))
        .collect()
}

/// The halls of a tour: home first, then those that host the category and are about as large.
fn tour(production: &Production, venues: &[(&'static str, Venue)]) -> Vec<usize> {
    let home = venues.get(production.venue).map_or(0, |(_, venue)| venue.capacity);
    let mut others: Vec<usize> = venues
        .iter()
        .enumerate()
        .filter(|(n, (_, venue))| {
            *n != production.venue
                && venue.hosts.contains(&production.category)
                && venue.capacity <= home.saturating_mul(TOUR_SIZE_RATIO)
                && home <= venue.capacity.saturating_mul(TOUR_SIZE_RATIO)
        })
        .map(|(n, _)| n)
        .collect();
    others.sort_by_key(|n| mix(production.title, *n as u64));
    std::iter::once(production.venue).chain(others).collect()
}

/// One run of a production.
fn stage(
    production: &Production,
    tour: &[usize],
    round: usize,
    venues: &[(&'static str, Venue)],
    start_date: Date,
) -> Option<ImportEvent> {
    let (season, stop) = (round / tour.len().max(1), round % tour.len().max(1));
    let (_, home) = venues.get(production.venue)?;
    let (_, venue) = venues.get(*tour.get(stop)?)?;
    let mut title = production.title.to_owned();
    if season > 0 {
        title = format!("{title} 시즌 {}", season + 1);
    } else if stop > 0 && venue.city == home.city {
        title.push_str(" 앙코르");
    }
    if venue.city != home.city {
        title.push_str(" – ");
        title.push_str(venue.city);
    }

    let chance = mix(production.title, 1_000 + round as u64);
    let performances = schedule(production, first_day(production, start_date, chance)?);
    let (first, last) = (performances.first()?.date(), performances.last()?.date());
    Some(ImportEvent {
        title,
        title_en: None,
        cast: Vec::new(),
        category: production.category.to_owned(),
        place: venue.name.to_owned(),
        description: format!("{} {} {}에서 만납니다.", production.description, venue.city, venue.name),
        starts_on: first,
        ends_on: last,
        runtime_min: production.runtime_min,
        rating: production.rating.to_owned(),
        grades: grades(production, venue, chance),
        performances,
    })
}

/// When a run begins: sooner rather than later, in its season if that is near.
fn first_day(production: &Production, start_date: Date, chance: u64) -> Option<Date> {
    let after = |days: u64| start_date.checked_add(Duration::days(i64::try_from(days).ok()?));
    if let Some((_, month)) = SEASONS.iter().find(|(word, _)| production.title.contains(word)) {
        let in_season: Vec<Date> = (1..HORIZON_DAYS).filter_map(after).filter(|day| day.month() == *month).collect();
        // The first half of what is left of the month, so that the run ends in it too.
        let early = (in_season.len() as u64 / 2).max(1);
        if let Some(day) = in_season.get(usize::try_from(chance % early).ok()?) {
            return Some(*day);
        }
    }
    // The square of an even spread: half of all runs begin within the first quarter of the horizon.
    let share = chance % 1_000;
    if production.performances >= LONG_RUN {
        let days = share * share * (HORIZON_DAYS + HEAD_START_DAYS) / 1_000_000;
        after(days)?.checked_sub(Duration::days(i64::try_from(HEAD_START_DAYS).ok()?))
    } else {
        after(1 + share * share * HORIZON_DAYS / 1_000_000)
    }
}

/// Blocks with their prices; some productions are a tenth dearer or cheaper than usual.
fn grades(production: &Production, venue: &Venue, chance: u64) -> Vec<ImportGrade> {
    // Exhibitions sell entry slots, not rows of a hall.
    let exhibition = [("일반", 10, 20)];
    let blocks: &[(&str, u32, u32)] =
        if production.category == "전시" && venue.blocks.len() > 1 { &exhibition } else { &venue.blocks };
    let tenths = 9 + i64::try_from(chance / 1_000 % 3).unwrap_or(1);
    blocks
        .iter()
        .map(|(grade, rows, seats_per_row)| ImportGrade {
            grade: (*grade).to_owned(),
            price_krw: usual_price_krw(production, venue.capacity, grade) * tenths / 10 / 1_000 * 1_000,
            rows: *rows,
            seats_per_row: *seats_per_row,
        })
        .collect()
}

/// What such a seat usually costs, by category, size of the hall and grade.
fn usual_price_krw(production: &Production, capacity: u32, grade: &str) -> i64 {
    let visiting = production.title.contains("내한") || production.title.contains("라 스칼라");
    // VIP, R, S, A.
    let thousands: [i64; 4] = match (production.category, capacity) {
        ("뮤지컬", 1_500..) => [180, 150, 120, 90],
        ("뮤지컬", 800..) => [170, 140, 110, 80],
        ("뮤지컬", 450..) => [99, 77, 55, 44],
        ("뮤지컬", _) => [77, 66, 44, 33],
        ("연극", 800..) => [110, 88, 66, 44],
        ("연극", 450..) => [77, 60, 45, 30],
        ("연극", _) => [60, 50, 35, 25],
        ("콘서트", 10_000..) => [198, 165, 154, 132],
        ("콘서트", 2_000..) => [165, 143, 132, 110],
        ("콘서트", 800..) => [143, 121, 110, 99],
        ("콘서트", _) => [77, 66, 55, 44],
        (_, 1_200..) if visiting => [380, 290, 200, 100],
        ("클래식" | "무용", 1_200..) => [150, 110, 70, 40],
        ("클래식" | "무용", 450..) => [100, 70, 50, 30],
        ("클래식" | "무용", _) => [60, 50, 30, 20],
        ("가족", 2_000..) => [220, 180, 140, 90],
        ("가족", 800..) => [88, 77, 66, 44],
        ("가족", _) => [60, 44, 35, 25],
        ("전시", _) => return 20_000,
        _ => [99, 77, 55, 44],
    };
    let [vip, r, s, a] = thousands;
    let price = match grade {
        "VIP" => vip,
        "R" => r,
        "S" => s,
        _ => a,
    };
    price * 1_000
}

/// The performances of a run that begins on or after a day. Nobody plays on Mondays.
fn schedule(production: &Production, from: Date) -> Vec<OffsetDateTime> {
    (0..MAX_RUN_DAYS)
        .filter_map(|n| from.checked_add(Duration::days(n)))
        .flat_map(|day| {
            let times = times(production, day);
            times.iter().filter_map(move |(hour, minute)| {
                Some(day.with_time(Time::from_hms(*hour, *minute, 0).ok()?).assume_offset(offset!(+9)))
            })
        })
        .take(production.performances)
        .collect()
}

/// When a production plays on a day, as is usual for its kind.
fn times(production: &Production, day: Date) -> &'static [(u8, u8)] {
    use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Wednesday};
    let weekday = day.weekday();
    if weekday == Monday {
        return &[];
    }
    if production.title.contains("11시 콘서트") {
        return if weekday == Thursday { &[(11, 0)] } else { &[] };
    }
    if production.title.contains("토요콘서트") {
        return if weekday == Saturday { &[(11, 0)] } else { &[] };
    }
    match (production.category, weekday) {
        ("콘서트", Friday) => &[(19, 30)],
        ("콘서트", Saturday) => &[(18, 0)],
        ("콘서트", Sunday) | ("클래식", Saturday) => &[(17, 0)],
        // Entry slots on every third day spread an exhibition over a month.
        ("전시", _) if day.to_julian_day() % 3 == 0 => &[(10, 30), (13, 30), (16, 30)],
        ("콘서트" | "전시", _) => &[],
        ("가족", Saturday | Sunday) => &[(11, 0), (14, 0)],
        ("가족", _) => &[(11, 0)],
        ("뮤지컬", Wednesday) => &[(14, 30), (19, 30)],
        (_, Saturday) => &[(14, 0), (18, 30)],
        (_, Sunday) => &[(15, 0)],
        _ => &[(19, 30)],
    }
}

/// A number that looks random but depends on its input alone (FNV-1a, then a finaliser).
fn mix(text: &str, n: u64) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    let mut hash = text.bytes().chain(n.to_le_bytes()).fold(0xCBF2_9CE4_8422_2325, fnv);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    hash ^ (hash >> 33)
}
