//! What the functions are told and answer, as text.

use std::str::FromStr;

use nugul_domain::{
    SeatIndex, SeatState, Timestamp,
    seat_book::{Change, Hold, HoldGone, HoldRefusal, Ordered},
};

use crate::Error;

pub(crate) fn nonsense(answer: &[String]) -> Error {
    Error::Answer(format!("{answer:?}"))
}

pub(crate) fn texts(answer: &[String]) -> Vec<&str> {
    answer.iter().map(String::as_str).collect()
}

/// An answer of two texts for each of so many.
pub(crate) fn pairs(answer: &[String], many: usize) -> Result<&[[String; 2]], Error> {
    match answer.as_chunks::<2>() {
        (pairs, []) if pairs.len() == many => Ok(pairs),
        _ => Err(nonsense(answer)),
    }
}

pub(crate) fn done(answer: &[String]) -> Result<(), Error> {
    if answer == ["ok"] { Ok(()) } else { Err(nonsense(answer)) }
}

pub(crate) fn parse<T: FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::Answer(text.to_owned()))
}

pub(crate) const fn digit(state: SeatState) -> u8 {
    b'0' + state as u8
}

pub(crate) fn states(text: &str) -> Result<Vec<SeatState>, Error> {
    text.bytes().map(state).collect()
}

fn state(byte: u8) -> Result<SeatState, Error> {
    match byte {
        b'0'..=b'3' => Ok(SeatState::from_bits(byte - b'0')),
        _ => Err(Error::Answer(format!("seat state {byte}"))),
    }
}

pub(crate) fn commas<'a>(seats: impl IntoIterator<Item = &'a SeatIndex>) -> String {
    seats.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

pub(crate) fn indexes(text: &str) -> Result<Vec<SeatIndex>, Error> {
    text.split(',').filter(|t| !t.is_empty()).map(parse).collect()
}

/// From version and `state:seats;…`.
pub(crate) fn change(entry: &[&str]) -> Result<Change, Error> {
    let [version, runs] = entry else { return Err(Error::Answer(format!("{entry:?}"))) };
    let mut seats = Vec::new();
    for run in runs.split(';') {
        let (to, some) = run.split_once(':').ok_or_else(|| Error::Answer(run.to_owned()))?;
        let [byte] = to.as_bytes() else { return Err(Error::Answer(run.to_owned())) };
        let to = state(*byte)?;
        seats.extend(indexes(some)?.into_iter().map(|i| (i, to)));
    }
    Ok(Change { version: parse(version)?, seats })
}

/// From `id|user|fence|until|extended|order|since|seats`.
pub(crate) fn hold(text: &str) -> Result<Hold, Error> {
    let parts: Vec<&str> = text.split('|').collect();
    let [id, user, fence, until, extended, order, since, seats] = parts.as_slice() else {
        return Err(Error::Answer(text.to_owned()));
    };
    let time = |text| Ok(Timestamp::from_millis(parse(text)?));
    Ok(Hold {
        id: parse(id)?,
        user: parse(user)?,
        seats: indexes(seats)?,
        fence: parse(fence)?,
        until: time(until)?,
        extended: !extended.is_empty(),
        order: if order.is_empty() { None } else { Some(Ordered { id: parse(order)?, since: time(since)? }) },
    })
}

/// Why a hold is gone; `None` where the answer says something else.
pub(crate) fn gone(answer: &[&str]) -> Option<Result<HoldGone, Error>> {
    match answer {
        ["not found", ..] => Some(Ok(HoldGone::NotFound)),
        ["ordered", order] => Some(parse(order).map(HoldGone::Ordered)),
        _ => None,
    }
}

/// Why seats are not held; `None` where the answer says something else.
pub(crate) fn refused(answer: &[&str]) -> Option<Result<HoldRefusal, Error>> {
    match answer {
        ["taken", seats] => Some(indexes(seats).map(HoldRefusal::Taken)),
        ["over limit", ..] => Some(Ok(HoldRefusal::OverLimit)),
        ["key reused", ..] => Some(Ok(HoldRefusal::KeyReused)),
        ["no such seat", ..] => Some(Ok(HoldRefusal::NoSuchSeat)),
        _ => None,
    }
}
