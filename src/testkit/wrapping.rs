//! Stores around stores: macros that forward each method.

/// Forwards methods of a [`SessionStore`](crate::store::contract::SessionStore) to a field, inside
/// of `impl SessionStore for ..`. You write only the methods that the wrapper changes.
///
/// ```
/// use statewise::clock::Timestamp;
/// use statewise::session::Removed;
/// use statewise::store::contract::SessionStore;
/// use statewise::testkit::forward_session_store;
/// use statewise::{Result, Revocation};
///
/// /// Removes nothing and answers that it did.
/// #[derive(Debug)]
/// struct Forgetful<S>(S);
///
/// impl<S: SessionStore> SessionStore for Forgetful<S> {
///     forward_session_store! {
///         0: create, load, change, rotate, update, confirm, touch,
///         remove_subject, list, sweep, begin, check_new, outdate, staleness, max_lifetime, upkeep
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
    (@one $field:tt $method:ident) => {
        $crate::__session_store_method! { [$crate::forward_session_store] ($field) $method }
    };
    (($field:tt) async $name:ident $erased:ident
        ($($argument:ident: [$($type:tt)+]),*) -> [$answer:ty]) => {
        async fn $name(&self, $($argument: $($type)+),*) -> $crate::Result<$answer> {
            self.$field.$name($($argument),*).await
        }
    };
    (($field:tt) sync $name:ident $erased:ident () -> [$answer:ty]) => {
        fn $name(&self) -> $answer {
            self.$field.$name()
        }
    };
}

/// Implements the store contract for a wrapper with an `around(method, call)`. It gets each call of
/// `inner` before it has begun.
macro_rules! wrap_every_method {
    ($wrapper:ident) => {
        impl<S: SessionStore> SessionStore for $wrapper<S> {
            $crate::store::erased::every_session_store_method! {
                [$crate::testkit::wrapping::wrap_method] ()
            }
        }
    };
}

/// Implements one method of such a wrapper.
macro_rules! wrap_method {
    // The strategy calls them once for each login, or update of all; tests neither count them nor let
    // them fail.
    (() async begin $($signature:tt)+) => {
        $crate::forward_session_store! { (inner) async begin $($signature)+ }
    };
    (() async check_new $($signature:tt)+) => {
        $crate::forward_session_store! { (inner) async check_new $($signature)+ }
    };
    (() async outdate $($signature:tt)+) => {
        $crate::forward_session_store! { (inner) async outdate $($signature)+ }
    };
    (() async $name:ident $erased:ident
        ($($argument:ident: [$($type:tt)+]),*) -> [$answer:ty]) => {
        async fn $name(&self, $($argument: $($type)+),*) -> $crate::Result<$answer> {
            let call = self.inner.$name($($argument),*);
            self.around($crate::testkit::wrapping::method!($name), call).await
        }
    };
    (() sync $($signature:tt)+) => {
        $crate::forward_session_store! { (inner) sync $($signature)+ }
    };
}

/// The [`Method`](crate::testkit::Method) of a name.
#[rustfmt::skip]
macro_rules! method {
    (create) => { $crate::testkit::Method::Create };
    (load) => { $crate::testkit::Method::Load };
    (change) => { $crate::testkit::Method::Change };
    (rotate) => { $crate::testkit::Method::Rotate };
    (update) => { $crate::testkit::Method::Update };
    (confirm) => { $crate::testkit::Method::Confirm };
    (touch) => { $crate::testkit::Method::Touch };
    (remove) => { $crate::testkit::Method::Remove };
    (remove_subject) => { $crate::testkit::Method::RemoveSubject };
    (list) => { $crate::testkit::Method::List };
    (sweep) => { $crate::testkit::Method::Sweep };
}

pub(crate) use wrap_every_method;
pub(crate) use {method, wrap_method};
