//! API keys: a user logs in, makes keys for scripts, lists, renames and revokes them. A script calls the API with a
//! key, for the scopes that the key has. A key that is found in public is reported, and ends.
//!
//! ```text
//! cargo run --example api_keys
//! ```
//!
//! The user is `alice`, the password `open sesame`. Try it with curl 7.82 or newer:
//!
//! ```text
//! curl -si http://127.0.0.1:3000/articles                               # 401
//! curl -si -c jar -d user=alice -d 'password=open sesame' http://127.0.0.1:3000/login   # 200
//! curl -si -b jar --json '{"name":"CI","scopes":["read"]}' http://127.0.0.1:3000/keys | tee made   # 200
//! sed -n 's/.*"key":"\([^"]*\)".*/Authorization: Bearer \1/p' made > key
//! curl -si -H @key http://127.0.0.1:3000/articles                       # 200
//! curl -si -H @key -d 'a new article' http://127.0.0.1:3000/articles    # 403
//! sed 's/Bearer acme/Bearer acne/' key > typo
//! curl -si -H @typo http://127.0.0.1:3000/articles                      # 401
//! ```
//!
//! A key makes no keys, and no user makes one with a scope that the user lacks:
//!
//! ```text
//! curl -si -H @key --json '{"name":"CI 2","scopes":["read"]}' http://127.0.0.1:3000/keys   # 403
//! curl -si -H @key http://127.0.0.1:3000/keys                           # 403
//! curl -si -b jar --json '{"name":"CI 2","scopes":["admin"]}' http://127.0.0.1:3000/keys   # 403
//! ```
//!
//! The list shows when each key was last used. A logout of the user keeps the keys:
//!
//! ```text
//! sed -n 's/.*"id":"\([^"]*\)".*/\1/p' made > id
//! curl -si -b jar -X PUT -d name=laptop http://127.0.0.1:3000/keys/$(cat id)   # 200
//! curl -si -b jar http://127.0.0.1:3000/keys                            # 200
//! curl -si -b jar --json '{"name":"old","scopes":["read","write"]}' http://127.0.0.1:3000/keys | tee second   # 200
//! sed -n 's/.*"id":"\([^"]*\)".*/\1/p' second > other
//! curl -si -b jar -X DELETE http://127.0.0.1:3000/keys/$(cat other)     # 200
//! sed -n 's/.*"key":"\([^"]*\)".*/Authorization: Bearer \1/p' second > ended
//! curl -si -H @ended http://127.0.0.1:3000/articles                     # 401
//! curl -si -c jar -b jar -X POST http://127.0.0.1:3000/logout           # 200
//! curl -si -H @key http://127.0.0.1:3000/articles                       # 200
//! ```
//!
//! A scanner for secrets finds the key in public:
//!
//! ```text
//! sed 's/.*Bearer \(.*\)/[{"token":"\1"},{"token":"acme_pat_of_a_tutorial"}]/' key > report
//! curl -si --json @report http://127.0.0.1:3000/leaked                  # 200
//! curl -si -H @key http://127.0.0.1:3000/articles                       # 401
//! ```

mod passwords;
mod serve;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use statewise::api_keys::ApiKeys;
use statewise::either::Either;
use statewise::session::{Session, SessionAuthenticator};
use statewise::store::MemoryStore;
use statewise::web::{Auth, AuthLayer, Cookie, Denial, SignIn, Transport};
use statewise::{Authenticator as _, Login, PublicId};

use passwords::{Credentials, Passwords};

const DAY: Duration = Duration::from_secs(24 * 3600);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// State that handlers share.
struct App {
    keys: Arc<ApiKeys<Arc<MemoryStore>>>,
    passwords: Passwords,
}

type Known = State<Arc<App>>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // Sessions and keys have one store, and do not meet in it.
    let store = Arc::new(MemoryStore::with_capacity(100_000)?);
    let sessions = SessionAuthenticator::builder(store.clone())
        .idle(DAY / 48)
        .absolute(DAY / 2)
        .build()?;
    let keys = ApiKeys::builder(store)
        .prefix("acme_pat")
        .longest(365 * DAY)
        .unused(90 * DAY)
        .build()?;
    let keys = Arc::new(keys);
    // Sessions in cookies, and keys in `Authorization`, on the same routes.
    let auth = Arc::new(Either::builder(sessions, keys.clone()).build()?);
    tokio::spawn(auth.upkeep().run(tokio::time::sleep));
    let passwords = Passwords::of(&[("alice", "open sesame")])?;
    let router = Router::new()
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .route("/articles", get(read).post(write))
        .route("/keys", get(list).post(make))
        .route("/keys/{id}", put(rename).delete(revoke))
        .route("/leaked", post(leaked))
        .layer(AuthLayer::new(auth, Transport::both(Cookie::default()))?)
        .with_state(Arc::new(App { keys, passwords }));
    Ok(serve::serve(router).await?)
}

/// A user has all roles that a key can have as its scopes.
async fn log_in(app: Known, sign_in: SignIn, form: Form<Credentials>) -> Result<String, Denial> {
    if !app.passwords.check(&form).await? {
        return Err(Denial::Unproven);
    }
    let login = Login::new(&form.user).roles(["read", "write"]);
    let caller = sign_in.issue(login).await?;
    Ok(format!("welcome {}\n", caller.subject()))
}

async fn log_out(sign_in: SignIn) -> Result<String, Denial> {
    Ok(format!("{:?}\n", sign_in.revoke().await?))
}

async fn read(caller: Auth) -> Result<String, Denial> {
    caller.require_role("read")?;
    // A real service limits the requests of each key here, by `caller.id()`.
    Ok(format!("articles of {}\n", caller.subject()))
}

async fn write(caller: Auth, article: String) -> Result<String, Denial> {
    caller.require_role("write")?;
    Ok(format!("{} has written: {article}\n", caller.subject()))
}

#[derive(Deserialize)]
struct NewKey {
    name: String,
    scopes: Vec<String>,
}

/// A new key. It is shown this one time.
#[derive(Serialize)]
struct Made {
    key: String,
    #[serde(flatten)]
    listed: Listed,
}

/// A key in the list.
#[derive(Serialize)]
struct Listed {
    name: Option<String>,
    scopes: Vec<String>,
    last_used: String,
    expires: String,
    id: PublicId,
}

impl From<&Session> for Listed {
    fn from(key: &Session) -> Self {
        Self {
            name: key.device().map(str::to_owned),
            scopes: key.roles().map(str::to_owned).collect(),
            last_used: key.last_seen_at().to_string(),
            expires: key.expires_at().to_string(),
            id: key.id(),
        }
    }
}

async fn make(app: Known, caller: Auth, new: Json<NewKey>) -> Result<Json<Made>, Denial> {
    caller.require_login()?;
    for scope in &new.scopes {
        caller.require_role(scope)?;
    }
    let key = Login::new(caller.subject())
        .roles(&new.scopes)
        .device(&new.name);
    // Not by `SignIn`, which would end the session of the user.
    let made = app.keys.issue(key).await?;
    let identity = made.identity();
    Ok(Json(Made {
        key: made.credential().reveal().to_owned(),
        listed: Listed {
            name: identity.device().map(str::to_owned),
            scopes: identity.roles().map(str::to_owned).collect(),
            last_used: identity.issued_at().to_string(),
            expires: identity.expires_at().to_string(),
            id: identity.id(),
        },
    }))
}

async fn list(app: Known, caller: Auth) -> Result<Json<Vec<Listed>>, Denial> {
    caller.require_login()?;
    // One page is enough: it holds up to 100 keys, and a user has at most 50.
    let page = app.keys.keys(caller.subject(), None).await?;
    Ok(Json(page.sessions.iter().map(Listed::from).collect()))
}

#[derive(Deserialize)]
struct NewName {
    name: String,
}

async fn rename(
    app: Known,
    caller: Auth,
    Path(id): Path<PublicId>,
    new: Form<NewName>,
) -> Result<Result<Json<Listed>, StatusCode>, Denial> {
    caller.require_login()?;
    // Keys of the caller only.
    let renamed = app.keys.rename(caller.subject(), id, &new.name).await?;
    let renamed = renamed.as_ref().map(|key| Json(Listed::from(key)));
    Ok(renamed.ok_or(StatusCode::NOT_FOUND))
}

async fn revoke(
    app: Known,
    caller: Auth,
    Path(id): Path<PublicId>,
) -> Result<Result<String, StatusCode>, Denial> {
    caller.require_login()?;
    let removed = app.keys.revoke_id(caller.subject(), id).await?;
    Ok(match removed.count {
        0 => Err(StatusCode::NOT_FOUND),
        _ => Ok(format!("{:?}\n", removed.effective)),
    })
}

/// A text that a scanner has found: the form of GitHub's secret scanning, which signs its reports. A
/// real service verifies that signature, so that only the scanner can call it.
#[derive(Deserialize)]
struct Found {
    token: String,
}

async fn leaked(app: Known, report: Json<Vec<Found>>) -> Result<String, Denial> {
    let mut ended = 0;
    for found in &report.0 {
        if let Some(logout) = app.keys.leaked(&found.token).await? {
            ended += 1;
            // A real service writes an e-mail. `Observed` also reports the end of the key.
            let user = logout.login().map(|key| key.subject().to_owned());
            println!("a key of {} has leaked", user.unwrap_or_default());
        }
    }
    Ok(format!("{ended} of {} keys ended\n", report.len()))
}
