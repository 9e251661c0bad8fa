//! The documents against the program and against each other: links lead somewhere, flags and metrics are those that
//! there are, quoted programs are those that are compiled. `make e2e` runs the commands.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop there"
)]

mod claims;
mod contributing;
mod defences;
mod events;
mod makefile;
mod metrics;
mod migrating;
mod paths;
mod performance;
mod readme;
mod security;
mod transcript;

use std::collections::BTreeSet;

use base::cli::Flag;
use config::DRIVER_FLAGS;
use documents::markdown::Document;
use kit::repository::root;
use operator::command_line::OPERATOR_FLAGS;

#[track_caller]
fn assert_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    assert_none(Document::all().iter().flat_map(broken_links).collect());
}

fn broken_links(document: &Document) -> Vec<String> {
    let here = root().join(&document.name);
    let broken = |(line, target): (usize, String)| {
        let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
        let path = if file.is_empty() { here.clone() } else { here.parent()?.join(file) };
        let is_good = path.exists()
            && (heading.is_empty() || {
                let name = path.canonicalize().ok()?.strip_prefix(root()).ok()?.display().to_string();
                Document::read(&name).anchors().iter().any(|anchor| anchor == heading)
            });
        (!is_good).then(|| format!("{}:{line}: {target} leads nowhere", document.name))
    };
    document.links().into_iter().filter_map(broken).collect()
}

#[test]
fn every_document_is_in_the_list_of_documents() {
    let index = Document::read("docs/README.md");
    let listed: BTreeSet<String> =
        index.links().into_iter().map(|(_, target)| format!("docs/{target}")).collect();
    let missing = Document::all().into_iter().map(|document| document.name);
    let missing = missing.filter(|name| name.starts_with("docs/") && *name != index.name);
    assert_none(missing.filter(|name| !listed.contains(name)).collect());
}

#[test]
fn prose_is_wrapped_at_120_columns() {
    // A few lines of SECURITY.md are longer.
    let documents = Document::all().into_iter().filter(|document| document.name != "SECURITY.md");
    assert_none(documents.flat_map(|document| long_lines(&document)).collect());
}

fn long_lines(document: &Document) -> Vec<String> {
    let is_long = |(_, line): &(usize, &str)| !line.starts_with('|') && line.chars().count() > WIDTH;
    let lines = document.prose().into_iter().filter(is_long);
    lines.map(|(number, _)| format!("{}:{number}: longer than {WIDTH} columns", document.name)).collect()
}

#[test]
fn the_lists_of_flags_are_those_of_the_programs() {
    assert_none(wrong_flags("docs/flags.md", DRIVER_FLAGS));
    assert_none(wrong_flags("docs/operator.md", OPERATOR_FLAGS));
}

/// What the document's table of flags has too much, and too little.
fn wrong_flags<F>(document: &str, flags: &[Flag<F>]) -> Vec<String> {
    let rows = Document::read(document).rows();
    let is_flag = |row: &&Vec<String>| row[0].starts_with("`--");
    let documented: BTreeSet<String> = rows.iter().filter(is_flag).map(|row| row.join(" | ")).collect();
    let quoted = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    let real: BTreeSet<String> = flags
        .iter()
        .map(|flag| (flag, flag.help.replace('<', "\\<")))
        .map(|(flag, help)| format!("`--{}` | {} | {help}", flag.name, quoted(flag.default)))
        .collect();
    let missing = real.difference(&documented).map(|row| format!("{document}: missing: | {row} |"));
    let wrong = documented.difference(&real).map(|row| format!("{document}: not true: | {row} |"));
    missing.chain(wrong).collect()
}

#[test]
fn every_series_of_the_operator_is_in_its_document() {
    let source = Document::read("src/metrics/operator.rs").text;
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let series: BTreeSet<String> = source
        .split('"')
        .filter(|text| text.starts_with("secrets_store_csi_operator_"))
        .map(str::to_owned)
        .collect();
    assert!(!series.is_empty());
    let document = Document::read("docs/operator.md");
    let described: BTreeSet<String> = document.rows().iter().flat_map(|row| code(&row[0])).collect();
    let described = described.into_iter().filter(|name| name.starts_with("secrets_store_csi_operator_"));
    assert_eq!(series, described.collect());
}

#[test]
fn the_list_of_metrics_is_that_of_the_program() {
    assert_none(metrics::complaints(&Document::read("docs/metrics.md")));
}

#[test]
fn every_alert_that_is_shipped_is_explained() {
    let shipped = Document::read("deploy/monitoring/prometheusrule.yaml").text;
    let shipped = code_after(&shipped, "- alert: ");
    assert!(!shipped.is_empty());
    let rows = Document::read("docs/metrics.md").rows();
    let alerts = rows.iter().skip_while(|row| row[0] != "alert");
    let said: BTreeSet<String> = alerts.flat_map(|row| code(&row[0])).collect();
    let said = said.into_iter().filter(|name| name.starts_with("SecretsStore")).collect();
    assert_eq!(shipped, said);
}

#[test]
fn every_check_of_the_doctor_is_in_the_list_and_helps_with_something() {
    let document = Document::read("docs/troubleshooting.md");
    let listed: BTreeSet<String> =
        document.rows().iter().filter(|row| row.len() == 2).flat_map(|row| code(&row[0])).collect();
    assert_eq!(listed, checks_of_the_doctor());
    // The last column of the symptoms.
    let named: BTreeSet<String> = document
        .rows()
        .iter()
        .filter(|row| row.len() > 2)
        .flat_map(|row| code(&row[row.len() - 1]))
        .collect();
    assert_none(named.difference(&listed).map(|name| format!("the doctor has no check {name}")).collect());
}

/// The names under which the doctor's sources make findings.
fn checks_of_the_doctor() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("src/doctor")).expect("the doctor has sources") {
        let file =
            format!("src/doctor/{}", entry.expect("an entry can be read").file_name().to_string_lossy());
        let source = Document::read(&file).text;
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        // Others refuse command lines with functions of the same names.
        if !source.contains("Finding") {
            continue;
        }
        let is_name = |name: &&str| {
            source.contains(&format!("\"{name}\""))
                && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        };
        // However it is wrapped.
        let dense: String = source.split_whitespace().collect();
        let constant = |name: &str| {
            let rest = dense.split_once(&format!("const{name}:&str=\""))?.1;
            rest.split('"').next()
        };
        for verdict in ["good(", "warning(", "wrong(", "unknown("] {
            let arguments = dense.split(verdict).skip(1).filter_map(|rest| rest.split([',', ')']).next());
            let found = arguments.filter_map(|argument| match argument.strip_prefix('"') {
                Some(rest) => rest.strip_suffix('"'),
                None => constant(argument),
            });
            names.extend(found.filter(is_name).map(str::to_owned));
        }
    }
    names
}

/// What stands in a row's cell as code.
fn code(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The words that follow a text.
fn code_after(text: &str, before: &str) -> BTreeSet<String> {
    text.split(before).skip(1).filter_map(|rest| rest.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn quoted_programs_are_the_ones_that_are_compiled() {
    let document = Document::read("docs/writing-a-provider.md");
    for (language, file, first) in [
        ("rust", "examples/minimal-provider.rs", "use std::collections"),
        ("go", "tests/e2e/go-provider/main.go", "package main"),
    ] {
        let program = Document::read(file).text;
        let at = program.find(&format!("\n{first}")).expect("the program has a beginning") + 1;
        let quoted = document.blocks().into_iter().find(|block| block.language == language);
        assert_eq!(quoted.expect("it is quoted").text, program[at..], "{file} and what docs quotes differ");
    }
}

#[test]
fn the_transcript_of_the_demonstration_is_in_its_own_words() {
    for name in ["docs/demonstration.md", "README.md"] {
        assert_none(transcript::foreign(&readme::transcript(&Document::read(name))));
    }
}

#[test]
fn what_migrating_says_is_missing_is_missing() {
    assert_none(migrating::complaints(&Document::read("docs/migrating.md")));
}

#[test]
fn commands_that_cannot_be_run_say_why_and_are_few() {
    let mut skipped = Vec::new();
    for document in Document::all() {
        for block in document.blocks() {
            let place = format!("{}:{}", document.name, block.line);
            let is_known =
                ["sh", "text", "yaml", "rust", "go", "console", ""].contains(&block.language.as_str());
            assert!(is_known, "{place}: nobody knows what to do with {}", block.language);
            if block.info.is_empty() {
                continue;
            }
            let reason = block.info.strip_prefix("no-run=\"").and_then(|rest| rest.strip_suffix('"'));
            let reason = reason.unwrap_or_else(|| panic!("{place}: what is {}?", block.info));
            assert!(block.language == "sh" && reason.len() >= 10, "{place}: {reason:?} is no reason");
            // Those of a release are for the machine and the keys of whoever makes one.
            if document.name != "docs/releasing.md" {
                skipped.push(format!("{place}: {reason}"));
            }
        }
    }
    assert!(skipped.len() <= MOST_SKIPPED, "too much is not run:\n{}", skipped.join("\n"));
}

#[test]
fn every_target_of_make_that_is_named_exists() {
    let targets = makefile::targets();
    let mut complaints = Vec::new();
    for document in Document::all() {
        for (at, _) in document.text.match_indices("make ") {
            let before = document.text[..at].chars().next_back();
            // In code alone: elsewhere it is a verb.
            if !matches!(before, Some('`' | '\n')) && !document.text[..at].ends_with("$ ") {
                continue;
            }
            let rest = &document.text[at + "make ".len()..];
            let target =
                rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().unwrap_or_default();
            if !targets.contains_key(target) && rest.starts_with(|c: char| c.is_ascii_lowercase()) {
                complaints.push(format!("{}: make {target} does not exist", document.name));
            }
        }
    }
    assert_none(complaints);
}

/// Each check against a text that breaks it.
mod the_checks_bite {
    use super::*;
    use documents::markdown::{Block, Follows, Piece};
    use documents::{output, script};

    fn made_up(text: &str) -> Document {
        Document { name: "docs/made-up.md".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_link_to_nowhere_is_found() {
        let rows = [
            ("a file", "[x](no-such.md)", 1),
            ("a heading", "[x](README.md#no-such)", 1),
            ("a heading of its own", "[x](#no-such)\n", 1),
            ("a good one", "[x](../README.md#how-it-works) and [y](README.md)", 0),
            ("another site", "[x](https://example.com/no-such.md)", 0),
            ("in a block", "```text\n[x](no-such.md)\n```", 0),
        ];
        for (name, text, count) in rows {
            assert_eq!(broken_links(&made_up(text)).len(), count, "{name}");
        }
    }

    #[test]
    fn a_long_line_of_prose_is_found() {
        let long = "word ".repeat(30);
        assert_eq!(long_lines(&made_up(&long)).len(), 1);
        assert_none(long_lines(&made_up(&format!("| {long} |\n```sh\n{long}\n```"))));
    }

    #[test]
    fn headings_become_anchors_as_on_the_site() {
        let document = made_up("# A pod doesn't start: `why`?\n```sh\n# no heading\n```\n## Two");
        assert_eq!(document.anchors(), ["a-pod-doesnt-start-why", "two"]);
    }

    #[test]
    fn blocks_know_what_stands_before_them() {
        let document =
            made_up("```sh no-run=\"x y\"\na\n```\n\n```text\nb\n```\nand\n<!-- play: c -->\n```text\n```");
        let block = |line, language: &str, info: &str, text: &str| Block {
            line,
            language: language.to_owned(),
            info: info.to_owned(),
            text: text.to_owned(),
        };
        let expected = [
            Piece::Block(block(1, "sh", "no-run=\"x y\"", "a\n"), Follows::Prose),
            Piece::Block(block(5, "text", "", "b\n"), Follows::Block),
            Piece::Play("c".to_owned()),
            Piece::Block(block(10, "text", "", ""), Follows::Prose),
        ];
        assert_eq!(document.pieces(), expected);
    }

    #[test]
    fn an_output_is_compared_with_room_for_what_differs_from_run_to_run() {
        let rows = [
            ("the same", "a\nb\n", "a\nb", true),
            ("blanks", "NAME   AGE\n\nx", "NAME AGE  \nx\n", true),
            ("within a line", "pod \"a\" deleted…", "pod \"a\" deleted from default", true),
            ("in the middle", "a … c … e", "a b c d e", true),
            ("lines", "a\n…\nd", "a\nb\nc\nd", true),
            ("no lines", "a\n…\nd", "a\nd", true),
            ("another line", "a\nb", "a\nc", false),
            ("a line too few", "a\nb", "a", false),
            ("a line too many", "a", "a\nb", false),
            ("nothing expected", "", "a", false),
            ("another end", "a … c", "a b d", false),
            ("another beginning", "a…", "ba", false),
            ("no overlap", "ab…ba", "aba", false),
            ("after any lines another", "…\nb", "a\nc", false),
        ];
        for (name, expected, printed, is_same) in rows {
            assert_eq!(output::compare(expected, printed).is_ok(), is_same, "{name}");
        }
    }

    #[test]
    fn a_block_that_changes_something_is_not_run_twice() {
        let rows = [
            ("looks", "kubectl get pods\n# why\nkubectl wait --for=x pod/a | grep b", true),
            ("goes on", "kubectl get pods \\\n  -o yaml", true),
            ("changes", "kubectl get pods\nkubectl delete pod a", false),
            ("with a text", "kubectl apply -f - <<'EOF'\nkubectl get x\nEOF", false),
            ("after a text", "kubectl exec a -- sh <<'EOF'\nrm b\nEOF\nkubectl run c", false),
        ];
        for (name, script, only_looks) in rows {
            assert_eq!(script::only_looks(script), only_looks, "{name}");
        }
        assert!(script::is_for_make("make image\n"));
        assert!(!script::is_for_make("make image\nkubectl get pods"));
    }

    #[test]
    fn a_metric_that_is_missing_or_described_wrongly_is_found() {
        let good = Document::read("docs/metrics.md").text;
        let row = "| `secrets_store_csi_live_volumes` | gauge | |";
        assert!(good.contains(row));
        for broken in ["| `secrets_store_csi_live_volume` | gauge | |", "| `x` | counter | |"] {
            assert!(!metrics::complaints(&made_up(&good.replace(row, broken))).is_empty(), "{broken}");
        }
        let labelled = good.replace("| `verb`, `code` |", "| `verb` |");
        assert_ne!(labelled, good);
        assert_eq!(metrics::complaints(&made_up(&labelled)).len(), 1);
    }
}

const WIDTH: usize = 120;
/// Blocks that need what no test has.
const MOST_SKIPPED: usize = 2;
