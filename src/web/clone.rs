//! `Clone` for types that are generic over the data of logins.

/// Implements `Clone` for a struct, without the bound `D: Clone` that a derive would add.
macro_rules! clone_fields {
    ($name:ident<$($param:ident $(: $bound:ident)?),+> {
        $($field:tt),+ $(; #[$cfg:meta] $last:tt)?
    }) => {
        impl<$($param $(: $bound)?),+> Clone for $name<$($param),+> {
            fn clone(&self) -> Self {
                Self {
                    $($field: self.$field.clone(),)+
                    $(#[$cfg] $last: self.$last.clone(),)?
                }
            }
        }
    };
}

pub(crate) use clone_fields;
