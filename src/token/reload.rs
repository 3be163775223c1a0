//! Reading the user again when a login is refreshed.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::base::boxed::BoxFuture;
use crate::error::{Error, Result};
use crate::login::identity::Identity;

/// The roles and data of a user as your database has them now: the result of
/// [`TokenBuilder::reload`](crate::token::TokenBuilder::reload). `Debug` omits the data: they belong to
/// the application and may be secret.
#[derive(Clone)]
#[non_exhaustive]
pub struct Fresh<D = ()> {
    /// The roles.
    pub roles: Vec<String>,
    /// The application's data.
    pub data: D,
}

impl<D> Fresh<D> {
    /// Creates the roles and data of a user.
    pub fn new<R: AsRef<str>>(roles: impl IntoIterator<Item = R>, data: D) -> Self {
        Self {
            roles: roles
                .into_iter()
                .map(|role| role.as_ref().to_owned())
                .collect(),
            data,
        }
    }
}

impl<D> fmt::Debug for Fresh<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fresh")
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// The result of reading a user.
type Reloading<D> = BoxFuture<'static, Result<Option<Fresh<D>>>>;
/// Reads the user of a login.
type ReloadFn<D> = dyn Fn(&Identity<D>) -> Reloading<D> + Send + Sync;

/// The reading of a user, as the application has defined it.
pub(crate) struct Reload<D>(Arc<ReloadFn<D>>);

impl<D> Reload<D> {
    pub(crate) fn new<F, R>(reload: F) -> Self
    where
        F: Fn(&Identity<D>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Option<Fresh<D>>>> + Send + 'static,
    {
        Self(Arc::new(move |login| Box::pin(reload(login))))
    }

    /// Reads the user of `login`. `None` if there is no such user.
    ///
    /// # Errors
    ///
    /// *Unavailable*, whatever error the application returns: none of them says anything about the
    /// credential, which stays with the client.
    pub(crate) fn read(
        &self,
        login: &Identity<D>,
    ) -> impl Future<Output = Result<Option<Fresh<D>>>> + Send + use<D> {
        let reading = (self.0)(login);
        async move {
            reading.await.map_err(|error| match error.is_unavailable() {
                true => error.naming("the user could not be read again"),
                false => {
                    let what = "the user could not be read again";
                    Error::could_not(what, Some(Box::new(error)))
                }
            })
        }
    }
}
