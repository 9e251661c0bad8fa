//! How many lines of code an auditor of the process that runs as root has to read: `make audit-lines` prints the table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::source::Source;

/// What the process that runs as root on every node does not run: programs of their own, and commands.
const ELSEWHERE: &[(&str, &str)] = &[
    ("doctor/", "the doctor, a command"),
    ("kube/object.rs", "the operator"),
    ("kube/review.rs", "the operator"),
    ("kube/types/whole.rs", "the operator"),
    ("metrics/operator.rs", "the operator"),
    ("operator/", "the operator"),
];

/// The most that it may be.
const MOST: usize = 20_000;

/// Lines that have code on them, outside tests: no comments, no empty lines.
fn lines_of_code(source: &Source) -> usize {
    source.words.iter().map(|word| word.line).collect::<BTreeSet<_>>().len()
}

/// Whose a file is, if it is not of the process that runs as root.
fn elsewhere(path: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(prefix, _)| path.starts_with(prefix)).map(|(_, whose)| *whose)
}

/// The module at the top that a file belongs to.
fn module(path: &str) -> &str {
    path.split(['/', '.']).next().unwrap_or(path)
}

#[test]
fn the_process_that_runs_as_root_can_be_read() {
    let sources = Source::tree(&Path::new(kit::repository::ROOT).join("src"));
    let mut of_root: BTreeMap<&str, usize> = BTreeMap::new();
    let mut of_others: BTreeMap<&str, usize> = BTreeMap::new();
    let mut generated = 0;
    for source in &sources {
        let lines = lines_of_code(source);
        match elsewhere(&source.path) {
            _ if source.is_generated() => generated += lines,
            Some(whose) => *of_others.entry(whose).or_default() += lines,
            None => *of_root.entry(module(&source.path)).or_default() += lines,
        }
    }
    println!("lines of code of the process that runs as root, without comments, tests and generated code");
    let mut modules: Vec<_> = of_root.iter().collect();
    modules.sort_by_key(|(name, lines)| (std::cmp::Reverse(**lines), **name));
    for (name, lines) in modules {
        println!("{lines:>8}  {name}");
    }
    let total: usize = of_root.values().sum();
    println!("{total:>8}  all of it, of at most {MOST}\n\nand beside it");
    for (whose, lines) in &of_others {
        println!("{lines:>8}  {whose}");
    }
    println!("{generated:>8}  generated from the messages of gRPC");
    assert!(
        total <= MOST,
        "{total} lines of code are more than {MOST}: what does not serve the node belongs elsewhere"
    );
    for (prefix, _) in ELSEWHERE {
        assert!(
            sources.iter().any(|source| source.path.starts_with(prefix)),
            "there is no {prefix} any more"
        );
    }
}
