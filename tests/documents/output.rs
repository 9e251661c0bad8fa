//! What a command printed against what the document says it prints.

/// Compares line by line. Runs of blanks count as one, blank lines are not looked at; `…` stands for anything within a
/// line, and a line of `…` alone for any lines. The error shows both sides.
pub fn compare(expected: &str, printed: &str) -> Result<(), String> {
    let (expected, printed) = (lines(expected), lines(printed));
    if match_lines(&expected, &printed) {
        return Ok(());
    }
    Err(format!("the document says\n{}\nand it is\n{}", shown(&expected), shown(&printed)))
}

fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect()
}

fn match_lines(expected: &[String], printed: &[String]) -> bool {
    match (expected, printed) {
        ([], printed) => printed.is_empty(),
        ([any, rest @ ..], _) if any == ANYTHING => {
            (0..=printed.len()).any(|skipped| match_lines(rest, &printed[skipped..]))
        }
        ([line, rest @ ..], [first, others @ ..]) => match_line(line, first) && match_lines(rest, others),
        (_, []) => false,
    }
}

fn match_line(expected: &str, printed: &str) -> bool {
    let mut parts = expected.split(ANYTHING);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn shown(lines: &[String]) -> String {
    lines.iter().map(|line| format!("   | {line}")).collect::<Vec<_>>().join("\n")
}

const ANYTHING: &str = "…";
