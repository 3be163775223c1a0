//! What a service asks of all its callers.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Extensions, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::base::boxed::BoxFuture;
use crate::web::auth::Auth;
use crate::web::denial::Denial;
use crate::web::sign_in::SignIn;

/// Denies requests before the service sees them, and puts the caller, an [`Auth`], into the
/// extensions of all others: for whole routers, and for services such as those of tonic, whose
/// handlers take no extractors. Goes inside of an [`AuthLayer`](crate::web::AuthLayer).
///
/// ```
/// use std::time::Duration;
/// use statewise::web::Require;
///
/// let admins = Require::authenticated().role("admin").fresh(Duration::from_secs(300));
/// # let _ = admins;
/// ```
pub struct Require<D = ()> {
    rules: Arc<Rules>,
    data: PhantomData<fn() -> D>,
}

#[derive(Clone, Debug, Default)]
struct Rules {
    roles: Vec<Box<str>>,
    max_age: Option<Duration>,
    acr: Option<Box<str>>,
    authoritative: bool,
}

impl Require {
    /// Anybody whose credential is verified.
    #[must_use]
    pub fn authenticated() -> Self {
        Self {
            rules: Arc::default(),
            data: PhantomData,
        }
    }
}

impl<D> Require<D> {
    /// Where logins have data of this type, as those of the layer outside have.
    #[must_use]
    pub fn with_data<T>(self) -> Require<T> {
        Require {
            rules: self.rules,
            data: PhantomData,
        }
    }

    /// And who has this role.
    #[must_use]
    pub fn role(self, role: impl Into<String>) -> Self {
        self.with(|rules| rules.roles.push(role.into().into()))
    }

    /// And who has proven who they are within the last `max_age`, in whole seconds; see
    /// [`Auth::require_fresh`].
    #[must_use]
    pub fn fresh(self, max_age: Duration) -> Self {
        self.with(|rules| rules.max_age = Some(max_age))
    }

    /// And who has proven who they are in this way; see [`Auth::require_acr`].
    #[must_use]
    pub fn acr(self, acr: impl Into<String>) -> Self {
        self.with(|rules| rules.acr = Some(acr.into().into()))
    }

    /// And whom the authority itself knows, past all caches; see
    /// [`Presented::authoritative`](crate::Presented::authoritative).
    #[must_use]
    pub fn authoritative(self) -> Self {
        self.with(|rules| rules.authoritative = true)
    }

    fn with(self, change: impl FnOnce(&mut Rules)) -> Self {
        let mut rules = Rules::clone(&self.rules);
        change(&mut rules);
        Self {
            rules: Arc::new(rules),
            data: PhantomData,
        }
    }
}

impl Rules {
    async fn check<D: Send + Sync + 'static>(&self, sign_in: SignIn<D>) -> Result<Auth<D>, Denial> {
        let caller = match self.authoritative {
            true => sign_in.verify_authoritative().await?,
            false => sign_in.verify().await?,
        };
        for role in &self.roles {
            caller.require_role(role)?;
        }
        if let Some(max_age) = self.max_age {
            caller.require_fresh(max_age)?;
        }
        if let Some(acr) = &self.acr {
            caller.require_acr(acr)?;
        }
        Ok(caller)
    }
}

impl<D> Clone for Require<D> {
    fn clone(&self) -> Self {
        Self {
            rules: Arc::clone(&self.rules),
            data: PhantomData,
        }
    }
}

impl<D> fmt::Debug for Require<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Require").field(&self.rules).finish()
    }
}

impl<S, D> Layer<S> for Require<D> {
    type Service = RequireService<S, D>;

    fn layer(&self, inner: S) -> RequireService<S, D> {
        RequireService {
            inner,
            require: self.clone(),
        }
    }
}

/// The service that a [`Require`] makes.
pub struct RequireService<S, D = ()> {
    inner: S,
    require: Require<D>,
}

impl<S: Clone, D> Clone for RequireService<S, D> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            require: self.require.clone(),
        }
    }
}

impl<S: fmt::Debug, D> fmt::Debug for RequireService<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireService")
            .field("inner", &self.inner)
            .field("require", &self.require)
            .finish()
    }
}

impl<S, D, ReqBody, ResBody> Service<Request<ReqBody>> for RequireService<S, D>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    D: Send + Sync + 'static,
    ReqBody: Send + 'static,
    ResBody: Default,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        // The one that is ready, and a clone in its place.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let rules = Arc::clone(&self.require.rules);
        Box::pin(async move {
            match caller::<D>(&rules, request.extensions()).await {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    inner.call(request).await
                }
                Err(denial) => Ok(denial.into_http()),
            }
        })
    }
}

fn caller<D: Send + Sync + 'static>(
    rules: &Rules,
    extensions: &Extensions,
) -> impl Future<Output = Result<Auth<D>, Denial>> + Send {
    let sign_in = SignIn::<D>::of(extensions);
    async move { rules.check(sign_in?).await }
}
