//! The commands of the Makefile: which there are, what each needs, and which of them CI runs.

use std::collections::{BTreeMap, BTreeSet};

use documents::markdown::Document;
use documents::script;
use kit::repository::root;

/// Every command that `make help` lists, with the commands that it needs first.
pub fn targets() -> BTreeMap<String, Vec<String>> {
    targets_of(&Document::read("Makefile").text)
}

fn targets_of(makefile: &str) -> BTreeMap<String, Vec<String>> {
    let described = makefile.lines().filter_map(|line| line.split_once(" ## "));
    let rules = described.filter_map(|(rule, _)| rule.split_once(':'));
    rules
        .map(|(name, needs)| (name.to_owned(), needs.split_whitespace().map(str::to_owned).collect()))
        .collect()
}

/// The commands that CI runs: those of `.ci/run`, those that it is given by another command, and what they need.
fn run_by_ci(targets: &BTreeMap<String, Vec<String>>, ci: &str, makefile: &str) -> BTreeSet<String> {
    let code = ci.lines().filter(|line| !line.starts_with('#'));
    let given = makefile.lines().filter(|line| line.starts_with("\t@.ci/run "));
    let words =
        code.chain(given).flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-'));
    let mut open: Vec<String> = words.filter(|word| targets.contains_key(*word)).map(str::to_owned).collect();
    let mut run = BTreeSet::new();
    while let Some(name) = open.pop() {
        let needs = targets.get(&name);
        if run.insert(name) {
            open.extend(needs.into_iter().flatten().cloned());
        }
    }
    run
}

/// The commands of make in blocks that are to be run and that nothing runs.
fn never_run(document: &Document, run: &BTreeSet<String>) -> Vec<String> {
    let blocks =
        document.blocks().into_iter().filter(|block| block.language == "sh" && block.info.is_empty());
    let commands = blocks.flat_map(|block| {
        let commands = script::commands(&block.text).filter_map(|command| command.strip_prefix("make "));
        let names = commands.filter_map(|rest| rest.split_whitespace().next());
        names.map(str::to_owned).collect::<Vec<_>>()
    });
    let missed = commands.filter(|name| !run.contains(name));
    missed.map(|name| format!("{}: CI does not run make {name}", document.name)).collect()
}

#[test]
fn every_command_of_make_in_a_document_is_one_that_ci_runs() {
    let ci = std::fs::read_to_string(root().join(".ci/run")).expect("CI has its commands");
    let run = run_by_ci(&targets(), &ci, &Document::read("Makefile").text);
    assert!(run.len() > 10, "{run:?}");
    let complaints: Vec<String> =
        Document::all().iter().flat_map(|document| never_run(document, &run)).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn a_command_that_nothing_runs_is_found() {
    let makefile =
        "build: ## b\n\tx\nimage: build ## i\nnight: ## n\n\t@.ci/run image\nsoak: ## s\n\nlint: tool ## l\n";
    let targets = targets_of(makefile);
    assert_eq!(targets["image"], ["build"]);
    let run = run_by_ci(&targets, "# soak\nfor target in lint; do\n    make \"$target\"\n", makefile);
    assert_eq!(run, ["build", "image", "lint", "tool"].map(str::to_owned).into());
    let of = |text: &str| Document { name: "made-up.md".to_owned(), text: text.to_owned() };
    let rows = [
        ("```sh\nmake lint\nmake image DIR=x\n```\n", 0),
        ("```sh\nmake lint\nmake soak\n```\n", 1),
        ("```sh no-run=\"takes half an hour\"\nmake soak\n```\n", 0),
    ];
    for (text, count) in rows {
        assert_eq!(never_run(&of(text), &run).len(), count, "{text}");
    }
}
