// says: no `SigningKey` in `token`
// says: #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
// page: ``no `SigningKey` in `token` ``
// do: `ring`

use statewise::token::SigningKey;

fn main() {}
