//! The same work with what others offer: `cargo run --release --manifest-path
//! benches/compare/Cargo.toml`. Options: `--quick`, `--json FILE`, `--svg FOLDER`, `--filter TEXT`.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

mod chart;
#[path = "../../floor/mod.rs"]
mod floor;
#[path = "../../harness/mod.rs"]
mod harness;
mod sessions;
mod tokens;
use harness::options::Options;

/// Completes a future that has nothing to wait for.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(outcome) = future.as_mut().poll(&mut context) {
            return outcome;
        }
    }
}

fn main() {
    let options = Options::from_command_line();
    let counts: &[usize] = if options.quick {
        &[1_000]
    } else {
        &[1_000, 10_000, 100_000, 1_000_000]
    };
    let mut rows = tokens::run(&options);
    for count in counts {
        rows.extend(sessions::run(*count, &options));
    }
    if let Some(file) = &options.json {
        std::fs::write(file, harness::json(&rows)).expect("the JSON file can be written");
    }
    if let Some(folder) = &options.svg {
        chart::draw(&rows, folder).expect("the charts can be drawn");
    }
}
