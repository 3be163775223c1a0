//! One request and its answer, as far as credentials are concerned.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::authenticator::{DynAuthenticator, Presented};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::login::issued::{Credential, Issued};
use crate::web::auth::Auth;
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

/// Who is calling, or why nobody is.
type Verified<D> = Result<Auth<D>, Denial>;

/// What an exchange has come to.
struct State<D> {
    /// Whether the answer depends on a credential, or hands one out.
    touched: bool,
    verified: Option<Verified<D>>,
    /// Whether that is by an act of this exchange, and not by what the request carries.
    settled: bool,
    cookies: Vec<SetCookie>,
    /// The login of this exchange, which is ended if it fails.
    issued: Option<Credential>,
    /// Whether the head of the answer is being written, or nobody writes it any more: no cookie
    /// that is handed out from then on reaches anybody.
    closed: bool,
}

impl<D> State<D> {
    /// Settles who is calling from here on. Returns the login of this exchange that is displaced.
    fn settle(
        &mut self,
        verified: Verified<D>,
        cookies: Vec<SetCookie>,
        issued: Option<Credential>,
    ) -> Option<Credential> {
        self.touched = true;
        self.verified = Some(verified);
        self.settled = true;
        self.cookies = cookies;
        mem::replace(&mut self.issued, issued)
    }

    fn refresh_due(&self) -> bool {
        let caller = self.verified.as_ref();
        self.cookies.is_empty()
            && caller.is_some_and(|caller| caller.as_ref().is_ok_and(|caller| caller.refresh_due()))
    }
}

/// What is left to do when a handler has answered.
pub(crate) struct Rest {
    /// Whether the answer depends on a credential, or hands one out.
    pub(crate) touched: bool,
    /// Whether a login is to be undone if the answer failed.
    pub(crate) issued: bool,
    pub(crate) refresh_due: bool,
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
                issued: None,
                closed: false,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<D>> {
        // Nothing under the lock asks anybody, and nothing panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The credential that the request carries. From here on its answer depends on it.
    pub(crate) fn carried(&self) -> Result<Carried<'_>, Denial> {
        self.touch();
        self.read()
    }

    fn read(&self) -> Result<Carried<'_>, Denial> {
        self.site
            .transport
            .read(self, |value| self.is_well_formed(value))
    }

    /// Whether a value has the shape of a credential.
    fn is_well_formed(&self, value: &str) -> bool {
        self.site.auth.is_well_formed_dyn(value)
    }

    pub(crate) fn touch(&self) {
        self.lock().touched = true;
    }

    /// Who is calling; asked once for each exchange.
    pub(crate) async fn verify(&self) -> Verified<D> {
        let known = {
            let mut state = self.lock();
            state.touched = true;
            state.verified.clone()
        };
        if let Some(known) = known {
            return known;
        }
        let verified = self.ask(false).await;
        // What was issued or ended meanwhile says more.
        self.lock().verified.get_or_insert(verified).clone()
    }

    /// Who is calling, as the authority itself says now.
    pub(crate) async fn verify_authoritative(&self) -> Verified<D> {
        self.touch();
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
    pub(crate) fn settled(&self) -> Option<Verified<D>> {
        let state = self.lock();
        state.verified.clone().filter(|_| state.settled)
    }

    async fn ask(&self, authoritative: bool) -> Verified<D> {
        let carried = self.read()?;
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
        match cookie.find(self, |value| self.is_well_formed(value)) {
            Found::One(credential) => Ok(Some(credential)),
            Found::Absent => Ok(None),
            Found::Ambiguous(..) | Found::Malformed => Err(Denial::Ambiguous),
        }
    }

    /// All that the request carries or was given that could be a credential, however it is
    /// carried: what a new login ends.
    ///
    /// # Errors
    ///
    /// As for [`Transport::read_all`].
    pub(crate) fn all_carried(&self) -> Result<Vec<String>, Denial> {
        let all = self
            .site
            .transport
            .read_all(self, |value| self.is_well_formed(value))?;
        let mut all: Vec<String> = all.into_iter().map(str::to_owned).collect();
        let issued = &self.lock().issued;
        all.extend(issued.iter().map(|issued| issued.reveal().to_owned()));
        Ok(all)
    }

    /// Asks that a cookie can still be handed out.
    pub(crate) fn open(&self) -> Result<()> {
        self.lock_open(false).map(drop)
    }

    /// From here on no handler hands out a cookie.
    pub(crate) fn close(&self) -> Rest {
        let mut state = self.lock();
        state.closed = true;
        Rest {
            touched: state.touched,
            issued: state.issued.is_some(),
            refresh_due: state.refresh_due(),
        }
    }

    /// Makes the caller who was logged in: handed out in cookies, unless it is `for_body`. Then
    /// those of the login that it ends are removed. A login that another task of this exchange
    /// has begun meanwhile is ended, as is this one if it cannot be handed out.
    pub(crate) async fn logged_in(&self, issued: Issued<D>, for_body: bool) -> Result<Auth<D>> {
        let credential = issued.refreshable().clone();
        let cookies = match for_body {
            true if self.carries_cookie() => Ok(self.removals(true)),
            true => Ok(Vec::new()),
            false => self.cookies_of(&issued),
        };
        let caller = self.caller(issued);
        let displaced = cookies.and_then(|cookies| {
            let mut state = self.lock_open(for_body)?;
            Ok(state.settle(Ok(caller.clone()), cookies, Some(credential.clone())))
        });
        match displaced {
            Ok(None) => Ok(caller),
            Ok(Some(displaced)) => {
                self.discard(displaced).await;
                Ok(caller)
            }
            Err(error) => {
                self.discard(credential).await;
                Err(error)
            }
        }
    }

    /// Makes the caller whose login goes on, also if the answer fails: what is refreshed again is
    /// answered again. Handed out in cookies, unless it is `for_body`; not after a login or logout
    /// in the meantime, and then the caller is the one of that.
    pub(crate) fn refreshed(&self, issued: Issued<D>, for_body: bool) -> Verified<D> {
        let cookies = match for_body {
            true => Vec::new(),
            false => self.cookies_of(&issued)?,
        };
        let caller = self.caller(issued);
        let mut state = self.lock_open(for_body)?;
        match &state.verified {
            Some(_) if state.settled && for_body => return Ok(caller),
            Some(settled) if state.settled => return settled.clone(),
            _ => {}
        }
        state.settle(Ok(caller.clone()), cookies, None);
        Ok(caller)
    }

    fn caller(&self, issued: Issued<D>) -> Auth<D> {
        Auth::new(issued.into_identity(), Arc::clone(&self.site.clock))
    }

    /// The state, if what is handed out now reaches the client.
    fn lock_open(&self, for_body: bool) -> Result<MutexGuard<'_, State<D>>> {
        let state = self.lock();
        match state.closed && !for_body {
            true => Err(too_late()),
            false => Ok(state),
        }
    }

    /// Notes that the caller is logged out: nobody from now on, and without cookies. A login that
    /// another task of this exchange has begun meanwhile is ended.
    pub(crate) async fn ended(&self) {
        self.end(self.removals(true)).await;
    }

    /// Notes that all logins of the caller have ended. A cookie beside a bearer token that is
    /// preferred may be of somebody else, and stays.
    pub(crate) async fn ended_everywhere(&self) {
        let by_bearer = self.read().is_ok_and(|carried| carried.is_bearer());
        let cookies = match by_bearer && self.lock().cookies.is_empty() {
            true => Vec::new(),
            false => self.removals(true),
        };
        self.end(cookies).await;
    }

    /// Ends what this exchange has issued, after a login in its place that failed: what a login
    /// replaces ends first, so that it may have ended.
    pub(crate) async fn end_issued(&self) {
        let has_issued = self.lock().issued.is_some();
        if has_issued {
            self.ended().await;
        }
    }

    async fn end(&self, cookies: Vec<SetCookie>) {
        let displaced = self.lock().settle(Err(Denial::Absent), cookies, None);
        if let Some(displaced) = displaced {
            self.discard(displaced).await;
        }
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
            // Of a strategy that was left behind: it would be refreshed first, and rejected.
            (Some(refresh), None) => cookies.push(removal(refresh)),
            (None, None) => {}
        }
        Ok(cookies)
    }

    /// The removal of all cookies, or of all but the one of the refresh credential.
    fn removals(&self, with_refresh: bool) -> Vec<SetCookie> {
        let transport = &self.site.transport;
        let refresh = transport.refresh().filter(|_| with_refresh);
        let cookies = transport.access().into_iter().chain(refresh);
        cookies.map(removal).collect()
    }

    /// Ends what was issued in an exchange that failed: its answer hands nothing out.
    pub(crate) async fn undo(&self) {
        let issued = {
            let mut state = self.lock();
            let Some(issued) = state.issued.take() else {
                return;
            };
            // What the request carried has ended too.
            state.cookies = self.removals(true);
            issued
        };
        self.discard(issued).await;
    }

    /// Ends a login that is not handed out.
    pub(crate) async fn discard(&self, issued: Credential) {
        // Nobody holds it, so that an outage leaves a row behind and no way in.
        let _ = self.site.auth.revoke_dyn(issued.reveal()).await;
    }

    /// Rotates the credential of a caller for whom it is due, unless the exchange hands one out or
    /// takes one away already.
    pub(crate) async fn rotate(&self) {
        if !self.lock().refresh_due() {
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
            let mut state = self.lock();
            if state.cookies.is_empty() {
                state.cookies = cookies;
            }
        }
    }

    /// Removes the cookie of a rejected credential, which is of no use to anybody.
    pub(crate) fn forget_rejected(&self) {
        if !self.may_forget {
            return;
        }
        // Of a bearer token that was rejected the cookie says nothing.
        if self.read().is_ok_and(|carried| !carried.is_bearer()) {
            let cookies = self.removals(false);
            let mut state = self.lock();
            let rejected = matches!(&state.verified, Some(Err(denial)) if denial.is_rejected());
            if rejected && state.cookies.is_empty() {
                state.cookies = cookies;
            }
        }
    }

    /// Removes the cookies after a rejected refresh, where a rejected one may be: all of them, or
    /// all but the one of the refresh credential, if that was not the one.
    pub(crate) fn forget(&self, with_refresh: bool) {
        if !self.may_forget {
            return;
        }
        let cookies = self.removals(with_refresh);
        let mut state = self.lock();
        if !state.settled {
            state.cookies = cookies;
        }
    }

    /// What the answer says about cookies; `None` if it depends on no credential.
    pub(crate) fn finish(&self) -> Option<Vec<SetCookie>> {
        let mut state = self.lock();
        state.touched.then(|| mem::take(&mut state.cookies))
    }
}

fn removal(cookie: &Cookie) -> SetCookie {
    SetCookie {
        name: cookie.name().into(),
        value: cookie.remove().to_owned(),
    }
}

fn too_late() -> Error {
    Error::misuse(
        "a login in a cookie after the handler has answered: log in before the response is \
         returned, and in no task that outlives it",
    )
}
