//! The table of events in docs/metrics.md against the reasons that the driver's sources spell.

use std::collections::BTreeSet;
use std::path::Path;

use documents::markdown::Document;
use kit::repository::root;

/// What is not true in the document, and what it does not say.
pub fn complaints(document: &Document) -> Vec<String> {
    let spelt = spelt();
    let listed = listed(document);
    let missing = spelt.difference(&listed).map(|name| format!("{}: {name} is missing", document.name));
    let wrong = listed.difference(&spelt).map(|name| format!("{}: there is no {name}", document.name));
    missing.chain(wrong).collect()
}

/// The first column of the table of events.
fn listed(document: &Document) -> BTreeSet<String> {
    let rows = document.rows();
    let table = rows.iter().skip_while(|row| row[0] != "event").skip(2);
    let names = table.map_while(|row| row[0].strip_prefix('`')?.strip_suffix('`').map(str::to_owned));
    names.collect()
}

/// The reasons of the driver's events; the operator's are about other objects.
fn spelt() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for directory in ["src/publish", "src/sync"] {
        add(&root().join(directory), &mut names);
    }
    names
}

fn add(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).expect("the source is there") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            add(&path, names);
        } else {
            let source = std::fs::read_to_string(&path).expect("a source is text");
            let found = source.split("Reason { name: \"").skip(1).filter_map(|rest| rest.split('"').next());
            names.extend(found.map(str::to_owned));
        }
    }
}

#[test]
fn the_list_of_events_is_that_of_the_program() {
    assert!(spelt().len() >= 8, "{:?}", spelt());
    let complaints = complaints(&Document::read("docs/metrics.md"));
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn an_event_that_is_missing_or_made_up_is_found() {
    let good = Document::read("docs/metrics.md").text;
    let broken = good.replace("| `SecretChangedBack` |", "| `SecretChangedForth` |");
    assert_ne!(broken, good);
    assert_eq!(complaints(&Document { name: "made-up.md".to_owned(), text: broken }).len(), 2);
}
