//! A browser: an HTTP client that keeps cookies, and follows no redirect.

use ureq::Agent;
use ureq::http::{HeaderMap, Request};

use crate::deployment::Failure;

/// Header fields of a browser after a click on a link, or on the button of a form.
pub const NAVIGATION: (&str, &str) = ("sec-fetch-mode", "navigate");

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// Address of a redirect.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.headers.get("location")?.to_str().ok()
    }

    /// Names and values of the cookies that it sets. A removed cookie has no value.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.headers.get_all("set-cookie").iter();
        lines.filter_map(|line| {
            let (name, rest) = line.to_str().ok()?.split_once('=')?;
            let (value, attributes) = rest.split_once(';').unwrap_or((rest, ""));
            Some((
                name,
                if attributes.contains("Max-Age=0") {
                    ""
                } else {
                    value
                },
            ))
        })
    }
}

/// A browser with the cookies of one host. Cookies ignore the port, so it keeps them from node to node.
#[derive(Clone, Debug)]
pub struct Browser {
    agent: Agent,
    cookies: Vec<(String, String)>,
}

impl Default for Browser {
    fn default() -> Self {
        let config = Agent::config_builder()
            .max_redirects(0)
            .http_status_as_error(false)
            .proxy(None)
            .build();
        Self {
            agent: config.into(),
            cookies: Vec::new(),
        }
    }
}

impl Browser {
    /// Sends a request. A form is sent as POST.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub fn send(
        &mut self,
        url: &str,
        form: Option<&str>,
        fields: &[(&str, &str)],
    ) -> Result<Answer, Failure> {
        let method = if form.is_some() { "POST" } else { "GET" };
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        if form.is_some() {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        let request = request.body(form.unwrap_or_default().to_owned())?;
        let answer = self.agent.run(request)?;
        let (head, mut body) = answer.into_parts();
        let answer = Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.read_to_string()?,
        };
        for (name, value) in answer.cookies() {
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(answer)
    }

    /// The cookies of this browser.
    #[must_use]
    pub fn cookies(&self) -> &[(String, String)] {
        &self.cookies
    }

    /// Replaces the cookies of this browser.
    pub fn set_cookies(&mut self, cookies: Vec<(String, String)>) {
        self.cookies = cookies;
    }
}
