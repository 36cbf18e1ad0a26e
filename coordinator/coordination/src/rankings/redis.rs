//! Rankings kept in Redis, which all replicas share: batches are counted by one function there, in one round trip.
//!
//! The keys share a hash tag, so the function touches one slot. `W` is a window, `K` is `keywords` or `events`, `N` the number
//! of a period:
//!
//! | key                                | what                                                                |
//! |------------------------------------|---------------------------------------------------------------------|
//! | `nugul:{rankings}:K:W`             | sorted set: subject by its [`Score`]; at most 10,000                |
//! | `nugul:{rankings}:K:W:before`      | list: the subjects at the beginning of the step                     |
//! | `nugul:{rankings}:steps`           | hash: window → the step those lists are of                          |
//! | `nugul:{rankings}:voted:W:N`       | string: the bits of the votes of a period, 2 MB, with a time to live |
//! | `nugul:{rankings}:waiting:N`       | sorted set: word by people who searched for it, of a day            |
//! | `nugul:{rankings}:source:S`        | string: the last batch of a source, with a time to live             |
//!
//! A batch that a broken connection made the client send again is told from a new one by its source and number.

use std::sync::Arc;

use nugul_domain::{
    Timestamp,
    ranking::{
        Batch, KEPT_AFTER_TRIM, KEPT_MAX, Kind, NOTED_MAX, SOURCE_TTL_MS, Score, Standing, Taken, UNKNOWN_PEOPLE_MIN,
        Window,
    },
};

use crate::{
    Error,
    redis::{
        connection::{Call, Connection, Function, Library},
        text::{nonsense, pairs, parse, texts},
    },
};

const PREFIX: &str = "nugul:{rankings}";

/// Rankings kept in Redis. Clones share one connection, which carries concurrent calls and mends itself.
#[derive(Clone)]
pub struct RedisRankings {
    connection: Connection,
    library: Arc<Library>,
}

impl RedisRankings {
    pub(crate) async fn connect(url: &str) -> Result<Self, Error> {
        let names = format!(
            "local KEPT_MAX, KEPT_AFTER_TRIM, NOTED_MAX = {KEPT_MAX}, {KEPT_AFTER_TRIM}, {NOTED_MAX}\n\
             local PEOPLE_MIN, SOURCE_TTL_MS = {UNKNOWN_PEOPLE_MIN}, {SOURCE_TTL_MS}\n",
        );
        let functions = [
            Function { name: "count", body: include_str!("../functions/rankings_count.lua"), writes: true },
            Function { name: "standing", body: include_str!("../functions/rankings_standing.lua"), writes: false },
        ];
        let library = Arc::new(Library::new(&names, &functions));
        Ok(Self { connection: Connection::open(url).await?, library })
    }

    pub(crate) async fn count(&self, batches: &[Batch], now: Timestamp) -> Result<Vec<Taken>, Error> {
        let mut call = self.library.call("count");
        call.key(format!("{PREFIX}:waiting:{}", Window::Day.period(now))).key(format!("{PREFIX}:steps"));
        for window in Window::ALL {
            call.key(format!("{PREFIX}:voted:{}:{}", window.as_str(), window.period(now)));
            for kind in Kind::ALL {
                ranking_keys(&mut call, kind, window);
            }
            // Every digit of the double.
            call.arg(window.as_str())
                .arg(format!("{:.17e}", window.age(now)))
                .arg(window.step(now))
                .arg(window.length_ms());
        }
        for batch in batches {
            call.key(format!("{PREFIX}:source:{:032x}", batch.source.0)).arg(batch.seq).arg(batch.votes.len());
            for vote in &batch.votes {
                call.arg(vote.kind() as usize + 1)
                    .arg(u8::from(vote.needs_people()))
                    .arg(vote.weight())
                    .arg(vote.subject())
                    .arg(&vote.bits()[..]);
            }
        }
        let answer = self.connection.run(&call).await?;
        let pairs = pairs(&answer, batches.len())?;
        let taken = |[taken, votes]: &[String; 2]| match taken.as_str() {
            "counted" => Ok(Taken::Counted(parse(votes)?)),
            "repeated" => Ok(Taken::Repeated),
            _ => Err(nonsense(&answer)),
        };
        pairs.iter().map(taken).collect()
    }

    pub(crate) async fn standing(&self, kind: Kind, window: Window, now: Timestamp) -> Result<Standing, Error> {
        let mut call = self.library.call("standing");
        call.key(format!("{PREFIX}:steps"));
        ranking_keys(&mut call, kind, window);
        call.arg(window.as_str());
        let answer = self.connection.run(&call).await?;
        let texts = texts(&answer);
        let [step, noted, rest @ ..] = texts.as_slice() else { return Err(nonsense(&answer)) };
        let (step, noted): (i64, usize) = (parse(step)?, parse(noted)?);
        let (Some(before), Some(scored)) = (rest.get(..noted), rest.get(noted..)) else {
            return Err(nonsense(&answer));
        };
        let mut there = Vec::with_capacity(scored.len() / 2);
        for pair in scored.chunks(2) {
            let [subject, score] = pair else { return Err(nonsense(&answer)) };
            there.push(((*subject).to_owned(), Score(parse(score)?)));
        }
        // Nothing has come since the step began, so nothing moved.
        let before = if window.step(now) > step {
            there.iter().map(|(subject, _)| subject.clone()).collect()
        } else {
            before.iter().map(|s| (*s).to_owned()).collect()
        };
        Ok(Standing { now: there, before })
    }
}

fn ranking_keys(call: &mut Call<'_>, kind: Kind, window: Window) {
    let ranking = format!("{PREFIX}:{}:{}", kind.as_str(), window.as_str());
    call.key(format!("{ranking}:before")).key(ranking);
}
