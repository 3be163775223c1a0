//! Configuration of a layer.

use std::sync::Arc;

use crate::authenticator::DynAuthenticator;
use crate::clock::Clock;
use crate::web::clone::clone_fields;
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
}

clone_fields!(LayerConfig<D> { auth, transport, origins, clock, pages });
