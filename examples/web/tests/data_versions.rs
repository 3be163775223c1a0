//! Two versions of a service side by side: fields of the data are added, renamed and removed while
//! both run, and no user notices.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use statewise::hybrid::HybridAuthenticator;
use statewise::session::{SessionAuthenticator, SessionBuilder};
use statewise::store::MemoryStore;
use statewise::testkit::{ManualClock, block_on};
use statewise::token::{Key, TokenAuthenticator, TokenBuilder};
use statewise::{Authenticator, Login};

trait Data: Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static {}

impl<D: Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static> Data for D {}

/// Store, key and clock: all versions share them.
struct Fleet {
    store: Arc<MemoryStore>,
    key: Key,
    clock: ManualClock,
}

impl Fleet {
    fn new() -> Self {
        Self {
            store: Arc::new(MemoryStore::with_capacity(1_000).unwrap()),
            key: Key::generate_hs256().unwrap(),
            clock: ManualClock::default(),
        }
    }

    fn sessions<D>(&self) -> SessionBuilder<Arc<MemoryStore>, D> {
        SessionAuthenticator::builder(Arc::clone(&self.store))
            .idle(Duration::from_secs(1800))
            .absolute(Duration::from_secs(43_200))
            .clock(self.clock.clone())
            .with_data()
    }

    fn tokens<D>(&self) -> TokenBuilder<D> {
        TokenAuthenticator::builder(self.key.clone())
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(Duration::from_secs(900))
            .max_lifetime(Duration::from_secs(43_200))
            .clock(self.clock.clone())
            .with_data()
    }

    /// A login that `from` has issued is verified and refreshed by both versions, in turn.
    fn moves<D: Data, E: Data>(
        &self,
        from: &impl Authenticator<Data = D>,
        to: &impl Authenticator<Data = E>,
        data: &D,
    ) {
        block_on(async {
            let issued = from.issue(Login::new("alice").data(data.clone())).await;
            let issued = issued.unwrap();
            let mut access = issued.credential().reveal().to_owned();
            let mut refresh = issued.refreshable().reveal().to_owned();
            for round in 0..6 {
                from.verify(&access).await.unwrap();
                to.verify(&access).await.unwrap();
                self.clock.advance(Duration::from_secs(60));
                (access, refresh) = if round % 2 == 0 {
                    let issued = to.refresh(&refresh).await.unwrap();
                    (
                        issued.credential().reveal().to_owned(),
                        issued.refreshable().reveal().to_owned(),
                    )
                } else {
                    let issued = from.refresh(&refresh).await.unwrap();
                    (
                        issued.credential().reveal().to_owned(),
                        issued.refreshable().reveal().to_owned(),
                    )
                };
            }
        });
    }
}

/// Runs two versions side by side, with all strategies: each reads what the other has written.
fn side_by_side<D: Data, E: Data>(old: &D, new: &E) {
    let fleet = Fleet::new();
    let (one, two) = (
        fleet.sessions().build().unwrap(),
        fleet.sessions().build().unwrap(),
    );
    fleet.moves(&one, &two, old);
    fleet.moves(&two, &one, new);
    let (one, two) = (
        fleet.tokens().build().unwrap(),
        fleet.tokens().build().unwrap(),
    );
    fleet.moves(&one, &two, old);
    fleet.moves(&two, &one, new);
    let one = HybridAuthenticator::new(fleet.tokens(), fleet.sessions()).unwrap();
    let two = HybridAuthenticator::new(fleet.tokens(), fleet.sessions()).unwrap();
    fleet.moves(&one, &two, old);
    fleet.moves(&two, &one, new);
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Profile {
    tenant: u32,
}

/// One deployment: the new field has a default.
#[test]
fn a_field_is_added() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Next {
        tenant: u32,
        #[serde(default)]
        locale: Option<String>,
    }
    let locale = Some("de".to_owned());
    side_by_side(&Profile { tenant: 7 }, &Next { tenant: 7, locale });
}

/// Two deployments: first the old name stays and the new one is read too, then the new name is
/// written and the old one is read too.
#[test]
fn a_field_is_renamed() {
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Between {
        #[serde(alias = "organization")]
        tenant: u32,
    }
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Next {
        #[serde(alias = "tenant")]
        organization: u32,
    }
    side_by_side(&Profile { tenant: 7 }, &Between { tenant: 7 });
    side_by_side(&Between { tenant: 7 }, &Next { organization: 7 });
    // After that, no login of before is left, or the alias stays.
}

/// Two deployments: first the field gets a default, then it goes.
#[test]
fn a_field_is_removed() {
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Before {
        tenant: u32,
        theme: String,
    }
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Between {
        tenant: u32,
        #[serde(default)]
        theme: String,
    }
    let theme = || "dark".to_owned();
    let between = || Between {
        tenant: 7,
        theme: theme(),
    };
    side_by_side(
        &Before {
            tenant: 7,
            theme: theme(),
        },
        &between(),
    );
    side_by_side(&between(), &Profile { tenant: 7 });
}

/// A hook reads what serde's attributes cannot, also data that are absent; in the hybrid it is set in
/// either of the builders. Without the hook, nothing is lost.
#[test]
fn other_data_are_read_by_a_hook() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Next {
        tenants: Vec<u32>,
    }
    fn read(json: &[u8]) -> Option<Next> {
        let profile: Option<Profile> = serde_json::from_slice(json).ok()?;
        let tenants = profile.map(|profile| profile.tenant);
        Some(Next {
            tenants: tenants.into_iter().collect(),
        })
    }
    async fn reads<D: Data>(
        old: &impl Authenticator<Data = D>,
        new: &impl Authenticator<Data = Next>,
        data: D,
        expected: &[u32],
    ) {
        let issued = old.issue(Login::new("alice").data(data)).await.unwrap();
        let caller = new.verify(issued.credential().reveal()).await.unwrap();
        assert_eq!(caller.data().tenants, expected);
        let refreshed = new.refresh(issued.refreshable().reveal()).await.unwrap();
        assert_eq!(refreshed.identity().data().tenants, expected);
        // Reading changes nothing: the other version goes on.
        old.verify(refreshed.credential().reveal()).await.unwrap();
    }
    let fleet = Fleet::new();
    let profile = || Profile { tenant: 7 };
    block_on(async {
        let sessions = fleet.sessions().data_or_else(read).build().unwrap();
        reads(
            &fleet.sessions().build().unwrap(),
            &sessions,
            profile(),
            &[7],
        )
        .await;
        reads(&fleet.sessions().build().unwrap(), &sessions, (), &[]).await;
        let tokens = fleet.tokens().data_or_else(read).build().unwrap();
        reads(&fleet.tokens().build().unwrap(), &tokens, profile(), &[7]).await;
        reads(&fleet.tokens().build().unwrap(), &tokens, (), &[]).await;
        for in_sessions in [false, true] {
            let old = HybridAuthenticator::new(fleet.tokens(), fleet.sessions()).unwrap();
            let (mut tokens, mut sessions) = (fleet.tokens(), fleet.sessions());
            if in_sessions {
                sessions = sessions.data_or_else(read);
            } else {
                tokens = tokens.data_or_else(read);
            }
            let new = HybridAuthenticator::new(tokens, sessions).unwrap();
            reads(&old, &new, profile(), &[7]).await;
        }
        // A hook that cannot read either, and no hook.
        let issued = fleet.sessions().build().unwrap();
        let issued = issued
            .issue(Login::new("alice").data("text".to_owned()))
            .await;
        let issued = issued.unwrap();
        for auth in [sessions, fleet.sessions().build().unwrap()] {
            let error = auth.verify(issued.credential().reveal()).await.unwrap_err();
            assert!(error.is_unreadable(), "{error:?}");
            assert_eq!(error.unreadable_login(), Some(issued.identity().id()));
        }
    });
}
