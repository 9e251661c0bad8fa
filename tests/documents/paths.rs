//! docs/README.md leads each kind of reader along a path, and every page lies on one.

use std::collections::{BTreeMap, BTreeSet};

use documents::markdown::Document;

/// The readers, by the headings of their paths.
const READERS: [&str; 3] =
    ["If you write classes and pods", "If you operate a cluster", "If you write a provider"];

/// Where each reader's path leads.
fn paths(index: &Document) -> BTreeMap<&str, BTreeSet<String>> {
    let mut paths: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut reader = None;
    for (_, line) in index.prose() {
        if let Some(heading) = line.strip_prefix("## ") {
            reader = Some(heading);
        } else if let Some(reader) = reader {
            let page = Document { name: index.name.clone(), text: line.to_owned() };
            let targets = page.links().into_iter().map(|(_, target)| target);
            let targets = targets.map(|target| target.split('#').next().unwrap_or_default().to_owned());
            paths.entry(reader).or_default().extend(targets);
        }
    }
    paths
}

/// Readers without a path, and pages on none.
fn complaints(index: &Document, pages: &[String]) -> Vec<String> {
    let paths = paths(index);
    let lost = READERS.iter().filter(|reader| paths.get(*reader).is_none_or(BTreeSet::is_empty));
    let lost = lost.map(|reader| format!("{}: \"{reader}\" leads nowhere", index.name));
    let on_a_path: BTreeSet<&String> =
        READERS.iter().filter_map(|reader| paths.get(reader)).flatten().collect();
    let missed = pages.iter().filter(|page| !on_a_path.contains(page));
    lost.chain(missed.map(|page| format!("{}: no path leads to {page}", index.name))).collect()
}

/// The pages of docs/, as its index names them.
fn pages() -> Vec<String> {
    let names = Document::all().into_iter().map(|document| document.name);
    let pages = names.filter_map(|name| name.strip_prefix("docs/").map(str::to_owned));
    pages.filter(|page| page != "README.md").collect()
}

#[test]
fn every_page_lies_on_the_path_of_some_reader() {
    let pages = pages();
    assert!(pages.len() > 15, "{pages:?}");
    let complaints = complaints(&Document::read("docs/README.md"), &pages);
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn a_page_on_no_path_and_a_reader_without_one_are_found() {
    let [users, operators, authors] = READERS;
    let index = |text: String| Document { name: "docs/README.md".to_owned(), text };
    let pages = ["a.md", "b.md"].map(str::to_owned);
    let good = format!(
        "# x\n## {users}\n1. [a](a.md)\n## {operators}\n1. [b](b.md#c)\n## {authors}\n1. [a](a.md)\n"
    );
    assert!(complaints(&index(good.clone()), &pages).is_empty());
    let rows = [
        ("a page on none", good.replace("b.md", "c.md"), 1),
        ("a reader without", good.replace("1. [a](a.md)\n## If you op", "## If you op"), 1),
        ("links elsewhere", format!("[b](b.md)\n{}## Other\n[b](b.md)\n", good.replace("b.md", "c.md")), 1),
        ("none at all", "# x\n".to_owned(), 5),
    ];
    for (name, text, count) in rows {
        let complaints = complaints(&index(text), &pages);
        assert_eq!(complaints.len(), count, "{name}: {complaints:?}");
    }
}
