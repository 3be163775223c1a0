// says: `?` couldn't convert the error to `String`
// says: the trait `From<Denial>` is not implemented for `String`
// page: ``the trait `From<Denial>` is not implemented``
// do: return `Result<_, Denial>`

use statewise::web::{Denial, SignIn};

async fn log_out(sign_in: SignIn) -> Result<(), String> {
    let _when = sign_in.revoke().await?;
    Ok(())
}

fn main() {
    let _ = log_out;
    let _: fn(Denial) = drop;
}
