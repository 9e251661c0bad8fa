//! SECURITY.md against the tree: whatever it names as showing something is there.

use std::collections::BTreeSet;
use std::path::Path;

use documents::markdown::Document;
use kit::repository::root;

/// What the tree has to show: paths and names of files, and names of tests.
pub struct Evidence {
    files: BTreeSet<String>,
    tests: BTreeSet<String>,
}

impl Evidence {
    /// That of this repository.
    pub fn of_the_tree() -> Evidence {
        let mut evidence = Evidence { files: BTreeSet::new(), tests: BTreeSet::new() };
        for directory in ["src", "tests", "scripts", "fuzz"] {
            evidence.add(&root().join(directory));
        }
        assert!(evidence.tests.len() > 500, "{} tests", evidence.tests.len());
        evidence
    }

    fn add(&mut self, directory: &Path) {
        // Not every tree has all of them.
        let Ok(entries) = std::fs::read_dir(directory) else { return };
        for entry in entries {
            let path = entry.expect("an entry can be read").path();
            let name = path.strip_prefix(root()).expect("it is below").display().to_string();
            if path.is_dir() {
                self.files.extend([format!("{name}/"), name]);
                self.add(&path);
                continue;
            }
            self.files.extend(path.file_name().map(|file| file.to_string_lossy().into_owned()));
            self.files.insert(name);
            if path.extension().is_some_and(|extension| extension == "rs") {
                self.tests.extend(tests(&std::fs::read_to_string(&path).expect("a source is text")));
            }
        }
    }

    /// True for a file or a test of that name.
    pub fn has(&self, name: &str) -> bool {
        // `file.rs` or `test`, or both as `file.rs::test`.
        name.split("::").all(|part| self.files.contains(part) || self.tests.contains(part))
    }
}

/// The names of the functions that are tests.
fn tests(source: &str) -> Vec<String> {
    let name = |after: &str| {
        let line = after.lines().find(|line| line.trim_start().starts_with("fn "))?;
        line.trim_start().strip_prefix("fn ")?.split('(').next().map(str::to_owned)
    };
    source.split("#[test]\n").skip(1).filter_map(name).collect()
}

/// Complaints about names that stand for nothing, and about rows of tables of tests that name none.
pub fn complaints(document: &Document, evidence: &Evidence) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut in_table_of_tests = false;
    for (number, line) in document.prose() {
        let names = code(line).filter(|name| is_evidence(name));
        let missing = names.filter(|name| !evidence.has(name));
        complaints.extend(missing.map(|name| format!("{}:{number}: there is no {name}", document.name)));
        let Some(row) = line.strip_prefix('|').and_then(|row| row.strip_suffix('|')) else {
            in_table_of_tests = false;
            continue;
        };
        let last = row.rsplit('|').next().unwrap_or_default().trim();
        if last == "test" {
            in_table_of_tests = true;
        } else if in_table_of_tests && !last.starts_with("--") && !code(last).any(|name| evidence.has(name)) {
            complaints.push(format!("{}:{number}: the row names no test", document.name));
        }
        if in_table_of_tests {
            let unknown = code(last).filter(|name| !evidence.has(name) && !name.starts_with("make "));
            complaints.extend(unknown.map(|name| format!("{}:{number}: {name} is no test", document.name)));
        }
    }
    complaints.dedup();
    complaints
}

/// Complaints about sections that claim something and name nothing that shows it.
fn bare_sections(document: &Document, evidence: &Evidence) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut section = String::new();
    let (mut claims, mut is_shown) = (false, false);
    let mut close = |section: &str, claims: bool, is_shown: bool| {
        if claims && !is_shown && !NO_CLAIMS.contains(&section) {
            complaints.push(format!("{}: nothing shows what stands under \"{section}\"", document.name));
        }
    };
    for (_, line) in document.prose() {
        if let Some(title) = line.strip_prefix("### ").or_else(|| line.strip_prefix("## ")) {
            close(&section, claims, is_shown);
            (section, claims, is_shown) = (title.to_owned(), false, false);
        } else if !section.is_empty() {
            claims |= !line.trim().is_empty();
            is_shown |= code(line).any(|name| name.starts_with("make ") || evidence.has(name));
        }
    }
    close(&section, claims, is_shown);
    complaints
}

/// Sections that say something else than how a boundary is defended.
const NO_CLAIMS: [&str; 4] = [
    "Reporting",
    // Of the boundaries, each of which has a section of its own.
    "Who is trusted with what",
    // Of others' code: what was read, and what is known of it.
    "What is bundled",
    "Not defended yet",
];

/// What is written as code.
pub fn code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Files and sentences; what is named otherwise is something else.
fn is_evidence(name: &str) -> bool {
    let words = name.split('_').count();
    let is_sentence =
        words >= 4 && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    name.ends_with(".rs") || ["src/", "tests/"].iter().any(|start| name.starts_with(start)) || is_sentence
}

#[test]
fn whatever_the_page_on_security_names_is_there() {
    let document = Document::read("SECURITY.md");
    let complaints = complaints(&document, &Evidence::of_the_tree());
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_section_on_security_that_claims_something_names_what_shows_it() {
    let complaints = bare_sections(&Document::read("SECURITY.md"), &Evidence::of_the_tree());
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn a_section_that_nothing_shows_is_found() {
    let evidence = Evidence { files: ["a.rs".to_owned()].into(), tests: ["it_is_so".to_owned()].into() };
    let rows = [
        ("## One\n\nText.\n", 1),
        ("## One\n\nText, `a.rs`.\n### Two\n\nText (`it_is_so`).\n### Three\n`make e2e`\n", 0),
        ("## One\n\n### Two\n\nText and `code`.\n", 1),
        ("## Reporting\n\nText.\n## Not defended yet\n\nText.\n", 0),
        ("Text.\n", 0),
    ];
    for (text, count) in rows {
        let document = Document { name: "made-up.md".to_owned(), text: text.to_owned() };
        let complaints = bare_sections(&document, &evidence);
        assert_eq!(complaints.len(), count, "{text}: {complaints:?}");
    }
}

#[test]
fn a_name_that_stands_for_nothing_is_found() {
    let evidence = Evidence {
        files: ["a.rs", "tests/a.rs", "tests/a/"].map(str::to_owned).into(),
        tests: tests("#[test]\nfn it_is_so_there() {\n}\n#[test]\n#[should_panic]\nfn b() {}\nfn no_test_at_all() {}\n")
            .into_iter()
            .collect(),
    };
    assert_eq!(evidence.tests, ["b", "it_is_so_there"].map(str::to_owned).into());
    let table = "| id | test |\n|---|---|\n| x |";
    let rows = [
        ("`a.rs` and `tests/a.rs` and `tests/a/`".to_owned(), 0),
        ("`b.rs`".to_owned(), 1),
        ("`tests/b.rs`".to_owned(), 1),
        ("`it_is_so_there`".to_owned(), 0),
        ("`it_is_not_so_there`".to_owned(), 1),
        ("`no_test_at_all`".to_owned(), 1),
        ("`volume_id` and `--kubelet-pods-dir`".to_owned(), 0),
        (format!("{table} `b` |"), 0),
        (format!("{table} `a.rs::it_is_so_there`, `make e2e` |"), 0),
        (format!("{table} `c`, `b` |"), 1),
        (format!("{table} nothing |"), 1),
        (format!("{table} `b` |\n\n| id | here |\n|---|---|\n| y | nothing |"), 0),
    ];
    for (text, count) in rows {
        let document = Document { name: "made-up.md".to_owned(), text };
        let complaints = complaints(&document, &evidence);
        assert_eq!(complaints.len(), count, "{}: {complaints:?}", document.text);
    }
}
