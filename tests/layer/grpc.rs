//! Denials in the form of gRPC: responses with trailers only.

use statewise::testkit::{Fault, ManualClock, Method, block_on};
use statewise::web::{Cookie, Require, Transport};
use statewise::{Authenticator, Login};

use crate::site::{Answer, guarded, layer, sessions, store};

fn status(answer: &Answer) -> (u16, Option<&str>, Option<&str>) {
    let fields = (answer.one("grpc-status"), answer.one("grpc-message"));
    (answer.status, fields.0, fields.1)
}

#[test]
fn denials_are_trailers_only() {
    let clock = ManualClock::default();
    let store = store();
    let auth = sessions(&store, &clock);
    let issued = block_on(auth.issue(Login::new("alice"))).unwrap();
    let bearer = format!("Bearer {}", issued.credential().reveal());
    let site = layer(auth, Transport::both(Cookie::default()));
    let require = Require::authenticated();
    let mut client = guarded(&site, &require);
    let mut admins = guarded(&site, &require.role("admin"));
    for kind in ["application/grpc", "application/grpc+proto"] {
        let plain = [("content-type", kind)];
        let answer = client.post("/open", &plain);
        assert_eq!(status(&answer), (200, Some("16"), Some("unauthenticated")));
        assert_eq!(answer.one("content-type"), Some("application/grpc"));
        assert!(answer.body.is_empty());

        // gRPC requests are always POST.
        let answer = client.send("GET", "/open", &plain);
        assert_eq!(status(&answer), (401, None, None));

        let known = [("content-type", kind), ("authorization", &bearer)];
        assert_eq!(status(&client.post("/open", &known)), (200, None, None));
        let answer = admins.post("/open", &known);
        assert_eq!(status(&answer), (200, Some("7"), Some("permission denied")));
        store.reset();
        store.fail_nth_of(Method::Load, 1, Fault::Fails);
        let answer = client.post("/open", &known);
        assert_eq!(status(&answer), (200, Some("14"), Some("unavailable")));

        let foreign = [("content-type", kind), ("sec-fetch-site", "cross-site")];
        assert_eq!(client.post("/open", &foreign).one("grpc-status"), Some("7"));
    }
    for kind in [
        "application/json",
        "application/grpcfoo",
        "application/grpc-web+proto",
    ] {
        let answer = client.post("/open", &[("content-type", kind)]);
        assert_eq!(status(&answer), (401, None, None), "{kind}");
    }
}
