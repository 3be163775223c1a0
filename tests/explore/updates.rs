//! An update of all logins of a subject, against a login that begins, a refresh, and an edit of the
//! user at the same time.

use super::checker::{Model, Step};

/// The rules that are kept.
#[derive(Clone, Copy)]
pub(crate) struct Updates {
    /// A login begins before the application loads the user.
    pub(crate) begins_first: bool,
    /// A login that was stored is checked, and removed if it is outdated.
    pub(crate) checks: bool,
    /// Logins in progress become outdated before the rows are listed.
    pub(crate) outdates_first: bool,
    /// A row is written only in the version that was read.
    pub(crate) compares: bool,
    /// An access token has the version of the row that it was read from. Otherwise it has the position
    /// of the view at which it was signed.
    pub(crate) has_version: bool,
    /// The change is appended to the log.
    pub(crate) appends: bool,
}

impl Updates {
    pub(crate) const IMPLEMENTED: Self = Self {
        begins_first: true,
        checks: true,
        outdates_first: true,
        compares: true,
        has_version: true,
        appends: true,
    };
}

/// A row, or a token that was signed for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Login {
    version: u8,
    is_admin: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    admin: u8,
    is_demoted: bool,
    is_outdated: bool,
    row: Login,
    seen_by_admin: Option<Login>,
    edit: u8,
    seen_by_edit: Option<Login>,
    refresh: u8,
    seen_by_refresh: Option<Login>,
    token: Option<Login>,
    logged: u8,
    known: u8,
    login: u8,
    begun_outdated: bool,
    loaded_admin: bool,
    new_row: Option<bool>,
    is_handed_out: bool,
    is_retried: bool,
}

/// The last step of the administrator.
const ANSWERED: u8 = 6;
/// The login has failed for good.
const FAILED: u8 = 9;

impl Updates {
    fn administrate(&self, s: State) -> Option<(&'static str, State)> {
        let outdates_at = if self.outdates_first { 1 } else { 4 };
        let admin = s.admin + 1;
        Some(match s.admin {
            0 => (
                "changes the user",
                State {
                    admin,
                    is_demoted: true,
                    ..s
                },
            ),
            ANSWERED => return None,
            at if at == outdates_at => (
                "outdates",
                State {
                    admin,
                    is_outdated: true,
                    ..s
                },
            ),
            at => match at - u8::from(self.outdates_first && at > 1) {
                1 => {
                    let new_row = s.new_row.map(|_| false);
                    (
                        "updates the new row",
                        State {
                            admin,
                            new_row,
                            ..s
                        },
                    )
                }
                2 => (
                    "reads the row",
                    State {
                        admin,
                        seen_by_admin: Some(s.row),
                        ..s
                    },
                ),
                3 if self.compares && s.seen_by_admin != Some(s.row) => (
                    "meets a conflict",
                    State {
                        admin: s.admin - 1,
                        ..s
                    },
                ),
                3 => {
                    let version = s.row.version + 1;
                    let row = Login {
                        version,
                        is_admin: false,
                    };
                    ("writes the row", State { admin, row, ..s })
                }
                _ => {
                    let logged = if self.appends { s.row.version } else { 0 };
                    (
                        "appends, and answers",
                        State {
                            admin: ANSWERED,
                            logged,
                            ..s
                        },
                    )
                }
            },
        })
    }

    fn log_in(&self, s: State) -> Option<(&'static str, State)> {
        let login = s.login + 1;
        let begins_at = u8::from(!self.begins_first);
        Some(match s.login {
            at @ (0 | 1) if at == begins_at => (
                "begins",
                State {
                    login,
                    begun_outdated: s.is_outdated,
                    ..s
                },
            ),
            0 | 1 => (
                "loads the user",
                State {
                    login,
                    loaded_admin: !s.is_demoted,
                    ..s
                },
            ),
            2 => (
                "stores the row",
                State {
                    login,
                    new_row: Some(s.loaded_admin),
                    ..s
                },
            ),
            3 if self.checks && s.is_outdated && !s.begun_outdated => {
                let login = if s.is_retried { FAILED } else { 0 };
                let (new_row, is_retried) = (None, true);
                (
                    "is outdated",
                    State {
                        login,
                        new_row,
                        is_retried,
                        ..s
                    },
                )
            }
            3 => (
                "is handed out",
                State {
                    login,
                    is_handed_out: true,
                    ..s
                },
            ),
            _ => return None,
        })
    }
}

impl Model for Updates {
    type State = State;

    fn start(&self) -> State {
        State {
            admin: 0,
            is_demoted: false,
            is_outdated: false,
            row: Login {
                version: 0,
                is_admin: true,
            },
            seen_by_admin: None,
            edit: 0,
            seen_by_edit: None,
            refresh: 0,
            seen_by_refresh: None,
            token: None,
            logged: 0,
            known: 0,
            login: 0,
            begun_outdated: false,
            loaded_admin: false,
            new_row: None,
            is_handed_out: false,
            is_retried: false,
        }
    }

    fn steps(&self, state: &State, next: &mut Vec<(Step, State)>) {
        let s = *state;
        next.extend(
            self.administrate(s)
                .map(|(what, to)| (Step("administrator", what), to)),
        );
        next.extend(self.log_in(s).map(|(what, to)| (Step("login", what), to)));
        match (s.edit, s.seen_by_edit) {
            (0, _) => {
                let to = State {
                    edit: 1,
                    seen_by_edit: Some(s.row),
                    ..s
                };
                next.push((Step("edit", "reads the row"), to));
            }
            (1, Some(seen)) if self.compares && seen != s.row => {
                next.push((Step("edit", "meets a conflict"), State { edit: 0, ..s }));
            }
            (1, Some(seen)) => {
                let row = Login {
                    version: s.row.version + 1,
                    ..seen
                };
                next.push((Step("edit", "writes the row"), State { edit: 2, row, ..s }));
            }
            _ => {}
        }
        match (s.refresh, s.seen_by_refresh) {
            (0 | 2, _) => {
                let to = State {
                    refresh: s.refresh + 1,
                    seen_by_refresh: Some(s.row),
                    ..s
                };
                next.push((Step("refresh", "reads the row"), to));
            }
            (1 | 3, Some(seen)) => {
                let version = if self.has_version {
                    seen.version
                } else {
                    s.known
                };
                let token = Some(Login { version, ..seen });
                let to = State {
                    refresh: s.refresh + 1,
                    token,
                    ..s
                };
                next.push((Step("refresh", "signs a token"), to));
            }
            _ => {}
        }
        if s.known != s.logged {
            next.push((
                Step("node", "reads the log"),
                State {
                    known: s.logged,
                    ..s
                },
            ));
        }
    }

    fn broken(&self, s: &State) -> Option<&'static str> {
        if s.admin < ANSWERED {
            return None;
        }
        let is_read = !self.appends || s.known == s.logged;
        let is_accepted = |token: Login| token.version >= s.known;
        if s.is_handed_out && s.new_row == Some(true) {
            return Some("U1: a login that began before goes on with the old roles");
        }
        if is_read
            && s.token
                .is_some_and(|token| token.is_admin && is_accepted(token))
        {
            return Some("U2: an access token with the old roles is accepted beyond the bound");
        }
        if s.row.is_admin {
            return Some("U3: another edit has brought the old roles back");
        }
        if s.login == FAILED {
            return Some("U4: a login that was tried again fails");
        }
        None
    }

    fn describe(&self, s: &State) -> String {
        let row = |login: Login| format!("v{} admin {}", login.version, login.is_admin);
        format!(
            "user demoted {}, row {}, token {:?}, log {}, known {}, new row {:?}",
            s.is_demoted,
            row(s.row),
            s.token.map(row),
            s.logged,
            s.known,
            s.new_row
        )
    }
}
