//! Cookies in a strict browser: stored and sent after they are set, dropped after they are removed.

use std::time::Duration;

use statewise::Credential;
use statewise::web::{Cookie, Found, SameSite};

use crate::browser::Jar;

/// Deterministic random generator (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap() % bound
    }

    fn of<'a>(&mut self, choice: &[&'a str]) -> &'a str {
        choice[self.below(choice.len())]
    }

    /// Returns a random valid cookie value.
    fn value(&mut self) -> String {
        let octets: Vec<char> = (0x21..0x7f_u8)
            .filter(|byte| !b"\",;\\".contains(byte))
            .map(char::from)
            .collect();
        (0..=self.below(80))
            .map(|_| octets[self.below(octets.len())])
            .collect()
    }
}

#[test]
fn a_cookie_is_found_until_it_is_removed() {
    const HOST: &str = "www.example.com";
    let (mut built, mut refused) = (0, 0);
    for seed in 0..20_000 {
        let mut random = Random(seed);
        let mut builder = Cookie::builder();
        if random.below(2) == 0 {
            builder = builder.name(random.of(&[
                "id",
                "__Host-id",
                "__hOST-id",
                "__Secure-s",
                "__SECURE-s",
                "__Http-h",
                "__http-h",
                "__Host-Http-h",
                "__Host",
                "!#$%&'*+-.^_`|~",
            ]));
        }
        if random.below(3) == 0 {
            builder = builder.domain(random.of(&["example.com", "WWW.example.com", "com"]));
        }
        if random.below(3) == 0 {
            builder = builder.path(random.of(&["/", "/a", "/a/", "a", "/a/b"]));
        }
        if random.below(3) == 0 {
            builder = builder.max_age(Duration::from_secs(random.below(50_000_000) as u64));
        }
        builder =
            builder.same_site([SameSite::Strict, SameSite::Lax, SameSite::None][random.below(3)]);
        if random.below(4) == 0 {
            builder = builder.partitioned();
        }
        if random.below(4) == 0 {
            builder = builder.insecure();
        }
        if random.below(4) == 0 {
            builder = builder.unprefixed();
        }
        let Ok(cookie) = builder.build() else {
            refused += 1;
            continue;
        };
        built += 1;
        let mut jar = Jar::default();
        jar.receive(
            HOST,
            "__Host-other=1; Path=/; Secure; HttpOnly; SameSite=Lax",
        );
        let path = format!("{}/c", cookie.path().trim_end_matches('/'));
        for _ in 0..2 {
            let value = random.value();
            let set = cookie.set(&Credential::new(value.clone())).unwrap();
            jar.receive(HOST, &set);
            let request = [("cookie", jar.line(true, HOST, &path))];
            let found = cookie.find(&request, |_| true);
            assert!(
                found == Found::One(&value),
                "seed {seed}: {set} in {request:?}"
            );
        }
        jar.receive(HOST, cookie.remove());
        assert_eq!(jar.line(true, HOST, &path), "__Host-other=1", "seed {seed}");
    }
    assert!(
        built > 1_000 && refused > 1_000,
        "{built} built and {refused} refused"
    );
}
