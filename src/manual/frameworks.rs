//! Frameworks: which have a layer of their own, and how to write one for another framework.
//!
//! | framework | use |
//! |---|---|
//! | axum, hyper, tonic, every service of tower | [`AuthLayer`](crate::web::AuthLayer) as a layer (feature `tower`; extractors of axum: `axum`) |
//! | actix-web | `AuthLayer` as a middleware, and extractors (feature `actix`) |
//! | poem, salvo, rocket and others | a middleware of your own, about 50 lines: see below |
//!
//! # The steps of a middleware
//!
//! 1. Call [`AuthLayer::begin`](crate::web::AuthLayer::begin) with method, path and query, authority
//!    and header fields. If it returns an [`Answer`](crate::web::Answer), send it: the request comes
//!    from another origin, or asks for the refresh page.
//! 2. Pass a clone of [`Serving::sign_in`](crate::web::Serving::sign_in) to the handlers, for
//!    example in the extensions of the request.
//! 3. Call the handlers. Keep a [`Denial`](crate::web::Denial) that they return, for example in the
//!    extensions of the response.
//! 4. Call [`Serving::finish`](crate::web::Serving::finish) with status, denial and header fields
//!    of the response, before you send the head. Send the status and the body that it returns.
//!    Call [`Serving::fail`](crate::web::Serving::fail) if there is no response. If you drop the
//!    `Serving` instead, a login of the request stays in the store until it expires, but its
//!    credential was not sent.
//!
//! The feature `tower` implements [`Headers`](crate::web::Headers) and
//! [`HeadersMut`](crate::web::HeadersMut) for the header map of the crate http 1, which poem and
//! salvo use.
//!
//! # poem
//!
//! With poem 3 and the feature `tower`. The examples compile this middleware and test it:
//!
//! ```ignore
#![doc = include_str!("frameworks/poem.rs")]
//! ```
//!
//! # salvo
//!
//! Salvo uses http 1 too. Write a `Handler` with the same steps: `FlowCtrl::call_next` is step 3,
//! and the `Depot` carries the `SignIn` to your handlers. A handler that is denied renders the plain
//! response, and puts the `Denial` into the `Depot` for step 4. If `begin` returns an answer,
//! render it and call `FlowCtrl::skip_rest`.
//!
//! # rocket
//!
//! Rocket 0.5 has its own header map: implement [`Headers`](crate::web::Headers) for a vector of
//! pairs, or copy the fields into one, which implements it already. A fairing cannot wrap a
//! handler, so the steps are divided. A request guard calls `begin` once, with
//! `Request::local_cache_async`, and keeps the `Serving` there in a `Mutex<Option<Serving>>`. Every
//! route takes this guard. The guard fails if `begin` returns an answer, and keeps the answer there.
//! `Fairing::on_response` takes the `Serving` out and calls `finish`, or sends the kept answer.
