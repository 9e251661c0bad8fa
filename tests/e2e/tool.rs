//! A program that people install with, run once.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program, and where it finds the cluster and keeps its files.
pub struct Tool<'a> {
    /// Its path.
    pub program: PathBuf,
    /// Holds the cluster's address, and is home to the program.
    pub directory: &'a Path,
}

/// What came of it.
pub struct Told {
    what: String,
    /// Whether it ended well.
    pub is_good: bool,
    /// What it printed.
    pub out: String,
    /// What it complained of.
    pub error: String,
}

impl Tool<'_> {
    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Told {
        let output = Command::new(&self.program)
            .args(arguments)
            .current_dir(self.directory)
            .env_clear()
            .env("KUBECONFIG", self.directory.join(KUBECONFIG))
            .env("HOME", self.directory)
            .output()
            .unwrap_or_else(|error| panic!("could not start {}: {error}", self.program.display()));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Told {
            what: format!("{} {}", self.program.display(), arguments.join(" ")),
            is_good: output.status.success(),
            out: text(output.stdout),
            error: text(output.stderr),
        }
    }
}

impl Told {
    /// What it printed; panics when it did not end well.
    pub fn expect_good(self) -> String {
        assert!(self.is_good, "{}\n{}{}", self.what, self.out, self.error);
        self.out
    }

    /// What it complained of; panics when it ended well.
    pub fn expect_bad(self) -> String {
        assert!(!self.is_good, "{} ended well:\n{}", self.what, self.out);
        self.error
    }
}

/// Name of the file with the cluster's address.
pub const KUBECONFIG: &str = "kubeconfig.json";
