//! The seats of a hall: grades in rows from the stage back, seats as dense indexes 0..n with a label and a place.

use serde::{Deserialize, Serialize};

use crate::money::Krw;

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

    /// The best `count` seats side by side in a row of `grade` that `is_free` says are free: the row nearest the stage
    /// first, in it nearest to the middle, the leftmost of equals. `None` where no row has them.
    pub fn best_adjacent(
        &self,
        grade: &str,
        count: u32,
        is_free: impl Fn(SeatIndex) -> bool,
    ) -> Option<Vec<SeatIndex>> {
        if count == 0 {
            return None;
        }
        self.rows().filter(|(g, ..)| g.grade == grade && g.seats_per_row >= count).find_map(|(g, _, first)| {
            (0..=g.seats_per_row - count)
                .filter(|start| (0..count).all(|k| is_free(first + start + k)))
                .min_by_key(|start| (2 * start + count).abs_diff(g.seats_per_row))
                .map(|start| (0..count).map(|k| first + start + k).collect())
        })
    }
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
    fn best_seats_are_in_the_middle_of_the_nearest_row() {
        let hall = hall();
        assert_eq!(hall.best_adjacent("VIP", 2, |_| true), Some(vec![1, 2]));
        assert_eq!(hall.best_adjacent("VIP", 2, |i| i != 1), Some(vec![2, 3]));
        assert_eq!(hall.best_adjacent("R", 5, |i| i != 10), Some(vec![13, 14, 15, 16, 17]));
        assert_eq!(hall.best_adjacent("R", 6, |_| true), None);
        assert_eq!(hall.best_adjacent("S", 1, |_| true), None);
    }

    proptest! {
        #[test]
        fn best_seats_are_free_adjacent_and_of_the_grade(free in prop::collection::vec(any::<bool>(), 23), count in 1u32..5) {
            let hall = hall();
            if let Some(seats) = hall.best_adjacent("R", count, |i| free[i as usize]) {
                prop_assert_eq!(seats.len(), count as usize);
                let row = hall.seat(seats[0]).unwrap().row;
                for (k, &i) in seats.iter().enumerate() {
                    prop_assert!(free[i as usize]);
                    prop_assert_eq!(i as usize, seats[0] as usize + k);
                    let seat = hall.seat(i).unwrap();
                    prop_assert_eq!((seat.row, seat.grade.grade.as_str()), (row, "R"));
                }
            }
        }
    }
}
