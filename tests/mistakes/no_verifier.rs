// says: named `verifier` found for struct `TokenAuthenticator
// page: named `verifier` found``
// do: `ring`

use statewise::token::TokenAuthenticator;

fn main() {
    let _ = TokenAuthenticator::verifier;
}
