//! The voice: chapters, sentences, exhibits and expectations on standard output, in colour on a terminal.
//!
//! It knows nothing of the story. When nobody reads any more (`make demo | head`) it goes on silently, so that the
//! story still comes to its end and cleans up.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};

/// Tells, and counts what was checked.
pub struct Narrator {
    out: io::Stdout,
    is_colourful: bool,
    is_heard: bool,
    chapters: u32,
    checks: u32,
}

/// An expectation that does not hold.
pub struct Failure {
    expected: String,
    found: String,
}

impl Narrator {
    /// Colourful on a terminal, unless `NO_COLOR` or a dumb terminal asks otherwise.
    pub fn to_stdout() -> Narrator {
        let out = io::stdout();
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let is_colourful = out.is_terminal() && !is_set("NO_COLOR") && !is_dumb;
        Narrator { out, is_colourful, is_heard: true, chapters: 0, checks: 0 }
    }

    /// The title of the whole.
    pub fn title(&mut self, text: &str) {
        let text = self.painted(BOLD, text);
        self.line(&text);
    }

    /// Begins a chapter.
    pub fn chapter(&mut self, title: &str) {
        self.chapters += 1;
        let title = self.painted(BOLD, &format!("{}. {title}", self.chapters));
        self.line("");
        self.line(&title);
    }

    /// A sentence, no longer than a line.
    pub fn say(&mut self, text: &str) {
        self.line(&format!("   {text}"));
    }

    /// Something to look at.
    pub fn show(&mut self, line: &str) {
        let line = self.painted(CYAN, line);
        self.line(&format!("      {line}"));
    }

    /// An expectation: told when it holds, the end when not. `found` says what was found instead.
    pub fn check(
        &mut self,
        expected: &str,
        holds: bool,
        found: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if !holds {
            let bad = self.painted(RED, "NO");
            self.line(&format!("   {bad}  {expected}"));
            return Err(Failure { expected: expected.to_owned(), found: found() });
        }
        self.checks += 1;
        let good = self.painted(GREEN, "ok");
        self.line(&format!("   {good}  {expected}"));
        Ok(())
    }

    /// The expectation that something succeeds.
    pub fn succeeds<T, E: Display>(&mut self, expected: &str, result: Result<T, E>) -> Result<T, Failure> {
        match result {
            Ok(value) => self.check(expected, true, String::new).map(|()| value),
            Err(error) => Err(Failure { expected: expected.to_owned(), found: error.to_string() }),
        }
    }

    /// Expectations so far.
    pub fn checks(&self) -> u32 {
        self.checks
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.is_colourful { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    }

    fn line(&mut self, line: &str) {
        if self.is_heard && writeln!(self.out, "{line}").is_err() {
            self.is_heard = false;
        }
    }
}

impl Failure {
    /// What was expected, and what was found instead.
    pub fn new(expected: &str, found: impl Display) -> Failure {
        Failure { expected: expected.to_owned(), found: found.to_string() }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected that {}, but found: {}", self.expected, self.found)
    }
}

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[1;31m";
const GREEN: &str = "\x1b[32m";
const CYAN: &str = "\x1b[36m";
const RESET: &str = "\x1b[0m";
