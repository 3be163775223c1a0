// says: unused `Revocation` that must be used
// page: ``unused `Revocation` that must be used``
// do: `let _when =`

#![deny(unused_must_use)]

use statewise::web::{Denial, SignIn};

async fn log_out(sign_in: SignIn) -> Result<(), Denial> {
    sign_in.revoke().await?;
    Ok(())
}

fn main() {
    let _ = log_out;
}
