//! CONTRIBUTING.md against the tree: the map has every part of it, the glossary's words are in the code, and the list
//! of commands is the Makefile's.

use std::collections::BTreeSet;
use std::path::Path;

use super::{code, makefile};
use documents::markdown::Document;
use kit::repository::root;

/// The directories whose parts are on the map, one by one.
const MAPPED: [&str; 3] = ["src", "scripts", "tests"];

/// Parts of the tree that the map lacks, and places on the map that are not there.
fn wrong_places(document: &Document) -> Vec<String> {
    let rows = document.rows();
    let named: Vec<String> = rows.iter().flat_map(|row| code(&row[0])).collect();
    let is_mapped =
        |name: &&String| MAPPED.iter().any(|directory| name.starts_with(&format!("{directory}/")));
    let named: Vec<&String> = named.iter().filter(is_mapped).collect();
    let on_the_map: BTreeSet<&str> = named.iter().map(|name| part(name)).collect();
    let missing = parts().into_iter().filter(|name| !on_the_map.contains(name.as_str()));
    let missing = missing.map(|name| format!("{}: the map lacks {name}", document.name));
    let gone = named.iter().filter(|name| !root().join(name).exists());
    missing.chain(gone.map(|name| format!("{}: there is no {name}", document.name))).collect()
}

/// A module, a suite or a script, which may be a file, a directory or both.
fn part(name: &str) -> &str {
    let name = name.trim_end_matches('/');
    [".rs", ".sh"].iter().find_map(|extension| name.strip_suffix(extension)).unwrap_or(name)
}

fn parts() -> BTreeSet<String> {
    let mut parts = BTreeSet::new();
    for directory in MAPPED {
        for entry in std::fs::read_dir(root().join(directory)).expect("the repository has it") {
            let file = entry.expect("an entry can be read").file_name();
            parts.insert(part(&format!("{directory}/{}", file.to_string_lossy())).to_owned());
        }
    }
    parts
}

/// Words of the glossary that are in no source.
fn foreign_words(document: &Document) -> Vec<String> {
    let rows = document.rows();
    let glossary = rows.iter().skip_while(|row| row[0] != "in the code").skip(2);
    let glossary = glossary.map_while(|row| row[0].starts_with('`').then(|| code(&row[0])));
    let words: Vec<String> = glossary.flatten().collect();
    assert!(words.len() >= 15, "{}: the glossary has {words:?}", document.name);
    let known = words_of_the_code();
    let foreign = words.into_iter().filter(|word| !known.contains(word));
    foreign.map(|word| format!("{}: {word} is not in the code", document.name)).collect()
}

/// Every word of the sources but those of comments.
fn words_of_the_code() -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    add_words(&root().join("src"), &mut words);
    words
}

fn add_words(directory: &Path, words: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).expect("the source is there") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            add_words(&path, words);
        } else {
            let source = std::fs::read_to_string(&path).expect("a source is text");
            let lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
            let found = lines.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
            words.extend(found.map(str::to_owned));
        }
    }
}

/// Commands that are missing in the list, and those that do not exist.
fn wrong_commands(document: &Document) -> Vec<String> {
    let rows = document.rows();
    let table = rows.iter().skip_while(|row| row[0] != "command").flat_map(|row| code(&row[0]));
    let commands = table.filter_map(|command| command.strip_prefix("make ").map(str::to_owned));
    let listed: BTreeSet<String> =
        commands.filter_map(|command| command.split(' ').next().map(str::to_owned)).collect();
    let real: BTreeSet<String> = makefile::targets().into_keys().collect();
    let missing = real.difference(&listed).map(|name| format!("{}: make {name} is missing", document.name));
    let wrong = listed.difference(&real).map(|name| format!("{}: there is no make {name}", document.name));
    missing.chain(wrong).collect()
}

#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn the_map_has_every_module_suite_and_script() {
    assert_none(&wrong_places(&Document::read("CONTRIBUTING.md")));
}

#[test]
fn the_words_of_the_glossary_are_in_the_code() {
    assert_none(&foreign_words(&Document::read("CONTRIBUTING.md")));
}

#[test]
fn the_list_of_commands_is_that_of_make() {
    assert_none(&wrong_commands(&Document::read("CONTRIBUTING.md")));
}

#[test]
fn a_place_a_word_and_a_command_that_are_wrong_are_found() {
    type Check = fn(&Document) -> Vec<String>;
    let good = Document::read("CONTRIBUTING.md").text;
    let rows: [(Check, &str, &str, usize); 6] = [
        (wrong_places, "| `src/volume/` |", "| `src/` |", 1),
        (wrong_places, "| `src/volume/` |", "| `src/volume/`, `src/volumes/` |", 1),
        (wrong_places, "| `tests/soak/` |", "| `tests/soap/` |", 2),
        (foreign_words, "| `Payload` |", "| `Payloads` |", 1),
        (wrong_commands, "| `make crash` |", "| `make crashes` |", 2),
        (wrong_commands, "| `make crash` |", "| crash |", 1),
    ];
    for (check, row, broken, count) in rows {
        let text = good.replace(row, broken);
        assert_ne!(text, good, "{row}");
        let complaints = check(&Document { name: "made-up.md".to_owned(), text });
        assert_eq!(complaints.len(), count, "{broken}: {complaints:?}");
    }
}
