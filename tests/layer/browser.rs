//! Browser that calls a service in the same process.

use std::collections::BTreeMap;

use axum_core::body::Body;
use http::{HeaderMap, Request};
use statewise::testkit::block_on;
use statewise::web::{AuthLayer, Denial};
use tower_service::Service;

use crate::site::Site;

/// Parts of a response that tests check.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) cause: Option<Denial>,
}

impl Answer {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} occurs twice: {all:?}");
        all.first().copied()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        self.all("set-cookie")
    }
}

/// Browser that stores cookies by name and path, and sends them back.
#[derive(Clone)]
pub(crate) struct Browser<S = Site> {
    pub(crate) service: S,
    pub(crate) jar: BTreeMap<String, (String, String)>,
}

impl Browser {
    /// The same browser, at a service behind another layer.
    pub(crate) fn visit(&mut self, layer: &AuthLayer) {
        self.service = Self::of(layer).service;
    }
}

impl<S, B> Browser<S>
where
    S: Service<Request<Body>, Response = http::Response<B>, Error = String>,
    B: http_body::Body<Data: AsRef<[u8]>, Error: std::fmt::Debug>,
{
    pub(crate) fn before(service: S) -> Self {
        Self {
            service,
            jar: BTreeMap::new(),
        }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[])
    }

    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send("POST", path, fields)
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.try_send(method, path, fields).unwrap()
    }

    pub(crate) fn try_send(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let sent = self.jar.iter();
        let sent = sent.filter(|(_, (_, under))| path.starts_with(&**under));
        let pairs: Vec<String> = sent
            .map(|(name, (value, _))| format!("{name}={value}"))
            .collect();
        if !pairs.is_empty() {
            request = request.header("cookie", pairs.join("; "));
        }
        let request = request.body(Body::empty()).unwrap();
        let response = block_on(self.service.call(request))?;
        let (parts, body) = response.into_parts();
        let answer = Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: text(body),
            cause: parts.extensions.get::<Denial>().cloned(),
        };
        let mut names = Vec::new();
        for line in answer.set_cookies() {
            let mut parts = line.split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            assert!(!names.contains(&name), "{name} is set twice");
            names.push(name);
            let attributes: Vec<&str> = parts.collect();
            let path = attributes.iter().find_map(|one| one.strip_prefix("Path="));
            if attributes.contains(&"Max-Age=0") {
                self.jar.remove(name);
            } else {
                let kept = (value.to_owned(), path.unwrap().to_owned());
                self.jar.insert(name.to_owned(), kept);
            }
        }
        Ok(answer)
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.jar.get(name).map(|(value, _)| value.clone())
    }

    pub(crate) fn id(&self) -> String {
        self.cookie("__Host-id").unwrap()
    }

    pub(crate) fn plant(&mut self, value: &str) {
        let kept = (value.to_owned(), "/".to_owned());
        self.jar.insert("__Host-id".to_owned(), kept);
    }

    pub(crate) fn log_in(&mut self, user: &str) -> Answer {
        let answer = self.post("/login", &[("x-user", user)]);
        assert_eq!((answer.status, &*answer.body), (200, user));
        answer
    }
}

pub(crate) fn text<B>(body: B) -> String
where
    B: http_body::Body<Data: AsRef<[u8]>, Error: std::fmt::Debug>,
{
    let mut body = std::pin::pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = block_on(std::future::poll_fn(|cx| body.as_mut().poll_frame(cx))) {
        bytes.extend_from_slice(frame.unwrap().data_ref().unwrap().as_ref());
    }
    String::from_utf8(bytes).unwrap()
}
