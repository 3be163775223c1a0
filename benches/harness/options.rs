//! Command-line options.

use std::path::PathBuf;

/// `--quick`, `--large`, `--json FILE`, `--svg FOLDER`, `--filter TEXT` and `--seed N`.
pub struct Options {
    pub quick: bool,
    pub json: Option<PathBuf>,
    pub filter: Option<String>,
    pub seed: u64,
    pub large: bool,
    pub svg: Option<PathBuf>,
}

impl Options {
    /// Reads the command line of a bench. `None` if nothing should be measured: `cargo test` also
    /// runs benches, unoptimized and without the argument that `cargo bench` adds.
    pub fn of_bench() -> Option<Self> {
        if std::env::args().any(|argument| argument == "--bench") {
            return Some(Self::from_command_line());
        }
        println!("nothing is measured without --bench, which `cargo bench` adds");
        None
    }

    /// Reads the command line. Prints an error and exits if it is invalid.
    pub fn from_command_line() -> Self {
        let mut options = Self {
            quick: false,
            json: None,
            filter: None,
            seed: 0x0005_7a7e_1e55,
            large: false,
            svg: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| usage(&argument));
            match &*argument {
                "--quick" => options.quick = true,
                "--large" => options.large = true,
                "--svg" => options.svg = Some(value().into()),
                "--json" => options.json = Some(value().into()),
                "--filter" => options.filter = Some(value()),
                "--seed" => options.seed = value().parse().unwrap_or_else(|_| usage(&argument)),
                // Cargo adds it.
                "--bench" => {}
                _ => usage(&argument),
            }
        }
        super::machine::begin(options.seed);
        options
    }

    pub fn rounds(&self) -> usize {
        if self.quick { 40 } else { 400 }
    }

    pub fn wants(&self, group: &str) -> bool {
        self.filter
            .as_ref()
            .is_none_or(|filter| group.contains(filter))
    }
}

fn usage(argument: &str) -> ! {
    eprintln!(
        "cannot make sense of {argument}: --quick --large --json FILE --svg FOLDER --filter TEXT --seed N"
    );
    std::process::exit(2)
}
