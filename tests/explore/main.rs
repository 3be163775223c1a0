//! Exhaustive exploration of the protocols of revocation and refresh: every interleaving of a few
//! processes, each of which may stall between any two of its steps.
//!
//! The models of `CachedStore`, `RevocationView`, the log and the authenticators are small enough
//! to visit every state (`explore/checker.rs`). Each rule of the protocol is also removed, and the
//! exploration must then find a violation. It prints a shortest counterexample.
//!
//! Known violations of the implemented rules are listed in [`limits_of_what_is_implemented`] and in
//! [`credentials`]. Invariant I11 (facts combine in any order and any number of times) is tested on
//! the implementation, by `facts_combine_by_maximum` in `src/revocation/known.rs`.
//!
//! `cargo test --test explore -- --nocapture` prints the number of states. `STATEWISE_EXPLORE=deep`
//! adds explorations that take minutes; use it with `--release`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod appends;
mod checker;
mod credentials;
mod losses;
mod refresh;
mod sessions;
mod steps;
mod tickets;
mod tokens;
mod updates;

use std::time::Instant;

use appends::{Appends, Places};
use checker::{Model, explore, is_deep};
use losses::Losses;
use sessions::{Place, Rules, Scenario, Times};
use steps::Steps;
use tickets::Tickets;
use tokens::Tokens;
use updates::Updates;

/// Explores a model and prints the result.
fn look(name: &str, model: &impl Model) -> Option<&'static str> {
    let began = Instant::now();
    let found = explore(model);
    let verdict = match found.violation {
        Some(_) => "VIOLATED",
        None => "holds",
    };
    println!(
        "{verdict:<8} {name}: {} states, {} steps, {} deep, {} ms",
        found.states,
        found.steps,
        found.depth,
        began.elapsed().as_millis()
    );
    found.violation.map(|violation| {
        println!("{violation}");
        violation.what
    })
}

fn holds(name: &str, model: &impl Model) {
    if let Some(what) = look(name, model) {
        panic!("{name}: {what}");
    }
}

/// Asserts that a model without one of its rules violates the invariant whose name is `invariant`.
fn breaks(name: &str, invariant: &str, model: &impl Model) {
    match look(name, model) {
        Some(what) => assert!(what.starts_with(invariant), "{name}: {what}"),
        None => panic!("{name}: no invariant is violated, so the rule is not needed"),
    }
}

const SMALL: Times = Times {
    end: 3,
    bound: 1,
    max_age: 2,
    margin: 0,
    longest: 4,
};

/// The bound is shorter than the maximum age of a copy, and a view is fresh for more than one tick.
const WIDE: Times = Times {
    end: 5,
    bound: 2,
    max_age: 3,
    margin: 1,
    longest: 6,
};

const SESSIONS: Scenario = Scenario::new(SMALL, Rules::IMPLEMENTED);

/// One login ends on a node other than the watched one.
const REVOKED: Scenario = Scenario {
    revoke: Place::Elsewhere,
    verified: [true, false],
    ..SESSIONS
};

/// All logins of the subject end while another login is in progress.
const ALL_REVOKED: Scenario = Scenario {
    revoke_all: Place::Elsewhere,
    login: Place::Elsewhere,
    verified: [false, true],
    ..SESSIONS
};

/// The same on the watched node.
const HERE: Scenario = Scenario {
    revoke: Place::Here,
    ..REVOKED
};

#[test]
fn a_ticket_that_is_redeemed() {
    let rules = Tickets::IMPLEMENTED;
    let bound = Tickets {
        thief_has_secret: false,
        ..rules
    };
    holds("ticket x thief x crash x logout everywhere", &rules);
    holds("the same, bound to a browser", &bound);
    for (name, invariant, broken) in [
        (
            "a removal counts without a row",
            "T1",
            Tickets {
                counts: false,
                ..rules
            },
        ),
        (
            "removed before it is judged",
            "T2",
            Tickets {
                judges_first: false,
                ..bound
            },
        ),
        (
            "the logins end before the tickets",
            "T3",
            Tickets {
                tickets_first: false,
                ..rules
            },
        ),
        (
            "a login begins after its ticket is redeemed",
            "T3",
            Tickets {
                begins_first: false,
                ..rules
            },
        ),
        (
            "no check after storing",
            "T3",
            Tickets {
                checks: false,
                ..rules
            },
        ),
    ] {
        breaks(name, invariant, &broken);
    }
}

#[test]
fn an_update_of_all_logins() {
    let rules = Updates::IMPLEMENTED;
    holds("update of all logins x login x refresh x edit", &rules);
    for (name, invariant, broken) in [
        (
            "begun at issue",
            "U1",
            Updates {
                begins_first: false,
                ..rules
            },
        ),
        (
            "without a check",
            "U1",
            Updates {
                checks: false,
                ..rules
            },
        ),
        (
            "outdated last",
            "U1",
            Updates {
                outdates_first: false,
                ..rules
            },
        ),
        (
            "without a version",
            "U2",
            Updates {
                has_version: false,
                ..rules
            },
        ),
        (
            "without an entry",
            "U2",
            Updates {
                appends: false,
                ..rules
            },
        ),
        (
            "the last writer wins",
            "U3",
            Updates {
                compares: false,
                ..rules
            },
        ),
    ] {
        breaks(&format!("update of all logins, {name}"), invariant, &broken);
    }
}

/// Two step-ups of one session, beside everything else that happens to it. The four rules of STEP-02
/// come first.
#[test]
fn step_02_two_step_ups() {
    let rules = Steps::IMPLEMENTED;
    let (refreshes, thief, losses, logout) = (false, false, false, false);
    let calm = Steps {
        refreshes,
        thief,
        losses,
        logout,
        requests: 2,
        ..rules
    };
    holds("two step-ups x two tabs x edit", &calm);
    let refreshes = true;
    holds(
        "two step-ups x two tabs x refresh x edit",
        &Steps { refreshes, ..calm },
    );
    holds(
        "two step-ups x two tabs x refresh x edit x crash",
        &Steps {
            thief,
            logout,
            ..rules
        },
    );
    holds(
        "two step-ups x two tabs x refresh x edit x thief",
        &Steps {
            losses,
            logout,
            ..rules
        },
    );
    holds(
        "two step-ups x two tabs x refresh x edit x crash x thief x logout",
        &rules,
    );
    for (name, invariant, broken) in [
        (
            "a derived credential",
            "S1",
            Steps {
                is_underived: false,
                ..rules
            },
        ),
        (
            "a class for every generation",
            "S2",
            Steps {
                is_bound: false,
                ..rules
            },
        ),
        (
            "a class for the current credential",
            "S2",
            Steps {
                starts_again: false,
                ..rules
            },
        ),
        (
            "a theft within the overlap",
            "S3",
            Steps {
                waits_for_overlap: false,
                ..rules
            },
        ),
        (
            "a theft before the first use",
            "S3",
            Steps {
                waits_for_use: false,
                ..rules
            },
        ),
        (
            "judged again after the rotation",
            "S4",
            Steps {
                trusts_itself: false,
                ..calm
            },
        ),
        (
            "written without a row",
            "S5",
            Steps {
                needs_a_row: false,
                ..rules
            },
        ),
    ] {
        breaks(&format!("two step-ups, {name}"), invariant, &broken);
    }
}

#[test]
fn a_revoked_session() {
    holds("session revoked elsewhere", &REVOKED);
    holds("session revoked here", &HERE);
    let rotate = true;
    holds(
        "session revoked elsewhere x rotated",
        &Scenario { rotate, ..REVOKED },
    );
    for (name, update) in [("elsewhere", Place::Elsewhere), ("here", Place::Here)] {
        let revoke = Place::Nowhere;
        let updated = Scenario {
            update,
            revoke,
            ..REVOKED
        };
        holds(&format!("session updated {name}"), &updated);
        if is_deep() {
            let both = Scenario { update, ..REVOKED };
            holds(
                &format!("session updated {name} x revoked elsewhere"),
                &both,
            );
        }
    }
    let times = WIDE;
    holds(
        "session revoked elsewhere, wider",
        &Scenario { times, ..REVOKED },
    );
    if is_deep() {
        let both = Scenario {
            times,
            rotate,
            ..REVOKED
        };
        holds("session revoked elsewhere x rotated, wider", &both);
        let verifiers = 2;
        holds(
            "session revoked elsewhere x two verify",
            &Scenario {
                verifiers,
                ..REVOKED
            },
        );
        holds("session revoked here, wider", &Scenario { times, ..HERE });
    }
}

/// The revoking process may stop forever at any step, or fail to reach the log. Another process may
/// try again.
#[test]
fn an_interrupted_revocation() {
    let (again, log_fails) = (true, true);
    let elsewhere = Scenario {
        again,
        log_fails,
        ..REVOKED
    };
    holds(
        "session revoked elsewhere, interrupted and repeated",
        &elsewhere,
    );
    let here = Scenario {
        again,
        log_fails,
        ..HERE
    };
    holds("session revoked here, interrupted and repeated", &here);
}

#[test]
fn all_sessions_of_a_subject() {
    let first = Scenario {
        login: Place::Nowhere,
        verified: [true, false],
        ..ALL_REVOKED
    };
    holds("all sessions revoked x an existing one", &first);
    holds(
        "all sessions revoked elsewhere x a login elsewhere",
        &ALL_REVOKED,
    );
    let login = Place::Here;
    holds(
        "all sessions revoked elsewhere x a login here",
        &Scenario {
            login,
            ..ALL_REVOKED
        },
    );
    let revoke_all = Place::Here;
    holds(
        "all sessions revoked here x a login elsewhere",
        &Scenario {
            revoke_all,
            ..ALL_REVOKED
        },
    );
    if is_deep() {
        let times = WIDE;
        holds(
            "all sessions revoked x a login, wider",
            &Scenario {
                times,
                ..ALL_REVOKED
            },
        );
    }
}

#[test]
fn each_rule_for_sessions_is_needed() {
    let rules = Rules::IMPLEMENTED;
    let without = |name: &str, invariant: &str, rules: Rules, scenario: Scenario| {
        breaks(name, invariant, &Scenario { rules, ..scenario });
    };
    let append_first = Rules {
        append_first: true,
        ..rules
    };
    without("append before remove", "I2", append_first, REVOKED);
    let age_from_fill = Rules {
        age_from_fill: true,
        ..rules
    };
    without("age counted from the fill", "I3", age_from_fill, REVOKED);
    let on_event = Rules {
        invalidate_on_event: true,
        ..rules
    };
    without(
        "copies dropped on the event, view not checked",
        "I2",
        on_event,
        REVOKED,
    );
    let too_short = Rules {
        facts_live_too_short: true,
        ..rules
    };
    without("facts expire earlier than copies", "I2", too_short, REVOKED);
    let time_after_swap = Rules {
        time_after_swap: true,
        ..rules
    };
    let rotated = Scenario {
        rotate: true,
        ..REVOKED
    };
    without(
        "time read after the compare-and-swap",
        "I3",
        time_after_swap,
        rotated,
    );
    let no_second_removal = Rules {
        no_second_removal: true,
        ..rules
    };
    without("no second removal", "I2", no_second_removal, ALL_REVOKED);
    let no_check = Rules {
        no_check_after_create: true,
        ..rules
    };
    without(
        "no check of the log after create",
        "I2",
        no_check,
        ALL_REVOKED,
    );
    let late_stamp = Rules {
        late_stamp: true,
        ..rules
    };
    without(
        "a login stamped when it is stored",
        "I2",
        late_stamp,
        ALL_REVOKED,
    );
}

const TOKENS: Tokens = Tokens {
    times: tokens::Times {
        end: 3,
        bound: 1,
        lifetime: 2,
        deadline: 3,
        margin: 0,
    },
    rules: tokens::Rules::IMPLEMENTED,
    revoke: true,
    revoke_all: false,
    short_stalls: false,
};

const ALL_TOKENS: Tokens = Tokens {
    revoke: false,
    revoke_all: true,
    ..TOKENS
};

#[test]
fn tokens_by_their_view() {
    holds("token issued x refreshed x revoked", &TOKENS);
    holds("token issued x refreshed x all revoked", &ALL_TOKENS);
    if is_deep() {
        let revoke = true;
        holds(
            "token revoked x all revoked",
            &Tokens {
                revoke,
                ..ALL_TOKENS
            },
        );
        let times = tokens::Times {
            end: 5,
            deadline: 4,
            ..TOKENS.times
        };
        holds(
            "all tokens revoked, wider",
            &Tokens {
                times,
                ..ALL_TOKENS
            },
        );
    }
    let rules = tokens::Rules::IMPLEMENTED;
    let without = |name: &str, rules: tokens::Rules, scenario: Tokens| {
        breaks(name, "I2", &Tokens { rules, ..scenario });
    };
    let restamps = tokens::Rules {
        restamps: true,
        ..rules
    };
    without("a new stamp at refresh", restamps, ALL_TOKENS);
    let late_stamp = tokens::Rules {
        late_stamp: true,
        ..rules
    };
    without("stamped when signed", late_stamp, ALL_TOKENS);
    let life_of_token = tokens::Rules {
        life_of_token: true,
        ..rules
    };
    without(
        "facts kept as long as the token, not its login",
        life_of_token,
        TOKENS,
    );
    let accepts_when_stale = tokens::Rules {
        accepts_when_stale: true,
        ..rules
    };
    without("a stale view that accepts", accepts_when_stale, TOKENS);
}

#[test]
fn positions_in_the_log() {
    let (places, minds_gaps) = (Places::Counter, true);
    holds("three append, one reads", &Appends { places, minds_gaps });
    let places = Places::Sequence;
    breaks(
        "a sequence for positions",
        "I4",
        &Appends {
            places,
            minds_gaps: false,
        },
    );
    // Correct but useless: a rolled-back transaction leaves a gap at which the reader stops
    // forever.
    holds(
        "a sequence, and readers that detect gaps",
        &Appends { places, minds_gaps },
    );
}

/// A log that has lost its last entry. The login is stamped on a node that keeps running.
const LOST: Losses = Losses {
    rules: losses::Rules::IMPLEMENTED,
    login: true,
    stamps: Some(1),
    reader: false,
    ends: &[0],
    noise: 0,
    known_noise: 0,
    lost: 1,
    anew: false,
};

#[test]
fn a_log_that_loses_its_tail() {
    holds("log loses its last entry", &LOST);
    if is_deep() {
        let stamps = None;
        holds(
            "log loses its last entry, stamped by a node that has stopped",
            &Losses { stamps, ..LOST },
        );
        holds("log loses its last two", &Losses { lost: 2, ..LOST });
    }
    let noisy = Losses { noise: 1, ..LOST };
    let rules = LOST.rules;
    let without = |name: &str, invariant: &str, rules: losses::Rules, scenario: Losses| {
        breaks(name, invariant, &Losses { rules, ..scenario });
    };
    let no_marks = losses::Rules {
        marks: false,
        ..rules
    };
    without("stamps without a mark", "I2", no_marks, noisy);
    let no_fillers = losses::Rules {
        fillers: false,
        ..rules
    };
    without(
        "no fillers",
        "I5",
        no_fillers,
        Losses {
            stamps: None,
            ..noisy
        },
    );
    let exclusive = losses::Rules {
        inclusive: false,
        ..rules
    };
    without(
        "a read that starts after the cursor",
        "I4",
        exclusive,
        noisy,
    );
    let not_again = losses::Rules {
        said_again: false,
        ..rules
    };
    without("lost facts are not appended again", "I4", not_again, noisy);
}

/// A node that may not write follows a log that loses its tail.
#[test]
fn a_reader_of_a_log_that_loses_its_tail() {
    let reader = Losses {
        reader: true,
        stamps: None,
        known_noise: 1,
        noise: 1,
        lost: 2,
        ..LOST
    };
    holds("reader: log loses its last two", &reader);
    if is_deep() {
        let noisy = Losses { noise: 2, ..reader };
        holds("reader: log loses its last two, and grows", &noisy);
    }
    // It cannot fill the log up, so the marks of the lost positions would count.
    let rules = losses::Rules {
        forgets_marks: false,
        ..reader.rules
    };
    breaks(
        "reader: marks of lost entries are kept",
        "I2",
        &Losses { rules, ..reader },
    );
    let rules = losses::Rules {
        unread_waits: false,
        ..reader.rules
    };
    breaks(
        "reader: a login stamped beyond the end",
        "I2",
        &Losses { rules, ..reader },
    );
    let anew = Losses {
        reader: true,
        lost: 0,
        anew: true,
        ..LOST
    };
    holds("reader: log restarts without its data", &anew);
}

/// A log that restarts without its data.
#[test]
fn a_log_that_restarts_without_its_data() {
    let anew = Losses {
        lost: 0,
        anew: true,
        ..LOST
    };
    holds("log restarts without its data", &anew);
    let rules = losses::Rules {
        accepts_other_incarnations: true,
        ..anew.rules
    };
    let accepting = Losses { rules, ..anew };
    holds("log restarts, earlier stamps are accepted", &accepting);
    let rules = losses::Rules {
        carried: false,
        ..anew.rules
    };
    let dropped = Losses { rules, ..anew };
    breaks("known facts are not carried over", "I4", &dropped);
}

/// Rules that exploration found to be missing, and that are now implemented.
#[test]
fn each_rule_that_exploration_found_is_needed() {
    // A slow page is accepted and its facts are kept from the time of its request: a fact may
    // expire before the page arrives. Needs a stall longer than the margin.
    let rules = Rules {
        late_reads_count: true,
        ..Rules::IMPLEMENTED
    };
    breaks(
        "session: a read takes longer than the bound",
        "I2",
        &Scenario { rules, ..REVOKED },
    );
    let rules = tokens::Rules {
        late_reads_count: true,
        ..tokens::Rules::IMPLEMENTED
    };
    breaks(
        "token: a read takes longer than the bound",
        "I2",
        &Tokens { rules, ..TOKENS },
    );
    // Facts expire by the clock while a verification still uses an earlier time. Needs a stall
    // longer than the margin within a verification.
    let rules = Rules {
        facts_go_by_clock: true,
        ..Rules::IMPLEMENTED
    };
    breaks(
        "session: a verification is stalled",
        "I2",
        &Scenario { rules, ..REVOKED },
    );
    let rules = tokens::Rules {
        facts_go_by_clock: true,
        ..tokens::Rules::IMPLEMENTED
    };
    breaks(
        "token: a verification is stalled",
        "I2",
        &Tokens { rules, ..TOKENS },
    );
    // The log keeps a logout everywhere only for the age of a copy, but a login may take longer
    // from its stamp to its row.
    let rules = Rules {
        subject_for_longest: false,
        ..Rules::IMPLEMENTED
    };
    breaks(
        "session: a login takes longer than the log keeps",
        "I2",
        &Scenario {
            rules,
            ..ALL_REVOKED
        },
    );
    // A view knows nothing about a lost part beyond the end of its reads until it sees the login.
    let rules = losses::Rules {
        unread_waits: false,
        ..losses::Rules::IMPLEMENTED
    };
    let beyond = Losses {
        rules,
        stamps: None,
        noise: 2,
        lost: 2,
        ..LOST
    };
    breaks(
        "log: a login stamped beyond the end of a shorter log",
        "I2",
        &beyond,
    );
    // An entry that is appended again may get its old position, behind a different predecessor. A
    // reader that stopped there does not notice the loss. This model has no other way; the
    // implementation appends the entry with a new nonce.
    let hidden = Losses {
        login: false,
        noise: 2,
        lost: 2,
        ..LOST
    };
    breaks("log: appended again at the old position", "I4", &hidden);
}

/// Known violations of the implemented rules. A fix moves its case to the tests above.
#[test]
fn limits_of_what_is_implemented() {
    // If the log is unreachable, no node can stop a login in progress on another node.
    let unreachable = Scenario {
        log_fails: true,
        strict_in_flight: true,
        ..ALL_REVOKED
    };
    breaks(
        "session: the log unreachable, a login under way",
        "I2",
        &unreachable,
    );
    // An entry that is appended again after a loss names a position of the log that was read. The
    // log may have started a new incarnation since.
    let restarted = Losses {
        noise: 2,
        known_noise: 2,
        lost: 0,
        anew: true,
        ..LOST
    };
    breaks(
        "log: restarts while a fact is appended again",
        "I5",
        &restarted,
    );
    // Not promised: within the bound, answers may alternate.
    let steady = Scenario {
        steady: true,
        ..REVOKED
    };
    breaks(
        "session: a status that changes back within the bound",
        "a login that was rejected",
        &steady,
    );
}
