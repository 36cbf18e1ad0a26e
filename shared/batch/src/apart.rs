//! Work done in one go for all, or where that is refused for each by itself, so that everyone has their own answer.

use std::{future::Future, pin::Pin, slice};

/// What came of doing several pieces of work in one go.
#[derive(Debug)]
pub enum Together<R> {
    /// Each has its result, in their order.
    Done(Vec<R>),
    /// Nothing was done. Where it was one piece alone, this is its result; several are done one by one.
    Refused(R),
    /// Nothing can be done for anybody at this moment: this is everyone's result.
    Away(R),
}

/// Does some work, all of it or nothing, with what it needs for that.
pub type Work<C, T, R> = for<'a> fn(&'a C, &'a [T]) -> Pin<Box<dyn Future<Output = Together<R>> + Send + 'a>>;

/// Does all in one go; where that is refused, each by itself. Gives the results in the order of `some`.
pub async fn all_or_each<C, T, R: Clone>(context: C, some: Vec<T>, work: Work<C, T, R>) -> Vec<R> {
    match work(&context, &some).await {
        Together::Done(results) => return results,
        Together::Refused(result) if some.len() == 1 => return vec![result],
        Together::Refused(_) => {}
        Together::Away(result) => return vec![result; some.len()],
    }
    let mut results = Vec::with_capacity(some.len());
    for one in &some {
        match work(&context, slice::from_ref(one)).await {
            Together::Done(of_one) => results.extend(of_one),
            Together::Refused(result) => results.push(result),
            Together::Away(result) => {
                // The others would only wait for the same.
                results.resize(some.len(), result);
                break;
            }
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    type Doubled<'a> = Pin<Box<dyn Future<Output = Together<Result<u32, &'static str>>> + Send + 'a>>;

    /// Doubles numbers; takes no odd one, and nothing at all where there is a hundred. Notes what it was given.
    fn double<'a>(given: &'a Mutex<Vec<Vec<u32>>>, some: &'a [u32]) -> Doubled<'a> {
        Box::pin(async move {
            given.lock().unwrap().push(some.to_vec());
            if some.contains(&100) {
                Together::Away(Err("away"))
            } else if some.iter().any(|n| n % 2 == 1) {
                Together::Refused(Err("odd"))
            } else {
                Together::Done(some.iter().map(|n| Ok(n * 2)).collect())
            }
        })
    }

    #[tokio::test]
    async fn together_where_nothing_is_refused_else_one_by_one() {
        let given = Mutex::default();
        let results = async |some: &[u32]| {
            let results = all_or_each(&given, some.to_vec(), |given, some| double(given, some)).await;
            (results, std::mem::take(&mut *given.lock().unwrap()))
        };
        assert_eq!(results(&[2, 4]).await, (vec![Ok(4), Ok(8)], vec![vec![2, 4]]));
        assert_eq!(results(&[2, 3, 4]).await.0, [Ok(4), Err("odd"), Ok(8)]);
        assert_eq!(results(&[3]).await, (vec![Err("odd")], vec![vec![3]]));
        assert_eq!(results(&[2, 100]).await, (vec![Err("away"); 2], vec![vec![2, 100]]));
        // Who is away is not asked again for each of those behind.
        let later = async |some: &[u32]| {
            all_or_each(&given, some.to_vec(), |given, some| {
                if some.len() > 1 { Box::pin(async { Together::Refused(Err("no")) }) } else { double(given, some) }
            })
            .await
        };
        assert_eq!(later(&[2, 100, 4, 6]).await, [Ok(4), Err("away"), Err("away"), Err("away")]);
        assert_eq!(*given.lock().unwrap(), [[2], [100]]);
    }
}
