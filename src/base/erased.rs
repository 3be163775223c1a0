//! Macros for the type-erased twin of a trait with `async` methods. Each takes the signature of one
//! method, and declares, implements or forwards it.
//!
//! A signature has one of these forms:
//!
//! ```text
//! (Trait) async method method_dyn (argument: [Type], ..) -> [Answer]     the future of a `Result`
//! (Trait) sync method method_dyn (argument: [Type], ..) -> [Answer]
//! ```

/// The type of an argument that lives as long as the future that uses it.
macro_rules! argument {
    ($life:lifetime $($path:ident)::+ <'_>) => { $($path)::+ <$life> };
    ($life:lifetime $name:ident <'_, $data:ty>) => { $name<$life, $data> };
    ($life:lifetime &$($type:tt)+) => { &$life $($type)+ };
    ($life:lifetime $($type:tt)+) => { $($type)+ };
}

/// Declares a method of the erased trait.
macro_rules! declare_erased {
    (($trait:ident) async $name:ident $erased:ident
        ($($argument:ident: [$($type:tt)+]),*) -> [$answer:ty]) => {
        #[doc = concat!("See [`", stringify!($trait), "::", stringify!($name), "`].")]
        fn $erased<'a>(
            &'a self,
            $($argument: $crate::base::erased::argument!('a $($type)+)),*
        ) -> $crate::base::boxed::BoxFuture<'a, $crate::Result<$answer>>;
    };
    (($trait:ident) sync $name:ident $erased:ident
        ($($argument:ident: [$($type:tt)+]),*) -> [$answer:ty]) => {
        #[doc = concat!("See [`", stringify!($trait), "::", stringify!($name), "`].")]
        fn $erased(&self, $($argument: $($type)+),*) -> $answer;
    };
}

/// Implements a method of the erased trait for everything that implements the trait.
macro_rules! erase {
    (($trait:ident) async $name:ident $erased:ident
        ($($argument:ident: [$($type:tt)+]),*) -> [$answer:ty]) => {
        fn $erased<'a>(
            &'a self,
            $($argument: $crate::base::erased::argument!('a $($type)+)),*
        ) -> $crate::base::boxed::BoxFuture<'a, $crate::Result<$answer>> {
            Box::pin(self.$name($($argument),*))
        }
    };
    (($trait:ident) sync $name:ident $erased:ident
        ($($argument:ident: [$($type:tt)+]),*) -> [$answer:ty]) => {
        fn $erased(&self, $($argument: $($type)+),*) -> $answer {
            self.$name($($argument),*)
        }
    };
}

/// Implements a method of the trait for its erased twin.
macro_rules! restore {
    (($trait:ident) async $name:ident $erased:ident
        ($($argument:ident: [$($type:tt)+]),*) -> [$answer:ty]) => {
        async fn $name(&self, $($argument: $($type)+),*) -> $crate::Result<$answer> {
            self.$erased($($argument),*).await
        }
    };
    (($trait:ident) sync $name:ident $erased:ident
        ($($argument:ident: [$($type:tt)+]),*) -> [$answer:ty]) => {
        fn $name(&self, $($argument: $($type)+),*) -> $answer {
            self.$erased($($argument),*)
        }
    };
}

/// Implements a method of the trait for a pointer to something that implements it.
macro_rules! forward_to_pointee {
    (($trait:ident) async $name:ident $erased:ident
        ($($argument:ident: [$($type:tt)+]),*) -> [$answer:ty]) => {
        fn $name(
            &self,
            $($argument: $($type)+),*
        ) -> impl ::std::future::Future<Output = $crate::Result<$answer>> + Send {
            (**self).$name($($argument),*)
        }
    };
    (($trait:ident) sync $name:ident $erased:ident
        ($($argument:ident: [$($type:tt)+]),*) -> [$answer:ty]) => {
        fn $name(&self, $($argument: $($type)+),*) -> $answer {
            (**self).$name($($argument),*)
        }
    };
}

pub(crate) use {argument, declare_erased, erase, forward_to_pointee, restore};
