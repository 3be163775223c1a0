//! The example `two_schemes`, driven by curl.

mod support;

use support::{Example, follow_the_header};

#[test]
fn the_commands_in_its_header_work() {
    let service = Example::start("two_schemes");
    follow_the_header(include_str!("../two_schemes.rs"), service.origin());
}
