//! Header fields of a response that depends on a credential.

use std::borrow::Cow;
use std::mem;

use crate::observer::event::{Act, Denied};
use crate::web::answer::Answer;
use crate::web::client::ClientKind;
use crate::web::cookie::CookieKey;
use crate::web::denial::Denial;
use crate::web::headers::{Headers, HeadersMut, first};
use crate::web::sign_in::SignIn;
use crate::web::transport::Transport;

/// Status and body of a response that the layer has completed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finished {
    /// Status code to send.
    pub status: u16,
    /// Body to send instead of that of the service, if there is one.
    pub body: Option<Vec<u8>>,
}

/// Returns whether a response reports a failure of the service: a status 5xx or, for a gRPC client,
/// a `grpc-status` in the head that corresponds to a 5xx.
pub(crate) fn has_failed<H>(status: u16, headers: &H, client: ClientKind) -> bool
where
    H: Headers + ?Sized,
{
    let mut has_failed = status >= 500;
    if client.is_grpc {
        headers.each("grpc-status", &mut |code| {
            has_failed |= matches!(code, b"2" | b"4" | b"12" | b"13" | b"14" | b"15");
        });
    }
    has_failed
}

/// Completes a response that depends on a credential: answers the denial, and adds cookies and
/// header fields.
pub(crate) fn seal<D, H>(
    sign_in: &SignIn<D>,
    status: u16,
    denial: Option<&Denial>,
    headers: &mut H,
) -> Finished
where
    D: Send + Sync + 'static,
    H: HeadersMut + ?Sized,
{
    sign_in.forget_rejected();
    let request = sign_in.request();
    let (config, head) = (&request.config, &request.head);
    let (cookies, is_public, caller, tried) = {
        let mut reply = sign_in.reply();
        let mut cookies = mem::take(&mut reply.cookies);
        if reply.caller().is_some() {
            cookies.extend(config.pages.unmark(head));
        }
        let caller = denial.and_then(|_| reply.caller().cloned());
        let tried = reply.tried.take();
        (cookies, reply.is_public, caller, tried)
    };
    if let Some(denial) = denial {
        let login = caller.as_ref().map(|caller| caller.identity().into());
        match denial {
            // An access cookie that this node did not issue counts as absent.
            Denial::Absent if request.carries_unknown() => {
                config.report_denied(Denied::UnknownCredential, &head.line, login);
            }
            denial => config.report(denial, &head.line, login, tried.as_ref()),
        }
        // A mistake that neither an observed authenticator nor a call of `SignIn` has reported: of an
        // extractor, of a handler, or of an authenticator without an observer.
        let error = denial.error().filter(|error| error.is_unreported_misuse());
        if let Some(error) = error {
            config.report_error(Act::Verify, error);
        }
    }
    let mut finished = Finished { status, body: None };
    // The application may have changed the status, a redirect to another page for example.
    if let Some(denial) = denial.filter(|denial| denial.status() == status) {
        let custom = || config.pages.answer(denial, head, is_public);
        finished = answered(denial, &config.transport, request.client, custom, headers);
    }
    finish(headers, cookies, &config.transport);
    finished
}

/// Answers a denial: with the answer of the application, or by fields that complete the response.
pub(crate) fn answered<H: HeadersMut + ?Sized>(
    denial: &Denial,
    transport: &Transport,
    client: ClientKind,
    custom: impl FnOnce() -> Option<Answer>,
    headers: &mut H,
) -> Finished {
    if client.is_grpc {
        let answer = grpc(denial.status());
        return Finished {
            status: answer.status(),
            body: Some(answer.replace(headers)),
        };
    }
    let mut finished = Finished {
        status: denial.status(),
        body: None,
    };
    if let Some(answer) = custom() {
        finished.status = answer.status();
        finished.body = Some(answer.replace(headers));
    }
    if finished.status == denial.status() {
        let mut add = |name, value: Option<String>| {
            if let Some(value) = value
                && first(headers, name).is_none()
            {
                headers.append(name, value.into());
            }
        };
        add("www-authenticate", denial.challenge(transport));
        let seconds = denial.retry_after_secs();
        add("retry-after", seconds.map(|seconds| seconds.to_string()));
    }
    finished
}

/// Returns the gRPC form of a denial: trailers only, with the status in a field.
fn grpc(status: u16) -> Answer {
    let (code, message) = match status {
        400 | 401 => ("16", "unauthenticated"),
        403 => ("7", "permission denied"),
        409 | 429 => ("8", "resource exhausted"),
        503 => ("14", "unavailable"),
        _ => ("13", "internal"),
    };
    let mut answer = Answer::new(200);
    answer.add("content-type", "application/grpc");
    answer.add("grpc-status", code);
    // The messages need no percent-encoding: lower-case letters and spaces only.
    answer.add("grpc-message", message);
    answer
}

/// Sets each cookie once, and prevents caches from storing a response that depends on a credential.
pub(crate) fn finish<H>(headers: &mut H, cookies: Vec<String>, transport: &Transport)
where
    H: HeadersMut + ?Sized,
{
    let present = Present::of(headers);
    let may_stay = cookies.is_empty() && present.has_cache_control && is_private(headers);
    if !may_stay {
        if present.has_cache_control {
            headers.remove("cache-control");
        }
        headers.append("cache-control", Cow::Borrowed("no-store"));
    }
    present
        .targeted
        .iter()
        .for_each(|name| headers.remove(name));
    for name in transport.vary().split(", ") {
        let is_listed = present.has_vary
            && any_listed(headers, "vary", |other| {
                other == b"*" || other.eq_ignore_ascii_case(name.as_bytes())
            });
        if !is_listed {
            headers.append("vary", Cow::Borrowed(name));
        }
    }
    if cookies.is_empty() {
        return;
    }
    // Other cookies of the application stay.
    let ours = cookies
        .iter()
        .map(|cookie| CookieKey::of(cookie.as_bytes()));
    let ours: Vec<CookieKey<'_>> = ours.collect();
    let mut lines = Vec::new();
    let mut is_replaced = false;
    headers.each(
        "set-cookie",
        &mut |line| match ours.contains(&CookieKey::of(line)) {
            true => is_replaced = true,
            false => lines.push(String::from_utf8_lossy(line).into_owned()),
        },
    );
    // A line with bytes that are no text stays as it is.
    match is_replaced {
        true => headers.remove("set-cookie"),
        false => lines.clear(),
    }
    for line in lines.into_iter().chain(cookies) {
        headers.append("set-cookie", line.into());
    }
}

/// Returns whether only the browser of the user may store the response.
fn is_private<H: Headers + ?Sized>(headers: &H) -> bool {
    // A quoted argument may contain commas, and restricts `private` to single fields.
    let mut is_quoted = false;
    headers.each("cache-control", &mut |line| {
        is_quoted |= line.contains(&b'"');
    });
    !is_quoted
        && any_listed(headers, "cache-control", |directive| {
            directive.eq_ignore_ascii_case(b"private")
                || directive.eq_ignore_ascii_case(b"no-store")
        })
}

/// Fields of a response that restrict caches.
#[derive(Default)]
struct Present {
    has_cache_control: bool,
    has_vary: bool,
    /// Fields that some shared caches obey instead of `Cache-Control` (RFC 9213, section 2, and its
    /// predecessors).
    targeted: Vec<String>,
}

impl Present {
    /// Finds the fields in one pass: most responses have none of them.
    fn of<H: HeadersMut + ?Sized>(headers: &H) -> Self {
        let mut present = Self::default();
        headers.each_name(&mut |name| match name {
            "cache-control" => present.has_cache_control = true,
            "vary" => present.has_vary = true,
            "surrogate-control" | "edge-control" | "x-accel-expires" => {
                present.targeted.push(name.to_owned());
            }
            name if name.ends_with("-cache-control") => present.targeted.push(name.to_owned()),
            _ => {}
        });
        present
    }
}

/// Returns whether a member of a field that is a list satisfies `is_wanted` (RFC 9110, section
/// 5.6.1). Reads all lines of the field.
fn any_listed<H: Headers + ?Sized>(
    headers: &H,
    name: &str,
    is_wanted: impl Fn(&[u8]) -> bool,
) -> bool {
    let mut any = false;
    headers.each(name, &mut |line| {
        let mut members = line.split(|c| *c == b',').map(<[u8]>::trim_ascii);
        any |= members.any(&is_wanted);
    });
    any
}
