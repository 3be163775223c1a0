//! The book: from the first login to a service in production.
//!
//! Read the first two pages in order; after them, each page stands on its own. The tests compile and run
//! the code of all pages.
//!
//! | begin | |
//! |---|---|
//! | [basics] | sessions and tokens, explained from the beginning |
//! | [choosing] | two questions, and five cases with every setting |
//! | [axum] | a login in five minutes, and the steps after it |
//! | [actix] | the same in actix-web |
//! | [grpc] | tokens in front of tonic |
//! | [frameworks] | poem, salvo, rocket: a middleware of your own |
//! | [comparison] | other crates: what each can do, and how fast |
//!
//! | build | |
//! |---|---|
//! | [hybrid] | an app that stays logged in for weeks; and browsers |
//! | [roles] | roles and profiles that change while users are logged in |
//! | [login_kinds] | remember me, second factors, tickets, API keys |
//! | [logout] | here and everywhere, and the meaning of each answer |
//! | [services] | microservices: no service signs for another one |
//! | [testing] | your handlers, with a given user, a moved clock, an outage |
//!
//! | run | |
//! |---|---|
//! | [deploying] | one file to copy; keys, shutdown, proxies, servers |
//! | [logs] | logs, the addresses of clients in them, metrics and probes |
//! | [operations] | a runbook: a leaked key, a stolen device, a lost Redis |
//! | [troubleshooting] | the first mistakes, and the next step after each |
//! | [changing] | another strategy in a running service; coming from another JWT library |
//! | [coming] | from another library: guides with programs that run |
//!
//! | understand | |
//! |---|---|
//! | [review] | the evidence for each promise, for your security review |
//! | [threats] | the power of a thief, and each defence |
//! | [revocation] | the protocol by which a logout reaches every node |
//! | [stores] | a store of your own |
//! | [glossary] | one word for each thing |

// The package of the web examples tests the pages with a framework (`examples/web/book.rs`): the library
// has none among its dependencies.

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[cfg_attr(not(doctest), doc = include_str!("manual/actix.md"))]
pub mod actix {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[cfg_attr(not(doctest), doc = include_str!("manual/axum.md"))]
pub mod axum {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[doc = include_str!("manual/basics.md")]
#[doc = ""]
#[doc = include_str!("manual/pictures/session.svg")]
#[doc = ""]
#[doc = include_str!("manual/basics/tokens.md")]
#[doc = ""]
#[doc = include_str!("manual/pictures/token.svg")]
#[doc = ""]
#[doc = include_str!("manual/basics/together.md")]
pub mod basics {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[doc = include_str!("manual/changing.md")]
pub mod changing {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[doc = include_str!("manual/choosing.md")]
pub mod choosing {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[doc = include_str!("manual/coming.md")]
pub mod coming {
    #[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
    #[cfg_attr(not(doctest), doc = include_str!("manual/coming/actix.md"))]
    pub mod actix {}

    #[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
    #[cfg_attr(not(doctest), doc = include_str!("manual/coming/axum_login.md"))]
    pub mod axum_login {}

    #[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
    #[cfg_attr(not(doctest), doc = include_str!("manual/coming/axum_session.md"))]
    pub mod axum_session {}

    #[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
    #[cfg_attr(not(doctest), doc = include_str!("manual/coming/express.md"))]
    pub mod express {}

    #[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
    #[cfg_attr(not(doctest), doc = include_str!("manual/coming/iron_session.md"))]
    pub mod iron_session {}

    #[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
    #[cfg_attr(not(doctest), doc = include_str!("manual/coming/jsonwebtoken.md"))]
    pub mod jsonwebtoken {}
}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[doc = include_str!("manual/comparison.md")]
pub mod comparison {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[doc = ""]
#[doc = include_str!("manual/pictures/deploying.svg")]
#[doc = ""]
#[cfg_attr(not(doctest), doc = include_str!("manual/deploying.md"))]
#[cfg_attr(not(doctest), doc = include_str!("manual/deploying/program.md"))]
pub mod deploying {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[doc = include_str!("manual/frameworks.md")]
#[doc = "```ignore"]
#[doc = include_str!("manual/frameworks/poem.rs")]
#[doc = "```"]
pub mod frameworks {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[doc = include_str!("manual/glossary.md")]
pub mod glossary {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[cfg_attr(not(doctest), doc = include_str!("manual/grpc.md"))]
pub mod grpc {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[doc = ""]
#[doc = include_str!("manual/pictures/hybrid.svg")]
#[doc = ""]
#[doc = include_str!("manual/hybrid.md")]
pub mod hybrid {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[doc = ""]
#[doc = include_str!("manual/pictures/second_factor.svg")]
#[doc = ""]
#[doc = include_str!("manual/login_kinds.md")]
pub mod login_kinds {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[doc = include_str!("manual/logout.md")]
pub mod logout {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[cfg_attr(not(doctest), doc = include_str!("manual/logs.md"))]
pub mod logs {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[doc = include_str!("manual/operations.md")]
pub mod operations {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[doc = include_str!("manual/review.md")]
pub mod review {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[doc = ""]
#[doc = include_str!("manual/pictures/revocation.svg")]
#[doc = ""]
#[doc = include_str!("manual/revocation.md")]
pub mod revocation {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[doc = include_str!("manual/roles.md")]
pub mod roles {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[doc = ""]
#[doc = include_str!("manual/pictures/keys.svg")]
#[doc = ""]
#[doc = include_str!("manual/services.md")]
pub mod services {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[doc = include_str!("manual/stores.md")]
pub mod stores {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[cfg_attr(all(feature = "testkit", not(doctest)), doc = include_str!("manual/testkit_links.md"))]
#[cfg_attr(not(doctest), doc = include_str!("manual/testing.md"))]
pub mod testing {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[doc = include_str!("manual/threats.md")]
pub mod threats {}

#[cfg_attr(not(doctest), doc = include_str!("manual/links.md"))]
#[cfg_attr(not(doctest), doc = include_str!("manual/troubleshooting.md"))]
pub mod troubleshooting {}
