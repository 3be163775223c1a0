//! A ticket that a user, a thief and a node of an older version redeem at the same time, with crashes
//! before the answer, and with a logout everywhere that ends the tickets too. A redemption yields a
//! login.

use super::checker::{Model, Step};

/// The rules that are kept.
#[derive(Clone, Copy)]
pub(crate) struct Tickets {
    /// The thief has the secret of the browser too, or the ticket is not bound to one.
    pub(crate) thief_has_secret: bool,
    /// Only a removal that counts the row redeems the ticket.
    pub(crate) counts: bool,
    /// Secret, browser and payload are judged before the row is removed.
    pub(crate) judges_first: bool,
    /// A logout everywhere ends the tickets before the logins.
    pub(crate) tickets_first: bool,
    /// A login begins before its ticket is redeemed.
    pub(crate) begins_first: bool,
    /// A login that was stored is checked, and removed if it is outdated.
    pub(crate) checks: bool,
}

impl Tickets {
    pub(crate) const IMPLEMENTED: Self = Self {
        thief_has_secret: true,
        counts: true,
        judges_first: true,
        tickets_first: true,
        begins_first: true,
        checks: true,
    };

    /// Returns whether the call of a process is refused by secret, browser or payload.
    fn is_refused(&self, process: usize) -> bool {
        match process {
            USER => false,
            THIEF => !self.thief_has_secret,
            _ => true,
        }
    }
}

const NAMES: [&str; 3] = ["user", "thief", "old node"];
const USER: usize = 0;
const THIEF: usize = 1;

/// A call that redeems the ticket and logs in.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Call {
    at: At,
    has_begun_outdated: bool,
    has_crashed: bool,
    has_row: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum At {
    #[default]
    Start,
    Load,
    Judge,
    Remove,
    Answer,
    Begin,
    Store,
    Check,
    LoggedIn,
    Failed,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    has_ticket: bool,
    calls: [Call; 3],
    winners: u8,
    is_spent_by_refused: bool,
    logout: u8,
    is_outdated: bool,
}

/// The last step of the logout.
const ANSWERED: u8 = 3;

impl Tickets {
    /// The next step of a call. A crash is another one.
    fn call(&self, s: State, process: usize) -> Option<(&'static str, State)> {
        let mut to = s;
        let call = &mut to.calls[process];
        let what = match call.at {
            At::Start => {
                call.has_begun_outdated = s.is_outdated;
                call.at = At::Load;
                "begins"
            }
            At::Load if s.has_ticket => {
                call.at = if self.judges_first {
                    At::Judge
                } else {
                    At::Remove
                };
                "loads the ticket"
            }
            At::Load => {
                call.at = At::Failed;
                "finds no ticket"
            }
            At::Judge => {
                let refused = self.is_refused(process);
                call.at = if refused { At::Failed } else { At::Remove };
                "judges the ticket"
            }
            At::Remove => {
                let is_refused = self.is_refused(process);
                let has_won = s.has_ticket || !self.counts;
                call.at = if has_won && !is_refused {
                    At::Answer
                } else {
                    At::Failed
                };
                to.is_spent_by_refused |= s.has_ticket && is_refused;
                to.has_ticket = false;
                "removes the ticket"
            }
            At::Answer => {
                call.at = if self.begins_first {
                    At::Store
                } else {
                    At::Begin
                };
                to.winners += 1;
                "has the payload"
            }
            At::Begin => {
                call.has_begun_outdated = s.is_outdated;
                call.at = At::Store;
                "begins"
            }
            At::Store => {
                call.has_row = true;
                call.at = At::Check;
                "stores a login"
            }
            At::Check => {
                let fails = self.checks && s.is_outdated && !call.has_begun_outdated;
                call.has_row &= !fails;
                call.at = if fails { At::Failed } else { At::LoggedIn };
                "checks the login"
            }
            At::LoggedIn | At::Failed => return None,
        };
        Some((what, to))
    }

    fn log_out(&self, s: State) -> Option<(&'static str, State)> {
        let mut to = s;
        to.logout += 1;
        Some(match (s.logout, self.tickets_first) {
            (ANSWERED, _) => return None,
            (0, true) | (2, false) => {
                to.has_ticket = false;
                ("ends the tickets", to)
            }
            (1, true) | (0, false) => {
                to.is_outdated = true;
                ("makes logins outdated", to)
            }
            _ => {
                to.calls.iter_mut().for_each(|call| call.has_row = false);
                ("ends the logins", to)
            }
        })
    }
}

impl Model for Tickets {
    type State = State;

    fn start(&self) -> State {
        State {
            has_ticket: true,
            calls: [Call::default(); 3],
            winners: 0,
            is_spent_by_refused: false,
            logout: 0,
            is_outdated: false,
        }
    }

    fn steps(&self, state: &State, next: &mut Vec<(Step, State)>) {
        for (process, name) in NAMES.into_iter().enumerate() {
            let step = self.call(*state, process);
            next.extend(step.map(|(what, to)| (Step(name, what), to)));
            if state.calls[process].at == At::Answer && !state.calls[process].has_crashed {
                let mut to = *state;
                to.calls[process] = Call {
                    has_crashed: true,
                    ..Call::default()
                };
                next.push((Step(name, "loses the answer, tries again"), to));
            }
        }
        let step = self.log_out(*state);
        next.extend(step.map(|(what, to)| (Step("logout", what), to)));
    }

    fn broken(&self, s: &State) -> Option<&'static str> {
        if s.winners > 1 {
            return Some("T1: two calls have the payload of one ticket");
        }
        if s.is_spent_by_refused {
            return Some("T2: a call that was refused has spent the ticket");
        }
        let goes_on = |call: &Call| call.at == At::LoggedIn && call.has_row;
        if s.logout == ANSWERED && s.calls.iter().any(goes_on) {
            return Some("T3: a login by a ticket goes on after a logout everywhere");
        }
        None
    }

    fn describe(&self, s: &State) -> String {
        let call =
            |call: &Call| format!("{:?}{}", call.at, if call.has_row { ", row" } else { "" });
        format!(
            "ticket {}, {}, winners {}, outdated {}",
            s.has_ticket,
            s.calls.iter().map(call).collect::<Vec<_>>().join(" | "),
            s.winners,
            s.is_outdated,
        )
    }
}
