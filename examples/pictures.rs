//! Draws the pictures of the manual, as SVG files that need no script and no font of their own.
//!
//! ```text
//! cargo run --example pictures
//! ```
//!
//! The pictures are 420 units wide, so that their text stays legible on a phone. Text and lines take
//! the colour of the page around them. A test compares the files with what this program draws.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const WIDTH: i32 = 420;
/// Height of a line of text.
const LINE: i32 = 17;

const BLUE: &str = "#3485e0";
const GREEN: &str = "#2e9e52";
const RED: &str = "#e0524a";
const PLAIN: &str = "currentColor";

fn main() -> std::io::Result<()> {
    std::fs::create_dir_all(folder())?;
    for (name, svg) in pictures() {
        let path = folder().join(name);
        std::fs::write(&path, svg)?;
        println!("{}", path.display());
    }
    Ok(())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual/pictures")
}

/// Returns each file name with its content.
fn pictures() -> Vec<(&'static str, String)> {
    vec![
        ("overview.svg", overview()),
        ("session.svg", session()),
        ("token.svg", token()),
        ("hybrid.svg", hybrid()),
        ("revocation.svg", revocation()),
        ("keys.svg", keys()),
        ("second_factor.svg", second_factor()),
        ("deploying.svg", deploying()),
    ]
}

/// Both strategies, and the log that ends logins on every node.
fn overview() -> String {
    let mut svg = Svg::new("A session is looked up in a store, a token is checked with a key");
    let mut row = |y: i32, title: &str, client: &str, service: &str, third: [&str; 2], colour| {
        svg.band(y, title);
        svg.box_of(68, y + 32, 130, &["client", client], BLUE);
        svg.box_of(210, y + 32, 118, &["any node", service], colour);
        svg.box_of(352, y + 32, 130, &third, colour);
        svg.line((134, y + 53), (150, y + 53), BLUE, true);
    };
    let store = ["store", "alice, roles"];
    let log = ["log", "logouts"];
    row(
        0,
        "Session: the server remembers the user",
        "a random id",
        "asks the store",
        store,
        GREEN,
    );
    row(
        84,
        "Token: the token remembers the user",
        "signed: alice, roles",
        "checks by key",
        log,
        GREEN,
    );
    svg.line((270, 53), (286, 53), GREEN, true);
    svg.line((286, 137), (270, 137), GREEN, true);
    svg.finish(162)
}

fn session() -> String {
    let mut chart = Sequence::new(
        "A session: login, request and logout",
        [
            ("browser", "holds a random id"),
            ("your service", "any node"),
            ("store", "one row per login"),
        ],
    );
    chart.part("Log in");
    chart.arrow(0, 1, PLAIN, &["name, password"]);
    chart.arrow(1, 2, GREEN, &["new row:", "hash, alice, roles"]);
    chart.arrow(1, 0, BLUE, &["cookie: the id"]);
    chart.part("Each request");
    chart.arrow(0, 1, BLUE, &["cookie: the id"]);
    chart.arrow(1, 2, PLAIN, &["row of this id?"]);
    chart.arrow(2, 1, GREEN, &["alice, roles"]);
    chart.arrow(1, 0, PLAIN, &["the page"]);
    chart.part("Log out");
    chart.arrow(0, 1, BLUE, &["cookie: the id"]);
    chart.arrow(1, 2, RED, &["remove the row"]);
    chart.arrow(1, 0, PLAIN, &["remove the cookie"]);
    chart.part("A thief with a copy of the cookie");
    chart.arrow(0, 1, RED, &["cookie: the id"]);
    chart.arrow(1, 2, PLAIN, &["row of this id?"]);
    chart.arrow(2, 1, RED, &["none"]);
    chart.arrow(1, 0, RED, &["401, at once"]);
    chart.finish()
}

fn token() -> String {
    let mut chart = Sequence::new(
        "A token: login, request and logout",
        [
            ("client", "holds the token"),
            ("login service", "holds the key"),
            ("any service", "holds the key"),
        ],
    );
    chart.part("Log in");
    chart.arrow(0, 1, PLAIN, &["name, password"]);
    chart.note(1, GREEN, &["signs: alice,", "roles, 15 min"]);
    chart.arrow(1, 0, BLUE, &["the token"]);
    chart.part("Each request");
    chart.arrow(0, 2, BLUE, &["the token"]);
    chart.note(2, GREEN, &["checks the", "signature", "and the time"]);
    chart.arrow(2, 0, PLAIN, &["the answer"]);
    chart.part("Log out");
    chart.note(0, PLAIN, &["deletes", "the token"]);
    chart.part("A thief with a copy of the token");
    chart.arrow(0, 2, RED, &["the token"]);
    chart.note(2, RED, &["signature is", "valid: accepts"]);
    chart.arrow(2, 0, RED, &["the answer, until the token expires"]);
    chart.finish()
}

fn hybrid() -> String {
    let mut chart = Sequence::new(
        "A hybrid: short access tokens and a refresh credential",
        [
            ("app", "holds both"),
            ("login service", "key and store"),
            ("any service", "key only"),
        ],
    );
    chart.part("Log in");
    chart.arrow(0, 1, PLAIN, &["name, password"]);
    chart.note(1, GREEN, &["stores a row", "of the login"]);
    chart.arrow(1, 0, BLUE, &["access token,", "refresh 1"]);
    chart.part("Each request, for 10 minutes");
    chart.arrow(0, 2, BLUE, &["access token"]);
    chart.arrow(2, 0, PLAIN, &["the answer: no store was asked"]);
    chart.part("Every 10 minutes");
    chart.arrow(0, 2, PLAIN, &["access token"]);
    chart.arrow(2, 0, RED, &["401: expired"]);
    chart.arrow(0, 1, BLUE, &["refresh 1"]);
    chart.note(1, GREEN, &["row is there:", "rotates it"]);
    chart.arrow(1, 0, BLUE, &["access token,", "refresh 2"]);
    chart.part("A thief with a copy of refresh 1");
    chart.arrow(0, 1, BLUE, &["refresh 2"]);
    chart.arrow(0, 1, RED, &["refresh 1, stolen"]);
    chart.note(1, RED, &["two holders:", "ends the login"]);
    chart.arrow(1, 0, RED, &["401, for both"]);
    chart.finish()
}

fn revocation() -> String {
    let mut chart = Sequence::new(
        "The revocation log, which every node follows",
        [
            ("node A", "ends the login"),
            ("log", "append only"),
            ("node B", "verifies"),
        ],
    );
    chart.part("Every 25 ms, each node reads on");
    chart.arrow(2, 1, PLAIN, &["after entry 118?"]);
    chart.arrow(1, 2, PLAIN, &["nothing new"]);
    chart.part("A logout at node A");
    chart.note(0, PLAIN, &["removes", "the row"]);
    chart.arrow(0, 1, RED, &["119: login", "7f3a has ended"]);
    chart.note(0, GREEN, &["answers:", "within 5 s"]);
    chart.part("Milliseconds later, at node B");
    chart.arrow(2, 1, PLAIN, &["after entry 118?"]);
    chart.arrow(1, 2, RED, &["119: login", "7f3a has ended"]);
    chart.note(2, RED, &["refuses it,", "from memory"]);
    chart.part("Node B loses the log");
    chart.arrow(2, 1, RED, &["no answer"]);
    chart.note(
        2,
        RED,
        &["after 5 s:", "tokens 503,", "sessions ask", "the store"],
    );
    chart.finish()
}

/// One key for all services, a key for each audience, and public keys.
fn keys() -> String {
    let mut svg = Svg::new("Where keys live among services");
    let x = [75, 210, 345];
    let names = ["orders", "billing", "mail"];
    let mut y = 0;
    let mut row = |title: &str, issuer: &str, at: [(&str, &str); 3], result: [&str; 2]| {
        svg.text(8, y + 20, "start", PLAIN, true, title);
        svg.box_of(210, y + 34, 190, &["issuer", issuer], BLUE);
        for (x, (name, (key, colour))) in x.into_iter().zip(names.into_iter().zip(at)) {
            svg.line((210, y + 77), (x, y + 106), colour, false);
            svg.box_of(x, y + 108, 124, &[name, key], colour);
        }
        for (line, text) in (0..).zip(result) {
            svg.text(8, y + 171 + line * LINE, "start", PLAIN, false, text);
        }
        y += 214;
    };
    row(
        "One shared key",
        "holds key K",
        [("key K", RED), ("key K", RED), ("key K", RED)],
        [
            "If orders is broken into, the thief signs tokens",
            "of an administrator for billing and mail too.",
        ],
    );
    row(
        "A key for each audience",
        "holds the master key",
        [("own key", GREEN), ("own key", GREEN), ("own key", GREEN)],
        [
            "If orders is broken into, the thief signs tokens",
            "for orders alone. Replace one key.",
        ],
    );
    row(
        "Public keys",
        "holds the private key",
        [("public", GREEN), ("public", GREEN), ("public", GREEN)],
        [
            "No service can sign. The issuer publishes the",
            "key set, and services follow it.",
        ],
    );
    svg.finish(y - 8)
}

/// A login in two steps, and a step-up of a login that exists.
fn second_factor() -> String {
    let mut chart = Sequence::new(
        "A second factor at login, and before a dangerous act",
        [
            ("browser", "and its user"),
            ("your service", "checks codes"),
            ("store", "tickets, sessions"),
        ],
    );
    chart.part("Log in with a code");
    chart.arrow(0, 1, PLAIN, &["name, password"]);
    chart.arrow(1, 2, GREEN, &["new ticket"]);
    chart.arrow(1, 0, BLUE, &["the ticket:", "no login yet"]);
    chart.arrow(0, 1, BLUE, &["ticket, code"]);
    chart.arrow(1, 2, PLAIN, &["one try less"]);
    chart.arrow(1, 2, RED, &["spend the ticket"]);
    chart.arrow(1, 2, GREEN, &["new session"]);
    chart.arrow(1, 0, BLUE, &["cookie"]);
    chart.part("Later: a dangerous act");
    chart.arrow(0, 1, BLUE, &["delete account"]);
    chart.arrow(1, 0, RED, &["401: a code first"]);
    chart.arrow(0, 1, BLUE, &["code"]);
    chart.arrow(1, 2, GREEN, &["class for 10 min,", "new credential"]);
    chart.arrow(1, 0, BLUE, &["another cookie"]);
    chart.arrow(0, 1, BLUE, &["delete account"]);
    chart.part("A thief with the cookie of before");
    chart.arrow(0, 1, RED, &["delete account"]);
    chart.arrow(1, 0, RED, &["401: it never", "has the class"]);
    chart.finish()
}

/// The parts of a service in production, from the client to the store.
fn deploying() -> String {
    let mut svg = Svg::new("A service in production: proxy, nodes, store and observers");
    svg.box_of(110, 2, 200, &["browsers, apps"], BLUE);
    svg.line((110, 27), (110, 48), BLUE, false);
    svg.box_of(
        110,
        48,
        200,
        &["proxy: TLS, rate limits,", "passes on Host, Origin"],
        PLAIN,
    );
    for x in [58, 162] {
        svg.line((110, 90), (x, 122), BLUE, false);
        svg.box_of(x, 122, 96, &["a node", "ADDRESS"], GREEN);
        svg.line((x, 164), (110, 196), GREEN, false);
    }
    svg.box_of(
        110,
        196,
        200,
        &["Redis or a database:", "rows, and the log"],
        GREEN,
    );
    svg.box_of(330, 48, 170, &["secret store:", "key, spare, old key"], RED);
    svg.line((245, 69), (210, 122), RED, false);
    svg.box_of(
        330,
        122,
        170,
        &["probes, Prometheus:", "INTERNAL_ADDRESS"],
        BLUE,
    );
    svg.line((245, 143), (210, 143), BLUE, false);
    svg.box_of(
        330,
        196,
        170,
        &["log: logins, logouts,", "thefts, outages"],
        BLUE,
    );
    svg.line((210, 164), (245, 217), BLUE, false);
    svg.finish(242)
}

/// Sequence of messages between three parties, from top to bottom.
struct Sequence {
    svg: Svg,
    y: i32,
    parts: i32,
    /// Gaps in the line below each party: from, to.
    gaps: [Vec<(i32, i32)>; 3],
}

impl Sequence {
    const X: [i32; 3] = [68, 210, 352];
    const HEAD: i32 = 46;

    fn new(title: &str, parties: [(&str, &str); 3]) -> Self {
        let mut svg = Svg::new(title);
        for (x, (name, about)) in Self::X.into_iter().zip(parties) {
            svg.box_of(x, 2, 130, &[name, about], BLUE);
        }
        Self {
            svg,
            y: Self::HEAD + 8,
            parts: 0,
            gaps: Default::default(),
        }
    }

    /// Begins a part with a title.
    fn part(&mut self, title: &str) {
        self.parts += 1;
        self.y += 8;
        let title = format!("{}. {title}", self.parts);
        self.svg.band(self.y, &title);
        for gaps in &mut self.gaps {
            gaps.push((self.y, self.y + Svg::BAND));
        }
        self.y += 28;
    }

    fn arrow(&mut self, from: usize, to: usize, colour: &str, text: &[&str]) {
        if from.abs_diff(to) == 2 {
            let height = text.len() as i32 * LINE;
            self.gaps[1].push((self.y + 2, self.y + height));
        }
        let (from, to) = (Self::X[from], Self::X[to]);
        let middle = (from + to) / 2;
        for line in text {
            self.y += LINE;
            self.svg
                .text(middle, self.y - 3, "middle", colour, false, line);
        }
        self.y += 5;
        let inset = if from < to { 4 } else { -4 };
        self.svg
            .line((from + inset, self.y), (to - inset, self.y), colour, true);
        self.y += 6;
    }

    /// Adds an act of one party.
    fn note(&mut self, party: usize, colour: &str, lines: &[&str]) {
        self.y += 6;
        let height = self.svg.box_of(Self::X[party], self.y, 122, lines, colour);
        self.gaps[party].push((self.y, self.y + height));
        self.y += height + 6;
    }

    fn finish(mut self) -> String {
        let height = self.y + 6;
        for (x, gaps) in Self::X.into_iter().zip(self.gaps) {
            let mut from = Self::HEAD;
            for (begin, end) in gaps.into_iter().chain([(height, height)]) {
                self.svg.lifeline(x, from, begin);
                from = end;
            }
        }
        self.svg.finish(height)
    }
}

/// Drawing of which the height is known at its end.
struct Svg {
    title: String,
    /// Drawn first, behind everything else.
    back: String,
    front: String,
}

impl Svg {
    /// Height of the title of a part.
    const BAND: i32 = 23;

    fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            back: String::new(),
            front: String::new(),
        }
    }

    fn text(&mut self, x: i32, y: i32, anchor: &str, colour: &str, is_bold: bool, text: &str) {
        let weight = if is_bold { " font-weight=\"bold\"" } else { "" };
        let _ = writeln!(
            self.front,
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" fill=\"{colour}\"{weight}>{text}</text>"
        );
    }

    /// Draws a box with centred lines of text, and returns its height.
    fn box_of(&mut self, x: i32, y: i32, width: i32, lines: &[&str], colour: &str) -> i32 {
        let height = lines.len() as i32 * LINE + 8;
        let left = x - width / 2;
        let _ = writeln!(
            self.front,
            "<rect x=\"{left}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"6\" fill=\"{colour}\" \
             fill-opacity=\"0.14\" stroke=\"{colour}\"/>"
        );
        for (number, line) in (1..).zip(lines) {
            self.text(x, y + number * LINE, "middle", PLAIN, false, line);
        }
        height
    }

    /// Title of a part, over the whole width.
    fn band(&mut self, y: i32, title: &str) {
        let _ = writeln!(
            self.front,
            "<rect x=\"0\" y=\"{y}\" width=\"{WIDTH}\" height=\"{}\" rx=\"3\" fill=\"#808080\" \
             fill-opacity=\"0.2\"/>",
            Self::BAND
        );
        self.text(8, y + 16, "start", PLAIN, true, title);
    }

    fn line(&mut self, from: (i32, i32), to: (i32, i32), colour: &str, has_head: bool) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(
            self.front,
            "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" stroke=\"{colour}\" stroke-width=\"1.6\"/>"
        );
        if has_head {
            let back = if x1 < x2 { -8 } else { 8 };
            let _ = writeln!(
                self.front,
                "<path d=\"M{x2} {y2} l{back} -4 v8 z\" fill=\"{colour}\"/>"
            );
        }
    }

    fn lifeline(&mut self, x: i32, y1: i32, y2: i32) {
        let _ = writeln!(
            self.back,
            "<line x1=\"{x}\" y1=\"{y1}\" x2=\"{x}\" y2=\"{y2}\" stroke=\"#808080\" stroke-opacity=\"0.6\" stroke-dasharray=\"3 4\"/>"
        );
    }

    /// The first line holds one tag only, and no line is empty: so Markdown takes the whole file for
    /// HTML. The style counts where the file is an image, and not within a page.
    fn finish(self, height: i32) -> String {
        let Self { title, back, front } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"100%\" \
             style=\"max-width:32rem\" font-size=\"13\" \
             font-family=\"system-ui,-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif\" \
             role=\"img\" aria-label=\"{title}\">\n\
             <style>svg:root{{color:#1f2328}}@media(prefers-color-scheme:dark){{svg:root{{color:#e6edf3}}}}</style>\n\
             {back}{front}</svg>\n"
        )
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_files_are_those_that_this_program_draws() {
        for (name, svg) in super::pictures() {
            let path = super::folder().join(name);
            let kept = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(kept == svg, "{name}: run `cargo run --example pictures`");
        }
    }
}
