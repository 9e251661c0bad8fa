//! Plays the cases one after another, and says in a line each how it went.

use std::io::{self, IsTerminal, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What the cases act on.
pub trait CaseStage {
    /// What is tested has said so much so far.
    fn log(&self) -> String;

    /// What the case that was played last has to say beside its outcome.
    fn take_remarks(&mut self) -> Vec<String>;

    /// Leaves the stage as the next case expects it, or panics.
    fn tidy(&mut self);
}

/// What a user gets, as a sentence, and the proof.
pub struct Case<S> {
    /// The sentence, after the word "that" so to speak.
    pub sentence: &'static str,
    /// Ends normally when it is true, and panics otherwise.
    pub play: fn(&mut S),
}

/// Tells and counts.
pub struct Runner {
    begun: Instant,
    is_colourful: bool,
    good: u32,
    failed: Vec<&'static str>,
}

impl Runner {
    /// Nothing played yet.
    pub fn start() -> Runner {
        // The first panic of a case is what went wrong; it is told in its place.
        panic::set_hook(Box::new(|info| {
            if thread::current().name() == Some("main") {
                *MESSAGE.lock().unwrap_or_else(PoisonError::into_inner) = Some(info.to_string());
            } else {
                eprintln!("   in thread {}: {info}", thread::current().name().unwrap_or_default());
            }
        }));
        let is_colourful = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Runner { begun: Instant::now(), is_colourful, good: 0, failed: Vec::new() }
    }

    /// Begins a group of cases.
    pub fn heading(&self, text: &str) {
        self.line(&format!("\n{}", self.painted(BOLD, text)));
    }

    /// A remark, with the time since the start.
    pub fn say(&self, text: &str) {
        self.line(&format!("{} {text}", seconds(self.begun.elapsed())));
    }

    /// Plays one case and tidies up after it; false when the stage is beyond that.
    pub fn play<S: CaseStage>(&mut self, case: &Case<S>, stage: &mut S) -> bool {
        let log_before = stage.log().len();
        let begun = Instant::now();
        let played = self.attempt(|| (case.play)(stage));
        let took = seconds(begun.elapsed());
        let remarks = stage.take_remarks();
        match played {
            Ok(()) => {
                self.good += 1;
                self.line(&format!("   {} {took}  {}", self.painted(GREEN, "ok  "), case.sentence));
                for remark in remarks {
                    self.line(&format!("                   {remark}"));
                }
            }
            Err(why) => {
                self.failed.push(case.sentence);
                self.line(&format!("   {} {took}  {}", self.painted(RED, "FAIL"), case.sentence));
                self.line(&indented(&why));
                self.line("      the last lines of what is tested:");
                let log = stage.log();
                self.line(&indented(&tail(log.get(log_before..).unwrap_or_default())));
            }
        }
        let Err(why) = self.attempt(|| stage.tidy()) else { return true };
        self.failed.push("the stage can be used again");
        self.line(&format!("   {} after that the stage could not be tidied", self.painted(RED, "FAIL")));
        self.line(&indented(&why));
        false
    }

    /// An expectation about the whole run.
    pub fn check(&mut self, sentence: &'static str, complaints: &[String]) {
        if complaints.is_empty() {
            self.good += 1;
            self.line(&format!("   {}  {sentence}", self.painted(GREEN, "ok")));
            return;
        }
        self.failed.push(sentence);
        self.line(&format!("   {}  {sentence}", self.painted(RED, "FAIL")));
        self.line(&indented(&complaints.join("\n")));
    }

    /// What anything of the run says that may panic.
    pub fn attempt<T>(&self, action: impl FnOnce() -> T) -> Result<T, String> {
        panic::catch_unwind(AssertUnwindSafe(action)).map_err(|_told_by_the_hook| {
            let told = MESSAGE.lock().unwrap_or_else(PoisonError::into_inner).take();
            told.unwrap_or_else(|| "no reason was given".to_owned())
        })
    }

    /// The last line; true when everything was good, and something at all.
    pub fn finish(&self) -> bool {
        let time = self.begun.elapsed().as_secs();
        let (good, failed) = (self.good, self.failed.len());
        self.line(&format!("\n{good} held and {failed} failed, in {} min {} s", time / 60, time % 60));
        for sentence in &self.failed {
            self.line(&format!("   {}  {sentence}", self.painted(RED, "FAIL")));
        }
        failed == 0 && good > 0
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.is_colourful { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    }

    fn line(&self, line: &str) {
        // When nobody reads any more the run still comes to its end, and to its exit code.
        drop(writeln!(io::stdout(), "{line}"));
    }
}

fn seconds(time: Duration) -> String {
    format!("{:6.1} s", time.as_secs_f64())
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("      {line}")).collect();
    lines.join("\n")
}

fn tail(log: &str) -> String {
    let shortened = |line: &str| line.chars().take(LONGEST_LINE).collect::<String>();
    let lines: Vec<String> = log.lines().map(shortened).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// What the main thread has panicked with.
static MESSAGE: Mutex<Option<String>> = Mutex::new(None);

const LAST_LINES: usize = 12;
const LONGEST_LINE: usize = 500;
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[1;31m";
const GREEN: &str = "\x1b[32m";
const RESET: &str = "\x1b[0m";
