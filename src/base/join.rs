//! Futures that run at the same time, without a runtime.

use std::future::poll_fn;
use std::task::Poll;

use crate::base::boxed::BoxFuture;

/// Runs futures concurrently in this task. Returns their results in order, when all have ended.
pub(crate) async fn join<T>(futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut pending: Vec<Option<BoxFuture<'_, T>>> = futures.into_iter().map(Some).collect();
    let mut results: Vec<Option<T>> = pending.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, result) in pending.iter_mut().zip(&mut results) {
            if let Some(running) = future
                && let Poll::Ready(output) = running.as_mut().poll(context)
            {
                *result = Some(output);
                *future = None;
            }
        }
        match pending.iter().all(Option::is_none) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    results.into_iter().flatten().collect()
}
