//! A service for production: configuration and keys from the environment, a hybrid over Redis, logs,
//! metrics, probes, routes for administrators and a graceful shutdown. The manual has a page on deploying,
//! which explains it.
//!
//! ```text
//! TOKEN_KEY=$(head -c 32 /dev/urandom | basenc --base64url -w0 | tr -d =) \
//! REDIS_URL=redis://127.0.0.1 cargo run --example production --features redis
//! ```
//!
//! The users are `alice` and `ann`, who is an administrator. Both have the password `open sesame`.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{Extension, Form, Json, Path, State};
use axum::http::StatusCode;
use axum::{Router, routing::get, routing::post};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use serde::Deserialize;
use statewise::hybrid::HybridAuthenticator;
use statewise::observer::{MetricsObserver, Observer, TracingObserver};
use statewise::revocation::RevocationView;
use statewise::session::{Limit, SessionAuthenticator};
use statewise::store::Redis;
use statewise::store::contract::SessionStore;
use statewise::token::{Algorithm, Key, Keyring, TokenAuthenticator};
use statewise::web::{
    Auth, AuthLayer, Denial, Require, SignIn, TokenError, TokenResponse, Transport,
};
use statewise::{Authenticator, Login, Observed};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(std::io::stderr)
        .init();
    let prometheus = PrometheusBuilder::new()
        .set_buckets_for_metric(
            Matcher::Prefix("statewise_duration".to_owned()),
            &[0.000_1, 0.001, 0.01, 0.1, 1.0, 2.5],
        )?
        .install_recorder()?;
    // Install the recorder first: `new` describes the metrics to it, and begins the counters.
    let observers = (TracingObserver::new(), MetricsObserver::new());
    let observer: Arc<dyn Observer> = Arc::new(observers);

    // Opens a new connection after a failover: the name in the address leads to the primary.
    let client = redis::Client::open(setting("REDIS_URL")?)?;
    let redis = Redis::connect(move || {
        let client = client.clone();
        async move { client.get_multiplexed_async_connection().await }
    })
    .prefix("shop:")
    .observer(Arc::clone(&observer))
    .build()?;
    // Names each right and setting that the server lacks.
    redis.check().await?;
    if is_on("REQUIRE_DURABLE")? {
        redis.require_durable().await?;
    }

    let view = RevocationView::builder(redis.revocations())
        .max_lifetime(90 * DAY)
        .build()?;
    let auth = HybridAuthenticator::new(
        TokenAuthenticator::builder(keys()?)
            .issuer("https://auth.shop.example")
            .audience("shop")
            .lifetime(10 * MINUTE)
            .revocations(&view),
        SessionAuthenticator::builder(redis.sessions())
            .idle(14 * DAY)
            .absolute(90 * DAY)
            .limit(Limit::EvictLeastRecentlyUsed(20)),
    )?;
    // Which key signs, and which ones are known. Their ids are no secret.
    tracing::info!(keys = ?auth.key_states()?, "started");
    let auth = Arc::new(Observed::new(auth, observer));
    // Follows the log, and compares the clock of this node with that of Redis.
    let upkeep = tokio::spawn(auth.upkeep().run(tokio::time::sleep));

    // An administrator who has logged in within the last quarter of an hour.
    let admins = Require::authenticated().role("admin").fresh(15 * MINUTE);
    let administration = Router::new()
        .route("/users/{name}/revoke", post(revoke_user))
        .route("/keys/{kid}/retire", post(retire_key))
        .layer(admins)
        .with_state(Arc::clone(&auth));
    let app = Router::new()
        .nest("/admin", administration)
        .route("/token", post(token))
        .route("/refresh", post(refresh))
        .route("/me", get(me))
        .route("/logout", post(log_out))
        .layer(AuthLayer::new(auth.clone(), Transport::bearer())?);
    let pause = Duration::from_secs(setting("DRAIN_SECONDS")?.parse()?);
    let mut terminated = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(setting("ADDRESS")?).await?;
    println!("listening on http://{}", listener.local_addr()?);

    // On an address of its own, which only the platform reaches.
    let (probed, is_draining) = (Arc::clone(&auth), Arc::new(AtomicBool::new(false)));
    let drains = Arc::clone(&is_draining);
    let internal = Router::new()
        .route("/live", get(|| async { StatusCode::OK }))
        .route("/ready", get(move || ready(probed.clone(), drains.clone())))
        .route("/metrics", get(move || async move { prometheus.render() }));
    let internal_listener = TcpListener::bind(setting("INTERNAL_ADDRESS")?).await?;
    println!("internal on http://{}", internal_listener.local_addr()?);
    tokio::spawn(async move { axum::serve(internal_listener, internal).await });

    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            terminated.recv().await;
            // From now on `/ready` says 503. Requests are still answered until the load balancer has
            // noticed. A second signal ends this pause.
            is_draining.store(true, Ordering::Relaxed);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = terminated.recv() => {}
            }
        })
        .await?;

    // After the last request: write what the store has buffered.
    upkeep.abort();
    let _ = upkeep.await;
    auth.upkeep().finish().await?;
    println!("stopped");
    Ok(())
}

/// Reads a setting. Some have a default.
fn setting(name: &str) -> Result<String, Failure> {
    match (env::var(name), name) {
        (Ok(value), _) => Ok(value),
        (Err(_), "ADDRESS") => Ok("127.0.0.1:3000".to_owned()),
        (Err(_), "INTERNAL_ADDRESS") => Ok("127.0.0.1:9000".to_owned()),
        (Err(_), "DRAIN_SECONDS") => Ok("10".to_owned()),
        (Err(_), _) => Err(format!("{name} is not set").into()),
    }
}

/// Reads a setting that is on or off. Default: off. Another value is an error: a typing error must not
/// switch off a requirement.
fn is_on(name: &str) -> Result<bool, Failure> {
    match env::var(name).as_deref() {
        Err(_) | Ok("0" | "false" | "off") => Ok(false),
        Ok("1" | "true" | "on") => Ok(true),
        Ok(other) => Err(format!("{name} is {other:?}: write 1 or 0").into()),
    }
}

/// The key that signs, a spare, and the one that signed before. To rotate, restart the nodes with
/// the spare as `TOKEN_KEY`, the present key as `TOKEN_KEY_OLD`, and a new `TOKEN_KEY_SPARE`.
fn keys() -> Result<Keyring, Failure> {
    let key = |name: &str| match env::var(name) {
        Ok(text) => match Key::from_text(Algorithm::HS256, &text) {
            Ok(key) => Ok(Some(key)),
            Err(error) => Err(format!("{name}: {error}")),
        },
        Err(_) => Ok(None),
    };
    let mut ring = Keyring::new(key("TOKEN_KEY")?.ok_or("TOKEN_KEY is not set")?);
    if let Some(old) = key("TOKEN_KEY_OLD")? {
        ring = ring.verify_with(old);
    }
    if let Some(spare) = key("TOKEN_KEY_SPARE")? {
        ring = ring.spare(spare);
    }
    Ok(ring)
}

async fn ready(auth: impl Authenticator, is_draining: Arc<AtomicBool>) -> StatusCode {
    match auth.ready().await {
        Ok(()) if !is_draining.load(Ordering::Relaxed) => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[derive(Deserialize)]
struct Given {
    user: String,
    password: String,
}

async fn token(sign_in: SignIn, Json(given): Json<Given>) -> Result<TokenResponse, Denial> {
    // Your service loads the user from its database, and compares with the hash of the password.
    let roles: &[&str] = match given.user.as_str() {
        "alice" => &[],
        "ann" => &["admin"],
        _ => return Err(Denial::Unproven),
    };
    if given.password != "open sesame" {
        // The log names the user: it is one of ours, and not a password in the wrong field.
        return Err(sign_in.failed(&given.user));
    }
    sign_in
        .issue_token(Login::new(given.user).roles(roles))
        .await
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: String,
}

async fn refresh(sign_in: SignIn, Form(given): Form<Refresh>) -> Result<TokenResponse, TokenError> {
    sign_in.refresh_token(&given.refresh_token).await
}

async fn me(caller: Auth) -> String {
    caller.subject().to_owned()
}

async fn log_out(sign_in: SignIn) -> Result<StatusCode, Denial> {
    let _when = sign_in.revoke().await?;
    Ok(StatusCode::NO_CONTENT)
}

type Service<S> = State<Arc<Observed<HybridAuthenticator<S>>>>;

/// Logs a user out everywhere. The authenticator reports the logout, and the line here who did it.
async fn revoke_user<S: SessionStore>(
    State(auth): Service<S>,
    Extension(admin): Extension<Auth>,
    Path(name): Path<String>,
) -> Result<String, Denial> {
    let affected = auth.revoke_all(&name).await?;
    tracing::info!(admin = admin.subject(), user = name, "logged a user out");
    Ok(format!(
        "{:?} logins, {:?}\n",
        affected.count, affected.effective
    ))
}

/// Retires a leaked key on every node. The tokens that it has signed end within the bound of the view.
async fn retire_key<S: SessionStore>(
    State(auth): Service<S>,
    Extension(admin): Extension<Auth>,
    Path(kid): Path<String>,
) -> Result<String, Denial> {
    let effective = auth.retire_key(&kid).await?;
    tracing::info!(admin = admin.subject(), kid, "retired a key");
    Ok(format!("{effective:?}\n"))
}
