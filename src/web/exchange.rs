//! One request and its answer, as far as credentials are concerned.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::authenticator::{DynAuthenticator, Presented};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::issued::{Credential, Issued};
use crate::web::auth::Auth;
use crate::web::bearer::bearer;
use crate::web::cookie::Cookie;
use crate::web::denial::Denial;
use crate::web::found::Found;
use crate::web::headers::Headers;
use crate::web::origin::OriginPolicy;
use crate::web::transport::{Carried, Transport};

/// What all exchanges of a layer have in common.
pub(crate) struct Site<D> {
    pub(crate) auth: Arc<dyn DynAuthenticator<D>>,
    pub(crate) transport: Transport,
    /// `None` where any origin may act.
    pub(crate) origins: Option<OriginPolicy>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What an exchange has come to.
struct State<D> {
    /// Whether the answer depends on a credential, or hands one out.
    touched: bool,
    verified: Option<Result<Auth<D>, Denial>>,
    /// Whether that is by an act of this exchange, and not by what the request carries.
    settled: bool,
    cookies: Vec<SetCookie>,
    /// What was issued in this exchange, and is ended if it fails.
    issued: Vec<Credential>,
    /// Whether the head of the answer is being written, or nobody writes it any more: no cookie
    /// that is handed out from then on reaches anybody.
    closed: bool,
}

/// A cookie that the answer sets or removes.
pub(crate) struct SetCookie {
    pub(crate) name: Box<str>,
    pub(crate) value: String,
}

/// The credentials of one request, and what its answer does about them.
///
/// Values of header fields are shared and not copied, and looked at when somebody asks.
pub(crate) struct Exchange<D> {
    pub(crate) site: Arc<Site<D>>,
    cookies: Lines,
    authorization: Lines,
    /// Whether a cookie that was rejected may be removed.
    may_forget: bool,
    state: Mutex<State<D>>,
}

/// The values of one header field: mostly one.
#[derive(Default)]
struct Lines {
    first: Option<HeaderValue>,
    others: Vec<HeaderValue>,
}

impl Lines {
    /// Takes the values of a field, and marks them as secrets for whoever prints the request.
    fn take(headers: &mut HeaderMap, name: http::HeaderName) -> Self {
        let mut lines = Self::default();
        if let http::header::Entry::Occupied(mut entry) = headers.entry(name) {
            for value in entry.iter_mut() {
                value.set_sensitive(true);
                match &lines.first {
                    None => lines.first = Some(value.clone()),
                    Some(_) => lines.others.push(value.clone()),
                }
            }
        }
        lines
    }

    fn each<'a>(&'a self, each: &mut dyn FnMut(&'a [u8])) {
        let lines = self.first.iter().chain(&self.others);
        lines.for_each(|line| each(line.as_bytes()));
    }
}

impl<D> Headers for Exchange<D> {
    fn each<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        match name {
            "cookie" => self.cookies.each(each),
            "authorization" => self.authorization.each(each),
            _ => {}
        }
    }
}

impl<D: Send + Sync + 'static> Exchange<D> {
    pub(crate) fn begin(site: Arc<Site<D>>, headers: &mut HeaderMap, may_forget: bool) -> Self {
        let cookies = match site.transport.access() {
            Some(_) => Lines::take(headers, COOKIE),
            None => Lines::default(),
        };
        let authorization = match site.transport.reads_bearer() {
            true => Lines::take(headers, AUTHORIZATION),
            false => Lines::default(),
        };
        Self {
            site,
            cookies,
            authorization,
            may_forget,
            state: Mutex::new(State {
                touched: false,
                verified: None,
                settled: false,
                cookies: Vec::new(),
                issued: Vec::new(),
                closed: false,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<D>> {
        // Nothing under the lock runs code of others.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The credential that the request carries. From here on its answer depends on it.
    pub(crate) fn carried(&self) -> Result<Carried<'_>, Denial> {
        self.touch();
        self.read()
    }

    fn read(&self) -> Result<Carried<'_>, Denial> {
        self.site.transport.read(self, |value| self.accepts(value))
    }

    /// Whether a value has the shape of a credential.
    fn accepts(&self, value: &str) -> bool {
        self.site.auth.accepts_dyn(value)
    }

    pub(crate) fn touch(&self) {
        self.lock().touched = true;
    }

    /// Who is calling; asked once for each exchange.
    pub(crate) async fn verify(&self) -> Result<Auth<D>, Denial> {
        let known = self.lock().verified.clone();
        if let Some(known) = known {
            return known;
        }
        let verified = self.ask(false).await;
        // What was issued or ended meanwhile says more.
        self.lock().verified.get_or_insert(verified).clone()
    }

    /// Who is calling, as the authority itself says now.
    pub(crate) async fn verify_authoritative(&self) -> Result<Auth<D>, Denial> {
        if let Some(settled) = self.settled() {
            return settled;
        }
        let verified = self.ask(true).await;
        let mut state = self.lock();
        if state.settled {
            return state.verified.clone().unwrap_or(verified);
        }
        state.verified = Some(verified.clone());
        verified
    }

    /// Who is calling, if a login, a refresh or a logout of this exchange has settled it.
    pub(crate) fn settled(&self) -> Option<Result<Auth<D>, Denial>> {
        let state = self.lock();
        state.verified.clone().filter(|_| state.settled)
    }

    async fn ask(&self, authoritative: bool) -> Result<Auth<D>, Denial> {
        let carried = self.carried()?;
        let mut presented = Presented::new(carried.credential());
        if authoritative {
            presented = presented.authoritative();
        }
        let identity = self.site.auth.verify_with_dyn(presented).await?;
        Ok(Auth::new(identity, Arc::clone(&self.site.clock)))
    }

    /// The refresh credential in its cookie, where there is one.
    pub(crate) fn refreshable(&self) -> Result<Option<&str>, Denial> {
        let Some(cookie) = self.site.transport.refresh() else {
            return Ok(None);
        };
        match cookie.find(self, |value| self.accepts(value)) {
            Found::One(credential) => Ok(Some(credential)),
            Found::Absent => Ok(None),
            Found::Ambiguous(..) | Found::Malformed => Err(Denial::Ambiguous),
        }
    }

    /// All that the request carries or was given that could be a credential, however it is
    /// carried: what a new login ends.
    pub(crate) fn all_carried(&self) -> Vec<String> {
        let transport = &self.site.transport;
        let mut all: Vec<String> = Vec::new();
        let mut add = |found: Found<'_>| match found {
            Found::One(one) => all.push(one.to_owned()),
            Found::Ambiguous(one, other) => {
                // Where one of them cannot be ours it is empty.
                let both = [one, other].into_iter().filter(|value| !value.is_empty());
                all.extend(both.map(str::to_owned));
            }
            Found::Absent | Found::Malformed => {}
        };
        for cookie in transport.cookies() {
            add(cookie.find(self, |value| self.accepts(value)));
        }
        if transport.reads_bearer() {
            add(bearer(self));
        }
        let issued = &self.lock().issued;
        all.extend(issued.iter().map(|issued| issued.reveal().to_owned()));
        all
    }

    /// Notes what was issued: it is handed out in cookies, unless it is `for_body`. Then those of
    /// the login that it ends are removed.
    pub(crate) fn hand_out(&self, issued: &Issued<D>, for_body: bool) -> Result<()> {
        let cookies = match for_body {
            true if self.carries_cookie() => self.removals(true),
            true => Vec::new(),
            false => self.cookies_of(issued)?,
        };
        let mut state = self.lock();
        if state.closed && !for_body {
            return Err(too_late());
        }
        state.touched = true;
        state.cookies = cookies;
        Ok(())
    }

    /// Asks that a cookie can still be handed out.
    pub(crate) fn open(&self) -> Result<()> {
        match self.lock().closed {
            true => Err(too_late()),
            false => Ok(()),
        }
    }

    /// From here on no handler hands out a cookie.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
    }

    /// Notes who the caller is from now on, by a login of this exchange.
    pub(crate) fn became(&self, caller: Auth<D>, credential: Credential) {
        let mut state = self.lock();
        state.verified = Some(Ok(caller));
        state.settled = true;
        state.issued.push(credential);
    }

    /// Notes who the caller is from now on, by a renewal.
    pub(crate) fn renewed(&self, caller: Auth<D>) {
        let mut state = self.lock();
        state.verified = Some(Ok(caller));
        state.settled = true;
    }

    /// Notes that the caller is logged out: nobody from now on, and without cookies.
    pub(crate) fn ended(&self) {
        let mut state = self.lock();
        state.touched = true;
        state.verified = Some(Err(Denial::Absent));
        state.settled = true;
        state.cookies = self.removals(true);
    }

    fn carries_cookie(&self) -> bool {
        let mut cookies = self.site.transport.cookies();
        cookies.any(|cookie| cookie.find(self, |_| true) != Found::Absent)
    }

    fn cookies_of(&self, issued: &Issued<D>) -> Result<Vec<SetCookie>> {
        let transport = &self.site.transport;
        let Some(access) = transport.access() else {
            return Err(Error::misuse(
                "a login in a cookie where credentials travel in none: issue a token",
            ));
        };
        let set = |cookie: &Cookie, credential: &Credential| {
            Ok::<_, Error>(SetCookie {
                name: cookie.name().into(),
                value: cookie.set(credential)?,
            })
        };
        let mut cookies = vec![set(access, issued.credential())?];
        match (transport.refresh(), issued.refresh_credential()) {
            (Some(refresh), Some(credential)) => cookies.push(set(refresh, credential)?),
            (None, Some(_)) => {
                return Err(Error::misuse(
                    "a login that is refreshed by a second credential, and no cookie for it: add \
                     a refresh cookie to the transport",
                ));
            }
            (_, None) => {}
        }
        Ok(cookies)
    }

    /// The removal of all cookies, or of all but the one of the refresh credential.
    fn removals(&self, with_refresh: bool) -> Vec<SetCookie> {
        let transport = &self.site.transport;
        let refresh = transport.refresh().filter(|_| with_refresh);
        let cookies = transport.access().into_iter().chain(refresh);
        cookies
            .map(|cookie| SetCookie {
                name: cookie.name().into(),
                value: cookie.remove().to_owned(),
            })
            .collect()
    }

    /// Ends what was issued in an exchange that failed: its answer hands nothing out.
    pub(crate) async fn undo(&self) {
        let issued = {
            let mut state = self.lock();
            if state.issued.is_empty() {
                return;
            }
            // What the request carried has ended too.
            state.cookies = self.removals(true);
            std::mem::take(&mut state.issued)
        };
        for credential in issued {
            // Nobody holds it, so that an outage leaves a row behind and no way in.
            let _ = self.site.auth.revoke_dyn(credential.reveal()).await;
        }
    }

    /// Renews the credential of a caller for whom it is due, unless the exchange hands one out or
    /// takes one away already.
    pub(crate) async fn renew(&self) {
        let is_due = {
            let state = self.lock();
            let verified = state.verified.as_ref();
            state.cookies.is_empty()
                && verified.is_some_and(|verified| {
                    verified.as_ref().is_ok_and(|caller| caller.renewal_due())
                })
        };
        if !is_due {
            return;
        }
        let carried = match self.read() {
            Ok(carried) if !carried.is_bearer() => carried,
            // Who keeps a token refreshes it.
            _ => return,
        };
        // An outage, or a logout meanwhile, leaves the answer as it is: the next request tells.
        if let Ok(issued) = self.site.auth.refresh_dyn(carried.credential()).await
            && let Ok(cookies) = self.cookies_of(&issued)
        {
            self.lock().cookies = cookies;
        }
    }

    /// Removes the cookie of a rejected credential, which is of no use to anybody.
    pub(crate) fn forget_rejected(&self) {
        if !self.may_forget {
            return;
        }
        // Of a bearer token that was rejected the cookie says nothing.
        let in_cookie = || self.read().is_ok_and(|carried| !carried.is_bearer());
        let mut state = self.lock();
        let rejected = matches!(&state.verified, Some(Err(denial)) if denial.is_rejected());
        if rejected && state.cookies.is_empty() && in_cookie() {
            state.cookies = self.removals(false);
        }
    }

    /// Removes all cookies, after a refresh credential was rejected, where a rejected one may be.
    pub(crate) fn forget(&self) {
        if !self.may_forget {
            return;
        }
        let mut state = self.lock();
        state.cookies = self.removals(true);
    }

    /// What the answer says about cookies; `None` if it depends on no credential.
    pub(crate) fn finish(&self) -> Option<Vec<SetCookie>> {
        let mut state = self.lock();
        state.touched.then(|| std::mem::take(&mut state.cookies))
    }
}

fn too_late() -> Error {
    Error::misuse(
        "a login in a cookie after the handler has answered: log in before the response is \
         returned, and in no task that outlives it",
    )
}
