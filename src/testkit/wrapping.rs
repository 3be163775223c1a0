//! Stores around stores, without writing down what stays as it is.

/// Forwards methods of a [`SessionStore`](crate::store::contract::SessionStore) to a field, inside of
/// `impl SessionStore for ..`: what is left is what a wrapper does otherwise.
///
/// ```
/// use statewise::clock::Timestamp;
/// use statewise::session::Removed;
/// use statewise::store::contract::SessionStore;
/// use statewise::testkit::forward_session_store;
/// use statewise::{Result, Revocation};
///
/// /// Ends nothing, and says that it did.
/// #[derive(Debug)]
/// struct Forgetful<S>(S);
///
/// impl<S: SessionStore> SessionStore for Forgetful<S> {
///     forward_session_store! {
///         0: create, load, rotate, update, confirm, touch, remove_subject, list, sweep, begin, staleness, upkeep
///     }
///
///     async fn remove(
///         &self,
///         _: statewise::store::contract::Handle,
///         _: &str,
///         _: Timestamp,
///     ) -> Result<Removed> {
///         Ok(Removed::at_once(1))
///     }
/// }
/// ```
#[macro_export]
macro_rules! forward_session_store {
    ($field:tt: $($method:ident),* $(,)?) => {
        $($crate::forward_session_store!(@one $field $method);)*
    };
    (@one $field:tt create) => {
        async fn create(
            &self,
            record: &$crate::store::contract::Record,
            limit: $crate::store::contract::Limit,
            now: $crate::clock::Timestamp,
        ) -> $crate::Result<$crate::store::contract::Created> {
            self.$field.create(record, limit, now).await
        }
    };
    (@one $field:tt load) => {
        async fn load(
            &self,
            handle: $crate::store::contract::Handle,
            load: $crate::store::contract::Load,
            now: $crate::clock::Timestamp,
        ) -> $crate::Result<::std::option::Option<$crate::store::contract::Record>> {
            self.$field.load(handle, load, now).await
        }
    };
    (@one $field:tt rotate) => {
        async fn rotate(
            &self,
            handle: $crate::store::contract::Handle,
            rotation: &$crate::store::contract::Rotation,
            now: $crate::clock::Timestamp,
        ) -> $crate::Result<$crate::store::contract::Rotated> {
            self.$field.rotate(handle, rotation, now).await
        }
    };
    (@one $field:tt update) => {
        async fn update(
            &self,
            handle: $crate::store::contract::Handle,
            expected: u64,
            change: &$crate::store::contract::Change,
            now: $crate::clock::Timestamp,
        ) -> $crate::Result<$crate::store::contract::Updated> {
            self.$field.update(handle, expected, change, now).await
        }
    };
    (@one $field:tt confirm) => {
        async fn confirm(
            &self,
            handle: $crate::store::contract::Handle,
            generation: u32,
            now: $crate::clock::Timestamp,
        ) -> $crate::Result<()> {
            self.$field.confirm(handle, generation, now).await
        }
    };
    (@one $field:tt touch) => {
        async fn touch(
            &self,
            uses: &[($crate::store::contract::Handle, $crate::clock::Timestamp)],
            now: $crate::clock::Timestamp,
        ) -> $crate::Result<()> {
            self.$field.touch(uses, now).await
        }
    };
    (@one $field:tt remove) => {
        async fn remove(
            &self,
            handle: $crate::store::contract::Handle,
            subject: &str,
            now: $crate::clock::Timestamp,
        ) -> $crate::Result<$crate::store::contract::Removed> {
            self.$field.remove(handle, subject, now).await
        }
    };
    (@one $field:tt remove_subject) => {
        async fn remove_subject(
            &self,
            subject: &str,
            scope: $crate::store::contract::Scope,
            now: $crate::clock::Timestamp,
        ) -> $crate::Result<$crate::store::contract::Removed> {
            self.$field.remove_subject(subject, scope, now).await
        }
    };
    (@one $field:tt list) => {
        async fn list(
            &self,
            subject: &str,
            page: $crate::store::contract::Page,
            now: $crate::clock::Timestamp,
        ) -> $crate::Result<$crate::store::contract::Listing> {
            self.$field.list(subject, page, now).await
        }
    };
    (@one $field:tt sweep) => {
        async fn sweep(
            &self,
            limit: usize,
            now: $crate::clock::Timestamp,
        ) -> $crate::Result<$crate::store::contract::Swept> {
            self.$field.sweep(limit, now).await
        }
    };
    (@one $field:tt begin) => {
        async fn begin(
            &self,
            deadline: $crate::clock::Timestamp,
            now: $crate::clock::Timestamp,
        ) -> $crate::Result<Option<$crate::store::contract::Stamp>> {
            self.$field.begin(deadline, now).await
        }
    };
    (@one $field:tt staleness) => {
        fn staleness(&self) -> std::time::Duration {
            self.$field.staleness()
        }
    };
    (@one $field:tt upkeep) => {
        fn upkeep(&self) -> $crate::Upkeep {
            self.$field.upkeep()
        }
    };
}

/// Implements the store contract for a wrapper that does the same around each method:
/// its `around(method, call)` is given the call of `inner`, not begun yet.
macro_rules! wrap_every_method {
    ($wrapper:ident) => {
        impl<S: SessionStore> SessionStore for $wrapper<S> {
            async fn create(
                &self,
                record: &Record,
                limit: Limit,
                now: Timestamp,
            ) -> Result<Created> {
                let call = self.inner.create(record, limit, now);
                self.around(Method::Create, call).await
            }

            async fn load(
                &self,
                handle: Handle,
                load: Load,
                now: Timestamp,
            ) -> Result<Option<Record>> {
                let call = self.inner.load(handle, load, now);
                self.around(Method::Load, call).await
            }

            async fn rotate(
                &self,
                handle: Handle,
                rotation: &Rotation,
                now: Timestamp,
            ) -> Result<Rotated> {
                let call = self.inner.rotate(handle, rotation, now);
                self.around(Method::Rotate, call).await
            }

            async fn update(
                &self,
                handle: Handle,
                expected: u64,
                change: &Change,
                now: Timestamp,
            ) -> Result<Updated> {
                let call = self.inner.update(handle, expected, change, now);
                self.around(Method::Update, call).await
            }

            async fn confirm(&self, handle: Handle, generation: u32, now: Timestamp) -> Result<()> {
                let call = self.inner.confirm(handle, generation, now);
                self.around(Method::Confirm, call).await
            }

            async fn touch(&self, uses: &[(Handle, Timestamp)], now: Timestamp) -> Result<()> {
                let call = self.inner.touch(uses, now);
                self.around(Method::Touch, call).await
            }

            async fn remove(
                &self,
                handle: Handle,
                subject: &str,
                now: Timestamp,
            ) -> Result<Removed> {
                let call = self.inner.remove(handle, subject, now);
                self.around(Method::Remove, call).await
            }

            async fn remove_subject(
                &self,
                subject: &str,
                scope: Scope,
                now: Timestamp,
            ) -> Result<Removed> {
                let call = self.inner.remove_subject(subject, scope, now);
                self.around(Method::RemoveSubject, call).await
            }

            async fn list(&self, subject: &str, page: Page, now: Timestamp) -> Result<Listing> {
                let call = self.inner.list(subject, page, now);
                self.around(Method::List, call).await
            }

            async fn sweep(&self, limit: usize, now: Timestamp) -> Result<Swept> {
                let call = self.inner.sweep(limit, now);
                self.around(Method::Sweep, call).await
            }

            async fn begin(
                &self,
                deadline: Timestamp,
                now: Timestamp,
            ) -> Result<Option<$crate::store::contract::Stamp>> {
                self.inner.begin(deadline, now).await
            }

            fn staleness(&self) -> std::time::Duration {
                self.inner.staleness()
            }

            fn upkeep(&self) -> $crate::upkeep::Upkeep {
                self.inner.upkeep()
            }
        }
    };
}

pub(crate) use wrap_every_method;
