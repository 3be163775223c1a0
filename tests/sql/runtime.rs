//! The runtime for all tests of a binary, because a pool belongs to one runtime.

use std::sync::OnceLock;

use statewise::authenticator::BoxFuture;
use tokio::runtime::{Builder, Runtime};

pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let build = || Builder::new_multi_thread().enable_all().build().unwrap();
    RUNTIME.get_or_init(build)
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

/// Runs futures concurrently. Panics if one of them panics.
pub(crate) async fn spread(futures: Vec<BoxFuture<'static, ()>>) {
    let tasks: Vec<_> = futures.into_iter().map(tokio::spawn).collect();
    for task in tasks {
        task.await.unwrap();
    }
}
