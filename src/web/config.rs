//! Configuration of a layer.

use std::sync::Arc;

use crate::authenticator::DynAuthenticator;
use crate::clock::Clock;
use crate::error::Error;
use crate::login::login_ref::LoginRef;
use crate::observer::Observer;
use crate::observer::event::{Act, Denied, Event};
use crate::web::clone::clone_fields;
use crate::web::denial::Denial;
use crate::web::denied::DenialPages;
use crate::web::origin::OriginPolicy;
use crate::web::transport::Transport;

/// Configuration that all requests of an [`AuthLayer`](crate::web::AuthLayer) share.
pub(crate) struct LayerConfig<D> {
    pub(crate) auth: Arc<dyn DynAuthenticator<D>>,
    pub(crate) transport: Transport,
    /// Policy for requests of other origins; `None` allows all of them.
    pub(crate) origins: Option<OriginPolicy>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pages: DenialPages,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

clone_fields!(LayerConfig<D> { auth, transport, origins, clock, pages, observer });

/// Returns the observer of a layer to which the application gives none.
pub(crate) fn default_observer() -> Option<Arc<dyn Observer>> {
    #[cfg(feature = "tracing")]
    return Some(Arc::new(crate::observer::TracingObserver));
    #[cfg(not(feature = "tracing"))]
    None
}

impl<D> LayerConfig<D> {
    /// Reports a denial that no call of the authenticator has caused: those report themselves.
    pub(crate) fn report(&self, denial: &Denial, login: Option<LoginRef<'_>>) {
        let denied = match denial {
            Denial::Absent => Denied::NoCredential,
            Denial::Malformed | Denial::Ambiguous => Denied::Unclear,
            Denial::Unproven => Denied::FailedLogin,
            Denial::MissingRole => Denied::MissingRole,
            Denial::TooOld { .. } => Denied::TooOld,
            Denial::WeakAcr { .. } => Denied::WeakAcr,
            Denial::CrossOrigin(refused) => Denied::CrossOrigin {
                method: refused.method(),
                origin: refused.origin(),
                host: refused.host(),
            },
            Denial::Failed(_) => return,
        };
        self.observe(&Event::Denied { denied, login });
    }

    /// Reports a mistake of the developer that the authenticator has not seen.
    pub(crate) fn report_misuse(&self, act: Act, error: &Error) {
        if error.is_misuse() {
            self.observe(&Event::Misused { act, error });
        }
    }

    fn observe(&self, event: &Event<'_>) {
        if let Some(observer) = &self.observer {
            observer.observe(event);
        }
    }
}
