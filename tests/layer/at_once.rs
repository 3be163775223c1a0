//! Concurrent acts of one request: in every order, the cookie, the caller and the only live login
//! belong to the same user.

use std::task::{Context, Poll};

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::Request;
use statewise::authenticator::BoxFuture;
use statewise::testkit::{ManualClock, block_on, interleave, seed};
use statewise::web::SignIn;
use statewise::{Authenticator, Login};
use tower_layer::Layer;
use tower_service::Service;

use crate::site::{Browser, layer, live, transport, yielding};

const ROUNDS: u64 = 500;

#[derive(Clone, Copy, Debug)]
enum Act {
    LogIn(&'static str),
    Token(&'static str),
    Refresh,
    LogOut,
}

/// Service that performs all acts concurrently and returns the caller.
#[derive(Clone)]
struct AtOnce {
    acts: &'static [Act],
    seed: u64,
}

async fn act(sign_in: &SignIn, act: Act) {
    // An act may be denied because of another one.
    let _ = match act {
        Act::LogIn(user) => sign_in.issue(Login::new(user)).await.map(drop),
        Act::Token(user) => sign_in.issue_token(Login::new(user)).await.map(drop),
        Act::Refresh => sign_in.refresh().await.map(drop),
        Act::LogOut => sign_in.revoke().await.map(drop),
    };
}

impl Service<Request<Body>> for AtOnce {
    type Response = Response;
    type Error = String;
    type Future = BoxFuture<'static, Result<Response, String>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { acts, seed } = self.clone();
        Box::pin(async move {
            let sign_in = SignIn::<()>::of(request.extensions()).map_err(|e| e.to_string())?;
            let futures = acts.iter().map(|one| {
                let future: BoxFuture<'_, ()> = Box::pin(act(&sign_in, *one));
                future
            });
            interleave(seed, futures.collect()).await;
            Ok(match sign_in.verify().await {
                Ok(caller) => caller.subject().to_owned().into_response(),
                Err(_) => "anonymous".into_response(),
            })
        })
    }
}

fn hold(acts: &'static [Act]) {
    let first = seed();
    for round in 0..ROUNDS {
        let seed = first.wrapping_add(round);
        let auth = yielding(&ManualClock::default());
        let site = layer(auth.clone(), transport());
        let old = block_on(auth.issue(Login::new("alice"))).unwrap();
        let mut browser = Browser::before(site.layer(AtOnce { acts, seed }));
        browser.plant(old.credential().reveal());
        let answer = browser.post("/", &[]);

        let context = format!("{acts:?}, seed {seed}: {answer:?}");
        let live: Vec<&str> = ["alice", "bob", "carol"]
            .into_iter()
            .flat_map(|user| std::iter::repeat_n(user, live(&auth, user)))
            .collect();
        assert!(live.len() <= 1, "{live:?}: {context}");
        match browser.cookie("__Host-id") {
            Some(credential) => {
                let caller = block_on(auth.verify(&credential)).unwrap();
                assert_eq!(caller.subject(), answer.body, "{context}");
                assert_eq!(live, [caller.subject()], "{context}");
            }
            None => {
                let in_body = acts.iter().any(|act| matches!(act, Act::Token(_)));
                assert!(in_body || live.is_empty(), "{live:?}: {context}");
                assert_eq!(
                    live.first().copied().unwrap_or("anonymous"),
                    answer.body,
                    "{context}"
                );
            }
        }
    }
}

#[test]
fn two_concurrent_logins_leave_one() {
    hold(&[Act::LogIn("bob"), Act::LogIn("carol")]);
    hold(&[Act::LogIn("bob"), Act::Token("carol")]);
}

#[test]
fn a_concurrent_login_and_logout_agree() {
    hold(&[Act::LogIn("bob"), Act::LogOut]);
    hold(&[Act::Token("bob"), Act::LogOut]);
}

#[test]
fn a_concurrent_login_and_refresh_agree() {
    hold(&[Act::LogIn("bob"), Act::Refresh]);
    hold(&[
        Act::LogIn("bob"),
        Act::Refresh,
        Act::LogOut,
        Act::LogIn("carol"),
    ]);
}
