//! The type-erased twin of the store contract.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::base::boxed::BoxFuture;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::store::answer::{Created, Removed, Rotated, Swept, Updated};
use crate::store::ask::{Change, Limit, Load, Rotation, Scope};
use crate::store::listing::{Listing, Page};
use crate::store::record::Record;
use crate::store::session_store::SessionStore;
use crate::upkeep::Upkeep;

/// The type-erased form of [`SessionStore`]: implement that one.
///
/// `Arc<dyn DynSessionStore>` is a `SessionStore` itself, so that a configuration file can pick
/// the store at start.
pub trait DynSessionStore: fmt::Debug + Send + Sync + 'static {
    /// See [`SessionStore::create`].
    fn create_dyn<'a>(
        &'a self,
        record: &'a Record,
        limit: Limit,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Created>>;
    /// See [`SessionStore::load`].
    fn load_dyn(
        &self,
        handle: Handle,
        load: Load,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Option<Record>>>;
    /// See [`SessionStore::rotate`].
    fn rotate_dyn<'a>(
        &'a self,
        handle: Handle,
        rotation: &'a Rotation,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Rotated>>;
    /// See [`SessionStore::update`].
    fn update_dyn<'a>(
        &'a self,
        handle: Handle,
        expected: u64,
        change: &'a Change,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Updated>>;
    /// See [`SessionStore::confirm`].
    fn confirm_dyn(
        &self,
        handle: Handle,
        generation: u32,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<()>>;
    /// See [`SessionStore::touch`].
    fn touch_dyn<'a>(
        &'a self,
        uses: &'a [(Handle, Timestamp)],
        now: Timestamp,
    ) -> BoxFuture<'a, Result<()>>;
    /// See [`SessionStore::remove`].
    fn remove_dyn<'a>(
        &'a self,
        handle: Handle,
        subject: &'a str,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Removed>>;
    /// See [`SessionStore::remove_subject`].
    fn remove_subject_dyn<'a>(
        &'a self,
        subject: &'a str,
        scope: Scope,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Removed>>;
    /// See [`SessionStore::list`].
    fn list_dyn<'a>(
        &'a self,
        subject: &'a str,
        page: Page,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Listing>>;
    /// See [`SessionStore::sweep`].
    fn sweep_dyn(&self, limit: usize, now: Timestamp) -> BoxFuture<'_, Result<Swept>>;
    /// See [`SessionStore::begin`].
    fn begin_dyn(
        &self,
        deadline: Timestamp,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Option<Stamp>>>;
    /// See [`SessionStore::staleness`].
    fn staleness_dyn(&self) -> Duration;
    /// See [`SessionStore::upkeep`].
    fn upkeep_dyn(&self) -> Upkeep;
}

impl<S: SessionStore> DynSessionStore for S {
    fn create_dyn<'a>(
        &'a self,
        record: &'a Record,
        limit: Limit,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Created>> {
        Box::pin(self.create(record, limit, now))
    }

    fn load_dyn(
        &self,
        handle: Handle,
        load: Load,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Option<Record>>> {
        Box::pin(self.load(handle, load, now))
    }

    fn rotate_dyn<'a>(
        &'a self,
        handle: Handle,
        rotation: &'a Rotation,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Rotated>> {
        Box::pin(self.rotate(handle, rotation, now))
    }

    fn update_dyn<'a>(
        &'a self,
        handle: Handle,
        expected: u64,
        change: &'a Change,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Updated>> {
        Box::pin(self.update(handle, expected, change, now))
    }

    fn confirm_dyn(
        &self,
        handle: Handle,
        generation: u32,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.confirm(handle, generation, now))
    }

    fn touch_dyn<'a>(
        &'a self,
        uses: &'a [(Handle, Timestamp)],
        now: Timestamp,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.touch(uses, now))
    }

    fn remove_dyn<'a>(
        &'a self,
        handle: Handle,
        subject: &'a str,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Removed>> {
        Box::pin(self.remove(handle, subject, now))
    }

    fn remove_subject_dyn<'a>(
        &'a self,
        subject: &'a str,
        scope: Scope,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Removed>> {
        Box::pin(self.remove_subject(subject, scope, now))
    }

    fn list_dyn<'a>(
        &'a self,
        subject: &'a str,
        page: Page,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Listing>> {
        Box::pin(self.list(subject, page, now))
    }

    fn sweep_dyn(&self, limit: usize, now: Timestamp) -> BoxFuture<'_, Result<Swept>> {
        Box::pin(self.sweep(limit, now))
    }

    fn begin_dyn(
        &self,
        deadline: Timestamp,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Option<Stamp>>> {
        Box::pin(self.begin(deadline, now))
    }

    fn staleness_dyn(&self) -> Duration {
        self.staleness()
    }

    fn upkeep_dyn(&self) -> Upkeep {
        self.upkeep()
    }
}

impl SessionStore for dyn DynSessionStore {
    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        self.create_dyn(record, limit, now).await
    }

    async fn load(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        self.load_dyn(handle, load, now).await
    }

    async fn rotate(&self, handle: Handle, rotation: &Rotation, now: Timestamp) -> Result<Rotated> {
        self.rotate_dyn(handle, rotation, now).await
    }

    async fn update(
        &self,
        handle: Handle,
        expected: u64,
        change: &Change,
        now: Timestamp,
    ) -> Result<Updated> {
        self.update_dyn(handle, expected, change, now).await
    }

    async fn confirm(&self, handle: Handle, generation: u32, now: Timestamp) -> Result<()> {
        self.confirm_dyn(handle, generation, now).await
    }

    async fn touch(&self, uses: &[(Handle, Timestamp)], now: Timestamp) -> Result<()> {
        self.touch_dyn(uses, now).await
    }

    async fn remove(&self, handle: Handle, subject: &str, now: Timestamp) -> Result<Removed> {
        self.remove_dyn(handle, subject, now).await
    }

    async fn remove_subject(&self, subject: &str, scope: Scope, now: Timestamp) -> Result<Removed> {
        self.remove_subject_dyn(subject, scope, now).await
    }

    async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
        self.list_dyn(subject, page, now).await
    }

    async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
        self.sweep_dyn(limit, now).await
    }

    async fn begin(&self, deadline: Timestamp, now: Timestamp) -> Result<Option<Stamp>> {
        self.begin_dyn(deadline, now).await
    }

    fn staleness(&self) -> Duration {
        self.staleness_dyn()
    }

    fn upkeep(&self) -> Upkeep {
        self.upkeep_dyn()
    }
}

macro_rules! forward_to_pointee {
    ($($pointer:ident),*) => {$(
        impl<S: SessionStore + ?Sized> SessionStore for $pointer<S> {
            fn create(
                &self,
                record: &Record,
                limit: Limit,
                now: Timestamp,
            ) -> impl Future<Output = Result<Created>> + Send {
                (**self).create(record, limit, now)
            }

            fn load(
                &self,
                handle: Handle,
                load: Load,
                now: Timestamp,
            ) -> impl Future<Output = Result<Option<Record>>> + Send {
                (**self).load(handle, load, now)
            }

            fn rotate(
                &self,
                handle: Handle,
                rotation: &Rotation,
                now: Timestamp,
            ) -> impl Future<Output = Result<Rotated>> + Send {
                (**self).rotate(handle, rotation, now)
            }

            fn update(
                &self,
                handle: Handle,
                expected: u64,
                change: &Change,
                now: Timestamp,
            ) -> impl Future<Output = Result<Updated>> + Send {
                (**self).update(handle, expected, change, now)
            }

            fn confirm(
                &self,
                handle: Handle,
                generation: u32,
                now: Timestamp,
            ) -> impl Future<Output = Result<()>> + Send {
                (**self).confirm(handle, generation, now)
            }

            fn touch(
                &self,
                uses: &[(Handle, Timestamp)],
                now: Timestamp,
            ) -> impl Future<Output = Result<()>> + Send {
                (**self).touch(uses, now)
            }

            fn remove(
                &self,
                handle: Handle,
                subject: &str,
                now: Timestamp,
            ) -> impl Future<Output = Result<Removed>> + Send {
                (**self).remove(handle, subject, now)
            }

            fn remove_subject(
                &self,
                subject: &str,
                scope: Scope,
                now: Timestamp,
            ) -> impl Future<Output = Result<Removed>> + Send {
                (**self).remove_subject(subject, scope, now)
            }

            fn list(
                &self,
                subject: &str,
                page: Page,
                now: Timestamp,
            ) -> impl Future<Output = Result<Listing>> + Send {
                (**self).list(subject, page, now)
            }

            fn sweep(
                &self,
                limit: usize,
                now: Timestamp,
            ) -> impl Future<Output = Result<Swept>> + Send {
                (**self).sweep(limit, now)
            }

            fn begin(
                &self,
                deadline: Timestamp,
                now: Timestamp,
            ) -> impl Future<Output = Result<Option<Stamp>>> + Send {
                (**self).begin(deadline, now)
            }

            fn staleness(&self) -> Duration {
                (**self).staleness()
            }

            fn upkeep(&self) -> Upkeep {
                (**self).upkeep()
            }
        }
    )*};
}

forward_to_pointee!(Arc, Box);
