//! The list as people and as scripts read it. Whatever the findings hold, each stays on its own lines.
//!
//! The JSON form is one object, and its fields stay:
//! `version` (of this program), `node`, `driver` (where the settings come from), `findings` (a list of `check`,
//! `verdict` as one of `good`, `warning`, `wrong`, `unknown`, `what`, and `remedy`, which is `null` where there is
//! nothing to do), and the counts `good`, `warnings`, `wrong` and `unknown`.

use super::finding::{Counts, Finding, Verdict};
use base::text::{self, json_quoted};

/// What stands above the list.
pub struct Head<'a> {
    /// Version of this program.
    pub version: &'a str,
    /// Name of the node; may be empty.
    pub node: &'a str,
    /// Where the settings come from.
    pub driver: &'a str,
}

/// For people.
pub fn text(head: &Head<'_>, findings: &[Finding], is_colourful: bool) -> String {
    let node = if head.node.is_empty() { "without a name" } else { head.node };
    let mut text = format!("doctor of the Secrets Store CSI Driver {}\n", printable(head.version));
    for line in wrapped(&printable(&format!("node {node}; {}", head.driver)), WIDTH) {
        text.push_str(&format!("{line}\n"));
    }
    text.push('\n');
    let widest = findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    let indent = VERDICT_WIDTH + 2 + widest + 2;
    for Finding { check, verdict, what, remedy } in findings {
        let word = format!("{:<VERDICT_WIDTH$}", verdict.name());
        let word = if is_colourful { painted(*verdict, &word) } else { word };
        let room = WIDTH.saturating_sub(indent).max(NARROWEST);
        for (at, line) in wrapped(&printable(what), room).into_iter().enumerate() {
            match at {
                0 => text.push_str(&format!("{word}  {check:<widest$}  {line}\n")),
                _ => text.push_str(&format!("{:indent$}{line}\n", "")),
            }
        }
        let remedy = remedy.iter().flat_map(|remedy| wrapped(&printable(remedy), room.saturating_sub(3)));
        for (at, line) in remedy.enumerate() {
            let mark = if at == 0 { "-> " } else { "   " };
            text.push_str(&format!("{:indent$}{mark}{line}\n", ""));
        }
    }
    let Counts { good, warnings, wrong, unknown } = Counts::of(findings);
    let plural = if warnings == 1 { "" } else { "s" };
    text.push_str(&format!("\n{good} good, {warnings} warning{plural}, {wrong} wrong, {unknown} unknown\n"));
    text
}

/// For scripts: one object, on one line.
pub fn json(head: &Head<'_>, findings: &[Finding]) -> String {
    let finding = |finding: &Finding| {
        let Finding { check, verdict, what, remedy } = finding;
        format!(
            "{{\"check\":{},\"verdict\":{},\"what\":{},\"remedy\":{}}}",
            json_quoted(check),
            json_quoted(verdict.name()),
            json_quoted(what),
            remedy.as_ref().map_or("null".to_owned(), |remedy| json_quoted(remedy)),
        )
    };
    let list: Vec<String> = findings.iter().map(finding).collect();
    let Counts { good, warnings, wrong, unknown } = Counts::of(findings);
    format!(
        "{{\"version\":{},\"node\":{},\"driver\":{},\"findings\":[{}],\"good\":{good},\"warnings\":{warnings},\
         \"wrong\":{wrong},\"unknown\":{unknown}}}\n",
        json_quoted(head.version),
        json_quoted(head.node),
        json_quoted(head.driver),
        list.join(","),
    )
}

/// The text on one line, whatever a peer put into it.
fn printable(text: &str) -> String {
    text::printable(text, usize::MAX)
}

/// Lines of at most `width` characters, broken between words; a longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        match lines.last_mut() {
            Some(line) if used == 0 => {
                line.push_str(word);
                used = length;
            }
            Some(line) if used + 1 + length <= width => {
                line.push(' ');
                line.push_str(word);
                used += 1 + length;
            }
            _ => {
                lines.push(word.to_owned());
                used = length;
            }
        }
    }
    lines
}

fn painted(verdict: Verdict, word: &str) -> String {
    let colour = match verdict {
        Verdict::Good => "32",
        Verdict::Warning => "33",
        Verdict::Wrong => "1;31",
        Verdict::Unknown => "36",
    };
    format!("\u{1b}[{colour}m{word}\u{1b}[0m")
}

/// Columns of a terminal that most people have.
const WIDTH: usize = 110;
/// Room for what was found, however long the names of the checks are.
const NARROWEST: usize = 40;
/// `warning` and `unknown`.
const VERDICT_WIDTH: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head<'_> = Head { version: "v1", node: "node-1", driver: "flags of process 1" };

    fn findings() -> Vec<Finding> {
        vec![
            Finding::good("clock", "agrees"),
            Finding::warning("swap", "is on", "turn it off"),
            Finding::wrong("mount-propagation", "private \u{1b}[2J\nforged \"line\"", "mend \u{202e}it"),
            Finding::unknown("token", "a ".repeat(80)),
        ]
    }

    #[test]
    fn the_list_is_aligned_wrapped_and_counted() {
        let text = text(&HEAD, &findings()[..2], false);
        assert_eq!(
            text,
            "doctor of the Secrets Store CSI Driver v1\nnode node-1; flags of process 1\n\n\
             good     clock  agrees\nwarning  swap   is on\n                -> turn it off\n\n\
             1 good, 1 warning, 0 wrong, 0 unknown\n"
        );
        let long = super::text(&HEAD, &findings(), false);
        assert!(long.lines().all(|line| line.chars().count() <= WIDTH), "{long}");
        assert!(long.ends_with("\n1 good, 1 warning, 1 wrong, 1 unknown\n"), "{long}");
    }

    #[test]
    fn text_from_outside_can_forge_no_line_and_no_colour() {
        for report in [text(&HEAD, &findings(), false), json(&HEAD, &findings())] {
            assert!(!report.contains(['\u{1b}', '\u{202e}']), "{report}");
            assert!(!report.contains("\nforged"), "{report}");
        }
        assert_eq!(json(&HEAD, &findings()).lines().count(), 1);
    }

    #[test]
    fn colours_are_for_terminals_alone() {
        let plain = text(&HEAD, &findings(), false);
        let colourful = text(&HEAD, &findings(), true);
        assert!(colourful.contains("\u{1b}[1;31mwrong  \u{1b}[0m  mount-propagation"), "{colourful}");
        let mut stripped = colourful;
        for colour in ["\u{1b}[32m", "\u{1b}[33m", "\u{1b}[1;31m", "\u{1b}[36m", "\u{1b}[0m"] {
            stripped = stripped.replace(colour, "");
        }
        assert_eq!(stripped, plain);
    }

    #[test]
    fn json_has_the_documented_fields() {
        let report: serde_json::Value = serde_json::from_str(&json(&HEAD, &findings())).unwrap();
        assert_eq!(report["version"], "v1");
        assert_eq!(report["node"], "node-1");
        assert_eq!(report["driver"], "flags of process 1");
        assert_eq!(report["findings"][0]["remedy"], serde_json::Value::Null);
        assert_eq!(report["findings"][2]["what"], "private \u{1b}[2J\nforged \"line\"");
        let counts = ["good", "warnings", "wrong", "unknown"].map(|name| report[name].as_u64());
        assert_eq!(counts, [Some(1); 4]);
    }
}
