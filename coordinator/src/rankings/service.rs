//! Votes checked and counted, and rankings with what they are of.

use std::collections::HashMap;

use nugul_api::{
    catalogue::EventSummary,
    limits,
    rankings::{EventRanking, KeywordRanking, RankedEvent, RankedKeyword, SEQ_MAX, Vote, VoteBatch, VotesTaken},
};
use nugul_domain::{
    EventId, OrderId, PerformanceId, UserId,
    ranking::{self, BATCH_VOTES_MAX, Batch, Deed, Keyword, Kind, Source, Taken, Voter, Window},
};
use sha2::{Digest, Sha256};

use crate::{
    app::Parts,
    batches::not_done,
    catalogue::{service::performance, store},
    error::ApiError,
};

/// Bookings counted together.
const BOOKINGS_AT_ONCE: usize = 32;
/// Bookings that wait for that; one more is not counted.
const BOOKINGS_WAITING_MAX: usize = 1_000;
/// Hexadecimal digits of a source.
const SOURCE_DIGITS: usize = 32;
/// Hexadecimal digits of a person's mark.
const VOTER_DIGITS: usize = 16;

/// Checks a batch; the error names the field at fault. Nothing of a batch with a bad vote is taken.
pub fn checked(batch: &VoteBatch) -> Result<Batch, ApiError> {
    let source = digits(&batch.source, SOURCE_DIGITS).ok_or_else(|| {
        ApiError::field(
            "/source",
            (format!("16진수 {SOURCE_DIGITS}자리예요."), format!("{SOURCE_DIGITS} hexadecimal digits.")),
        )
    })?;
    if !(1..=SEQ_MAX).contains(&batch.seq) {
        return Err(ApiError::field("/seq", (format!("1–{SEQ_MAX}이에요."), format!("1 to {SEQ_MAX}."))));
    }
    if !(1..=BATCH_VOTES_MAX).contains(&batch.votes.len()) {
        return Err(ApiError::field(
            "/votes",
            (format!("1–{BATCH_VOTES_MAX}표예요."), format!("1 to {BATCH_VOTES_MAX} votes.")),
        ));
    }
    let vote = |(vote, index): (&Vote, usize)| {
        let field = |name: &str, said: (&str, &str)| ApiError::field(format!("/votes/{index}/{name}"), said);
        let (deed, voter) = match vote {
            Vote::Searched { keyword, known, voter } => {
                let short = keyword.chars().count() <= limits::QUERY_CHARS_MAX;
                let keyword = Some(keyword).filter(|_| short).and_then(|k| Keyword::of(k));
                let keyword =
                    keyword.ok_or_else(|| field("keyword", ("검색어가 아니에요.", "This is not a keyword.")))?;
                (Deed::Searched { keyword, known: *known }, voter)
            }
            Vote::Looked { event_id, voter } => (Deed::Looked(*event_id), voter),
        };
        let voter = digits(voter, VOTER_DIGITS).and_then(|v| u64::try_from(v).ok());
        let voter = voter.ok_or_else(|| field("voter", ("16진수 16자리예요.", "16 hexadecimal digits.")))?;
        Ok(ranking::Vote { deed, voter: Voter(voter) })
    };
    let votes = batch.votes.iter().zip(0..).map(vote).collect::<Result<_, ApiError>>()?;
    Ok(Batch { source: Source(source), seq: batch.seq, votes })
}

fn digits(text: &str, many: usize) -> Option<u128> {
    let plain = text.len() == many && text.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// Counts a batch once. Blocked words are left out.
pub async fn count(app: &Parts, mut batch: Batch) -> Result<VotesTaken, ApiError> {
    batch.votes.retain(|vote| match &vote.deed {
        Deed::Searched { keyword, .. } => !app.blocked_words.has(keyword.as_str()),
        Deed::Looked(_) | Deed::Booked(_) => true,
    });
    let taken = app.rankings.count(&[batch], app.now()).await.map_err(|e| away(&e))?;
    Ok(match taken.as_slice() {
        [Taken::Counted(counted)] => VotesTaken { repeated: false, counted: *counted },
        _ => VotesTaken { repeated: true, counted: 0 },
    })
}

/// Bookings that wait to be counted.
#[derive(Debug)]
pub struct Bookings(nugul_batch::Batch<Batch, Result<(), ApiError>>);

impl Default for Bookings {
    fn default() -> Self {
        Self(nugul_batch::Batch::new(BOOKINGS_AT_ONCE, BOOKINGS_WAITING_MAX))
    }
}

/// Counts an order that became tickets. It is known here alone for certain, so no edge tells it. The order is the source:
/// telling it twice counts once, and those that come meanwhile are counted together. A ranking that cannot be reached loses the
/// vote; no order waits for it.
pub async fn booked(app: &Parts, order: OrderId, of: PerformanceId, by: UserId) {
    let counted = async {
        let event = performance(app, of).await?.event.id;
        let mark = Sha256::digest(by.to_bytes());
        let voter = mark.iter().take(8).fold(0, |mark, byte| mark << 8 | u64::from(*byte));
        let vote = ranking::Vote { deed: Deed::Booked(event), voter: Voter(voter) };
        let source = Source(order.to_bytes().iter().fold(0, |id, byte| id << 8 | u128::from(*byte)));
        let count = async |batches: Vec<Batch>| {
            let taken = app.rankings.count(&batches, app.now()).await;
            vec![taken.map(drop).map_err(|e| away(&e)); batches.len()]
        };
        app.bookings.0.join(Batch { source, seq: 1, votes: vec![vote] }, count).await.map_err(not_done)?
    };
    if let Err(e) = counted.await {
        tracing::warn!(%order, context = e.context, "a booking is not counted in the rankings");
    }
}

/// The keywords people search for most.
pub async fn keywords(app: &Parts, window: Window, limit: usize) -> Result<KeywordRanking, ApiError> {
    let now = app.now();
    let standing = app.rankings.standing(Kind::Keywords, window, now).await.map_err(|e| away(&e))?;
    let places = standing.places(window, now, limit, |keyword| !app.blocked_words.has(keyword));
    let items = places.into_iter().map(|p| RankedKeyword {
        rank: p.rank,
        keyword: p.subject,
        movement: p.movement.into(),
        score: rounded(p.score),
    });
    Ok(KeywordRanking { window, half_life_s: half_life_s(window), as_of: now, items: items.collect() })
}

/// The events people look at and book most; what is over has no place.
pub async fn events(app: &Parts, window: Window, limit: usize) -> Result<EventRanking, ApiError> {
    let now = app.now();
    let standing = app.rankings.standing(Kind::Events, window, now).await.map_err(|e| away(&e))?;
    let subjects = standing.now.iter().map(|(subject, _)| subject).chain(&standing.before);
    let mut ids: Vec<EventId> = subjects.filter_map(|id| id.parse().ok()).collect();
    ids.sort_unstable();
    ids.dedup();
    let today = now.seoul_date();
    let known: HashMap<String, EventSummary> = store::summaries(&app.db, &ids)
        .await?
        .into_iter()
        .filter(|event| event.ends_on >= today)
        .map(|event| (event.id.to_string(), event))
        .collect();
    let places = standing.places(window, now, limit, |id| known.contains_key(id));
    let items = places.into_iter().filter_map(|p| {
        let event = known.get(&p.subject)?.clone();
        Some(RankedEvent { rank: p.rank, event, movement: p.movement.into(), score: rounded(p.score) })
    });
    Ok(EventRanking { window, half_life_s: half_life_s(window), as_of: now, items: items.collect() })
}

fn half_life_s(window: Window) -> u32 {
    u32::try_from(window.half_life_ms() / 1000).unwrap_or(u32::MAX)
}

/// To the hundredth: more would say when each vote came.
fn rounded(score: f64) -> f64 {
    (score * 100.0).round() / 100.0
}

/// Rankings that cannot be reached.
pub(super) fn away(e: &nugul_coordination::Error) -> ApiError {
    ApiError::unavailable(format_args!("rankings: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "0123456789abcdef0123456789abcdef";
    const VOTER: &str = "fedcba9876543210";

    fn searched(keyword: &str, voter: &str) -> Vote {
        Vote::Searched { keyword: keyword.to_owned(), known: true, voter: voter.to_owned() }
    }

    fn batch(votes: Vec<Vote>) -> VoteBatch {
        VoteBatch { source: SOURCE.to_owned(), seq: 1, votes }
    }

    #[test]
    fn a_good_batch_is_read() {
        let read = checked(&batch(vec![searched(" 캣츠 ", VOTER)])).unwrap();
        assert_eq!(read.source, Source(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
        assert_eq!(read.votes[0].voter, Voter(0xfedc_ba98_7654_3210));
        assert_eq!(read.votes[0].subject(), "캣츠");
    }

    #[test]
    fn the_field_at_fault_is_named() {
        let long = "가".repeat(101);
        for (bad, pointer) in [
            (VoteBatch { source: "0123".into(), ..batch(vec![searched("캣츠", VOTER)]) }, "/source"),
            (VoteBatch { source: "+".repeat(32), ..batch(vec![searched("캣츠", VOTER)]) }, "/source"),
            (VoteBatch { seq: 0, ..batch(vec![searched("캣츠", VOTER)]) }, "/seq"),
            (VoteBatch { seq: SEQ_MAX + 1, ..batch(vec![searched("캣츠", VOTER)]) }, "/seq"),
            (batch(Vec::new()), "/votes"),
            (batch(vec![searched("캣츠", VOTER); BATCH_VOTES_MAX + 1]), "/votes"),
            (batch(vec![searched("캣츠", VOTER), searched("ㄹㅁㅈ", VOTER)]), "/votes/1/keyword"),
            (batch(vec![searched(&long, VOTER)]), "/votes/0/keyword"),
            (batch(vec![searched("캣츠", "x")]), "/votes/0/voter"),
        ] {
            let e = checked(&bad).unwrap_err();
            assert_eq!(e.errors.first().map(|f| f.pointer.as_str()), Some(pointer), "{bad:?}");
        }
    }
}
