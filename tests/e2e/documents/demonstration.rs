//! The demonstration against the transcript that docs/demonstration.md shows of it.

use std::process::Command;

use ::documents::markdown::Document;
use kit::driver::program;
use kit::repository::root;

/// Runs the demonstration as `make demo` does; panics with the first line that the document has not.
pub fn play() {
    let blocks = Document::read("docs/demonstration.md").blocks();
    let transcript =
        blocks.into_iter().find(|block| block.language == "text").expect("it has the transcript");
    // Mounts of the stage are seen by others, those of the demonstration must not be.
    let sandbox = root().join("tests/sandbox.sh");
    let run = Command::new(sandbox).arg(program("demo")).arg("").output();
    let run = run.expect("the demonstration was built");
    let printed = String::from_utf8(run.stdout).expect("it prints text");
    assert!(run.status.success(), "the demonstration ends with {}:\n{printed}", run.status);
    let (shown, printed) = (lines(&transcript.text), lines(&printed));
    let differs = shown.iter().zip(&printed).find(|(shown, printed)| shown != printed);
    assert!(differs.is_none(), "the document shows, and the demonstration prints:\n{differs:#?}");
    assert_eq!(shown.len(), printed.len(), "one of the two has more lines");
}

/// The lines without what differs from run to run and from machine to machine.
fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split_whitespace().map(alike).collect::<Vec<_>>().join(" "));
    // A time may be less than a second or more.
    lines.filter(|line| !line.is_empty()).map(|line| line.replace("# ms", "# s")).collect()
}

/// A word in which everything with a digit is the same: a time, a count, a uid, the name of a temporary directory.
fn alike(word: &str) -> String {
    // Older kernels have no such option, and volumes go without it there.
    let word = word.replace(",noswap", "");
    let word = match word.split_once("/tmp/") {
        Some((before, path)) => format!("{before}/tmp/0{}", path.trim_start_matches(|c| c != '/')),
        None => word,
    };
    let parts = word.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    let part = |part: &str| {
        let end = part.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        let has_digit = part.contains(|c: char| c.is_ascii_digit());
        if has_digit { format!("#{end}") } else { part.to_owned() }
    };
    parts.map(part).collect()
}
