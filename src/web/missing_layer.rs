//! Error of a request that has passed no layer.

use std::sync::Once;

use crate::error::Error;
use crate::observer::log_mistake;
use crate::web::sign_in::SignIn;

impl<D> SignIn<D> {
    /// Returns the error of a request that has passed no layer for this data type. Logs it once,
    /// because without a layer there is no observer. `line` is the method and the path of the request,
    /// where they are known.
    pub(crate) fn missing_layer(line: Option<(&str, &str)>) -> Error {
        let request = line.map_or("the request".to_owned(), |(method, path)| {
            // Escaped, because the client chooses the path.
            format!("the request {method} {}", path.escape_debug())
        });
        let error = Error::misuse(format!(
            "no `AuthLayer` for logins with data of the type `{}` has seen {request}: add the \
             layer to the router, outside of the handlers and guards that ask for the caller, and \
             name the data type of your logins in them (`Auth<Profile>`, \
             `Require::with_data::<Profile>()`)",
            std::any::type_name::<D>(),
        ));
        static LOGGED: Once = Once::new();
        LOGGED.call_once(|| log_mistake(&error.to_string()));
        error
    }
}
