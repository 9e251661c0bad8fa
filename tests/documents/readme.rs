//! The front page: short, and what it shows of the demonstration is what the demonstration shows.

use documents::markdown::Document;
use documents::output;

/// Complaints about a page that is no front page any more.
fn complaints(readme: &Document) -> Vec<String> {
    let lines = readme.text.lines().count();
    let mut complaints = Vec::new();
    if lines > MOST_LINES {
        complaints
            .push(format!("{} has {lines} lines; {MOST_LINES} are for a reader's first look", readme.name));
    }
    complaints
}

/// The transcript that a document shows.
pub fn transcript(document: &Document) -> String {
    let block = document.blocks().into_iter().find(|block| block.text.contains("3. A pod starts\n"));
    block.unwrap_or_else(|| panic!("{} shows no transcript", document.name)).text
}

#[test]
fn the_readme_is_a_front_page() {
    let complaints = complaints(&Document::read("README.md"));
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn a_front_page_that_grows_is_found() {
    let of = |lines: usize| Document { name: "README.md".to_owned(), text: "x\n".repeat(lines) };
    assert!(complaints(&of(MOST_LINES)).is_empty());
    assert_eq!(complaints(&of(MOST_LINES + 1)).len(), 1);
}

#[test]
fn the_readme_shows_lines_of_the_transcript_in_their_order_and_marks_what_it_leaves_out() {
    let whole = transcript(&Document::read("docs/demonstration.md"));
    assert!(!whole.contains('…'), "the whole transcript has all lines");
    let excerpt = transcript(&Document::read("README.md"));
    output::compare(&excerpt, &whole).unwrap();
    let mut lines: Vec<&str> = excerpt.lines().filter(|line| *line != "…").collect();
    assert!(lines.len() >= FEWEST_SHOWN, "{lines:?}");
    // Neither another order nor another word nor a cut that is not marked would have been taken.
    assert!(output::compare(&excerpt.replacen("…\n", "", 1), &whole).is_err());
    assert!(output::compare(&excerpt.replace("db/password", "db/passwort"), &whole).is_err());
    lines.reverse();
    assert!(output::compare(&format!("…\n{}\n…", lines.join("\n…\n")), &whole).is_err());
}

const MOST_LINES: usize = 160;
const FEWEST_SHOWN: usize = 10;
