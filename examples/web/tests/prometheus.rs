//! The recipe for Prometheus in the documentation of `MetricsObserver`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use statewise::observer::MetricsObserver;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::{Authenticator, Login, Observed};
use tower::ServiceExt;

#[tokio::test]
async fn metrics_are_rendered_with_help_and_buckets() {
    let seconds = [0.000_1, 0.001, 0.01, 0.1, 1.0, 2.5];
    let prometheus = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Prefix("statewise_duration".to_owned()), &seconds)
        .unwrap()
        .install_recorder()
        .unwrap();
    let auth: SessionAuthenticator<_> =
        SessionAuthenticator::builder(MemoryStore::with_capacity(10).unwrap())
            .idle(Duration::from_secs(60))
            .absolute(Duration::from_secs(60))
            .build()
            .unwrap();
    let auth = Observed::new(auth, Arc::new(MetricsObserver::new()));
    let app: Router =
        Router::new().route("/metrics", get(move || async move { prometheus.render() }));

    let _ = auth.issue(Login::new("alice")).await.unwrap();
    assert!(auth.verify("forged").await.is_err());
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    let page = to_bytes(response.into_body(), 100_000).await.unwrap();
    let page = String::from_utf8_lossy(&page);
    for line in [
        "# HELP statewise_issued_total Logins.",
        "# TYPE statewise_issued_total counter",
        "statewise_issued_total 1",
        "statewise_rejected_total{act=\"verify\",cause=\"malformed\"} 1",
        "# TYPE statewise_duration_seconds histogram",
        "statewise_duration_seconds_count{act=\"issue\",outcome=\"ok\"} 1",
        "statewise_duration_seconds_bucket{act=\"verify\",outcome=\"rejected\",le=\"+Inf\"} 1",
    ] {
        assert!(page.lines().any(|given| given == line), "{line}\n{page}");
    }
}
