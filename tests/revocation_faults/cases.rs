//! The faults, each for any server.

use std::time::Duration;

use statewise::{Authenticator as _, Login, Revocation};

use crate::fleet::{BOUND, Fleet, MAX_AGE, Verdict, assert_unavailable};
use crate::site::Site;

const SECOND: Duration = Duration::from_secs(1);

/// The users that are logged in before the fault.
struct World<S> {
    fleet: Fleet<S>,
    /// Bob, for the whole test logged in.
    bob: String,
    /// Logged out by token, and by user.
    alice: String,
    eve: String,
    /// Will be logged out.
    carol: String,
    session: String,
    ended_session: String,
    /// Will be logged out, and is cached by both nodes.
    other_session: String,
}

impl<S: Site> World<S> {
    async fn begin() -> Option<Self> {
        let fleet = Fleet::<S>::start().await?;
        let (here, there) = (&fleet.here, &fleet.there);
        let world = Self {
            bob: here.log_in("bob").await,
            alice: here.log_in("alice").await,
            eve: there.log_in("eve").await,
            carol: there.log_in("carol").await,
            session: here.begin_session("bob").await,
            ended_session: here.begin_session("alice").await,
            other_session: here.begin_session("carol").await,
            fleet,
        };
        let (here, there) = (&world.fleet.here, &world.fleet.there);
        for session in [&world.session, &world.ended_session, &world.other_session] {
            assert!(there.accepts_session(session).await);
        }
        here.revoke(&world.alice).await;
        let _ = there.tokens.revoke_all("eve").await.unwrap();
        let _ = here.sessions.revoke(&world.ended_session).await.unwrap();
        world.fleet.have_ended(&world.alice).await;
        world.fleet.have_ended(&world.eve).await;
        // Appended last, and therefore read last.
        while there.accepts_session(&world.ended_session).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Some(world)
    }

    /// Neither node reaches the log: their facts hold until the bound, and not beyond.
    async fn cut_off(&self) {
        let fleet = &self.fleet;
        let (here, there) = (&fleet.here, &fleet.there);
        // No caller is informed of success.
        assert_unavailable(&here.tokens.revoke(&self.carol).await);
        assert_unavailable(&here.tokens.issue(Login::new("dora")).await);
        let revocation = here.sessions.revoke(&self.other_session).await;
        assert_eq!(revocation.unwrap().effective, Revocation::Within(MAX_AGE));
        assert!(!here.accepts_session(&self.other_session).await);
        for seconds in 0..8 {
            let is_within = SECOND * seconds < BOUND;
            for node in fleet.nodes() {
                let expected = [
                    (&self.bob, Verdict::Accepted),
                    (&self.alice, Verdict::Revoked),
                    (&self.eve, Verdict::Revoked),
                ];
                for (token, verdict) in expected {
                    let verdict = if is_within {
                        verdict
                    } else {
                        Verdict::Unavailable
                    };
                    assert_eq!(node.verdict(token), verdict, "after {seconds} s");
                }
                assert_eq!(node.view.health().unwrap().stale, !is_within);
                // Sessions can be looked up in the store.
                assert!(node.accepts_session(&self.session).await);
                assert!(!node.accepts_session(&self.ended_session).await);
            }
            let copied = there.accepts_session(&self.other_session).await;
            assert_eq!(copied, is_within, "after {seconds} s");
            fleet.clock.advance(SECOND);
        }
    }

    /// The log is reachable again, and the nodes reconnect on their own.
    async fn goes_on(&self, others: Verdict) {
        let fleet = &self.fleet;
        let (here, there) = (&fleet.here, &fleet.there);
        fleet.are_up_to_date().await;
        here.revoke(&self.carol).await;
        fleet.have_ended(&self.carol).await;
        let dora = here.log_in("dora").await;
        let late = fleet.late_node().await;
        for node in [here, there, &late] {
            for token in [&self.alice, &self.eve, &self.carol] {
                assert_eq!(node.verdict(token), Verdict::Revoked);
            }
            assert_eq!(node.verdict(&self.bob), others);
            assert_eq!(node.verdict(&dora), Verdict::Accepted);
            assert!(node.accepts_session(&self.session).await);
            for session in [&self.ended_session, &self.other_session] {
                assert!(!node.accepts_session(session).await);
            }
        }
        there.revoke(&dora).await;
        fleet.have_ended(&dora).await;
        fleet.nobody_came_back();
    }
}

pub(crate) async fn stopped<S: Site>() {
    let Some(world) = World::<S>::begin().await else {
        return;
    };
    world.fleet.site.stop();
    world.cut_off().await;
    world.fleet.site.restart();
    world.goes_on(Verdict::Accepted).await;
}

/// The server keeps all connections and answers after every caller has given up.
pub(crate) async fn paused<S: Site>() {
    let Some(world) = World::<S>::begin().await else {
        return;
    };
    world.fleet.site.pause();
    world.cut_off().await;
    world.fleet.site.resume();
    world.goes_on(Verdict::Accepted).await;
}

pub(crate) async fn killed<S: Site>() {
    let Some(world) = World::<S>::begin().await else {
        return;
    };
    world.fleet.site.kill9();
    world.cut_off().await;
    world.fleet.site.restart();
    world.goes_on(Verdict::Accepted).await;
}

/// The server returns with an older copy of its data, without later acknowledged entries.
pub(crate) async fn killed_with_less_data<S: Site>() {
    let Some(world) = World::<S>::begin().await else {
        return;
    };
    let fleet = &world.fleet;
    fleet.site.kill9();
    fleet.site.keep("older");
    fleet.site.restart();
    let frank = fleet.here.log_in("frank").await;
    let grace = fleet.there.log_in("grace").await;
    fleet.here.revoke(&frank).await;
    let _ = fleet.there.tokens.revoke_all("grace").await.unwrap();
    fleet.have_ended(&frank).await;
    fleet.have_ended(&grace).await;
    let heidi = fleet.here.log_in("heidi").await;
    fleet.are_up_to_date().await;
    fleet.site.kill9();
    fleet.site.bring_back("older");
    world.cut_off().await;
    fleet.site.restart();
    world.goes_on(Verdict::Accepted).await;
    // The nodes have appended the lost entries again.
    let late = fleet.late_node().await;
    for node in [&fleet.here, &fleet.there, &late] {
        assert_eq!(node.verdict(&frank), Verdict::Revoked);
        assert_eq!(node.verdict(&grace), Verdict::Revoked);
        assert_eq!(node.verdict(&heidi), Verdict::Accepted);
    }
    fleet.nobody_came_back();
}

/// The server returns empty: stamps of the old incarnation are rejected.
pub(crate) async fn killed_without_data<S: Site>() {
    let Some(world) = World::<S>::begin().await else {
        return;
    };
    world.fleet.site.kill9();
    world.cut_off().await;
    world.fleet.forget().await;
    world.goes_on(Verdict::Revoked).await;
}

/// One node is disconnected from the log, and the other is not.
pub(crate) async fn one_node_cut_off<S: Site>() {
    let Some(world) = World::<S>::begin().await else {
        return;
    };
    let fleet = &world.fleet;
    let (here, there) = (&fleet.here, &fleet.there);
    fleet.proxy.isolate();
    here.revoke(&world.carol).await;
    let revocation = here.sessions.revoke(&world.other_session).await;
    assert_eq!(revocation.unwrap().effective, Revocation::Within(BOUND));
    assert_unavailable(&there.tokens.revoke(&world.bob).await);
    for seconds in 0..8 {
        let is_within = SECOND * seconds < BOUND;
        here.is_up_to_date(&fleet.clock).await;
        assert_eq!(here.verdict(&world.bob), Verdict::Accepted);
        assert_eq!(here.verdict(&world.carol), Verdict::Revoked);
        let expected = if is_within {
            [Verdict::Accepted, Verdict::Revoked]
        } else {
            [Verdict::Unavailable; 2]
        };
        let known = [&world.bob, &world.alice].map(|token| there.verdict(token));
        assert_eq!(known, expected, "after {seconds} s");
        // It cannot know, and rejects after the bound.
        assert_eq!(
            there.verdict(&world.carol),
            expected[0],
            "after {seconds} s"
        );
        let copied = there.accepts_session(&world.other_session).await;
        assert_eq!(copied, is_within, "after {seconds} s");
        assert!(there.accepts_session(&world.session).await);
        fleet.clock.advance(SECOND);
    }
    fleet.proxy.connect();
    world.goes_on(Verdict::Accepted).await;
}

/// A test for each fault, on a server.
macro_rules! on {
    ($site:ty) => {
        $crate::cases::on! { $site:
            stopped paused killed killed_with_less_data killed_without_data one_node_cut_off
        }
    };
    ($site:ty: $($case:ident)*) => {$(
        #[test]
        fn $case() {
            $crate::runtime::block_on($crate::cases::$case::<$site>());
        }
    )*};
}

pub(crate) use on;
