//! The type-erased twin of the store contract, and what forwards each method to another store.

use std::sync::Arc;

use crate::base::erased::forward_to_pointee;
use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::store::answer::Peeked;
use crate::store::record_ref::RecordRef;
use crate::store::session_store::SessionStore;

/// The signatures of [`SessionStore`], for everything that forwards them: passes the one of a
/// method on to the macro `emit`, behind `context`.
#[doc(hidden)]
#[macro_export]
macro_rules! __session_store_method {
    ([$($emit:tt)+] $context:tt create) => { $($emit)+! { $context
        async create create_dyn (
            record: [&$crate::store::contract::Record],
            limit: [$crate::store::contract::Limit],
            now: [$crate::clock::Timestamp]
        ) -> [$crate::store::contract::Created]
    } };
    ([$($emit:tt)+] $context:tt load) => { $($emit)+! { $context
        async load load_dyn (
            handle: [$crate::store::contract::Handle],
            load: [$crate::store::contract::Load],
            now: [$crate::clock::Timestamp]
        ) -> [::std::option::Option<$crate::store::contract::Record>]
    } };
    ([$($emit:tt)+] $context:tt change) => { $($emit)+! { $context
        async change change_dyn (
            handle: [$crate::store::contract::Handle],
            now: [$crate::clock::Timestamp],
            change: [$crate::store::contract::ChangeFn<'_>]
        ) -> [::std::option::Option<$crate::store::contract::Changed>]
    } };
    ([$($emit:tt)+] $context:tt rotate) => { $($emit)+! { $context
        async rotate rotate_dyn (
            handle: [$crate::store::contract::Handle],
            rotation: [&$crate::store::contract::Rotation],
            now: [$crate::clock::Timestamp]
        ) -> [$crate::store::contract::Rotated]
    } };
    ([$($emit:tt)+] $context:tt update) => { $($emit)+! { $context
        async update update_dyn (
            handle: [$crate::store::contract::Handle],
            expected: [u64],
            update: [&$crate::store::contract::Update],
            now: [$crate::clock::Timestamp]
        ) -> [$crate::store::contract::Updated]
    } };
    ([$($emit:tt)+] $context:tt confirm) => { $($emit)+! { $context
        async confirm confirm_dyn (
            handle: [$crate::store::contract::Handle],
            generation: [u32],
            now: [$crate::clock::Timestamp]
        ) -> [()]
    } };
    ([$($emit:tt)+] $context:tt touch) => { $($emit)+! { $context
        async touch touch_dyn (
            uses: [&[($crate::store::contract::Handle, $crate::clock::Timestamp)]],
            now: [$crate::clock::Timestamp]
        ) -> [()]
    } };
    ([$($emit:tt)+] $context:tt remove) => { $($emit)+! { $context
        async remove remove_dyn (
            handle: [$crate::store::contract::Handle],
            subject: [&str],
            now: [$crate::clock::Timestamp]
        ) -> [$crate::store::contract::Removed]
    } };
    ([$($emit:tt)+] $context:tt remove_subject) => { $($emit)+! { $context
        async remove_subject remove_subject_dyn (
            subject: [&str],
            scope: [$crate::store::contract::Scope],
            now: [$crate::clock::Timestamp]
        ) -> [$crate::store::contract::Removed]
    } };
    ([$($emit:tt)+] $context:tt list) => { $($emit)+! { $context
        async list list_dyn (
            subject: [&str],
            page: [$crate::store::contract::Page],
            now: [$crate::clock::Timestamp]
        ) -> [$crate::store::contract::Listing]
    } };
    ([$($emit:tt)+] $context:tt sweep) => { $($emit)+! { $context
        async sweep sweep_dyn (
            limit: [usize],
            now: [$crate::clock::Timestamp]
        ) -> [$crate::store::contract::Swept]
    } };
    ([$($emit:tt)+] $context:tt begin) => { $($emit)+! { $context
        async begin begin_dyn (
            now: [$crate::clock::Timestamp]
        ) -> [::std::option::Option<$crate::store::contract::Stamp>]
    } };
    ([$($emit:tt)+] $context:tt check_new) => { $($emit)+! { $context
        async check_new check_new_dyn (
            record: [&$crate::store::contract::Record],
            began: [::std::option::Option<$crate::store::contract::Stamp>],
            now: [$crate::clock::Timestamp]
        ) -> [()]
    } };
    ([$($emit:tt)+] $context:tt outdate) => { $($emit)+! { $context
        async outdate outdate_dyn (
            subject: [&str],
            now: [$crate::clock::Timestamp]
        ) -> [()]
    } };
    ([$($emit:tt)+] $context:tt staleness) => { $($emit)+! { $context
        sync staleness staleness_dyn () -> [::std::time::Duration]
    } };
    ([$($emit:tt)+] $context:tt max_lifetime) => { $($emit)+! { $context
        sync max_lifetime max_lifetime_dyn () -> [::std::time::Duration]
    } };
    ([$($emit:tt)+] $context:tt upkeep) => { $($emit)+! { $context
        sync upkeep upkeep_dyn () -> [$crate::Upkeep]
    } };
}

/// Passes every signature of [`SessionStore`] on to a macro.
macro_rules! every_session_store_method {
    ($emit:tt $context:tt) => {
        $crate::store::erased::every_session_store_method! { $emit $context:
            create load change rotate update confirm touch
            remove remove_subject list sweep begin check_new outdate staleness max_lifetime upkeep
        }
    };
    ($emit:tt $context:tt: $($method:ident)+) => {
        $($crate::__session_store_method! { $emit $context $method })+
    };
}

pub(crate) use every_session_store_method;

/// The type-erased form of [`SessionStore`]. Implement [`SessionStore`] instead.
///
/// `Arc<dyn DynSessionStore>` is a `SessionStore` itself, so that a configuration file can pick
/// the store at start.
pub trait DynSessionStore: methods::ErasedSessionStore {}

impl<S: SessionStore> DynSessionStore for S {}

mod methods {
    //! The methods of the type-erased form, where no other code can call them on an `Arc`, which
    //! would allocate for each future twice.

    use std::fmt;

    use crate::base::erased::{declare_erased, erase, restore};
    use crate::clock::Timestamp;
    use crate::login::handle::Handle;
    use crate::store::answer::Peeked;
    use crate::store::erased::DynSessionStore;
    use crate::store::record_ref::RecordRef;
    use crate::store::session_store::SessionStore;

    #[expect(unnameable_types, reason = "its methods are not for other code")]
    pub trait ErasedSessionStore: fmt::Debug + Send + Sync + 'static {
        every_session_store_method! { [declare_erased] (SessionStore) }

        /// See [`SessionStore::peek`]. Calls `look` once at most.
        fn peek_dyn(
            &self,
            handle: Handle,
            now: Timestamp,
            look: &mut dyn FnMut(RecordRef<'_>),
        ) -> Peeked<()>;
    }

    impl<S: SessionStore> ErasedSessionStore for S {
        every_session_store_method! { [erase] (SessionStore) }

        fn peek_dyn(
            &self,
            handle: Handle,
            now: Timestamp,
            look: &mut dyn FnMut(RecordRef<'_>),
        ) -> Peeked<()> {
            self.peek(handle, now, look)
        }
    }

    impl SessionStore for dyn DynSessionStore {
        every_session_store_method! { [restore] (SessionStore) }

        fn peek<T>(
            &self,
            handle: Handle,
            now: Timestamp,
            look: impl FnOnce(RecordRef<'_>) -> T,
        ) -> Peeked<T> {
            let (mut look, mut seen) = (Some(look), None);
            let peeked = self.peek_dyn(handle, now, &mut |row| {
                seen = look.take().map(|look| look(row));
            });
            match (peeked, seen) {
                (Peeked::Live(()), Some(seen)) => Peeked::Live(seen),
                (Peeked::Absent, _) => Peeked::Absent,
                _ => Peeked::NeedsLoad,
            }
        }
    }
}

/// Implements the contract for a pointer to a store.
macro_rules! forward_to_store {
    ($pointer:ident) => {
        impl<S: SessionStore + ?Sized> SessionStore for $pointer<S> {
            every_session_store_method! { [forward_to_pointee] (SessionStore) }

            fn peek<T>(
                &self,
                handle: Handle,
                now: Timestamp,
                look: impl FnOnce(RecordRef<'_>) -> T,
            ) -> Peeked<T> {
                (**self).peek(handle, now, look)
            }
        }
    };
}

forward_to_store! { Arc }
forward_to_store! { Box }
