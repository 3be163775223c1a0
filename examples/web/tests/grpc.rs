//! The example `grpc`: a tonic client calls a tonic service behind the layer.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

#[allow(dead_code, reason = "the main function is not called")]
#[path = "../grpc.rs"]
mod example;
mod support;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::testkit::{Fault, FaultyStore, ManualClock, Method};
use statewise::{Authenticator, Login};
use tokio::net::TcpListener;
use tonic::Code;
use tonic::transport::Channel;

use example::{connect, greet, serve};
use support::program;

const MINUTE: Duration = Duration::from_secs(60);

struct TestService {
    auth: Arc<SessionAuthenticator<FaultyStore<MemoryStore>>>,
    clock: ManualClock,
    client: Channel,
}

impl TestService {
    /// Starts a server, which ends with the runtime of the test.
    async fn start() -> Self {
        let store = FaultyStore::new(MemoryStore::with_capacity(100).unwrap());
        let clock = ManualClock::default();
        let auth = SessionAuthenticator::builder(store)
            .idle(30 * MINUTE)
            .absolute(60 * MINUTE)
            .clock(clock.clone())
            .build();
        let auth = Arc::new(auth.unwrap());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, auth.clone()));
        let client = connect(address).await.unwrap();
        Self {
            auth,
            clock,
            client,
        }
    }

    async fn log_in(&self, login: Login) -> String {
        let issued = self.auth.issue(login).await.unwrap();
        issued.credential().reveal().to_owned()
    }

    async fn call(&self, service: &str, token: &str) -> Result<String, Code> {
        let answer = greet(&self.client, service, Some(token)).await;
        answer.map_err(|status| status.code())
    }
}

#[tokio::test]
async fn a_caller_is_greeted_by_name() {
    let server = TestService::start().await;
    let alice = server.log_in(Login::new("alice").role("admin")).await;
    let bob = server.log_in(Login::new("bob")).await;
    for (service, token, greeting) in [
        ("Members", &alice, "hello, alice"),
        ("Members", &bob, "hello, bob"),
        ("Admins", &alice, "hello, alice"),
    ] {
        assert_eq!(server.call(service, token).await.as_deref(), Ok(greeting));
    }
}

#[tokio::test]
async fn without_a_credential_a_call_is_unauthenticated() {
    let server = TestService::start().await;
    for service in ["Members", "Admins"] {
        let status = greet(&server.client, service, None).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(server.auth.store().calls(), 0, "no store was asked");
    }
}

#[tokio::test]
async fn an_ended_or_expired_login_is_unauthenticated() {
    let server = TestService::start().await;
    let token = server.log_in(Login::new("alice")).await;
    let other = server.log_in(Login::new("bob")).await;
    let _ = server.auth.revoke(&token).await.unwrap();
    let revoked = server.call("Members", &token).await;
    assert_eq!(revoked, Err(Code::Unauthenticated));
    assert!(server.call("Members", &other).await.is_ok());

    server.clock.advance(31 * MINUTE);
    let expired = server.call("Members", &other).await;
    assert_eq!(expired, Err(Code::Unauthenticated));
}

#[tokio::test]
async fn without_the_role_permission_is_denied() {
    let server = TestService::start().await;
    let token = server.log_in(Login::new("bob").role("editor")).await;
    let answer = server.call("Admins", &token).await;
    assert_eq!(answer, Err(Code::PermissionDenied));
}

#[tokio::test]
async fn an_outage_is_unavailable_and_then_ends() {
    let server = TestService::start().await;
    let token = server.log_in(Login::new("alice")).await;
    let store = server.auth.store();
    store.fail_nth_of(Method::Load, 1, Fault::Fails);
    let answer = server.call("Members", &token).await;
    assert_eq!(answer, Err(Code::Unavailable));
    assert!(server.call("Members", &token).await.is_ok());
}

#[test]
fn its_program_prints_the_status_of_each_call() {
    let output = Command::new(program::example("grpc")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "no credential: Unauthenticated (16)\n\
         alice: hello, alice\n\
         alice, an admin: hello, alice\n\
         bob, not an admin: PermissionDenied (7)\n\
         bob, logged out: Unauthenticated (16)\n",
    );
}
