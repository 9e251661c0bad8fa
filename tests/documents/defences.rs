//! tests/defences/table.txt against the tree: each line without which a defence is gone is there once, and so are the
//! tests that have to notice. `make defences` tries them.

use std::collections::BTreeMap;

use super::security::Evidence;
use documents::markdown::Document;

/// What is wrong with the table.
pub fn complaints(table: &Document, evidence: &Evidence) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut sources: BTreeMap<&str, String> = BTreeMap::new();
    let mut file = "";
    for (number, line) in table.text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        let Some((name, value)) = line.strip_prefix("  ").and_then(|field| field.split_once(": ")) else {
            continue;
        };
        let mut complain = |what: String| complaints.push(format!("{}:{number}: {what}", table.name));
        match name {
            "file" => {
                file = value;
                sources.entry(file).or_insert_with(|| Document::read(file).text);
            }
            "line" => {
                let found = sources.get(file).map_or(0, |source| source.matches(value).count());
                if found != 1 {
                    complain(format!("{file} has this {found} times, not once"));
                }
            }
            "test" => {
                let test = value.rsplit([' ', ':']).next().unwrap_or_default();
                if !evidence.has(test) {
                    complain(format!("there is no test {test}"));
                }
            }
            "out" => {}
            other => complain(format!("there is no field {other}")),
        }
    }
    complaints
}

#[test]
fn whatever_takes_a_defence_out_is_there_once_and_so_is_the_test_that_notices() {
    let table = Document::read("tests/defences/table.txt");
    let complaints = complaints(&table, &Evidence::of_the_tree());
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn as_many_defences_are_taken_out_as_the_page_of_commands_says() {
    let table = Document::read("tests/defences/table.txt").text;
    let is_entry = |line: &&str| !line.is_empty() && !line.starts_with([' ', '#']);
    let said = format!("| `make defences` | {} defences of ", table.lines().filter(is_entry).count());
    assert!(Document::read("CONTRIBUTING.md").text.contains(&said), "CONTRIBUTING.md does not say: {said}");
}

#[test]
fn a_defence_whose_line_or_test_is_gone_is_found() {
    let evidence = Evidence::of_the_tree();
    let rows = [
        (
            "no such line",
            "line: no such line",
            "test: lib x::a_defence_whose_line_or_test_is_gone_is_found",
            1,
        ),
        ("no such test", "line: mod defences;", "test: documents x::there_is_no_such_test_here", 1),
        ("several", "line: mod ", "test: lib x::a_defence_whose_line_or_test_is_gone_is_found", 1),
        (
            "another field",
            "lines: mod defences;",
            "test: lib x::a_defence_whose_line_or_test_is_gone_is_found",
            1,
        ),
        ("all well", "line: mod defences;", "test: lib x::a_defence_whose_line_or_test_is_gone_is_found", 0),
    ];
    for (name, line, test, count) in rows {
        let text = format!("Words\n  file: tests/documents/main.rs\n  {line}\n  out: OUT\n  {test}\n");
        let complaints = complaints(&Document { name: "made-up.txt".to_owned(), text }, &evidence);
        assert_eq!(complaints.len(), count, "{name}: {complaints:?}");
    }
}
