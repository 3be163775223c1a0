// says: the trait bound `KeySource: From<&str>` is not satisfied
// says: `KeySource` implements `From<statewise::token::Key>`
// page: ``the trait bound `KeySource: From<&str>` is not satisfied``
// do: `Key::from_text(Algorithm::HS256, &text)?`

use statewise::token::TokenAuthenticator;

fn main() {
    let _builder = TokenAuthenticator::builder("secret");
}
