//! Keys read from text: the output of programs is read, every other text is refused and never repeated.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use statewise::testkit::Random;
use statewise::token::{Algorithm, Key, MasterKey};

#[allow(dead_code, reason = "the main function is not called")]
#[path = "../../examples/key.rs"]
mod example;

use Algorithm::{HS256, HS384, HS512};

/// Output of OpenSSL 3.0.
const PRINTED: [(Algorithm, &str); 6] = [
    // openssl rand -base64 32, 48 and 64
    (HS256, "tP9eBg20PXaMsuUr4SxqNlKc3IyMJmEwkN1a2a+XfDw=\n"),
    (
        HS384,
        "wFlgiZ/C6k7p97IBigvbPYDqaeg0NJFNXhpsbEh1IF7vnwfOlBt/Ln6Eba5kHS++\n",
    ),
    (
        HS512,
        "yMjo1C2ddYYGkol18X49H3x4Kz0n4rPRP0sjRvMt7Z9DFCdQNOeXtWG6lnOYCMrx\n\
         UrGjuYthPxUkfh+EglA4QQ==\n",
    ),
    // openssl rand -hex 32, 48 and 64
    (
        HS256,
        "860cef640b3f5ca17323c277f16fe952a61aa563f6fa83d78a17cb7eea6be87b\n",
    ),
    (
        HS384,
        "8d7583c2085227f88851f735defda40001646d1689413998412d6b16675f6e18817cfa17b367627738a78199448ceb30\n",
    ),
    (
        HS512,
        "8b125bb284f87a0a898dacb74040c6d61d25ece893bb6e669d2aba765ebab6530d37a9a6563add36c91955cfa307d8ca8a98a01fca98ca18cb85a0ed3aa3a542\n",
    ),
];

/// Output of other programs, each with the first four bytes in it.
const OTHERS: [(&str, [u8; 4]); 6] = [
    // head -c 32 /dev/urandom | base64
    (
        "EZPq9NOyErQOltTTT5DrB00JOru1jSivRwNe4pr6Ai8=\n",
        [0x11, 0x93, 0xea, 0xf4],
    ),
    // head -c 64 /dev/urandom | xxd -p
    (
        "53073e787534150ce5b0e21e026f612a6e2d7dd0dc390fde48103e28a8ce\n\
         9e8505b687bd44ab7c11fb75ff9c2e92b801f162562c20d60649f7a6c954\na8e6cd7b\n",
        [0x53, 0x07, 0x3e, 0x78],
    ),
    // head -c 32 /dev/urandom | od -An -tx1
    (
        " 6b af 3f 5c 82 ec 41 24 c2 22 51 c9 ce f4 ae 33\n c4 9e d8 47 ae 0d 5f 51 98 23 57 9b 09 74 0c a8\n",
        [0x6b, 0xaf, 0x3f, 0x5c],
    ),
    // Python's secrets.token_urlsafe(32) and secrets.token_hex(32)
    (
        "2uQNRoW5_3f1kncxSbU592Gc5ZfNjVQ7oourcQi8QoQ",
        [0xda, 0xe4, 0x0d, 0x46],
    ),
    (
        "46d36c218b3c6e09c98ab3680b1b68c89a822f5e3e7afa8093774d368f7c13f4",
        [0x46, 0xd3, 0x6c, 0x21],
    ),
    // Node's randomBytes(32).toString("base64url")
    (
        "tET2DP43puWFy6zdWHNE68iO9r0u2GP6gzkKcIOHgns",
        [0xb4, 0x44, 0xf6, 0x0c],
    ),
];

fn bytes(key: &Key) -> Vec<u8> {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    engine.decode(key.reveal()).unwrap()
}

#[test]
fn what_programs_print_is_read() {
    for (algorithm, text) in PRINTED {
        let key = Key::from_text(algorithm, text).unwrap();
        let expected = match algorithm {
            HS256 => 32,
            HS384 => 48,
            _ => 64,
        };
        assert_eq!(bytes(&key).len(), expected, "{text}");
        let master = format!("master.{text}");
        assert!(MasterKey::from_text(algorithm, &master).is_ok(), "{text}");
    }
    for (text, first) in OTHERS {
        let key = Key::from_text(HS256, text).unwrap();
        assert_eq!(bytes(&key)[..4], first, "{text}");
        assert_eq!(bytes(&key).len() % 32, 0, "{text}");
    }
}

/// `openssl rand -hex 32` has 32 bytes of entropy in 64 characters. Read as base64, it would be a
/// longer key that no other program derives from it.
#[test]
fn hexadecimal_text_is_not_read_as_base64() {
    let (_, text) = PRINTED[3];
    let key = Key::from_text(HS256, text).unwrap();
    assert_eq!(bytes(&key)[..3], [0x86, 0x0c, 0xef]);
    let upper = Key::from_text(HS256, &text.to_uppercase()).unwrap();
    assert_eq!(upper.kid(), key.kid());
    // 24 bytes, which would be 36 as base64.
    let refused = Key::from_text(HS256, &text[..48]).unwrap_err().to_string();
    assert!(refused.contains("has 24 bytes"), "{refused}");
}

/// All spellings of one secret are one key, and so is what `reveal` returns.
#[test]
fn every_spelling_of_a_secret_is_the_same_key() {
    const SEED: u64 = 20;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    let mut random = Random::new(SEED);
    for round in 0..300 {
        for (algorithm, length) in [(HS256, 32), (HS384, 48), (HS512, 64)] {
            let length = length + random.below(40);
            let secret: Vec<u8> = (0..length).map(|_| random.word() as u8).collect();
            let raw = match algorithm {
                HS256 => Key::hs256(&secret),
                HS384 => Key::hs384(&secret),
                _ => Key::hs512(&secret),
            };
            let kid = raw.as_ref().unwrap().kid().to_owned();
            let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            let mut texts = vec![
                raw.unwrap().reveal(),
                STANDARD.encode(&secret),
                STANDARD_NO_PAD.encode(&secret),
                URL_SAFE.encode(&secret),
                URL_SAFE_NO_PAD.encode(&secret),
                hex.to_uppercase(),
                hex,
            ];
            for text in &mut texts {
                let at = random.below(text.len());
                text.insert_str(at, [" ", "\n", "\r\n", "\t"][round % 4]);
                let key = Key::from_text(algorithm, &format!("\n {text}\r\n"));
                let read = key.unwrap_or_else(|error| panic!("seed {SEED}: {text}: {error}"));
                assert_eq!(read.kid(), kid, "seed {SEED}: {text}");
            }
            let master = MasterKey::new(algorithm, &secret).unwrap();
            for text in texts {
                let read = MasterKey::from_text(algorithm, &format!(" master.{text}\n")).unwrap();
                assert_eq!(read.reveal(), master.reveal(), "seed {SEED}: {text}");
            }
        }
    }
}

#[test]
fn other_texts_are_refused_with_the_command_and_never_repeated() {
    let good = PRINTED[0].1.trim();
    let cut = |end: usize| good[..end].to_owned();
    let refused = [
        ("", "is empty"),
        (" \n", "is empty"),
        (&format!("\"{good}\""), "has quotes"),
        (&format!("'{good}'\n"), "has quotes"),
        (&format!("TOKEN_KEY={good}"), "has an equals sign"),
        (&format!("{}-_", cut(42)), "mixes the two alphabets"),
        // Padding that is missing in part, or too much.
        (&format!("{}=", cut(42)), "is neither"),
        (&format!("{good}="), "is neither"),
        (&format!("{good}=="), "has an equals sign"),
        // The last two bits of 43 characters mean nothing, and must be zero.
        (&good.replace("fDw=", "fDx="), "is neither"),
        (&good.replace("fDw=", "fDx"), "is neither"),
        (&cut(41), "is neither"),
        (&format!("\u{e9}{good}"), "is neither"),
        (&good.replace('a', "a\u{200b}"), "is neither"),
        (&PRINTED[3].1[1..], "an even number"),
        (&format!("0x{}", PRINTED[3].1), "an even number"),
        (
            "67e55044-10b1-426f-9247-bb680e5fe0c8-67e55044-10b1-426f-9247",
            "an even number",
        ),
        (
            "correct horse battery staple correct horse battery staple",
            "a passphrase",
        ),
        (&"CORRECTHORSE".repeat(5), "a passphrase"),
        (&cut(40), "has 30 bytes"),
        (&"00".repeat(32), "one repeated byte"),
        (
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIE\n-----END PRIVATE KEY-----",
            "PEM text",
        ),
        (
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGb9ECWmEzf6FQ",
            "an SSH key",
        ),
    ];
    for (text, problem) in refused {
        let [key, master] = [
            Key::from_text(HS256, text).map(drop),
            MasterKey::from_text(HS256, &format!("master.{text}")).map(drop),
        ];
        for (read, command) in [
            (key, "`openssl rand -base64 32`"),
            (master, "`echo \"master.$(openssl rand -base64 32)\"`"),
        ] {
            let error = read.expect_err(text);
            let [shown, debug] = [error.to_string(), format!("{error:?}")];
            assert!(
                error.is_misuse() && shown.contains(problem),
                "{text}: {shown}"
            );
            assert!(shown.contains(command), "{text}: {shown}");
            assert!(shown.contains("`cargo run --example key -- "), "{shown}");
            for part in text.as_bytes().windows(8).filter(|_| text.len() > 20) {
                let part = String::from_utf8_lossy(part).into_owned();
                let is_known = ["-----BEG", "openssl ", "TOKEN_KE"].contains(&part.as_str());
                assert!(is_known || !shown.contains(&part), "{text}: {shown}");
                assert!(is_known || !debug.contains(&part), "{text}: {debug}");
            }
        }
    }
}

#[test]
fn the_command_fits_the_algorithm() {
    for (algorithm, expected) in [
        (
            HS384,
            "`openssl rand -base64 48`, or with `cargo run --example key -- hs384`",
        ),
        (
            HS512,
            "`openssl rand -base64 64`, or with `cargo run --example key -- hs512`",
        ),
    ] {
        let refused = Key::from_text(algorithm, PRINTED[0].1).unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
    }
    let jwk = r#"{"kty":"oct","k":"tP9eBg20PXaMsuUr4SxqNlKc3IyMJmEwkN1a2a-XfDw"}"#;
    let refused = Key::from_text(HS256, jwk).unwrap_err().to_string();
    assert!(
        refused.contains("pass its member `k` to `Key::from_text`"),
        "{refused}"
    );
    let master = MasterKey::generate().unwrap().reveal();
    let refused = Key::from_text(HS256, &master).unwrap_err().to_string();
    assert!(refused.contains("`MasterKey::from_text`"), "{refused}");
    let refused = MasterKey::from_text(HS256, PRINTED[0].1)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("begins with `master.`"), "{refused}");
}

/// Runs a command of the printed page, if this machine has OpenSSL.
fn shell(command: &str) -> Option<String> {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    if !output.status.success() {
        println!("skipped: {command}");
        return None;
    }
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The line of a page that begins with `name=`, and the command in it that makes another one.
fn line_and_command(page: &str, name: &str) -> (String, String) {
    let start = format!("{name}=");
    let line = page.lines().find_map(|line| line.strip_prefix(&start));
    let command = page.lines().find_map(|line| {
        let (_, rest) = line.split_once("#     ")?;
        (rest.contains("openssl ") && !rest.contains("# ")).then_some(rest)
    });
    (line.unwrap().to_owned(), command.unwrap().to_owned())
}

#[test]
fn the_example_prints_keys_that_are_read_and_commands_that_work() {
    for (kind, algorithm) in [("hs256", HS256), ("hs384", HS384), ("hs512", HS512)] {
        let page = example::page(kind).unwrap();
        let (line, command) = line_and_command(&page, "TOKEN_KEY");
        assert!(Key::from_text(algorithm, &line).is_ok(), "{page}");
        assert!(page.contains("Keyring"), "{page}");
        if let Some(text) = shell(&command) {
            let (name, text) = text.split_once('=').unwrap();
            assert_eq!(name, "TOKEN_KEY");
            assert!(Key::from_text(algorithm, text).is_ok(), "{command}");
        }
        assert_ne!(example::page(kind).unwrap(), page);
    }
    let page = example::page("master").unwrap();
    let (line, command) = line_and_command(&page, "MASTER_KEY");
    assert!(MasterKey::from_text(HS256, &line).is_ok(), "{page}");
    if let Some(text) = shell(&command) {
        let (_, text) = text.split_once('=').unwrap();
        assert!(MasterKey::from_text(HS256, text).is_ok(), "{command}");
    }
    let refused = example::page("rs256").unwrap_err().to_string();
    assert!(
        refused.contains("hs256") && refused.contains("ed25519"),
        "{refused}"
    );
}

/// The page and the manual have one recipe for replacing a key.
#[test]
fn the_example_and_the_manual_rotate_alike() {
    let plain = |text: &str| {
        let words = text.split_whitespace().filter(|word| *word != "#");
        words.collect::<Vec<_>>().join(" ").replace('`', "")
    };
    let manual = plain(include_str!("../../src/manual/deploying.md"));
    let mut kinds = vec!["hs256", "hs384", "hs512"];
    if cfg!(any(
        feature = "aws-lc-rs",
        feature = "ring",
        feature = "rustcrypto"
    )) {
        kinds.extend(["es256", "ed25519"]);
    }
    for kind in kinds {
        let page = plain(&example::page(kind).unwrap());
        for step in [
            "estart the nodes one by one with the spare as TOKEN_KEY, the present key as \
             TOKEN_KEY_OLD, and a new spare",
            "fter the lifetime of an access token, leave TOKEN_KEY_OLD out.",
        ] {
            assert!(manual.contains(step), "{step}");
            assert!(page.contains(step), "{page}");
        }
    }
}

/// The page is a file of the environment: each line is a comment or sets the variable.
#[test]
fn the_printed_page_is_a_file_of_the_environment() {
    for kind in ["hs256", "hs512", "master"] {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{kind}.env"));
        let page = example::page(kind).unwrap();
        fs::write(&path, &page).unwrap();
        let name = if kind == "master" {
            "MASTER_KEY"
        } else {
            "TOKEN_KEY"
        };
        let command = format!(". {} && printf %s \"${name}\"", path.display());
        let read = shell(&command).unwrap();
        assert_eq!(read, line_and_command(&page, name).0);
        fs::remove_file(path).unwrap();
    }
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
mod pairs {
    use statewise::token::{PublicKey, SigningKey};

    use super::{example, shell};

    fn block<'p>(page: &'p str, label: &str) -> &'p str {
        let begin = page.find(&format!("-----BEGIN {label}-----")).unwrap();
        let end = format!("-----END {label}-----\n");
        &page[begin..page.find(&end).unwrap() + end.len()]
    }

    #[test]
    fn the_example_prints_pairs_of_keys() {
        for kind in ["es256", "ed25519"] {
            let page = example::page(kind).unwrap();
            let pair = SigningKey::from_pem(block(&page, "PRIVATE KEY")).unwrap();
            let jwk = page.lines().find(|line| line.starts_with('{')).unwrap();
            // Tokens and JWKs of Ed25519 have the first characters of the id.
            let public = PublicKey::from_jwk(jwk).unwrap();
            assert!(pair.kid().starts_with(public.kid()), "{page}");
            assert_eq!(public.to_pem(), pair.public_key().to_pem());
            let command = page
                .lines()
                .find_map(|line| line.strip_prefix("#     openssl "));
            if let Some(pem) = shell(&format!("openssl {}", command.unwrap())) {
                assert!(SigningKey::from_pem(&pem).is_ok(), "{pem}");
            }
        }
    }

    /// `.env` files often write the line breaks of PEM as `\n`.
    #[test]
    fn pem_in_one_line_is_read() {
        let pair = SigningKey::generate_es256().unwrap();
        let escaped = pair.reveal().replace('\n', "\\n");
        assert_eq!(SigningKey::from_pem(&escaped).unwrap().kid(), pair.kid());
        let public = pair.public_key().to_pem().replace('\n', "\\n");
        assert_eq!(PublicKey::from_pem(&public).unwrap().kid(), pair.kid());
        assert!(SigningKey::from_pem(&escaped.replace("\\n", "\\t")).is_err());
    }
}
