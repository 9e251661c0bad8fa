//! The `objects` parameter of a class that names the reference provider: a small subset of YAML, and no more.
//!
//! What it reads is what such classes hold: a mapping with the single key `array`, whose items are mappings
//! with `objectName` and optionally `objectVersion`, each written as a block of text or directly:
//!
//! ```text
//! array:
//!   - |
//!     objectName: foo
//!     objectVersion: v1
//!   - objectName: fookey
//! ```
//!
//! Quotes, comments, blank lines, other indentation and a leading `---` are understood. It refuses to know
//! anchors, tags, flow collections, folded text, tabs and unknown keys: each is an error that gives the line and
//! never its content. The text comes from whoever may write a class, so parsing is linear in its length, and bounded.

use std::fmt;

/// One object that a volume asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// The object's name, which is also its path in the volume.
    pub name: String,
    /// The version asked for. The reference provider reads it and has only one to give.
    pub version: Option<String>,
}

/// Reads the whole `objects` text; an absent or empty array is an empty list.
///
/// # Errors
/// The first line that is not in the subset, with the reason.
pub fn parse(text: &str) -> Result<Vec<ObjectRef>, ObjectsError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Problem::TooLong.at(1));
    }
    let lines = lines(text.lines(), 1)?;
    let mut rest = lines.as_slice();
    if let [Line { indent: 0, text: "---", .. }, tail @ ..] = rest {
        rest = tail;
    }
    let Some((head, mut rest)) = rest.split_first() else {
        return Err(Problem::NoArray.at(1));
    };
    match field(head)? {
        ("array", "") => {}
        ("array", "[]") if rest.is_empty() => return Ok(Vec::new()),
        _ => return Err(Problem::NoArray.at(head.number)),
    }

    let mut objects = Vec::new();
    // The first item sets the column of all of them; YAML lets it be that of `array` itself.
    let column = rest.first().map_or(0, |first| first.indent);
    while let Some((head, tail)) = rest.split_first() {
        if column < head_indent(&lines) || head.indent != column {
            return Err(Problem::Indentation.at(head.number));
        }
        let Some(first) =
            head.text.strip_prefix('-').filter(|first| first.is_empty() || first.starts_with(' '))
        else {
            return Err(Problem::NotAnItem.at(head.number));
        };
        let (body, after) = tail.split_at(tail.iter().take_while(|line| line.indent > column).count());
        if objects.len() == MAX_OBJECTS {
            return Err(Problem::TooMany.at(head.number));
        }
        objects.push(item(head, first, body)?);
        rest = after;
    }
    Ok(objects)
}

/// Why a text is not an `objects` value: where, and what is the matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectsError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is the matter with it.
    pub problem: Problem,
}

/// What can be the matter with a line of an `objects` value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The text has more than 64 KiB.
    TooLong,
    /// The array has more than 1,024 items.
    TooMany,
    /// The text is not a mapping with the single key `array`.
    NoArray,
    /// A line stands in a column that fits neither its neighbours nor its parent.
    Indentation,
    /// A tab where only spaces may stand.
    Tab,
    /// An item of the array has to begin with a dash and a space.
    NotAnItem,
    /// An item holds nothing.
    EmptyItem,
    /// A line of an item is not `key: value`.
    NotAField,
    /// A key other than `objectName` and `objectVersion`.
    UnknownKey,
    /// The same key twice in an item.
    RepeatedKey,
    /// An item without `objectName`, or with an empty one.
    NoName,
    /// A quote that is not closed, or text after the closing one.
    Quote,
    /// A backslash sequence other than `\\`, `\"`, `\/`, `\n` and `\t`.
    Escape,
    /// YAML that this subset leaves out: anchors, tags, flow collections, folded text.
    Unsupported,
}

impl Problem {
    fn at(self, line: usize) -> ObjectsError {
        ObjectsError { line, problem: self }
    }
}

impl fmt::Display for ObjectsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not read objects: line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for ObjectsError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Problem::TooLong => "the text is longer than 64 KiB",
            Problem::TooMany => "more than 1024 objects",
            Problem::NoArray => "expected a mapping with the single key `array`",
            Problem::Indentation => "unexpected indentation",
            Problem::Tab => "a tab in the indentation, use spaces",
            Problem::NotAnItem => "expected an item that begins with `- `",
            Problem::EmptyItem => "the item is empty",
            Problem::NotAField => "expected `key: value`",
            Problem::UnknownKey => "unknown key, expected `objectName` or `objectVersion`",
            Problem::RepeatedKey => "the key was given before in this item",
            Problem::NoName => "the item has no `objectName`",
            Problem::Quote => "a quoted text does not end, or goes on after its closing quote",
            Problem::Escape => "unknown backslash sequence",
            Problem::Unsupported => "anchors, tags, flow collections and folded text are not understood",
        })
    }
}

/// A line that says something: neither blank nor a comment.
#[derive(Clone, Copy)]
struct Line<'a> {
    number: usize,
    /// Columns of spaces before the text.
    indent: usize,
    /// Without the spaces on both sides, and never empty.
    text: &'a str,
}

/// The lines that say something, of a text that begins at line `first`.
fn lines<'a>(text: impl Iterator<Item = &'a str>, first: usize) -> Result<Vec<Line<'a>>, ObjectsError> {
    let mut lines = Vec::new();
    for (offset, raw) in text.enumerate() {
        let number = first.saturating_add(offset);
        let unindented = raw.trim_start_matches(' ');
        let text = unindented.trim_end();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if unindented.starts_with('\t') {
            return Err(Problem::Tab.at(number));
        }
        lines.push(Line { number, indent: raw.len().saturating_sub(unindented.len()), text });
    }
    Ok(lines)
}

/// The column of `array`: of the first line that is no document marker.
fn head_indent(lines: &[Line<'_>]) -> usize {
    lines.iter().find(|line| line.text != "---").map_or(0, |line| line.indent)
}

/// One item: `first` is what follows its dash, `body` the deeper lines below.
fn item(head: &Line<'_>, first: &str, body: &[Line<'_>]) -> Result<ObjectRef, ObjectsError> {
    let inner = first.trim_start();
    let column = head.indent.saturating_add(1).saturating_add(first.len().saturating_sub(inner.len()));
    let marker = without_comment(inner);
    if matches!(marker, "|" | "|-" | "|+") {
        return object(head.number, body);
    }
    if inner.starts_with(['"', '\'']) && !is_quoted_key(inner) {
        let text = scalar(inner, head.number)?;
        if let Some(line) = body.first() {
            return Err(Problem::Quote.at(line.number));
        }
        // Every line of a quoted text stands on the item's own line.
        let mut quoted = lines(text.lines(), 1).map_err(|error| error.problem.at(head.number))?;
        for line in &mut quoted {
            line.number = head.number;
        }
        return object(head.number, &quoted);
    }
    if marker.is_empty() {
        return object(head.number, body);
    }
    let mut fields = vec![Line { number: head.number, indent: column, text: inner }];
    fields.extend_from_slice(body);
    object(head.number, &fields)
}

/// True for `"objectName": foo`, where the quotes are those of a key.
fn is_quoted_key(text: &str) -> bool {
    let mut chars = text.chars();
    let Some(quote) = chars.next() else {
        return false;
    };
    chars.as_str().split_once(quote).is_some_and(|(_, after)| after.starts_with(':'))
}

/// The object that the fields of one item describe; they all stand in one column.
fn object(item: usize, fields: &[Line<'_>]) -> Result<ObjectRef, ObjectsError> {
    let Some(first) = fields.first() else {
        return Err(Problem::EmptyItem.at(item));
    };
    let (mut name, mut version) = (None, None);
    for line in fields {
        if line.indent != first.indent {
            return Err(Problem::Indentation.at(line.number));
        }
        let (key, value) = field(line)?;
        let slot = match key {
            "objectName" => &mut name,
            "objectVersion" => &mut version,
            _ => return Err(Problem::UnknownKey.at(line.number)),
        };
        if slot.replace(scalar(value, line.number)?).is_some() {
            return Err(Problem::RepeatedKey.at(line.number));
        }
    }
    let name = name.filter(|name| !name.is_empty()).ok_or_else(|| Problem::NoName.at(item))?;
    Ok(ObjectRef { name, version: version.filter(|version| !version.is_empty()) })
}

/// Splits `key: value`; the value keeps its quotes and loses its comment if it has none.
fn field<'a>(line: &Line<'a>) -> Result<(&'a str, &'a str), ObjectsError> {
    let (key, value) = match line.text.split_once(": ") {
        Some((key, value)) => (key, value),
        // A key alone, perhaps with a comment that holds no colon and space.
        None => (
            without_comment(line.text).strip_suffix(':').ok_or_else(|| Problem::NotAField.at(line.number))?,
            "",
        ),
    };
    let key = key.trim_end();
    let key = ['"', '\'']
        .iter()
        .find_map(|quote| key.strip_prefix(*quote).and_then(|key| key.strip_suffix(*quote)))
        .unwrap_or(key);
    let value = value.trim();
    Ok((key, if value.starts_with(['"', '\'']) { value } else { without_comment(value) }))
}

/// The text of a plain or quoted scalar.
fn scalar(text: &str, line: usize) -> Result<String, ObjectsError> {
    let mut chars = text.chars();
    match chars.next() {
        Some('"') => double_quoted(chars.as_str(), line),
        Some('\'') => single_quoted(chars.as_str(), line),
        Some('[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '%' | '@' | '`' | ',' | '?') => {
            Err(Problem::Unsupported.at(line))
        }
        _ if text == "-" || text.starts_with("- ") => Err(Problem::Unsupported.at(line)),
        _ if text.contains(": ") || text.ends_with(':') => Err(Problem::NotAField.at(line)),
        _ => Ok(text.to_owned()),
    }
}

/// The rest of a text in double quotes, with its backslash sequences resolved.
fn double_quoted(rest: &str, line: usize) -> Result<String, ObjectsError> {
    let mut text = String::new();
    let mut chars = rest.chars();
    while let Some(next) = chars.next() {
        match next {
            '"' => return closed(text, chars.as_str(), line),
            '\\' => text.push(match chars.next() {
                Some(same @ ('\\' | '"' | '/')) => same,
                Some('n') => '\n',
                Some('t') => '\t',
                _ => return Err(Problem::Escape.at(line)),
            }),
            other => text.push(other),
        }
    }
    Err(Problem::Quote.at(line))
}

/// The rest of a text in single quotes, in which two of them stand for one.
fn single_quoted(rest: &str, line: usize) -> Result<String, ObjectsError> {
    let mut text = String::new();
    let mut chars = rest.chars().peekable();
    while let Some(next) = chars.next() {
        if next != '\'' {
            text.push(next);
        } else if chars.next_if_eq(&'\'').is_some() {
            text.push('\'');
        } else {
            return closed(text, &chars.collect::<String>(), line);
        }
    }
    Err(Problem::Quote.at(line))
}

/// After the closing quote only a comment may stand, with a space before it.
fn closed(text: String, after: &str, line: usize) -> Result<String, ObjectsError> {
    if without_comment(after).is_empty() { Ok(text) } else { Err(Problem::Quote.at(line)) }
}

/// A plain text up to its comment, which begins with a number sign at the start or after a space.
fn without_comment(text: &str) -> &str {
    if text.starts_with('#') {
        return "";
    }
    text.split_once(" #").map_or(text, |(text, _)| text).trim()
}

/// Far above any honest class, which as a whole has to fit into 1.5 MiB of etcd.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// As many objects as a volume could sensibly hold.
const MAX_OBJECTS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, version: Option<&str>) -> ObjectRef {
        ObjectRef { name: name.into(), version: version.map(Into::into) }
    }

    #[test]
    fn the_forms_that_classes_use_are_understood() {
        let both = vec![object("foo", Some("v1")), object("fookey", None)];
        #[rustfmt::skip]
        let table = [
            ("blocks", "array:\n  - |\n    objectName: foo\n    objectVersion: v1\n  - |\n    objectName: fookey\n"),
            ("no final newline", "array:\n  - |\n    objectName: foo\n    objectVersion: v1\n  - |\n    objectName: fookey"),
            ("carriage returns", "array:\r\n- |\r\n  objectName: foo\r\n  objectVersion: v1\r\n- |\r\n  objectName: fookey\r\n"),
            ("items in the column of the key", "array:\n- |\n  objectName: foo\n  objectVersion: v1\n- |\n  objectName: fookey\n"),
            ("chomping marks", "array:\n  - |-\n    objectName: foo\n    objectVersion: v1\n  - |+\n    objectName: fookey\n\n"),
            ("everything indented", "  array:\n    - |\n        objectName: foo\n        objectVersion: v1\n    - |\n     objectName: fookey\n"),
            ("mappings", "array:\n  - objectName: foo\n    objectVersion: v1\n  - objectName: fookey\n"),
            ("mappings below the dash", "array:\n  -\n    objectName: foo\n    objectVersion: v1\n  -   objectName: fookey\n"),
            ("the other order", "array:\n  - |\n    objectVersion: v1\n    objectName: foo\n  - objectName: fookey\n"),
            ("quotes", "\"array\":\n  - |\n    objectName: \"foo\"\n    'objectVersion': 'v1' # why\n  - \"objectName\": fookey\n"),
            ("quoted items", "array:\n  - \"objectName: foo\\nobjectVersion: v1\\n\"\n  - 'objectName: fookey'\n"),
            ("comments and blanks", "# a: b\n---\narray: # c: d\n\n  # e\n  - | # f\n    # g\n    objectName: foo # h\n\n    objectVersion: v1\n  - # i\n    objectName: fookey\n#j\n"),
        ];
        for (name, text) in table {
            assert_eq!(parse(text), Ok(both.clone()), "{name}");
        }
    }

    #[test]
    fn an_array_may_be_empty_and_a_version_too() {
        assert_eq!(parse("array:\n"), Ok(vec![]));
        assert_eq!(parse("array: []"), Ok(vec![]));
        assert_eq!(parse("array:\n- objectName: a\n  objectVersion: \"\"\n"), Ok(vec![object("a", None)]));
        assert_eq!(parse("array:\n- objectName: a\n  objectVersion:\n"), Ok(vec![object("a", None)]));
    }

    #[test]
    fn names_keep_slashes_number_signs_quotes_and_letters_of_any_script() {
        let text = "array:\n- objectName: a/b#c\n- objectName: 'it''s'\n- objectName: \"q\\\"\\\\\\/\"\n- objectName: schlüssel\n- objectName: http://x\n";
        let names: Vec<String> = parse(text).unwrap().into_iter().map(|object| object.name).collect();
        assert_eq!(names, ["a/b#c", "it's", "q\"\\/", "schlüssel", "http://x"]);
    }

    #[test]
    fn everything_else_is_an_error_that_gives_the_line() {
        #[rustfmt::skip]
        let table = [
            ("empty text", "", 1, Problem::NoArray),
            ("comment only", "# nothing\n", 1, Problem::NoArray),
            ("another key", "objects:\n- objectName: a\n", 1, Problem::NoArray),
            ("a scalar", "just text", 1, Problem::NotAField),
            ("a flow array", "array: [a]\n", 1, Problem::NoArray),
            ("text after an empty flow array", "array: []\n- objectName: a\n", 1, Problem::NoArray),
            ("a second key", "array:\n  - objectName: a\nother: b\n", 3, Problem::Indentation),
            ("a second key beside the items", "array:\n- objectName: a\nother: b\n", 3, Problem::NotAnItem),
            ("items left of the key", "  array:\n- objectName: a\n", 2, Problem::Indentation),
            ("items in two columns", "array:\n    - objectName: a\n  - objectName: b\n", 3, Problem::Indentation),
            ("a tab", "array:\n\t- objectName: a\n", 2, Problem::Tab),
            ("a tab in a block", "array:\n- |\n \tobjectName: a\n", 3, Problem::Tab),
            ("no dash", "array:\n  objectName: a\n", 2, Problem::NotAnItem),
            ("no space after the dash", "array:\n  -objectName: a\n", 2, Problem::NotAnItem),
            ("an empty item", "array:\n  -\n  - objectName: a\n", 2, Problem::EmptyItem),
            ("an empty block", "array:\n  - |\n", 2, Problem::EmptyItem),
            ("an empty quoted item", "array:\n  - ''\n", 2, Problem::EmptyItem),
            ("a word as an item", "array:\n  - foo\n", 2, Problem::NotAField),
            ("no space after the colon", "array:\n  - objectName:foo\n", 2, Problem::NotAField),
            ("two colons", "array:\n  - objectName: a: b\n", 2, Problem::NotAField),
            ("an unknown key", "array:\n  - objectName: a\n    objectAlias: b\n", 3, Problem::UnknownKey),
            ("a key twice", "array:\n  - objectName: a\n    objectName: b\n", 3, Problem::RepeatedKey),
            ("no name", "array:\n  - |\n    objectVersion: v1\n", 2, Problem::NoName),
            ("an empty name", "array:\n  - objectName: ''\n", 2, Problem::NoName),
            ("columns within an item", "array:\n  - objectName: a\n     objectVersion: b\n", 3, Problem::Indentation),
            ("an open double quote", "array:\n  - objectName: \"a\n", 2, Problem::Quote),
            ("an open single quote", "array:\n  - objectName: 'a\n", 2, Problem::Quote),
            ("text after a quote", "array:\n  - objectName: 'a' b\n", 2, Problem::Quote),
            ("lines after a quoted item", "array:\n  - 'objectName: a'\n    objectVersion: b\n", 3, Problem::Quote),
            ("an unknown escape", "array:\n  - objectName: \"\\x41\"\n", 2, Problem::Escape),
            ("an escape at the end", "array:\n  - objectName: \"\\", 2, Problem::Escape),
            ("an anchor", "array:\n  - objectName: &a b\n", 2, Problem::Unsupported),
            ("folded text", "array:\n  - objectName: >\n      a\n", 2, Problem::Unsupported),
            ("an array as a name", "array:\n  - objectName: - a\n", 2, Problem::Unsupported),
            ("a flow mapping", "array:\n  - objectName: {a}\n", 2, Problem::Unsupported),
            ("a quoted item gone wrong", "array:\n  - \"objectName: a\\n\\n\\nb\"\n", 2, Problem::NotAField),
        ];
        for (name, text, line, problem) in table {
            assert_eq!(parse(text), Err(problem.at(line)), "{name}");
        }
    }

    #[test]
    fn the_sizes_are_bounded() {
        assert_eq!(parse(&" ".repeat(MAX_TEXT_BYTES + 1)), Err(Problem::TooLong.at(1)));
        let text = |count| format!("array:\n{}", "- objectName: a\n".repeat(count));
        assert_eq!(parse(&text(MAX_OBJECTS)).map(|objects| objects.len()), Ok(MAX_OBJECTS));
        assert_eq!(parse(&text(MAX_OBJECTS + 1)), Err(Problem::TooMany.at(MAX_OBJECTS + 2)));
    }

    #[test]
    fn an_error_names_the_line_and_not_what_it_holds() {
        let error = parse("array:\n  - hunter2\n").unwrap_err();
        assert_eq!(error.to_string(), "could not read objects: line 2: expected `key: value`");
    }

    #[test]
    fn no_prefix_or_single_change_of_a_valid_text_makes_it_panic() {
        let text = "---\narray: # c\n  - |\n    objectName: \"fö\\\"o\" # x\n    objectVersion: 'v''1'\n  - 'objectName: y'\n";
        let characters: Vec<char> = text.chars().collect();
        for at in 0..characters.len() {
            let _ = parse(&characters[..at].iter().collect::<String>());
            for with in ['"', '\'', '\\', '-', '|', '#', ':', ' ', '\t', '\n', '\r', 'é', '\0'] {
                let mut changed = characters.clone();
                changed[at] = with;
                let _ = parse(&changed.into_iter().collect::<String>());
            }
        }
    }
}
