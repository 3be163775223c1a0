//! A login by a link that works once. The thief reads the mail too.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use statewise::Result;
use statewise::tickets::Tickets;
use statewise::web::{Cookie, Denial, SignIn, Transport};

use crate::store::DemoStore;
use crate::thief::{answer, request};
use crate::world::{MINUTE, USER, World};

#[derive(Clone)]
struct Panel {
    links: Arc<Tickets<DemoStore>>,
    /// Text of the link in the mail, which Alice and the thief have read.
    mailed: Arc<Mutex<Option<String>>>,
}

impl Panel {
    fn put(&self, link: String) {
        *self.mailed.lock().unwrap_or_else(PoisonError::into_inner) = Some(link);
    }

    fn link(&self) -> Option<String> {
        let mailed = self.mailed.lock().unwrap_or_else(PoisonError::into_inner);
        mailed.clone()
    }
}

pub(crate) fn routes(world: &World) -> Result<Router> {
    let store = world.store()?;
    let links = Tickets::builder(store.clone())
        .purpose("login-link")
        .lifetime(15 * MINUTE)
        .clock(world.clock.clone())
        .build()?;
    let links = Arc::new(links);
    let auth = world.sessions(store).also_ends(links.clone()).build()?;
    let cookie = Cookie::builder().name("__Host-link").build()?;
    let panel = Panel {
        links,
        mailed: Arc::default(),
    };
    // The request says nothing about its sender: both have the same link.
    let service = Router::new()
        .route("/open", post(open))
        .with_state(panel.clone())
        .layer(world.layer(Arc::new(auth), Transport::cookie(cookie))?);
    let of_thief = service.clone();
    let thief = || async move { open_as_thief(of_thief).await };
    Ok(Router::new()
        .route("/mail", post(mail))
        .with_state(panel)
        .route("/thief", post(thief))
        .merge(service))
}

async fn mail(State(panel): State<Panel>) -> Result<(), Denial> {
    let ticket = panel.links.issue(USER, ()).await?;
    panel.put(ticket.credential().reveal().to_owned());
    Ok(())
}

async fn open(State(panel): State<Panel>, sign_in: SignIn) -> Result<Json<Value>, Denial> {
    let link = panel.link().ok_or(Denial::Absent)?;
    let begun = sign_in.begin().await?;
    let (_, login) = panel.links.redeem_login(begun, &link, None).await?;
    let caller = sign_in.issue(login).await?;
    Ok(Json(json!({ "user": caller.subject() })))
}

async fn open_as_thief(service: Router) -> Response {
    answer(service, request(Method::POST, "/open")).await
}
