//! SECURITY.md sentence by sentence: docs/security-evidence.md says of each what shows it, in the order of the page. A
//! sentence that was changed has another mark, so that whoever changes one looks at its evidence again.

use std::collections::BTreeSet;

use super::security::{Evidence, code};
use documents::markdown::Document;

/// A sentence, or a row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Claim {
    line: usize,
    text: String,
}

impl Claim {
    /// How the list of evidence names it: by its beginning, without marks, and by a number made of all of it.
    fn name(&self) -> String {
        let plain: String = self.text.chars().filter(|c| !"`*|[]()".contains(*c)).collect();
        let mut beginning = String::new();
        for word in plain.split_whitespace() {
            if beginning.len() + word.len() > LONGEST_BEGINNING {
                beginning.push_str(" …");
                break;
            }
            if !beginning.is_empty() {
                beginning.push(' ');
            }
            beginning.push_str(word);
        }
        format!("{beginning} `{:08x}`", fnv(&self.text))
    }
}

/// FNV-1a of 32 bits: the same in every release of the compiler.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// What the page claims, in its order. A table whose last column names tests is its own evidence, and so is a paragraph
/// that says what shows the ones before it.
fn claims(page: &Document) -> Vec<Claim> {
    let mut claims = Vec::new();
    let mut paragraph = Claim { line: 0, text: String::new() };
    let mut table: Option<bool> = None;
    let mut is_claimed = true;
    let close = |paragraph: &mut Claim, claims: &mut Vec<Claim>| {
        let text = std::mem::take(&mut paragraph.text);
        if !text.starts_with("*Shown by*") {
            claims.extend(sentences(&text).into_iter().map(|text| Claim { line: paragraph.line, text }));
        }
    };
    for (line, text) in page.prose() {
        let is_item = text.starts_with("* ");
        if text.trim().is_empty() || text.starts_with('#') || text.starts_with('|') || is_item {
            close(&mut paragraph, &mut claims);
        }
        if let Some(title) = text.strip_prefix('#') {
            is_claimed = !NO_CLAIMS.contains(&title.trim_start_matches('#').trim());
        }
        let Some(row) = text.strip_prefix('|').and_then(|row| row.strip_suffix('|')) else {
            table = None;
            if is_claimed && !text.starts_with('#') {
                if paragraph.text.is_empty() {
                    paragraph.line = line;
                } else {
                    paragraph.text.push(' ');
                }
                paragraph.text.push_str(text.strip_prefix("* ").unwrap_or(text).trim());
            }
            continue;
        };
        let Some(has_tests) = table else {
            table = Some(row.rsplit('|').next().is_some_and(|last| last.trim() == "test"));
            continue;
        };
        if is_claimed && !has_tests && !row.starts_with("---") {
            claims.push(Claim { line, text: text.split_whitespace().collect::<Vec<_>>().join(" ") });
        }
    }
    close(&mut paragraph, &mut claims);
    claims
}

/// A paragraph in sentences: they end at a full stop, outside of code, before a space and a beginning.
fn sentences(text: &str) -> Vec<String> {
    let characters: Vec<(usize, char)> = text.char_indices().collect();
    let (mut sentences, mut start, mut in_code) = (Vec::new(), 0, false);
    for (index, (_, character)) in characters.iter().enumerate() {
        in_code ^= *character == '`';
        if in_code || !matches!(character, '.' | '?' | '!') {
            continue;
        }
        let mut rest = characters[index + 1..].iter().skip_while(|(_, c)| matches!(c, '*' | '"' | ')'));
        let (end, begins) = match (rest.next(), rest.next()) {
            (None, _) => (text.len(), true),
            (Some((at, ' ')), Some((_, next))) => (*at, next.is_uppercase() || "*`[\"(".contains(*next)),
            _ => continue,
        };
        if begins {
            sentences.push(text[start..end].trim().to_owned());
            start = end;
        }
    }
    sentences.push(text[start..].trim().to_owned());
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

/// What is wrong with the list of evidence, as a list of evidence for that page.
fn complaints(page: &Document, list: &Document, evidence: &Evidence) -> Vec<String> {
    let claims = claims(page);
    let rows: Vec<Vec<String>> = list.rows().into_iter().filter(|row| row[0].contains(" `")).collect();
    let listed: BTreeSet<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    let named: Vec<String> = claims.iter().map(Claim::name).collect();
    let mut complaints = Vec::new();
    for (claim, name) in claims.iter().zip(&named).filter(|(_, name)| !listed.contains(name.as_str())) {
        complaints.push(format!("{}:{}: nothing shows this: | {name} | |", page.name, claim.line));
    }
    for row in rows.iter().filter(|row| !named.contains(&row[0])) {
        complaints.push(format!("{}: {} is not on the page, or was changed", list.name, row[0]));
    }
    if complaints.is_empty() && rows.iter().map(|row| &row[0]).ne(&named) {
        complaints.push(format!("{}: not in the order of {}, or something twice", list.name, page.name));
    }
    for row in &rows {
        let shown = row.get(1).map_or("", String::as_str);
        let names: Vec<&str> = code(shown).collect();
        let is_said = ["describes: ", "follows: "]
            .iter()
            .any(|kind| shown.strip_prefix(kind).is_some_and(|reason| reason.len() >= SHORTEST_REASON));
        if names.is_empty() && !is_said {
            complaints.push(format!("{}: {}: neither a test nor a reason", list.name, row[0]));
        }
        let unknown = names.into_iter().filter(|name| !is_said && !shows(name, evidence));
        complaints.extend(unknown.map(|name| format!("{}: {}: {name} is no test", list.name, row[0])));
    }
    complaints
}

/// A test, a file of cases of a program of tests, or the command that runs one.
fn shows(name: &str, evidence: &Evidence) -> bool {
    match name.strip_prefix("make ") {
        Some(target) => Document::read("Makefile").text.contains(&format!("\n{target}: ")),
        None => evidence.has(name),
    }
}

#[test]
fn every_sentence_on_security_has_its_evidence() {
    let (page, list) = (Document::read("SECURITY.md"), Document::read("docs/security-evidence.md"));
    let complaints = complaints(&page, &list, &Evidence::of_the_tree());
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn few_sentences_on_security_claim_nothing() {
    let rows = Document::read("docs/security-evidence.md").rows();
    let is_only_said = |row: &&Vec<String>| row.last().is_some_and(|shown| shown.starts_with("describes: "));
    let count = rows.iter().filter(is_only_said).count();
    assert!(count <= MOST_DESCRIBED, "{count} sentences are said only to describe something");
}

#[test]
fn the_ports_hold_as_many_connections_as_the_page_says() {
    let limits = web::http::Limits::default();
    let said = format!(
        "{} whose request is not whole, {} that wait for a page, {} that have an answer to take.",
        limits.incomplete, limits.waiting, limits.answering
    );
    let page = Document::read("SECURITY.md").text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains(&said), "the page does not say: {said}");
}

#[test]
fn the_compiler_of_the_static_programs_is_told_to_protect_stacks_and_to_zero_variables() {
    let tool = Document::read("scripts/static/tool.sh").text;
    for flag in [" -fstack-protector-strong ", " -ftrivial-auto-var-init=zero "] {
        assert!(tool.contains(flag), "{flag} is missing");
    }
}

#[test]
fn a_page_is_taken_apart_into_sentences_and_rows() {
    let text = "# Title\n\nOne is `a. B`. **Two\nhas two lines.** Three: e.g. this (a.b) and\n* four; five.\n\
        * Six? Seven\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n| a | test |\n|---|---|\n| 3 | x |\n\n\
        *Shown by* `y`.\n\n## Reporting\n\nNo claim.\n";
    let page = Document { name: "made-up.md".to_owned(), text: text.to_owned() };
    let found: Vec<String> = claims(&page).into_iter().map(|claim| claim.text).collect();
    let expected = [
        "One is `a. B`.",
        "**Two has two lines.**",
        "Three: e.g. this (a.b) and",
        "four; five.",
        "Six?",
        "Seven",
        "| 1 | 2 |",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_sentence_without_evidence_and_evidence_without_a_sentence_are_found() {
    let evidence = Evidence::of_the_tree();
    let page = Document { name: "page.md".to_owned(), text: "It is so. It was so.\n".to_owned() };
    let [so, was] = ["It is so. `5d1a5b2a`", "It was so. `0`"];
    let is = claims(&page)[0].name();
    let was_so = claims(&page)[1].name();
    assert!(is.starts_with("It is so. `") && is != so && was_so != was);
    let test = "`a_page_is_taken_apart_into_sentences_and_rows`";
    let rows = [
        (format!("| {is} | {test} |\n| {was_so} | follows: from the sentence before it |"), 0),
        (format!("| {is} | {test} |"), 1),
        (format!("| {is} | {test} |\n| {was_so} | {test} |\n| {so} | {test} |"), 1),
        (format!("| {was_so} | {test} |\n| {is} | {test} |"), 1),
        (format!("| {is} | {test} |\n| {was_so} | it is obvious |"), 1),
        (format!("| {is} | {test} |\n| {was_so} | `there_is_no_such_test`, {test} |"), 1),
        (format!("| {is} | `make defences` |\n| {was_so} | `make no-such` |"), 1),
    ];
    for (text, count) in rows {
        let list = Document { name: "list.md".to_owned(), text: format!("| a | b |\n|---|---|\n{text}\n") };
        let complaints = complaints(&page, &list, &evidence);
        assert_eq!(complaints.len(), count, "{text}: {complaints:?}");
    }
}

/// Sections that say something else than what is so.
const NO_CLAIMS: [&str; 2] = ["Reporting", "Not defended yet"];
/// Enough to find a sentence by.
const LONGEST_BEGINNING: usize = 64;
const SHORTEST_REASON: usize = 12;
/// Sentences that lead to others, or are about others than the driver.
const MOST_DESCRIBED: usize = 30;
