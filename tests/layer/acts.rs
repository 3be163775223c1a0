//! Service with one act per path, for any framework.

#![allow(
    clippy::future_not_send,
    reason = "each framework decides what it sends between threads"
)]

use std::time::Duration;

use statewise::web::{Auth, Denial, SignIn, TokenError, TokenResponse, Visitor};
use statewise::{Edit, Login, Revocation};

use crate::world::Kept;

/// Request of a framework. Callers are extracted as arguments of a handler.
pub(crate) trait Asked {
    fn path(&self) -> String;
    fn header(&self, name: &str) -> Option<String>;
    /// Returns all header fields as `Debug` prints them.
    fn printed_fields(&self) -> String;
    fn sign_in(&self) -> Result<SignIn, Denial>;
    async fn caller<D: Send + Sync + 'static>(&mut self) -> Result<Auth<D>, Denial>;
    async fn maybe(&mut self) -> Result<Option<Auth>, Denial>;
    async fn visitor(&mut self) -> Result<Visitor, Denial>;
    /// Returns the caller that a guard has put into the extensions.
    fn admitted(&self) -> Option<Auth>;
    fn kept(&self) -> Kept;
}

/// Response of an act.
pub(crate) enum Reply {
    Page {
        status: u16,
        fields: Vec<(&'static str, String)>,
        body: String,
    },
    Token(TokenResponse),
    Unrefreshed(TokenError),
    Denied(Denial),
    /// The response to a denial, with the status changed to 303 by the handler.
    Redirected(Denial),
}

impl Reply {
    fn text(body: impl Into<String>) -> Self {
        Self::Page {
            status: 200,
            fields: Vec::new(),
            body: body.into(),
        }
    }

    fn status(status: u16) -> Self {
        Self::Page {
            status,
            fields: Vec::new(),
            body: String::new(),
        }
    }

    fn named<D>(caller: &Auth<D>) -> Self {
        Self::text(caller.subject())
    }

    fn printed(revocation: Revocation) -> Self {
        Self::text(format!("{revocation:?}"))
    }

    fn with(mut self, more: &[(&'static str, &str)]) -> Self {
        if let Self::Page { fields, .. } = &mut self {
            fields.extend(
                more.iter()
                    .map(|(name, value)| (*name, (*value).to_owned())),
            );
        }
        self
    }
}

/// Performs the act of the path. The field `x-then` changes how the request ends.
pub(crate) async fn act(mut request: impl Asked) -> Result<Reply, String> {
    let then = request.header("x-then");
    let answer = act_of_path(&mut request).await;
    match then.as_deref() {
        Some("panic") => panic!("requested panic"),
        Some(code) if code.starts_with("grpc-") => {
            let code = code.trim_start_matches("grpc-");
            Ok(Reply::status(200).with(&[("grpc-status", code)]))
        }
        Some("error") => Err("requested error".to_owned()),
        Some(status) => Ok(Reply::status(status.parse().unwrap())),
        None => Ok(answer.unwrap_or_else(Reply::Denied)),
    }
}

async fn act_of_path(request: &mut impl Asked) -> Result<Reply, Denial> {
    let path = request.path();
    let (user, sent) = (request.header("x-user"), request.header("x-token"));
    Ok(match &*path {
        "/open" => Reply::text("open"),
        "/fields" => Reply::text(request.printed_fields()),
        "/private" | "/private-last" | "/private-quoted" => {
            let caller = request.caller::<()>().await?;
            let (cache, vary) = match &*path {
                "/private" => ("private, max-age=60", "Cookie"),
                "/private-quoted" => ("max-age=60, ext=\"a, private, b\"", "Cookie"),
                _ => ("max-age=60, private", "Accept, cookie"),
            };
            Reply::named(&caller).with(&[("cache-control", cache), ("vary", vary)])
        }
        "/targeted" => {
            request.caller::<()>().await?;
            Reply::text("").with(&[
                ("cache-control", "private, max-age=60"),
                ("cdn-cache-control", "public, max-age=60"),
                ("example-cache-control", "max-age=60"),
                ("edge-control", "max-age=60"),
                ("surrogate-control", "max-age=60"),
                ("x-accel-expires", "60"),
                ("x-cache", "kept"),
            ])
        }
        "/me" | "/auth/me" => Reply::named(&request.caller::<()>().await?),
        "/account" => {
            let caller = request.caller::<()>().await?;
            caller.require_login()?;
            Reply::named(&caller)
        }
        "/maybe" => match request.maybe().await? {
            Some(caller) => Reply::named(&caller),
            None => Reply::text("anonymous"),
        },
        "/visitor" | "/form" => {
            let visitor = request.visitor().await?;
            match visitor.caller() {
                Some(caller) => Reply::named(caller),
                None if visitor.was_logged_in() => Reply::text("former"),
                None => Reply::text("anonymous"),
            }
        }
        "/front" => match request.visitor().await {
            Ok(visitor) => Reply::text(
                visitor
                    .caller()
                    .map_or("anonymous", |caller| caller.subject()),
            ),
            Err(denial) if denial.status() == 503 => Reply::text("unknown"),
            Err(denial) => return Err(denial),
        },
        "/other" => Reply::named(&request.caller::<u32>().await?),
        "/me-other" => {
            request.caller::<()>().await?;
            Reply::named(&request.caller::<u32>().await?)
        }
        "/admitted" => Reply::named(&request.admitted().unwrap()),
        "/login" => log_in(request, &user.unwrap_or_default()).await?,
        "/keep" | "/keep-forever" | "/me-keep" | "/login-keep" => {
            match &*path {
                "/me-keep" => drop(request.sign_in()?.verify().await?),
                "/login-keep" => drop(log_in(request, "bob").await?),
                _ => {}
            }
            *request.kept().0.lock().unwrap() = Some(request.sign_in()?);
            if path == "/keep-forever" {
                std::future::pending::<()>().await;
            }
            Reply::text("kept")
        }
        "/login-twice" => {
            log_in(request, "first").await?;
            log_in(request, "second").await?
        }
        "/login-twice-me" => {
            log_in(request, "first").await?;
            let denied = log_in(request, "second").await.err().unwrap();
            let after = request.sign_in()?.verify().await.unwrap_err();
            Reply::text(format!("{denied}, {after}"))
        }
        "/login-refresh" => {
            log_in(request, "second").await?;
            Reply::named(&request.sign_in()?.refresh().await?)
        }
        "/login-logout" => {
            log_in(request, "first").await?;
            Reply::printed(request.sign_in()?.revoke().await?)
        }
        "/login-logout-all" => {
            log_in(request, "first").await?;
            Reply::printed(request.sign_in()?.revoke_all().await?.effective)
        }
        "/me-logout-me" => {
            let sign_in = request.sign_in()?;
            let before = sign_in.verify().await?.subject().to_owned();
            let _ = sign_in.revoke().await?;
            let after = sign_in.verify().await.unwrap_err().to_string();
            Reply::text(format!("{before}, {after}"))
        }
        "/wrong-password" => return Err(Denial::Unproven),
        "/wrong-password-of" => return Err(request.sign_in()?.failed(&user.unwrap())),
        "/wrong-code-of" => return Err(request.sign_in()?.failed_second_factor(&user.unwrap())),
        "/redirect" => Reply::Redirected(request.sign_in()?.verify().await.unwrap_err()),
        "/login-with-fields" => log_in(request, "alice").await?.with(&[
            ("cache-control", "private, max-age=60"),
            ("set-cookie", "__Host-id=planted; Path=/; Secure"),
            ("set-cookie", "__Host-id2=other; Path=/"),
        ]),
        "/login-clearing-itself" => {
            let reply = log_in(request, &user.unwrap()).await?;
            reply.with(&[("set-cookie", &sent.unwrap())])
        }
        "/token" => {
            let login = Login::new(user.unwrap());
            Reply::Token(request.sign_in()?.issue_token(login).await?)
        }
        "/refresh-token" => {
            let refreshed = request.sign_in()?.refresh_token(&sent.unwrap()).await;
            refreshed.map_or_else(Reply::Unrefreshed, Reply::Token)
        }
        "/auth/refresh" => Reply::named(&request.sign_in()?.refresh().await?),
        "/auth/logout-all" | "/auth/logout-others" => {
            let sign_in = request.sign_in()?;
            sign_in.refresh().await?;
            let ended = match &*path {
                "/auth/logout-all" => sign_in.revoke_all().await?,
                _ => sign_in.revoke_others().await?,
            };
            Reply::text(format!("{:?}", ended.count))
        }
        "/roles" => {
            let caller = request.caller::<()>().await?;
            Reply::text(caller.roles().collect::<Vec<_>>().join(" "))
        }
        "/promote" => Reply::named(&request.sign_in()?.update(promote).await?),
        "/rename" => {
            let sign_in = request.sign_in()?;
            let renamed = sign_in.update(|login| {
                login.device = Some("kitchen".to_owned());
                Ok(())
            });
            Reply::named(&renamed.await?)
        }
        "/step-up" => {
            let class = sent.unwrap_or_else(|| "aal2".to_owned());
            Reply::named(&request.sign_in()?.step_up(&class, LASTS).await?)
        }
        "/step-up-promote" => {
            let sign_in = request.sign_in()?;
            let promoted = sign_in.update(|login| {
                promote(login)?;
                login.step_up("aal2", LASTS)
            });
            Reply::named(&promoted.await?)
        }
        "/step-up-token" => Reply::Token(request.sign_in()?.step_up_token("aal2", LASTS).await?),
        "/step-up-logout" => {
            let sign_in = request.sign_in()?;
            sign_in.step_up("aal2", LASTS).await?;
            Reply::printed(sign_in.revoke().await?)
        }
        "/acr" => {
            let caller = request.caller::<()>().await?;
            Reply::text(caller.acr().unwrap_or("none"))
        }
        "/sensitive" => {
            let caller = request.caller::<()>().await?;
            caller.require_acr("aal2")?;
            Reply::named(&caller)
        }
        "/settings" => {
            let caller = request.caller::<()>().await?;
            caller.require_fresh(Duration::from_secs(300))?;
            Reply::named(&caller)
        }
        "/promote-rename" => {
            let sign_in = request.sign_in()?;
            sign_in.update(promote).await?;
            let renamed = sign_in.update(|login| {
                let roles = login.roles.join(" ");
                login.device = Some(format!("kitchen of {roles}"));
                Ok(())
            });
            let renamed = renamed.await?;
            Reply::text(renamed.device().unwrap_or_default())
        }
        "/device" => {
            let caller = request.caller::<()>().await?;
            Reply::text(caller.device().unwrap_or("none"))
        }
        "/step-up-rename" => {
            let sign_in = request.sign_in()?;
            sign_in.step_up("aal2", LASTS).await?;
            let renamed = sign_in.update(|login| {
                login.device = Some("kitchen".to_owned());
                Ok(())
            });
            Reply::text(renamed.await?.acr().unwrap_or("none"))
        }
        "/logout-others" => {
            let ended = request.sign_in()?.revoke_others().await?;
            Reply::text(format!("{:?}", ended.count))
        }
        "/login-logout-others" => {
            log_in(request, &user.unwrap()).await?;
            let ended = request.sign_in()?.revoke_others().await?;
            Reply::text(format!("{:?}", ended.count))
        }
        "/promote-all" => {
            let updated = request.sign_in()?.update_all("alice", promote).await?;
            Reply::text(format!("{:?}", updated.count))
        }
        "/login-promote" => {
            log_in(request, "alice").await?;
            Reply::named(&request.sign_in()?.update(promote).await?)
        }
        "/slow-login" => {
            let sign_in = request.sign_in()?;
            let begun = sign_in.begin().await?;
            let _ = sign_in.update_all("alice", promote).await?;
            let login = Login::new("alice").begun(begun);
            Reply::named(&sign_in.issue(login).await?)
        }
        "/auth/logout" | "/logout" => Reply::printed(request.sign_in()?.revoke().await?),
        "/auth/login-remembered" => {
            let login = Login::new(user.unwrap()).remember();
            Reply::named(&request.sign_in()?.issue(login).await?)
        }
        "/auth/remaining" => {
            let left = request.caller::<()>().await?.remaining()?;
            Reply::text(left.as_secs().to_string())
        }
        "/auth/login" => log_in(request, &user.unwrap()).await?,
        "/logout-all" => Reply::printed(request.sign_in()?.revoke_all().await?.effective),
        _ => Reply::status(404),
    })
}

/// Time for which a step-up lasts.
const LASTS: Duration = Duration::from_secs(600);

fn promote(login: &mut Edit) -> statewise::Result<()> {
    login.roles = vec!["admin".to_owned()];
    Ok(())
}

async fn log_in(request: &impl Asked, user: &str) -> Result<Reply, Denial> {
    let caller = request.sign_in()?.issue(Login::new(user)).await?;
    Ok(Reply::named(&caller))
}
