//! Service behind the page: its files, the strategies, the panels, the clock and the store.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use statewise::Result;
use statewise::web::Denial;

use crate::panels;
use crate::reasons::add_reason;
use crate::strategies::{self, Inside};
use crate::world::{DAY, MINUTE, World};

struct Demo {
    world: World,
    inside: Inside,
}

/// Builds the whole service.
///
/// # Errors
///
/// An error of one of the builders.
pub fn router() -> Result<Router> {
    let world = World::default();
    let (strategies, inside) = strategies::routes(&world)?;
    let panels = panels::routes(&world)?;
    let demo = Router::new()
        .route("/demo/state", get(state))
        .route("/demo/wait", post(wait))
        .route("/demo/wait-day", post(wait_a_day))
        .route("/demo/stop", post(stop))
        .route("/demo/start", post(start))
        .with_state(Arc::new(Demo { world, inside }));
    Ok(strategies
        .merge(panels)
        .layer(from_fn(add_reason))
        .merge(demo)
        .merge(files()))
}

/// Files of the page, with their types.
fn files() -> Router {
    const SCRIPT: &str = "text/javascript";
    let file = |kind, text| get(move || file(kind, text));
    let page = include_str!("page/index.html");
    Router::new()
        .route("/", file("text/html; charset=utf-8", page))
        .route("/page.css", file("text/css", include_str!("page/page.css")))
        .route(
            "/icon.svg",
            file("image/svg+xml", include_str!("page/icon.svg")),
        )
        .route("/page.js", file(SCRIPT, include_str!("page/page.js")))
        .route("/cards.js", file(SCRIPT, include_str!("page/cards.js")))
        .route("/panels.js", file(SCRIPT, include_str!("page/panels.js")))
        .route("/round.js", file(SCRIPT, include_str!("page/round.js")))
        .route(
            "/sentences.js",
            file(SCRIPT, include_str!("page/sentences.js")),
        )
        .route(
            "/timeline.js",
            file(SCRIPT, include_str!("page/timeline.js")),
        )
}

async fn file(kind: &'static str, text: &'static str) -> Response {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let fields = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (fields, text).into_response()
}

impl Demo {
    async fn show(&self, headers: &HeaderMap) -> Result<Json<Value>, Denial> {
        Ok(Json(json!({
            "now": self.world.now().unix(),
            "passed": self.world.added_secs(),
            "stopped": self.world.stopped.load(Ordering::Relaxed),
            "inside": self.inside.show(headers, &self.world).await?,
        })))
    }

    async fn advance(&self, time: Duration, headers: &HeaderMap) -> Result<Json<Value>, Denial> {
        self.world.advance(time);
        self.inside.follow().await?;
        self.show(headers).await
    }

    /// Stops the store, so that every call of it fails, or starts it again, with all its data.
    async fn switch(&self, stopped: bool, headers: &HeaderMap) -> Result<Json<Value>, Denial> {
        self.world.stopped.store(stopped, Ordering::Relaxed);
        self.show(headers).await
    }
}

async fn state(State(demo): State<Arc<Demo>>, headers: HeaderMap) -> Result<Json<Value>, Denial> {
    demo.show(&headers).await
}

async fn wait(State(demo): State<Arc<Demo>>, headers: HeaderMap) -> Result<Json<Value>, Denial> {
    demo.advance(5 * MINUTE, &headers).await
}

async fn wait_a_day(
    State(demo): State<Arc<Demo>>,
    headers: HeaderMap,
) -> Result<Json<Value>, Denial> {
    demo.advance(DAY, &headers).await
}

async fn stop(State(demo): State<Arc<Demo>>, headers: HeaderMap) -> Result<Json<Value>, Denial> {
    demo.switch(true, &headers).await
}

async fn start(State(demo): State<Arc<Demo>>, headers: HeaderMap) -> Result<Json<Value>, Denial> {
    demo.switch(false, &headers).await
}
