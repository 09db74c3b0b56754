//! Waiting for many futures at once.
//!
//! Every child has a waker of its own (`FuturesUnordered`): a delivery polls the children that waited for it and no others, in the order
//! of the deliveries.

use futures::stream::{self, FuturesUnordered, StreamExt, TryStreamExt};
use futures::{FutureExt, TryFutureExt};
use serde::de::DeserializeOwned;

use crate::{Error, Promise};

/// The first `n` of `futures` in the order in which they completed, each with its position in the input; all of them if there are no
/// more than `n`.
///
/// The others are dropped, which for a [`Promise`] means that it stays pending and its outcome is ignored; [`first_of_cancel_rest`]
/// cancels them. The call itself iterates over `futures`, so promises that the iterator makes are made at once.
///
/// ```no_run
/// # use everstep_sdk::{Context, Error, first_of};
/// # async fn quorum(ctx: Context) -> Result<(), Error> {
/// let replicas = ["a", "b", "c"].map(|name| ctx.request::<u64>(name, "read"));
/// for (place, answer) in first_of(2, replicas).await {
///     ctx.print(format!("{place} answered {}", answer?))?;
/// }
/// # Ok(())
/// # }
/// ```
pub fn first_of<F: Future>(
    n: usize,
    futures: impl IntoIterator<Item = F>,
) -> impl Future<Output = Vec<(usize, F::Output)>> {
    all(futures).take(n).collect()
}

/// As [`first_of`], and cancels the remaining promises, including children and questions. One that has settled meanwhile stays as it is.
///
/// Fails if a promise cannot be canceled; the list has the outcomes of the first `n`.
pub async fn first_of_cancel_rest<T: DeserializeOwned>(
    n: usize,
    mut promises: Vec<Promise<T>>,
) -> Result<Vec<(usize, Result<T, Error>)>, Error> {
    let first = all(&mut promises).take(n).collect::<Vec<_>>().await;
    for left_over in promises.iter().filter(|promise| promise.is_pending()) {
        left_over.cancel()?;
    }
    Ok(first)
}

/// Calls `f` on every item, with up to `limit` of its futures under way at a time (0 counts as 1), and returns the results in the order
/// of the items.
///
/// The first error is returned at once: no further item is started, and futures under way are dropped, as the losers of
/// [`first_of`] are. Nothing starts before it is awaited.
///
/// ```no_run
/// # use everstep_sdk::{Context, Error, parallel_map};
/// # async fn totals(ctx: Context) -> Result<(), Error> {
/// let lengths: Vec<u64> = parallel_map(10, 0..1_000, |page| ctx.call("length-of-page", page)).await?;
/// # Ok(())
/// # }
/// ```
pub async fn parallel_map<I, R, E, F>(
    limit: usize,
    items: impl IntoIterator<Item = I>,
    mut f: impl FnMut(I) -> F,
) -> Result<Vec<R>, E>
where
    F: Future<Output = Result<R, E>>,
{
    let started = items.into_iter().enumerate().map(|(place, item)| f(item).map_ok(move |result| (place, result)));
    let mut results: Vec<_> = stream::iter(started).buffer_unordered(limit.max(1)).try_collect().await?;
    results.sort_unstable_by_key(|(place, _)| *place);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// Yields in the order of completion, each with its position in the input.
fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> FuturesUnordered<impl Future<Output = (usize, F::Output)>> {
    let placed = futures.into_iter().enumerate();
    placed.map(|(place, future)| future.map(move |output| (place, output))).collect()
}

#[cfg(test)]
mod tests;
