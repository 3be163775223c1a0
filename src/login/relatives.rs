//! The relatives of a login in a change of strategy.

use crate::login::handle::Handle;

/// Logins that are the same login to their user, because [`Migrating`](crate::migrating::Migrating) has
/// upgraded one to the other. The handle of one of them tells those of the others.
#[derive(Clone, Copy, Debug)]
pub struct Relatives {
    of: Handle,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Predecessor,
    Siblings,
    Upgrades,
    Itself,
}

impl Relatives {
    /// The login of which an upgrade has made this one.
    pub(crate) const fn predecessor_of(of: Handle) -> Self {
        let kind = Kind::Predecessor;
        Self { of, kind }
    }

    /// The other logins that upgrades have made of the predecessor of this one.
    pub(crate) const fn siblings_of(of: Handle) -> Self {
        let kind = Kind::Siblings;
        Self { of, kind }
    }

    /// The logins that upgrades have made of this one.
    pub(crate) const fn upgrades_of(of: Handle) -> Self {
        let kind = Kind::Upgrades;
        Self { of, kind }
    }

    /// The login itself, if it has a row. Tokens of other upgrades have its handle too, so none is ended.
    pub(crate) const fn itself(of: Handle) -> Self {
        let kind = Kind::Itself;
        Self { of, kind }
    }

    /// Returns true if the login of `handle` is one of them. Ask it for each row of the user.
    #[must_use]
    pub fn contain(&self, handle: Handle) -> bool {
        if self.kind == Kind::Itself {
            return handle == self.of;
        }
        let number = [0; 2];
        let is_kin = handle.with_tag(0, number) == self.of.with_tag(0, number);
        let upgrades = self.upgrades();
        is_kin
            && handle != self.of
            && upgrades.is_some_and(|upgrades| handle.upgrades() == upgrades)
    }

    /// Returns true if there are none, which needs no look into a store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.upgrades().is_none()
    }

    /// Returns the handle to end in a strategy without rows, such as tokens, where all upgrades of one login
    /// have the same handle. `None` if there is nothing to end.
    #[must_use]
    pub fn without_rows(&self) -> Option<Handle> {
        let only = self.of.with_tag(self.upgrades()?, [0; 2]);
        matches!(self.kind, Kind::Predecessor | Kind::Upgrades).then_some(only)
    }

    /// Returns true for a login that has existed, and false for logins that any node may have made.
    pub(crate) fn exist(&self) -> bool {
        self.kind == Kind::Predecessor && !self.is_empty()
    }

    /// Returns the number of upgrades that have led to each of them.
    const fn upgrades(&self) -> Option<u8> {
        let upgrades = self.of.upgrades();
        match self.kind {
            Kind::Predecessor => upgrades.checked_sub(1),
            Kind::Siblings if upgrades == 0 => None,
            Kind::Siblings | Kind::Itself => Some(upgrades),
            Kind::Upgrades => Some(upgrades.saturating_add(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(byte: u8) -> Handle {
        Handle::of_subject(b"alice", [byte; 16]).with_tag(0, [0; 2])
    }

    #[test]
    fn each_upgrade_leads_back_to_its_login() {
        let mut old = drawn(7);
        assert!(
            Relatives::predecessor_of(old).is_empty() && Relatives::siblings_of(old).is_empty()
        );
        for _ in 0..5 {
            let upgrades = [[0, 0], [0, 1], [9, 9]].map(|number| old.upgraded(number));
            for new in upgrades {
                assert!(Relatives::predecessor_of(new).contain(old));
                assert!(Relatives::upgrades_of(old).contain(new));
                for other in upgrades {
                    assert_eq!(Relatives::siblings_of(new).contain(other), other != new);
                    assert!(!Relatives::predecessor_of(new).contain(other));
                    assert!(!Relatives::upgrades_of(new).contain(other));
                }
                assert!(!Relatives::siblings_of(new).contain(old));
            }
            assert_eq!(
                Relatives::upgrades_of(old).without_rows(),
                Some(upgrades[0])
            );
            old = upgrades[0];
        }
        assert_eq!(
            Relatives::predecessor_of(drawn(7).upgraded([3, 4])).without_rows(),
            Some(drawn(7))
        );
        assert_eq!(Relatives::siblings_of(old).without_rows(), None);
        assert!(!Relatives::upgrades_of(drawn(7)).contain(drawn(8).upgraded([0, 0])));
    }
}
