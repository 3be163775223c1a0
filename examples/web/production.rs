//! A service for production: configuration and keys from the environment, a hybrid over Redis, logs,
//! metrics, probes, routes for administrators and a graceful shutdown. The manual has a page on deploying,
//! which explains it.
//!
//! ```text
//! TOKEN_KEY=$(head -c 32 /dev/urandom | basenc --base64url -w0 | tr -d =) \
//! REDIS_URL=redis://127.0.0.1 cargo run --example production --features redis
//! ```
//!
//! The users are `alice` and the administrator `ann`. Both have the password `open sesame`.

use std::env;
use std::error::Error;
use std::iter::successors;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{Extension, Form, Json, Path, State};
use axum::http::{HeaderMap, StatusCode, header::USER_AGENT};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::delete, routing::get, routing::post};
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
use statewise::{Authenticator, Login, Observed, PublicId};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(std::io::stderr)
        // Colors only for a terminal: in a file, `grep login=` finds the field.
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = causes(&*error), "stopped by an error");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let pause = setting("DRAIN_SECONDS")?;
    let pause = pause
        .parse()
        .map_err(|_| format!("DRAIN_SECONDS is {pause:?}: write a whole number of seconds"))?;
    let pause = Duration::from_secs(pause);
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
    // Names each right and setting that the server lacks. During an outage the service starts all the same, and
    // is ready as soon as the server answers.
    match redis.check().await {
        Err(error) if error.is_unavailable() => {
            tracing::warn!(error = causes(&error), "Redis could not be checked");
        }
        checked => checked?,
    }
    // A requirement is never skipped: this one also fails during an outage.
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
    // Before the first request: without it, tokens are answered 503 until the upkeep has read the log.
    if let Err(error) = view.follow().await {
        // The line below then has a key that was retired as active.
        tracing::warn!(error = causes(&error), "the revocation log is not read");
    }
    // The id and the state of each key. Neither is secret.
    tracing::info!(keys = ?auth.key_states()?, "started");
    let auth = Arc::new(Observed::new(auth, observer));
    // Follows the log, and compares the clock of this node with that of Redis.
    let upkeep = tokio::spawn(auth.upkeep().run(tokio::time::sleep));

    // Administrators with a login within the last quarter of an hour.
    let admins = Require::authenticated().role("admin").fresh(15 * MINUTE);
    let administration = Router::new()
        .route("/users/{name}/revoke", post(revoke_user))
        .route("/users/{name}/devices/{id}", delete(end_device_of))
        .route("/keys/{kid}/retire", post(retire_key))
        .route("/revoke-everything", post(revoke_everything))
        .layer(admins)
        .with_state(Arc::clone(&auth));
    let devices = Router::new()
        .route("/devices", get(devices))
        .route("/devices/{id}", delete(end_device))
        .with_state(Arc::clone(&auth));
    let app = Router::new()
        .merge(devices)
        .nest("/admin", administration)
        .route("/token", post(token))
        .route("/refresh", post(refresh))
        .route("/me", get(me))
        .route("/logout", post(log_out))
        .layer(AuthLayer::new(auth.clone(), Transport::bearer())?);
    let mut terminated = signal(SignalKind::terminate())?;
    let listener = listen("ADDRESS").await?;
    println!("listening on http://{}", listener.local_addr()?);

    // On an address of its own, which only the platform reaches.
    let (probed, is_draining) = (Arc::clone(&auth), Arc::new(AtomicBool::new(false)));
    let drains = Arc::clone(&is_draining);
    let internal = Router::new()
        .route("/live", get(|| async { StatusCode::OK }))
        .route("/ready", get(move || ready(probed.clone(), drains.clone())))
        .route("/metrics", get(move || async move { prometheus.render() }));
    let internal_listener = listen("INTERNAL_ADDRESS").await?;
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

/// Writes an error and all of its causes on one line.
fn causes(error: &(dyn Error + 'static)) -> String {
    let causes = successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Listens on the address that a setting has.
async fn listen(name: &str) -> Result<TcpListener, Failure> {
    let address = setting(name)?;
    let listener = TcpListener::bind(&address).await;
    listener.map_err(|error| format!("{name} is {address:?}: {error}").into())
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

/// Answers the readiness probe, with the reason for an operator: only the platform reaches this route.
async fn ready(auth: impl Authenticator, is_draining: Arc<AtomicBool>) -> (StatusCode, String) {
    let reason = match auth.ready().await {
        Ok(()) if !is_draining.load(Ordering::Relaxed) => return (StatusCode::OK, String::new()),
        Ok(()) => "draining".to_owned(),
        Err(error) => {
            // Outages are in the log already.
            if error.is_misuse() {
                tracing::error!(error = causes(&error), "not ready");
            }
            causes(&error)
        }
    };
    (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n"))
}

#[derive(Deserialize)]
struct Given {
    user: String,
    password: String,
}

async fn token(
    sign_in: SignIn,
    headers: HeaderMap,
    Json(given): Json<Given>,
) -> Result<TokenResponse, Denial> {
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
    // Names the device in the list of devices and in the log.
    let agent = headers
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    let device: String = agent.unwrap_or("unknown").chars().take(100).collect();
    sign_in
        .issue_token(Login::new(given.user).roles(roles).device(device))
        .await
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: String,
}

async fn refresh(sign_in: SignIn, Form(given): Form<Refresh>) -> Result<TokenResponse, TokenError> {
    sign_in.refresh_token(&given.refresh_token).await
}

/// The user, and the public id of the login: support finds the lines of the log with it.
async fn me(caller: Auth) -> String {
    format!("{} {}\n", caller.subject(), caller.id())
}

/// Answers when the logout counts, such as `Within(5s)`. The page of the manual on logging out has a text for
/// the user with each answer.
async fn log_out(sign_in: SignIn) -> Result<String, Denial> {
    let effective = sign_in.revoke().await?;
    Ok(format!("{effective:?}\n"))
}

type Service<S> = State<Arc<Observed<HybridAuthenticator<S>>>>;

/// Lists the devices of the caller: the public id, and the text that the device sent.
async fn devices<S: SessionStore>(State(auth): Service<S>, caller: Auth) -> Result<String, Denial> {
    let (mut text, mut after) = (String::new(), None);
    loop {
        let page = auth.sessions(caller.subject(), after).await?;
        for login in &page.sessions {
            let device = login.device().unwrap_or("unknown");
            text += &format!("{} {device:?}\n", login.id());
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(text),
        }
    }
}

/// Ends one device of the caller. The id of another user's device ends nothing.
async fn end_device<S: SessionStore>(
    State(auth): Service<S>,
    caller: Auth,
    Path(id): Path<String>,
) -> Result<StatusCode, Denial> {
    end(&auth, caller.subject(), &id).await
}

async fn end<S: SessionStore>(
    auth: &Observed<HybridAuthenticator<S>>,
    user: &str,
    id: &str,
) -> Result<StatusCode, Denial> {
    let Ok(id) = id.parse::<PublicId>() else {
        return Ok(StatusCode::NOT_FOUND);
    };
    Ok(match auth.revoke_id(user, id).await?.count {
        0 => StatusCode::NOT_FOUND,
        _ => StatusCode::NO_CONTENT,
    })
}

/// Ends one device of a user.
async fn end_device_of<S: SessionStore>(
    State(auth): Service<S>,
    Extension(admin): Extension<Auth>,
    Path((name, id)): Path<(String, String)>,
) -> Result<StatusCode, Denial> {
    let (admin, login) = (admin.subject(), admin.id());
    tracing::info!(admin, %login, user = name, device = id, "an administrator ends a device");
    end(&auth, &name, &id).await
}

/// Logs a user out everywhere. The line of the log names the administrator before the call, so that a call that
/// fails has a name too. The authenticator then reports what the call did.
async fn revoke_user<S: SessionStore>(
    State(auth): Service<S>,
    Extension(admin): Extension<Auth>,
    Path(name): Path<String>,
) -> Result<String, Denial> {
    let (admin, login) = (admin.subject(), admin.id());
    tracing::info!(admin, %login, user = name, "an administrator logs a user out");
    let affected = auth.revoke_all(&name).await?;
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
) -> Result<Response, Denial> {
    let (admin, login) = (admin.subject(), admin.id());
    tracing::info!(admin, %login, kid, "an administrator retires a key");
    let keys = auth.inner().key_states()?;
    if !keys.iter().any(|(known, _)| *known == kid) {
        let text = format!("no key has the id {kid:?}; the keys are {keys:?}\n");
        return Ok((StatusCode::NOT_FOUND, text).into_response());
    }
    match auth.retire_key(&kid).await {
        // Without this key, no login would be possible. The text says what to do first.
        Err(error) if error.is_refused() => {
            Ok((StatusCode::CONFLICT, format!("{error}\n")).into_response())
        }
        answer => Ok(format!("{:?}\n", answer?).into_response()),
    }
}

/// Ends all logins of all users, those of the administrators too.
async fn revoke_everything<S: SessionStore>(
    State(auth): Service<S>,
    Extension(admin): Extension<Auth>,
) -> Result<String, Denial> {
    let (admin, login) = (admin.subject(), admin.id());
    tracing::info!(admin, %login, "an administrator ends all logins");
    let effective = auth.revoke_everything().await?;
    Ok(format!("{effective:?}\n"))
}
