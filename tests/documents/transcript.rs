//! The transcript of the demonstration against the program: whoever changes what it says, changes both.

use std::path::Path;

use documents::output;
use kit::repository::root;

/// The sentences of the transcript that the program does not say: titles, what it tells, what it expects. What it shows
/// is the kernel's and the API server's, and times differ from run to run.
pub fn foreign(transcript: &str) -> Vec<String> {
    let said = sentences("tests/demo", FEWEST_LETTERS);
    assert!(said.len() > 50, "{} sentences", said.len());
    let heard = transcript.lines().filter_map(sentence);
    let is_foreign = |line: &&str| !said.iter().any(|text| output::compare(text, line).is_ok());
    heard.filter(is_foreign).map(|line| format!("the demonstration does not say {line:?}")).collect()
}

/// What the narrator makes a line of, without what it puts before it.
fn sentence(line: &str) -> Option<&str> {
    let is_title = line.starts_with(|first: char| first.is_ascii_digit());
    if is_title {
        return Some(line.split_once(". ")?.1);
    }
    let said = line.strip_prefix("   ")?;
    (!said.starts_with(' ')).then(|| said.strip_prefix("ok  ").unwrap_or(said))
}

/// The texts of the sources in a directory, with room for what is put into them. A text with fewer letters is none: it
/// would be in too many lines.
pub fn sentences(directory: &str, fewest_letters: usize) -> Vec<String> {
    let mut all = Vec::new();
    add_sentences(&root().join(directory), &mut all);
    all.retain(|text| text.chars().filter(|character| character.is_alphabetic()).count() >= fewest_letters);
    all
}

fn add_sentences(directory: &Path, all: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).expect("the program has sources") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            add_sentences(&path, all);
            continue;
        }
        let source = std::fs::read_to_string(&path).expect("a source is text").replace("\\\"", "\u{201c}");
        for text in source.split('"').skip(1).step_by(2) {
            // A backslash at the end of a line takes the next line's indentation away.
            let text: String = text.split("\\\n").map(str::trim_start).collect();
            let text = with_room(&text.replace('\u{201c}', "\""));
            all.push(text);
        }
    }
}

/// Each `{…}` of a format as what stands for anything.
fn with_room(format: &str) -> String {
    let mut parts = format.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push('…');
        text.push_str(part.split_once('}').map_or(part, |(_, rest)| rest));
    }
    text
}

#[test]
fn a_sentence_that_the_program_does_not_say_is_found() {
    let rows = [
        ("   ok  it is memory, not disk, and nothing in it can be run", 1),
        ("   ok  no mount is left", 0),
        ("   ok  kubelet has the volume after 2.4 ms", 0),
        ("   This is what the containers hear:", 1),
        ("7. The provider sleeps", 1),
        ("7. The provider fails", 0),
        ("      anything that is shown", 0),
    ];
    for (line, count) in rows {
        assert_eq!(foreign(line).len(), count, "{line}");
    }
}

/// Of a sentence of the demonstration.
const FEWEST_LETTERS: usize = 8;
