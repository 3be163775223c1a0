//! Prints a new key, and what to do with it.
//!
//! ```text
//! cargo run --example key              # HS256, the usual choice
//! cargo run --example key -- hs384     # or hs512
//! cargo run --example key -- master    # from which the keys of several services are derived
//! cargo run --example key --features ring -- es256     # or ed25519: a pair of keys
//! ```
//!
//! The pages of `hs256`, `hs384`, `hs512` and `master` are files of the environment: comments, and one
//! line that sets a variable.

use statewise::token::{Key, MasterKey};
use statewise::{Error, Result};

fn main() -> Result<()> {
    let kind = std::env::args().nth(1);
    print!("{}", page(kind.as_deref().unwrap_or("hs256"))?);
    Ok(())
}

/// Returns the page of a new key.
pub(crate) fn page(kind: &str) -> Result<String> {
    Ok(match kind {
        "hs256" => shared(&Key::generate_hs256()?, 32),
        "hs384" => shared(&Key::generate_hs384()?, 48),
        "hs512" => shared(&Key::generate_hs512()?, 64),
        "master" => master(&MasterKey::generate()?),
        "es256" | "ed25519" => pair(kind)?,
        _ => {
            return Err(Error::misuse(
                "there is no such kind of key: use hs256, hs384, hs512, master, es256 or ed25519",
            ));
        }
    })
}

fn shared(key: &Key, bytes: usize) -> String {
    let (name, text) = (key.algorithm().name(), key.reveal());
    let rotation = rotation(key.kid());
    format!(
        "\
# A key for {name}. Everyone who has it can log in as anyone.
TOKEN_KEY={text}
# Keep it where your deployment keeps secrets: a secret of Kubernetes or Docker, systemd's
# LoadCredential, a vault. Not in the repository, and not on a command line, which `ps` shows.
#
# In the program, with a spare from TOKEN_KEY_SPARE, which this command makes too:
#     let key = Key::from_text(Algorithm::{name}, &std::env::var(\"TOKEN_KEY\")?)?;
#     TokenAuthenticator::builder(Keyring::new(key).spare(spare))
#
{rotation}#
# This command prints such a line too:
#     echo \"TOKEN_KEY=$(openssl rand -base64 {bytes} | tr -d '\\n')\"
"
    )
}

/// Steps that replace a key. The page of the manual on deploying has the same ones.
fn rotation(kid: &str) -> String {
    format!(
        "\
# To rotate, restart the nodes one by one with the spare as TOKEN_KEY, the present key as
# TOKEN_KEY_OLD, and a new spare: `Keyring::new(key).verify_with(old).spare(spare)`. After the
# lifetime of an access token, leave TOKEN_KEY_OLD out.
# If it has leaked, call `retire_key(\"{kid}\")` on one node: the spare signs at once.
"
    )
}

fn master(key: &MasterKey) -> String {
    format!(
        "\
# A master key, for the issuer alone. Everyone who has it can log in as anyone, at every service.
MASTER_KEY={}
# Each service gets the key of its own audience, which you derive once:
#     let master = MasterKey::from_text(Algorithm::HS256, &std::env::var(\"MASTER_KEY\")?)?;
#     println!(\"{{}}\", master.key_for(\"https://auth.example\", \"orders\")?.reveal());
#
# To replace it, see `MasterRing`. To replace the key of one service alone, raise its `generation`.
#
# This command prints such a line too:
#     echo \"MASTER_KEY=master.$(openssl rand -base64 32)\"
",
        key.reveal(),
    )
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
fn pair(kind: &str) -> Result<String> {
    use statewise::token::SigningKey;

    let (pair, algorithm) = match kind {
        "es256" => (
            SigningKey::generate_es256()?,
            "EC -pkeyopt ec_paramgen_curve:P-256",
        ),
        _ => (SigningKey::generate_ed25519()?, "ED25519"),
    };
    Ok(format!(
        "\
# The private key, for the issuer alone. Everyone who has it can log in as anyone.
{}# Keep it in a file that only the issuer can read, and read it with `SigningKey::from_pem`. In a
# variable of the environment, write its line breaks as \\n.
#
# The public key, for all services that verify. It is no secret:
{}
# Read it with `PublicKey::from_jwk`, or publish `key_set()` and follow it with `KeySetView`.
#
# The names below are those of the variables, or of the files, that have the private keys.
{}#
# This command prints such a private key too:
#     openssl genpkey -algorithm {algorithm}
",
        pair.reveal(),
        pair.public_key().to_jwk(),
        rotation(pair.kid()),
    ))
}

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto")))]
fn pair(kind: &str) -> Result<String> {
    Err(Error::misuse(format!(
        "pairs of keys need a feature: cargo run --example key --features ring -- {kind}",
    )))
}
