//! Explorations of [`refresh`](crate::refresh): two tabs, a thief, lost answers, crashes between
//! any two steps, and logouts that race with a refresh.
//!
//! The exact condition under which an honest client is never flagged as a thief: no answer is lost,
//! and *out* plus *back* is shorter than the overlap minus the clock skew of two nodes. *Out* is
//! the time from sending a request until its node has finished with the store. *Back* is the time
//! from reading the clock until the client has the answer. If the two are as long as that, the
//! guarantee breaks.
//!
//! With one more condition, answers may also be lost or arrive late. For sessions: the client uses
//! a credential before it refreshes it, because the overlap restarts at the first use of the
//! successor. For the hybrid: the client keeps each credential for longer than *out*, and *out* plus
//! *back* is shorter than the grace minus the overlap.

use crate::checker::is_deep;
use crate::refresh::{End, Jar, Kind, Refresh, Rules, Times};
use crate::{breaks, holds};

const CLOSE: Times = Times {
    overlap: 3,
    grace: 4,
    out: 1,
    back: 1,
    stall: 2,
    skew: 0,
    patience: 0,
    access: 0,
    bound: 0,
};

/// Clocks with a skew of up to one tick, so that two clocks differ by up to two.
const SKEWED: Times = Times {
    overlap: 5,
    grace: 6,
    skew: 1,
    ..CLOSE
};

/// Answers take longer than any window. The client keeps a credential for longer than a request
/// takes: it refreshes only after its access token has expired.
const SLOW: Times = Times {
    out: 2,
    back: 5,
    patience: 4,
    ..CLOSE
};

const RULES: Rules = Rules::IMPLEMENTED;

const SESSION: Refresh = Refresh {
    times: CLOSE,
    rules: RULES,
    kind: Kind::Session,
    tabs: 2,
    thief: false,
    losses: false,
    jar: Jar::Newest,
    end: End::Never,
    tells_apart: false,
    uses_first: false,
};

const HYBRID: Refresh = Refresh {
    kind: Kind::Hybrid,
    ..SESSION
};

/// A patient client of the hybrid with occasional lost answers. Answers take longer than the overlap, and a
/// request and its answer less than the rest of the grace.
const PATIENT: Refresh = Refresh {
    times: Times {
        grace: SLOW.overlap + SLOW.out + SLOW.back + 1,
        ..SLOW
    },
    losses: true,
    ..HYBRID
};

/// One tab, and a thief with a copy of its jar.
const STOLEN_SESSION: Refresh = Refresh {
    tabs: 1,
    thief: true,
    losses: true,
    ..SESSION
};

const STOLEN: Refresh = Refresh {
    kind: Kind::Hybrid,
    ..STOLEN_SESSION
};

/// The login ends while a refreshing node is stalled for longer than the lifetime of a token.
const ENDED: Refresh = Refresh {
    times: Times {
        overlap: 1,
        grace: 2,
        out: 4,
        back: 4,
        stall: 4,
        access: 2,
        bound: 1,
        ..CLOSE
    },
    tabs: 1,
    losses: true,
    end: End::Login,
    ..HYBRID
};

const HONEST: &str = "I7: an honest client is flagged as a thief";

const KINDS: [(&str, Refresh); 2] = [("session", SESSION), ("hybrid", HYBRID)];

/// I6 and I7, with their exact bounds.
#[test]
fn two_tabs() {
    for (kind, tabs) in KINDS {
        holds(&format!("{kind}: two tabs"), &tabs);
        let times = Times {
            overlap: 2,
            ..CLOSE
        };
        breaks(
            &format!("{kind}: two tabs, out and back as long as the overlap"),
            HONEST,
            &Refresh { times, ..tabs },
        );
        let times = SKEWED;
        holds(
            &format!("{kind}: two tabs, clocks differ"),
            &Refresh { times, ..tabs },
        );
        let times = Times {
            overlap: 4,
            ..SKEWED
        };
        breaks(
            &format!("{kind}: two tabs, clocks differ by the rest of the overlap"),
            HONEST,
            &Refresh { times, ..tabs },
        );
        if is_deep() {
            let times = Times {
                overlap: 8,
                grace: 11,
                out: 3,
                back: 4,
                ..CLOSE
            };
            holds(
                &format!("{kind}: two tabs, wider"),
                &Refresh { times, ..tabs },
            );
        }
    }
}

/// Lost answers, crashes between swap and answer, and slow answers do no harm to a client of the
/// hybrid that refreshes after its access token has expired.
#[test]
fn two_tabs_and_lost_answers() {
    let using = Refresh {
        losses: true,
        uses_first: true,
        times: Times {
            patience: 0,
            ..SLOW
        },
        ..SESSION
    };
    holds("session: two tabs that use first, lost answers", &using);
    let rules = Rules {
        overlap_from_use: false,
        ..RULES
    };
    breaks(
        "session: two tabs that use first, but the overlap counts from the rotation",
        HONEST,
        &Refresh { rules, ..using },
    );
    holds("hybrid: two patient tabs, lost answers", &PATIENT);
    let times = Times {
        patience: PATIENT.times.out,
        ..PATIENT.times
    };
    breaks(
        "hybrid: two tabs, patient for as long as a request takes",
        HONEST,
        &Refresh { times, ..PATIENT },
    );
    let times = Times {
        grace: PATIENT.times.grace - 1,
        ..PATIENT.times
    };
    breaks(
        "hybrid: two patient tabs, out and back as long as the rest of the grace",
        HONEST,
        &Refresh { times, ..PATIENT },
    );
    let rules = Rules {
        grace_stands: true,
        ..RULES
    };
    breaks(
        "hybrid: two patient tabs, but the grace counts from the rotation alone",
        HONEST,
        &Refresh { rules, ..PATIENT },
    );
    let jar = Jar::Last;
    holds(
        "hybrid: two patient tabs, lost answers, the last one counts",
        &Refresh { jar, ..PATIENT },
    );
    let times = Times {
        skew: 1,
        grace: PATIENT.times.grace + 2,
        ..PATIENT.times
    };
    holds(
        "hybrid: two patient tabs, lost answers, clocks differ",
        &Refresh { times, ..PATIENT },
    );
}

/// I6 and I8.
#[test]
fn a_thief() {
    holds("session: one tab, a thief, lost answers", &STOLEN_SESSION);
    holds("hybrid: one tab, a thief, lost answers", &STOLEN);
    let thief = true;
    let times = Times {
        patience: 4,
        grace: CLOSE.overlap + CLOSE.out + CLOSE.back + 1,
        ..CLOSE
    };
    holds(
        "hybrid: two patient tabs, a thief, lost answers",
        &Refresh {
            times,
            thief,
            ..PATIENT
        },
    );
    if is_deep() {
        holds("session: two tabs, a thief", &Refresh { thief, ..SESSION });
        let times = PATIENT.times;
        holds(
            "hybrid: two patient tabs, a thief, lost answers, wider",
            &Refresh {
                times,
                thief,
                ..PATIENT
            },
        );
    }
}

/// I1, I2 and I5: an ended login is never refreshed, its tokens are rejected after the promised
/// time, and a token signed in the meantime carries the stamp of its login.
#[test]
fn a_refresh_of_an_ended_login() {
    let ends = [("login", End::Login), ("all logins", End::Subject)];
    for (what, end) in ends {
        let kind = Kind::Session;
        holds(
            &format!("session: {what} ended x refreshed"),
            &Refresh { end, kind, ..ENDED },
        );
        holds(
            &format!("hybrid: {what} ended x refreshed"),
            &Refresh { end, ..ENDED },
        );
        let thief = true;
        if end == End::Subject || is_deep() {
            let times = Times {
                out: 2,
                back: 2,
                stall: 2,
                access: 1,
                ..ENDED.times
            };
            holds(
                &format!("hybrid: {what} ended x two refresh"),
                &Refresh {
                    end,
                    thief,
                    times,
                    ..ENDED
                },
            );
        }
        if is_deep() {
            holds(
                &format!("hybrid: {what} ended x two refresh, wider"),
                &Refresh {
                    end,
                    thief,
                    ..ENDED
                },
            );
            let times = Times {
                overlap: 2,
                grace: 3,
                out: 1,
                back: 1,
                stall: 1,
                patience: 2,
                access: 1,
                bound: 1,
                ..CLOSE
            };
            holds(
                &format!("hybrid: {what} ended x two tabs x a thief"),
                &Refresh {
                    end,
                    thief,
                    times,
                    ..PATIENT
                },
            );
        }
    }
}

#[test]
fn each_rule_for_credentials_is_needed() {
    let without = |name: &str, invariant: &str, rules: Rules, scenario: Refresh| {
        breaks(name, invariant, &Refresh { rules, ..scenario });
    };
    let overlap_ends_early = Rules {
        overlap_ends_early: true,
        ..RULES
    };
    without(
        "session: the overlap ends when the successor is used",
        HONEST,
        overlap_ends_early,
        SESSION,
    );
    let rotates_in_overlap = Rules {
        rotates_in_overlap: true,
        ..RULES
    };
    let random_successor = Rules {
        random_successor: true,
        ..RULES
    };
    for (kind, tabs) in KINDS {
        without(
            &format!("{kind}: rotated again within the overlap"),
            HONEST,
            rotates_in_overlap,
            tabs,
        );
        without(
            &format!("{kind}: a random successor"),
            "I6: one credential has two successors",
            random_successor,
            tabs,
        );
    }
    let use_is_not_noted = Rules {
        use_is_not_noted: true,
        ..RULES
    };
    without(
        "session: the first use is not noted",
        "I8: a thief that returns late",
        use_is_not_noted,
        STOLEN_SESSION,
    );
    let ends_unproven = Rules {
        ends_unproven: true,
        ..RULES
    };
    without(
        "an end without a proof of the family",
        "I8: a credential without a proof",
        ends_unproven,
        STOLEN,
    );
    let writes_unchecked = Rules {
        writes_unchecked: true,
        ..RULES
    };
    without(
        "a row written without a check",
        "I1: an ended login is refreshed",
        writes_unchecked,
        ENDED,
    );
    let time_after_swap = Rules {
        time_after_swap: true,
        ..RULES
    };
    without(
        "a token whose lifetime starts at signing",
        "I2",
        time_after_swap,
        ENDED,
    );
    let time_before_removal = Rules {
        time_before_removal: true,
        ..RULES
    };
    without(
        "a fact whose lifetime starts before the removal",
        "I2",
        time_before_removal,
        ENDED,
    );
    let restamps = Rules {
        restamps: true,
        ..RULES
    };
    let end = End::Subject;
    without(
        "a token stamped when it is signed",
        "I2",
        restamps,
        Refresh { end, ..ENDED },
    );
}

/// Known violations of the rules as implemented.
#[test]
fn limits_of_refreshing() {
    // An answer is lost. The client returns after the overlap from two tabs. One tab gets the
    // answer and uses or refreshes it while the request of the other tab is still in flight.
    let losses = true;
    for (kind, tabs) in KINDS {
        breaks(
            &format!("{kind}: two tabs, a lost answer"),
            HONEST,
            &Refresh { losses, ..tabs },
        );
    }
    // No message is lost, but the answer takes as long as the overlap.
    let times = Times { back: 3, ..CLOSE };
    for (kind, tabs) in KINDS {
        breaks(
            &format!("{kind}: two tabs, a slow answer"),
            HONEST,
            &Refresh { times, ..tabs },
        );
    }
    // A cookie jar keeps the answer that arrives last, which may be the one that was sent first.
    let jar = Jar::Last;
    for (kind, tabs) in KINDS {
        breaks(
            &format!("{kind}: two tabs, the last answer counts"),
            HONEST,
            &Refresh { jar, ..tabs },
        );
    }
}

/// A thief that refreshes as often as the client. Each of the two is later than the grace of the other. If
/// the client gets none of its answers, the thief is alone, and no rule applies.
#[test]
fn holders_that_take_turns() {
    let times = Times {
        patience: 4,
        ..CLOSE
    };
    let turns = Refresh {
        times,
        tells_apart: true,
        losses: false,
        ..STOLEN
    };
    holds("hybrid: a thief that takes turns with the client", &turns);
    // The second holder is served as if its answer had been lost, and next time so is the first.
    let rules = Rules {
        shares_successor: true,
        ..RULES
    };
    breaks(
        "hybrid: turns, both get the same successor",
        "I8: two holders that take turns",
        &Refresh { rules, ..turns },
    );
    let rules = Rules {
        reject_orphaned: true,
        ..RULES
    };
    holds(
        "hybrid: a thief that takes turns, orphaned credentials rejected",
        &Refresh { rules, ..turns },
    );
}

/// Theft detection ends the login and its access tokens.
#[test]
fn tokens_of_a_stolen_login() {
    let stolen = Refresh {
        times: Times {
            overlap: 1,
            grace: 2,
            out: 1,
            back: 1,
            access: 2,
            bound: 1,
            patience: 2,
            ..CLOSE
        },
        end: End::Theft,
        ..STOLEN
    };
    holds("hybrid: a theft is appended to the log", &stolen);
    let rules = Rules {
        theft_is_not_appended: true,
        ..RULES
    };
    breaks(
        "hybrid: a theft is not appended to the log",
        "I2",
        &Refresh { rules, ..stolen },
    );
}

/// A rule that is not implemented. With it, lost answers would harm no client: an unused successor
/// is not rotated, and refreshing it counts as its first use. A request may then take as long as
/// the overlap, and answers may take any time. The price: short tokens would be refreshed twice
/// with each credential.
#[test]
fn rules_that_would_repair_lost_answers() {
    let rules = Rules {
        overlap_from_use: true,
        unused_rests: true,
        // With these rules, the row knows each use of the hybrid too.
        shares_successor: true,
        ..RULES
    };
    let losses = true;
    for (kind, tabs) in KINDS {
        let repaired = Refresh {
            rules,
            losses,
            ..tabs
        };
        let times = Times {
            patience: 0,
            ..SLOW
        };
        holds(
            &format!("{kind}: two tabs, lost answers, repaired"),
            &Refresh { times, ..repaired },
        );
        let out = times.overlap;
        breaks(
            &format!("{kind}: a request that takes as long as the overlap, repaired"),
            HONEST,
            &Refresh {
                times: Times { out, ..times },
                ..repaired
            },
        );
        let jar = Jar::Last;
        holds(
            &format!("{kind}: two tabs, lost answers, the last one counts, repaired"),
            &Refresh { jar, ..repaired },
        );
        let (thief, tabs) = (true, 1);
        holds(
            &format!("{kind}: one tab, a thief, lost answers, repaired"),
            &Refresh {
                thief,
                tabs,
                ..repaired
            },
        );
        let overlap_from_use = Rules {
            overlap_from_use: false,
            ..rules
        };
        breaks(
            &format!("{kind}: repaired, but the overlap counts from the rotation"),
            HONEST,
            &Refresh {
                rules: overlap_from_use,
                ..repaired
            },
        );
        let unused_rests = Rules {
            unused_rests: false,
            ..rules
        };
        breaks(
            &format!("{kind}: repaired, but an unused successor is rotated"),
            HONEST,
            &Refresh {
                rules: unused_rests,
                ..repaired
            },
        );
    }
    let rules = Rules {
        notes_any_generation: true,
        ..rules
    };
    breaks(
        "session: repaired, but any generation's use is noted",
        HONEST,
        &Refresh {
            rules,
            losses,
            ..SESSION
        },
    );
}
