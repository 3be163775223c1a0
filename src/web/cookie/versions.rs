//! Present cookie, and the cookies that carried the credential before a deployment.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::login::issued::Credential;
use crate::web::cookie::{Cookie, MAX_VALUES};
use crate::web::found::Found;
use crate::web::headers::Headers;

/// Present cookie, and the former cookies. Their credentials still count.
#[derive(Clone, Debug)]
pub(crate) struct CookieVersions {
    pub(crate) present: Cookie,
    former: Vec<Cookie>,
}

impl CookieVersions {
    pub(crate) fn new(present: Cookie) -> Self {
        Self {
            present,
            former: Vec::new(),
        }
    }

    pub(crate) fn add_former(&mut self, former: Cookie) -> Result<()> {
        if former.key() == self.present.key() {
            return Err(Error::misuse(
                "a former cookie with the name, domain, path and partition of the present one: \
                 browsers replace it, so leave it out",
            ));
        }
        self.former.push(former);
        Ok(())
    }

    /// Returns the present cookie, and the former ones in the order in which they were added.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Cookie> {
        std::iter::once(&self.present).chain(&self.former)
    }

    pub(crate) fn has_former(&self) -> bool {
        !self.former.is_empty()
    }

    /// Returns the value of the first of the cookies that has one.
    pub(crate) fn find<'h, H: Headers + ?Sized>(
        &self,
        headers: &'h H,
        is_ours: impl Fn(&str) -> bool,
    ) -> Found<'h> {
        let mut found = self.all().map(|cookie| cookie.find(headers, &is_ours));
        let found = found.find(|found| *found != Found::Absent);
        found.unwrap_or(Found::Absent)
    }

    /// Returns all different values of each cookie that satisfy `is_ours`, or `None` if there are
    /// more than [`MAX_VALUES`].
    pub(crate) fn find_all<'h, H: Headers + ?Sized>(
        &self,
        headers: &'h H,
        is_ours: impl Fn(&str) -> bool,
    ) -> Option<Vec<Vec<&'h str>>> {
        let mut groups: Vec<Vec<&str>> = Vec::new();
        for cookie in self.all() {
            let is_seen = |value: &str| groups.iter().flatten().any(|seen| *seen == value);
            let group = cookie.find_all(headers, |value| is_ours(value) && !is_seen(value))?;
            groups.push(group);
        }
        let count: usize = groups.iter().map(Vec::len).sum();
        (count <= MAX_VALUES).then_some(groups)
    }

    /// Returns the lines of `Set-Cookie` that hand out a credential and remove the former cookies.
    /// `remembered` is the time until the deadline of a remembered login.
    pub(crate) fn set(
        &self,
        credential: &Credential,
        remembered: Option<Duration>,
    ) -> Result<Vec<String>> {
        let former = self.former.iter().map(|cookie| cookie.remove().to_owned());
        let mut lines: Vec<String> = former.collect();
        lines.push(match remembered {
            Some(max_age) => self.present.set_for(credential, max_age)?,
            None => self.present.set(credential)?,
        });
        Ok(lines)
    }

    /// Returns the lines of `Set-Cookie` that remove all of the cookies.
    pub(crate) fn remove(&self) -> impl Iterator<Item = String> {
        self.all().map(|cookie| cookie.remove().to_owned())
    }
}
