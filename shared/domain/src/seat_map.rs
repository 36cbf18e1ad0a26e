//! The seats of a hall: grades in rows from the stage back, seats as dense indexes 0..n with a label and a place.

use serde::{Deserialize, Serialize};

use crate::{event::BUYER_SEATS_MAX, free_seats::FreeSeats, money::Krw};

/// A seat of a performance: its place in the dense numbering 0..n.
pub type SeatIndex = u32;

/// The most seats a performance may have (the largest stadium in use holds about 60,000).
pub const SEATS_MAX: u32 = 60_000;
/// The most rows one grade may have.
pub const ROWS_MAX: u32 = 400;
/// The most seats a row may have.
pub const SEATS_PER_ROW_MAX: u32 = 400;
/// The most grades an event may have.
pub const GRADES_MAX: usize = 12;
/// The highest price of a seat, in won.
pub const PRICE_KRW_MAX: i64 = 10_000_000;
/// The longest name of a grade, in characters.
pub const GRADE_NAME_CHARS_MAX: usize = 20;

/// What one row counts in distances, in halves of a seat's width: rows are about a metre apart, seats half a metre wide.
pub const ROW_HALF_SEATS: u32 = 4;

/// The most placings [`nearest_alternative`] tries before it gives up: far more than groups that do not stand in each
/// other's way need, and still a few milliseconds at most.
pub const PLACINGS_MAX: u32 = 5_000;

/// A block of rows that cost the same. Blocks follow one another from the stage back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grade {
    /// Its name: VIP, R, S, A or any other text.
    pub grade: String,
    /// The price of a seat.
    pub price_krw: Krw,
    /// How many rows it has.
    pub rows: u32,
    /// How many seats each of its rows has.
    pub seats_per_row: u32,
}

/// Why grades do not make a hall, and which one is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeatMapError {
    /// No grades, or more than [`GRADES_MAX`].
    GradeCount,
    /// A name that is empty, too long, or used twice.
    Name(usize),
    /// A price below zero or above [`PRICE_KRW_MAX`].
    Price(usize),
    /// Rows outside 1..=[`ROWS_MAX`].
    Rows(usize),
    /// Seats in a row outside 1..=[`SEATS_PER_ROW_MAX`].
    SeatsPerRow(usize),
    /// More than [`SEATS_MAX`] seats in all.
    TooManySeats,
}

/// One seat, looked up by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat<'a> {
    /// Its dense index.
    pub index: SeatIndex,
    /// Its grade.
    pub grade: &'a Grade,
    /// Its row in the hall, from 1 at the stage.
    pub row: u32,
    /// Its number in the row, from 1.
    pub number: u32,
}

impl Seat<'_> {
    /// What is printed on the ticket: `R석 12열 7번`.
    pub fn label(&self) -> String {
        format!("{}석 {}열 {}번", self.grade.grade, self.row, self.number)
    }
}

/// A hall whose grades have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatMap {
    grades: Vec<Grade>,
    seat_count: u32,
}

impl SeatMap {
    /// Checks the bounds and makes the map.
    pub fn new(grades: Vec<Grade>) -> Result<Self, SeatMapError> {
        if grades.is_empty() || grades.len() > GRADES_MAX {
            return Err(SeatMapError::GradeCount);
        }
        let mut seat_count = 0u32;
        for (i, g) in grades.iter().enumerate() {
            let repeated = grades.iter().take(i).any(|other| other.grade == g.grade);
            if repeated || g.grade.trim().is_empty() || g.grade.chars().count() > GRADE_NAME_CHARS_MAX {
                return Err(SeatMapError::Name(i));
            }
            if !(0..=PRICE_KRW_MAX).contains(&g.price_krw.0) {
                return Err(SeatMapError::Price(i));
            }
            if !(1..=ROWS_MAX).contains(&g.rows) {
                return Err(SeatMapError::Rows(i));
            }
            if !(1..=SEATS_PER_ROW_MAX).contains(&g.seats_per_row) {
                return Err(SeatMapError::SeatsPerRow(i));
            }
            seat_count += g.rows * g.seats_per_row;
            if seat_count > SEATS_MAX {
                return Err(SeatMapError::TooManySeats);
            }
        }
        Ok(Self { grades, seat_count })
    }

    /// The grades, from the stage back.
    pub fn grades(&self) -> &[Grade] {
        &self.grades
    }

    /// How many seats there are.
    pub const fn seat_count(&self) -> u32 {
        self.seat_count
    }

    /// The seat with this index, if the hall has it.
    pub fn seat(&self, index: SeatIndex) -> Option<Seat<'_>> {
        let (mut first_seat, mut first_row) = (0, 1);
        for grade in &self.grades {
            let count = grade.rows * grade.seats_per_row;
            if index < first_seat + count {
                let within = index - first_seat;
                let (row, number) = (within / grade.seats_per_row, within % grade.seats_per_row);
                return Some(Seat { index, grade, row: first_row + row, number: number + 1 });
            }
            first_seat += count;
            first_row += grade.rows;
        }
        None
    }

    /// Every row as (grade, row number, index of its first seat), from the stage back.
    pub fn rows(&self) -> impl Iterator<Item = (&Grade, u32, SeatIndex)> {
        let mut first_seat = 0;
        let mut row = 0;
        self.grades.iter().flat_map(|g| std::iter::repeat_n(g, g.rows as usize)).map(move |g| {
            row += 1;
            let at = first_seat;
            first_seat += g.seats_per_row;
            (g, row, at)
        })
    }

    /// The best `count` seats side by side in a row of `grade` that `is_free` says are free; `None` where no row has them.
    ///
    /// Of two choices the better is the one that, each where all before is equal,
    /// 1. leaves fewer free seats alone: ones beside it whose other side is taken or the row's end;
    /// 2. is nearer to the middle of the grade's first row: half seats off the middle of its row plus
    ///    [`ROW_HALF_SEATS`] for each row behind the first;
    /// 3. is in the row nearer to the stage;
    /// 4. is further left.
    ///
    /// Looks at each seat of the grade once at most.
    pub fn best_adjacent(
        &self,
        grade: &str,
        count: u32,
        is_free: impl Fn(SeatIndex) -> bool,
    ) -> Option<Vec<SeatIndex>> {
        let mut best: Option<((u32, u32), SeatIndex)> = None;
        for (behind, (g, _, first)) in (0..).zip(self.rows().filter(|(g, ..)| g.grade == grade)) {
            if best.is_some_and(|((alone, distance), _)| alone == 0 && distance <= behind * ROW_HALF_SEATS) {
                break;
            }
            free_blocks(
                g.seats_per_row,
                count,
                |k| is_free(first + k),
                |start, alone| {
                    let distance = behind * ROW_HALF_SEATS + (2 * start + count).abs_diff(g.seats_per_row);
                    // Rows come from the stage back and blocks from the left, so the first of equals stays.
                    if best.is_none_or(|(key, _)| (alone, distance) < key) {
                        best = Some(((alone, distance), first + start));
                    }
                },
            );
        }
        best.map(|(_, first)| (first..first + count).collect())
    }
}

/// Tells each block of `count` free seats in a row of `width`, from the left: its first seat and how many free seats it
/// would leave alone beside it.
fn free_blocks(width: u32, count: u32, is_free: impl Fn(u32) -> bool, mut tell: impl FnMut(u32, u32)) {
    let mut from = 0;
    for at in 0..=width {
        if at < width && is_free(at) {
            continue;
        }
        // The free run from..at.
        if count > 0 && at - from >= count {
            for start in from..=at - count {
                tell(start, u32::from(start - from == 1) + u32::from(at - start - count == 1));
            }
        }
        from = at + 1;
    }
}

/// Seats of one row that were wanted side by side.
struct Group<'a> {
    grade: &'a Grade,
    row: u32,
    start: u32,
    count: u32,
}

/// A place for a group: how good it is (less is better), and its first seat.
type Place = ((u32, u32, u32, u32), SeatIndex);

/// The free seats nearest to those wanted: as many, of the same grades, side by side where those wanted were. `None`
/// where there are none or [`PLACINGS_MAX`] placings found none, or where `wanted` names no seat, one twice, one the hall
/// does not have, or more than [`BUYER_SEATS_MAX`].
///
/// Wanted seats that follow one another in a row are a group and stay one. The largest group comes first, of equals the
/// one nearer to the stage and then further left; each gets the best place that leaves one for every later group. Of two
/// places the better is the one that, each where all before is equal,
/// 1. is nearer: half seats sideways plus [`ROW_HALF_SEATS`] for each row;
/// 2. leaves fewer free seats alone, as for [`SeatMap::best_adjacent`];
/// 3. is in the row nearer to the stage;
/// 4. is further left.
///
/// For each group, looks at the rows of its grade from the wanted one outwards, until those left are further than what was found.
pub fn nearest_alternative(map: &SeatMap, wanted: &[SeatIndex], free: &FreeSeats) -> Option<Vec<SeatIndex>> {
    let groups = groups(map, wanted)?;
    let places: Vec<Vec<Place>> = groups
        .iter()
        .map(|group| {
            // Each other group is in the way of so many places at most. So if all groups fit somewhere, each fits, with the
            // others where they are, into one of so many best places and one: worse places need not be looked at.
            let in_the_way = |other: &Group<'_>| (group.count + other.count - 1) as usize;
            let others = groups.iter().filter(|other| !std::ptr::eq(*other, group));
            best_places(map, group, 1 + others.map(in_the_way).sum::<usize>(), free)
        })
        .collect();
    let (mut chosen, mut tries_left) = (Vec::with_capacity(groups.len()), PLACINGS_MAX);
    place(&groups, &places, &mut chosen, &mut tries_left).then(|| {
        let mut seats: Vec<_> = chosen.into_iter().flatten().collect();
        seats.sort_unstable();
        seats
    })
}

/// What was wanted, in the order it is placed.
fn groups<'a>(map: &'a SeatMap, wanted: &[SeatIndex]) -> Option<Vec<Group<'a>>> {
    if wanted.is_empty() || wanted.len() > BUYER_SEATS_MAX as usize {
        return None;
    }
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable();
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut before = None;
    for index in wanted {
        let seat = map.seat(index)?;
        if before == Some(index) {
            return None;
        }
        before = Some(index);
        match groups.last_mut() {
            Some(last) if last.row == seat.row && last.start + last.count == seat.number - 1 => last.count += 1,
            _ => groups.push(Group { grade: seat.grade, row: seat.row, start: seat.number - 1, count: 1 }),
        }
    }
    groups.sort_by_key(|g| std::cmp::Reverse(g.count));
    Some(groups)
}

/// The best places for a group, the best first, `many` at most.
fn best_places(map: &SeatMap, group: &Group<'_>, many: usize, free: &FreeSeats) -> Vec<Place> {
    let mut best: Vec<Place> = Vec::with_capacity(many + 1);
    let Some((_, first_row, first_seat)) = map.rows().find(|(grade, ..)| std::ptr::eq(*grade, group.grade)) else {
        return best;
    };
    let rows = first_row..first_row + group.grade.rows;
    for away in 0..group.grade.rows {
        let distance = away * ROW_HALF_SEATS;
        if best.len() == many && best.last().is_some_and(|(worst, _)| worst.0 < distance) {
            break;
        }
        let (before, behind) = (group.row.checked_sub(away), (away > 0).then_some(group.row + away));
        for row in [before, behind].into_iter().flatten().filter(|row| rows.contains(row)) {
            let first = first_seat + (row - first_row) * group.grade.seats_per_row;
            if !free.any_in(first..first + group.grade.seats_per_row) {
                continue;
            }
            free_blocks(
                group.grade.seats_per_row,
                group.count,
                |k| free.contains(first + k),
                |start, alone| {
                    let place = ((distance + 2 * start.abs_diff(group.start), alone, row, start), first + start);
                    if best.len() < many || best.last().is_some_and(|worst| place < *worst) {
                        best.insert(best.partition_point(|p| *p < place), place);
                        best.truncate(many);
                    }
                },
            );
        }
    }
    best
}

/// Places the groups after those chosen, each at its best place that works out for the later ones.
fn place(
    groups: &[Group<'_>],
    places: &[Vec<Place>],
    chosen: &mut Vec<std::ops::Range<SeatIndex>>,
    tries_left: &mut u32,
) -> bool {
    let (Some(group), Some(places_here)) = (groups.get(chosen.len()), places.get(chosen.len())) else { return true };
    for &(_, first) in places_here {
        let seats = first..first + group.count;
        if chosen.iter().any(|other| other.start < seats.end && seats.start < other.end) {
            continue;
        }
        if *tries_left == 0 {
            return false;
        }
        *tries_left -= 1;
        chosen.push(seats);
        if place(groups, places, chosen, tries_left) {
            return true;
        }
        chosen.pop();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hall() -> SeatMap {
        let grade =
            |name: &str, rows, seats_per_row| Grade { grade: name.into(), price_krw: Krw(1), rows, seats_per_row };
        SeatMap::new(vec![grade("VIP", 2, 4), grade("R", 3, 5)]).unwrap()
    }

    #[test]
    fn seats_are_numbered_from_the_stage_back() {
        let hall = hall();
        assert_eq!(hall.seat_count(), 23);
        assert_eq!(hall.seat(0).unwrap().label(), "VIP석 1열 1번");
        assert_eq!(hall.seat(7).unwrap().label(), "VIP석 2열 4번");
        assert_eq!(hall.seat(8).unwrap().label(), "R석 3열 1번");
        assert_eq!(hall.seat(22).unwrap().label(), "R석 5열 5번");
        assert!(hall.seat(23).is_none());
        assert_eq!(hall.rows().map(|(_, row, first)| (row, first)).last(), Some((5, 18)));
    }

    #[test]
    fn bounds_are_kept() {
        let with = |change: fn(&mut Grade)| {
            let mut g = Grade { grade: "R".into(), price_krw: Krw(1), rows: 1, seats_per_row: 1 };
            change(&mut g);
            SeatMap::new(vec![g]).unwrap_err()
        };
        assert_eq!(SeatMap::new(vec![]).unwrap_err(), SeatMapError::GradeCount);
        assert_eq!(with(|g| g.grade = " ".into()), SeatMapError::Name(0));
        assert_eq!(with(|g| g.price_krw = Krw(-1)), SeatMapError::Price(0));
        assert_eq!(with(|g| g.rows = 0), SeatMapError::Rows(0));
        assert_eq!(with(|g| g.seats_per_row = 401), SeatMapError::SeatsPerRow(0));
        assert_eq!(with(|g| (g.rows, g.seats_per_row) = (400, 400)), SeatMapError::TooManySeats);
    }

    #[test]
    fn best_seats_are_near_the_middle_and_the_stage_and_leave_none_alone() {
        let hall = hall();
        assert_eq!(hall.best_adjacent("VIP", 4, |_| true), Some(vec![0, 1, 2, 3]));
        // In the middle of four it would leave one on each side.
        assert_eq!(hall.best_adjacent("VIP", 2, |_| true), Some(vec![0, 1]));
        assert_eq!(hall.best_adjacent("VIP", 2, |i| i != 0 && i != 3), Some(vec![1, 2]));
        // Two seats aside are as far as a row back, and of equals the nearer row is the better one.
        assert_eq!(hall.best_adjacent("R", 1, |i| !(9..12).contains(&i)), Some(vec![8]));
        assert_eq!(hall.best_adjacent("R", 2, |i| i != 10), Some(vec![8, 9]));
        assert_eq!(hall.best_adjacent("R", 5, |i| i != 10), Some(vec![13, 14, 15, 16, 17]));
        assert_eq!(hall.best_adjacent("R", 6, |_| true), None);
        assert_eq!(hall.best_adjacent("R", 0, |_| true), None);
        assert_eq!(hall.best_adjacent("S", 1, |_| true), None);
    }

    #[test]
    fn an_alternative_keeps_what_is_free_and_what_is_together() {
        let hall = hall();
        let nearest = |wanted: &[SeatIndex], is_free: fn(SeatIndex) -> bool| {
            nearest_alternative(&hall, wanted, &FreeSeats::new(hall.seat_count(), is_free))
        };
        assert_eq!(nearest(&[9, 10, 11], |_| true), Some(vec![9, 10, 11]));
        assert_eq!(nearest(&[9, 10, 11], |i| i != 9), Some(vec![10, 11, 12]));
        assert_eq!(nearest(&[9, 10, 11], |i| i != 10), Some(vec![14, 15, 16]));
        assert_eq!(nearest(&[3, 8], |i| i != 3), Some(vec![2, 8]));
        // The first pair leaves its best place, so that the other has one.
        assert_eq!(nearest(&[14, 15, 19, 20], |i| (8..12).contains(&i)), Some(vec![8, 9, 10, 11]));
        assert_eq!(nearest(&[1], |i| i > 7), None, "another grade is no alternative");
        let too_many: Vec<_> = (0..=BUYER_SEATS_MAX).collect();
        for nonsense in [&[][..], &[1, 1], &[23], &too_many] {
            assert_eq!(nearest(nonsense, |_| true), None);
        }
    }

    /// How many free seats of the row have no free neighbour, where `taken` are taken too.
    fn alone(hall: &SeatMap, free: &[bool], taken: &[SeatIndex], row: u32) -> usize {
        let (_, _, first) = hall.rows().nth(row as usize - 1).unwrap();
        let width = hall.seat(first).unwrap().grade.seats_per_row;
        let is = |k: u32| k < width && free[(first + k) as usize] && !taken.contains(&(first + k));
        (0..width).filter(|&k| is(k) && !is(k + 1) && (k == 0 || !is(k - 1))).count()
    }

    /// All blocks of `count` free seats of a grade, with row and place in it.
    fn all_blocks(hall: &SeatMap, grade: &str, count: u32, free: &[bool]) -> Vec<(u32, u32, Vec<SeatIndex>)> {
        let mut out = Vec::new();
        for first in 0..=hall.seat_count().saturating_sub(count) {
            let block: Vec<_> = (first..first + count).collect();
            let seats: Vec<_> = block.iter().filter_map(|&i| hall.seat(i)).collect();
            let whole = seats.len() == block.len();
            if whole && seats.iter().all(|s| s.row == seats[0].row && s.grade.grade == grade && free[s.index as usize])
            {
                out.push((seats[0].row, seats[0].number - 1, block));
            }
        }
        out
    }

    /// How much more alone a block leaves its row.
    fn alone_by(hall: &SeatMap, free: &[bool], block: &[SeatIndex], row: u32) -> usize {
        // What was alone before and is taken now is not left alone by it, nor counted.
        let taken_alone = block.len() == 1 && alone(hall, free, &[], row) > alone(hall, free, block, row);
        alone(hall, free, block, row) + usize::from(taken_alone) - alone(hall, free, &[], row)
    }

    /// A choice's keys, one for each group, and its seats.
    type Choice = (Vec<(u32, usize, u32, u32)>, Vec<SeatIndex>);

    /// The best choice of all choices, looked at one by one: for each group, in their order, the least key.
    fn brute(hall: &SeatMap, groups: &[(u32, u32, u32, String)], free: &[bool], taken: &[SeatIndex]) -> Option<Choice> {
        let Some(((row, start, count, grade), rest)) = groups.split_first() else { return Some((vec![], vec![])) };
        let blocks = all_blocks(hall, grade, *count, free);
        blocks
            .into_iter()
            .filter(|(_, _, block)| block.iter().all(|i| !taken.contains(i)))
            .filter_map(|(r, s, block)| {
                let key =
                    (r.abs_diff(*row) * ROW_HALF_SEATS + 2 * s.abs_diff(*start), alone_by(hall, free, &block, r), r, s);
                let (mut keys, mut seats) = brute(hall, rest, free, &[taken, &block].concat())?;
                keys.insert(0, key);
                seats.extend(block);
                Some((keys, seats))
            })
            .min()
    }

    fn some_hall() -> impl Strategy<Value = (SeatMap, Vec<bool>)> {
        let grade = |name: &'static str| {
            (1u32..4, 1u32..7).prop_map(move |(rows, seats_per_row)| Grade {
                grade: name.into(),
                price_krw: Krw(1),
                rows,
                seats_per_row,
            })
        };
        (grade("R"), grade("S")).prop_flat_map(|(r, s)| {
            let hall = SeatMap::new(vec![r, s]).unwrap();
            let seats = hall.seat_count() as usize;
            (Just(hall), prop::collection::vec(prop::bool::weighted(0.7), seats))
        })
    }

    proptest! {
        #[test]
        fn no_adjacent_seats_are_better_than_the_best((hall, free) in some_hall(), count in 1u32..5, s in any::<bool>()) {
            let grade = if s { "S" } else { "R" };
            let (_, first_row, first) = hall.rows().find(|(g, ..)| g.grade == grade).unwrap();
            let width = hall.seat(first).unwrap().grade.seats_per_row;
            let best = all_blocks(&hall, grade, count, &free).into_iter().min_by_key(|(row, start, block)| {
                let off_middle = (2 * start + count).abs_diff(width);
                (alone_by(&hall, &free, block, *row), (row - first_row) * ROW_HALF_SEATS + off_middle, *row, *start)
            });
            prop_assert_eq!(hall.best_adjacent(grade, count, |i| free[i as usize]), best.map(|(_, _, block)| block));
        }

        #[test]
        fn no_alternative_is_nearer_than_the_nearest(
            (hall, free) in some_hall(),
            // More would take the brute force too long.
            wanted in prop::collection::btree_set(0u32..36, 1..=4),
        ) {
            let wanted: Vec<_> = wanted.into_iter().map(|i| i % hall.seat_count()).collect();
            let distinct: std::collections::BTreeSet<_> = wanted.iter().copied().collect();
            prop_assume!(distinct.len() == wanted.len());
            let mut groups: Vec<(u32, u32, u32, String)> = Vec::new();
            for &i in &distinct {
                let seat = hall.seat(i).unwrap();
                match groups.last_mut() {
                    Some((row, start, count, _)) if *row == seat.row && *start + *count == seat.number - 1 => *count += 1,
                    _ => groups.push((seat.row, seat.number - 1, 1, seat.grade.grade.clone())),
                }
            }
            groups.sort_by_key(|(row, start, count, _)| (std::cmp::Reverse(*count), *row, *start));
            let best = brute(&hall, &groups, &free, &[]).map(|(_, mut seats)| { seats.sort_unstable(); seats });
            let free = FreeSeats::new(hall.seat_count(), |i| free[i as usize]);
            prop_assert_eq!(nearest_alternative(&hall, &wanted, &free), best);
        }
    }
}
