//! A command line in the manner of Go's `flag` package, read against a table.
//!
//! Manifests and charts that start the upstream driver must start this one, so the oddities are kept: one
//! dash or two, the last of repeated flags wins, booleans take their value only after `=`, and reading stops
//! at the first word that is no flag. Knows no flag by name, reads no file and no environment, and decides
//! nothing. No argument, however odd, makes it panic.

use std::ffi::OsString;
use std::fmt;

use crate::go_duration::GoDuration;
use crate::text::go_quoted;

/// One row of a flag table. `F` is the struct that holds the values of all flags of the table.
pub struct Flag<F> {
    /// Name without dashes.
    pub name: &'static str,
    /// What the value is and where it goes.
    pub kind: Kind<F>,
    /// The value of a flag that was not typed, in the same notation.
    pub default: &'static str,
    /// One sentence for the usage text.
    pub help: &'static str,
}

/// The type of a flag's value, with the field that receives it.
pub enum Kind<F> {
    /// `--flag` or `--flag=<bool>`.
    Bool(fn(&mut F) -> &mut bool),
    /// A 64-bit integer in Go's notation.
    Int(fn(&mut F) -> &mut i64),
    /// A duration in Go's notation.
    Duration(fn(&mut F) -> &mut GoDuration),
    /// Any text.
    Text(fn(&mut F) -> &mut String),
}

impl<F> Kind<F> {
    fn is_bool(&self) -> bool {
        matches!(self, Kind::Bool(_))
    }
}

/// What was typed, with defaults in place of what was not.
#[derive(Debug)]
pub struct Parsed<F> {
    /// The value of every flag.
    pub flags: F,
    /// The flags that were typed, in order of first appearance.
    pub typed: Vec<Typed>,
    /// What follows the first word that is no flag, that word included unless it was `--`.
    pub rest: Vec<OsString>,
}

/// A flag that was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Typed {
    /// Name without dashes.
    pub name: &'static str,
    /// True when the value is spelt exactly as the default.
    pub is_default: bool,
}

/// Why there are no values. Its text is complete: problem and usage, ready for standard error.
#[derive(Debug, PartialEq, Eq)]
pub enum CliError {
    /// Help was asked for.
    Help {
        /// The usage text.
        usage: String,
    },
    /// The command line is wrong.
    Usage {
        /// What is wrong.
        problem: Problem,
        /// The usage text.
        usage: String,
    },
}

/// What can be wrong with a command line.
#[derive(Debug, PartialEq, Eq)]
pub enum Problem {
    /// No such flag in the table.
    NotDefined {
        /// What was typed, without dashes.
        name: String,
    },
    /// Dashes that no name follows.
    BadSyntax {
        /// The whole argument.
        argument: String,
    },
    /// The last argument is a flag that needs a value.
    NeedsArgument {
        /// Name of the flag.
        name: &'static str,
    },
    /// A boolean flag with a value that is none of Go's literals.
    InvalidBool {
        /// Name of the flag.
        name: &'static str,
        /// What was typed.
        value: String,
    },
    /// A value that does not fit the flag's type.
    InvalidValue {
        /// Name of the flag.
        name: &'static str,
        /// What was typed.
        value: String,
        /// Why it does not fit.
        cause: InvalidValue,
    },
    /// An argument that is no text.
    NotUtf8 {
        /// Counted from 1, the program's name excluded.
        position: usize,
    },
}

/// Why a value does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidValue {
    /// Not in the notation of the type.
    Syntax,
    /// In the notation, but beyond 64 bits.
    Range,
}

/// Reads the arguments, the program's own name excluded. `program` appears in the usage text.
pub fn parse<F: Default>(
    program: &str,
    table: &[Flag<F>],
    args: impl IntoIterator<Item = OsString>,
) -> Result<Parsed<F>, CliError> {
    read(table, args.into_iter()).map_err(|stop| match stop {
        Stop::Help => CliError::Help { usage: usage(program, table) },
        Stop::Problem(problem) => CliError::Usage { problem, usage: usage(program, table) },
    })
}

/// Sorts a command line that mixes the flags of two tables: those of the first, and everything else in its order,
/// for the other table to be read against. Requests for help go to the first.
pub fn divide<F, G>(
    first: &[Flag<F>],
    other: &[Flag<G>],
    args: impl IntoIterator<Item = OsString>,
) -> (Vec<OsString>, Vec<OsString>) {
    let (mut of_first, mut of_other) = (Vec::new(), Vec::new());
    let mut args = args.into_iter();
    while let Some(argument) = args.next() {
        let (is_first, takes_next) = match split_argument(&argument, 0) {
            Ok(Word::Flag { name, inline }) => {
                let ours = first.iter().find(|flag| flag.name == name).map(|flag| flag.kind.is_bool());
                let theirs = other.iter().find(|flag| flag.name == name).map(|flag| flag.kind.is_bool());
                let is_bool = ours.or(theirs).unwrap_or(true);
                (ours.is_some() || matches!(name, "help" | "h"), inline.is_none() && !is_bool)
            }
            Ok(Word::End | Word::Other) => {
                of_other.push(argument);
                break;
            }
            Err(_) => (false, false),
        };
        let side = if is_first { &mut of_first } else { &mut of_other };
        side.push(argument);
        side.extend(takes_next.then(|| args.next()).flatten());
    }
    of_other.extend(args);
    (of_first, of_other)
}

/// The list of flags, sorted by name, in the layout of Go's usage texts.
pub fn usage<F>(program: &str, table: &[Flag<F>]) -> String {
    let mut flags: Vec<&Flag<F>> = table.iter().collect();
    flags.sort_by_key(|flag| flag.name);
    let mut text = format!("Usage of {program}:\n");
    for flag in flags {
        let (type_name, default) = match flag.kind {
            Kind::Bool(_) if flag.default == "false" => ("", String::new()),
            Kind::Bool(_) => ("", flag.default.to_owned()),
            Kind::Int(_) if flag.default == "0" => (" int", String::new()),
            Kind::Int(_) => (" int", flag.default.to_owned()),
            Kind::Duration(_) => (" duration", flag.default.to_owned()),
            Kind::Text(_) if flag.default.is_empty() => (" string", String::new()),
            Kind::Text(_) => (" string", go_quoted(flag.default)),
        };
        text.push_str(&format!("  -{}{type_name}\n    \t{}", flag.name, flag.help));
        if !default.is_empty() {
            text.push_str(&format!(" (default {default})"));
        }
        text.push('\n');
    }
    text
}

/// Reads an integer in the notation of Go source code: sign, `0x`, `0b`, `0o` or a leading `0` for octal, and
/// underscores between digits.
pub fn parse_int(text: &str) -> Result<i64, InvalidValue> {
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (base, digits) = split_base(unsigned);
    // The prefix counts as a digit: `0x_1f` and `0_7` are numbers, `_1` is not.
    let has_prefix = digits.len() < unsigned.len();
    if unsigned.is_empty() || (digits.is_empty() && unsigned != "0") {
        return Err(InvalidValue::Syntax);
    }
    let mut value: u64 = 0;
    let mut after_digit = has_prefix;
    for c in digits.chars() {
        if c == '_' && after_digit {
            after_digit = false;
            continue;
        }
        let digit = c.to_digit(base).ok_or(InvalidValue::Syntax)?;
        value = value
            .checked_mul(u64::from(base))
            .and_then(|shifted| shifted.checked_add(u64::from(digit)))
            .ok_or(InvalidValue::Range)?;
        after_digit = true;
    }
    if !after_digit {
        return Err(InvalidValue::Syntax);
    }
    if is_negative { 0i64.checked_sub_unsigned(value) } else { 0i64.checked_add_unsigned(value) }
        .ok_or(InvalidValue::Range)
}

impl CliError {
    /// The process exit code that Go programs give: 0 for help, 2 for a wrong command line.
    pub fn exit_code(&self) -> u8 {
        match self {
            CliError::Help { .. } => 0,
            CliError::Usage { .. } => 2,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CliError::Help { usage } => f.write_str(usage),
            CliError::Usage { problem, usage } => write!(f, "{problem}\n{usage}"),
        }
    }
}

impl std::error::Error for CliError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NotDefined { name } => {
                write!(f, "flag provided but not defined: -{}", name.escape_debug())
            }
            Problem::BadSyntax { argument } => write!(f, "bad flag syntax: {}", argument.escape_debug()),
            Problem::NeedsArgument { name } => write!(f, "flag needs an argument: -{name}"),
            Problem::InvalidBool { name, value } => {
                write!(f, "invalid boolean value {} for -{name}: parse error", go_quoted(value))
            }
            Problem::InvalidValue { name, value, cause } => {
                write!(f, "invalid value {} for flag -{name}: {cause}", go_quoted(value))
            }
            Problem::NotUtf8 { position } => {
                write!(f, "argument {position} is not valid UTF-8: flags and their values are text")
            }
        }
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidValue::Syntax => "parse error",
            InvalidValue::Range => "value out of range",
        })
    }
}

impl std::error::Error for InvalidValue {}

enum Stop {
    Help,
    Problem(Problem),
}

fn read<F: Default>(table: &[Flag<F>], mut args: impl Iterator<Item = OsString>) -> Result<Parsed<F>, Stop> {
    let mut flags = F::default();
    for flag in table {
        store(flag, &mut flags, flag.default).map_err(Stop::Problem)?;
    }
    let mut parsed = Parsed { flags, typed: Vec::new(), rest: Vec::new() };
    let mut position: usize = 0;
    while let Some(argument) = args.next() {
        position = position.saturating_add(1);
        let (name, inline) = match split_argument(&argument, position).map_err(Stop::Problem)? {
            Word::Flag { name, inline } => (name, inline),
            Word::End => break,
            Word::Other => {
                parsed.rest.push(argument);
                break;
            }
        };
        let flag = match table.iter().find(|flag| flag.name == name) {
            Some(flag) => flag,
            None if name == "help" || name == "h" => return Err(Stop::Help),
            None => {
                return Err(Stop::Problem(Problem::NotDefined { name: name.to_owned() }));
            }
        };
        let value = match (inline, &flag.kind) {
            (Some(value), _) => value.to_owned(),
            (None, Kind::Bool(_)) => "true".to_owned(),
            (None, _) => {
                let needs = || Stop::Problem(Problem::NeedsArgument { name: flag.name });
                let next = args.next().ok_or_else(needs)?;
                position = position.saturating_add(1);
                next.into_string().map_err(|_| Stop::Problem(Problem::NotUtf8 { position }))?
            }
        };
        store(flag, &mut parsed.flags, &value).map_err(Stop::Problem)?;
        note(&mut parsed.typed, Typed { name: flag.name, is_default: value == flag.default });
    }
    parsed.rest.extend(args);
    Ok(parsed)
}

enum Word<'a> {
    Flag { name: &'a str, inline: Option<&'a str> },
    End,
    Other,
}

fn split_argument(argument: &OsString, position: usize) -> Result<Word<'_>, Problem> {
    if !argument.as_encoded_bytes().starts_with(b"-") || argument == "-" {
        return Ok(Word::Other);
    }
    let text = argument.to_str().ok_or(Problem::NotUtf8 { position })?;
    if text == "--" {
        return Ok(Word::End);
    }
    let body = text.strip_prefix("--").or_else(|| text.strip_prefix('-')).unwrap_or(text);
    if body.is_empty() || body.starts_with(['-', '=']) {
        return Err(Problem::BadSyntax { argument: text.to_owned() });
    }
    Ok(match body.split_once('=') {
        Some((name, value)) => Word::Flag { name, inline: Some(value) },
        None => Word::Flag { name: body, inline: None },
    })
}

fn store<F>(flag: &Flag<F>, flags: &mut F, value: &str) -> Result<(), Problem> {
    let name = flag.name;
    let invalid = |cause| Problem::InvalidValue { name, value: value.to_owned(), cause };
    match flag.kind {
        Kind::Bool(field) => {
            *field(flags) =
                parse_bool(value).ok_or(Problem::InvalidBool { name, value: value.to_owned() })?;
        }
        Kind::Int(field) => *field(flags) = parse_int(value).map_err(invalid)?,
        Kind::Duration(field) => {
            *field(flags) = GoDuration::parse(value).map_err(|_| invalid(InvalidValue::Syntax))?;
        }
        Kind::Text(field) => value.clone_into(field(flags)),
    }
    Ok(())
}

fn note(typed: &mut Vec<Typed>, latest: Typed) {
    match typed.iter_mut().find(|earlier| earlier.name == latest.name) {
        Some(earlier) => *earlier = latest,
        None => typed.push(latest),
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn split_base(unsigned: &str) -> (u32, &str) {
    let Some(after_zero) = unsigned.strip_prefix('0') else {
        return (10, unsigned);
    };
    for (letters, base) in [(['x', 'X'], 16), (['b', 'B'], 2), (['o', 'O'], 8)] {
        if let Some(digits) = after_zero.strip_prefix(letters) {
            return (base, digits);
        }
    }
    (8, after_zero)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Sample {
        on: bool,
        count: i64,
        every: GoDuration,
        name: String,
    }

    const TABLE: &[Flag<Sample>] = &[
        Flag { name: "name", kind: Kind::Text(|f| &mut f.name), default: "nobody", help: "a name" },
        Flag { name: "on", kind: Kind::Bool(|f| &mut f.on), default: "false", help: "a switch" },
        Flag { name: "count", kind: Kind::Int(|f| &mut f.count), default: "7", help: "a number" },
        Flag { name: "every", kind: Kind::Duration(|f| &mut f.every), default: "2m", help: "an interval" },
    ];

    fn sample(args: &[&str]) -> Result<Parsed<Sample>, CliError> {
        parse("sample", TABLE, args.iter().map(OsString::from))
    }

    fn problem(args: &[&str]) -> String {
        match sample(args) {
            Err(CliError::Usage { problem, .. }) => problem.to_string(),
            other => panic!("{args:?} gave {other:?}"),
        }
    }

    #[test]
    fn flags_that_are_not_typed_have_their_defaults() {
        let parsed = sample(&[]).unwrap();
        let every = GoDuration::parse("2m").unwrap();
        assert_eq!(parsed.flags, Sample { on: false, count: 7, every, name: "nobody".into() });
        assert!(parsed.typed.is_empty() && parsed.rest.is_empty());
    }

    #[test]
    fn one_dash_and_two_dashes_and_both_ways_of_giving_a_value_are_equal() {
        for args in [["-name=x"].as_slice(), &["--name=x"], &["-name", "x"], &["--name", "x"]] {
            assert_eq!(sample(args).unwrap().flags.name, "x", "{args:?}");
        }
    }

    #[test]
    fn a_repeated_flag_takes_its_last_value() {
        let parsed = sample(&["--count=1", "--on=true", "-count", "2", "--on=false", "--count=7"]).unwrap();
        assert_eq!((parsed.flags.count, parsed.flags.on), (7, false));
        let typed = [Typed { name: "count", is_default: true }, Typed { name: "on", is_default: true }];
        assert_eq!(parsed.typed, typed);
    }

    #[test]
    fn a_value_may_be_empty_or_hold_equal_signs_or_look_like_a_flag() {
        assert_eq!(sample(&["--name="]).unwrap().flags.name, "");
        assert_eq!(sample(&["--name", ""]).unwrap().flags.name, "");
        assert_eq!(sample(&["--name=a=b"]).unwrap().flags.name, "a=b");
        assert_eq!(sample(&["--name", "--on"]).unwrap().flags.name, "--on");
        assert_eq!(sample(&["--count", "-1"]).unwrap().flags.count, -1);
    }

    #[test]
    fn booleans_take_exactly_the_literals_of_go() {
        for literal in ["1", "t", "T", "true", "TRUE", "True"] {
            assert!(sample(&[&format!("--on={literal}")]).unwrap().flags.on, "{literal}");
        }
        for literal in ["0", "f", "F", "false", "FALSE", "False"] {
            assert!(!sample(&["--on", &format!("--on={literal}")]).unwrap().flags.on, "{literal}");
        }
        for literal in ["yes", "tRUE", "", " true", "2"] {
            let text = problem(&[&format!("--on={literal}")]);
            assert_eq!(text, format!("invalid boolean value {literal:?} for -on: parse error"));
        }
    }

    #[test]
    fn a_line_of_two_tables_is_divided_without_tearing_a_flag_from_its_value() {
        let other: &[Flag<Sample>] = &[
            Flag { name: "path", kind: Kind::Text(|f| &mut f.name), default: "", help: "a path" },
            Flag { name: "dry", kind: Kind::Bool(|f| &mut f.on), default: "false", help: "a switch" },
        ];
        type Row<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);
        let rows: [Row<'_>; 8] = [
            ("mixed", &["--name=x", "--path=y", "-on"], &["--name=x", "-on"], &["--path=y"]),
            (
                "values apart",
                &["--path", "--name", "--name", "-dry"],
                &["--name", "-dry"],
                &["--path", "--name"],
            ),
            ("switches", &["--dry", "--on", "--name", "x"], &["--on", "--name", "x"], &["--dry"]),
            ("unknown", &["--nope", "--on"], &["--on"], &["--nope"]),
            ("help", &["--path=y", "-h"], &["-h"], &["--path=y"]),
            ("words", &["--on", "word", "--on"], &["--on"], &["word", "--on"]),
            ("the end", &["--", "--on"], &[], &["--", "--on"]),
            ("no value", &["--path=y", "--name"], &["--name"], &["--path=y"]),
        ];
        for (name, args, of_first, of_other) in rows {
            let divided = divide(TABLE, other, args.iter().map(OsString::from));
            let expected =
                [of_first, of_other].map(|side| side.iter().map(OsString::from).collect::<Vec<_>>());
            assert_eq!([divided.0, divided.1], expected, "{name}");
        }
    }

    #[test]
    fn a_boolean_does_not_take_the_next_argument() {
        let parsed = sample(&["--on", "false", "--count=9"]).unwrap();
        assert!(parsed.flags.on);
        assert_eq!(parsed.flags.count, 7);
        assert_eq!(parsed.rest, ["false", "--count=9"]);
    }

    #[test]
    fn reading_stops_at_the_first_word_that_is_no_flag() {
        let rows = [
            ("a word", ["--count=1", "word", "--count=2"].as_slice(), ["word", "--count=2"].as_slice()),
            ("two dashes", &["--count=1", "--", "--count=2"], &["--count=2"]),
            ("one dash", &["--count=1", "-", "--count=2"], &["-", "--count=2"]),
            ("an empty word", &["--count=1", "", "--count=2"], &["", "--count=2"]),
        ];
        for (name, args, rest) in rows {
            let parsed = sample(args).unwrap();
            assert_eq!(parsed.flags.count, 1, "{name}");
            assert_eq!(parsed.rest, rest, "{name}");
        }
    }

    #[test]
    fn problems_read_as_go_words_them() {
        let rows = [
            (["--nope"].as_slice(), "flag provided but not defined: -nope"),
            (&["-nope=1"], "flag provided but not defined: -nope"),
            (&["--nope\n"], r"flag provided but not defined: -nope\n"),
            (&["---on"], "bad flag syntax: ---on"),
            (&["-=on"], "bad flag syntax: -=on"),
            (&["--=on"], "bad flag syntax: --=on"),
            (&["--name"], "flag needs an argument: -name"),
            (&["--count=x"], r#"invalid value "x" for flag -count: parse error"#),
            (&["--count", ""], r#"invalid value "" for flag -count: parse error"#),
            (
                &["--count=9223372036854775808"],
                r#"invalid value "9223372036854775808" for flag -count: value out of range"#,
            ),
            (&["--every=30"], r#"invalid value "30" for flag -every: parse error"#),
            (&["--every", "9999999h"], r#"invalid value "9999999h" for flag -every: parse error"#),
        ];
        for (args, text) in rows {
            assert_eq!(problem(args), text);
        }
    }

    #[test]
    fn help_is_its_own_outcome_and_exits_with_0() {
        for flag in ["-h", "--h", "-help", "--help", "--help=x"] {
            let error = sample(&["--count=1", flag]).unwrap_err();
            assert_eq!(error.exit_code(), 0, "{flag}");
            assert!(error.to_string().starts_with("Usage of sample:\n"), "{flag}");
        }
        assert_eq!(sample(&["--nope", "-h"]).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_usage_error_shows_the_problem_and_then_all_flags_by_name() {
        let error = sample(&["--nope"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let expected = "flag provided but not defined: -nope\n\
            Usage of sample:\n\
            \x20 -count int\n    \ta number (default 7)\n\
            \x20 -every duration\n    \tan interval (default 2m)\n\
            \x20 -name string\n    \ta name (default \"nobody\")\n\
            \x20 -on\n    \ta switch\n";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn an_argument_that_is_not_utf8_is_a_usage_error_with_its_position() {
        let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let rows = [
            ("inline value", vec![bytes(b"--on"), bytes(b"--name=\xff")], 2),
            ("separate value", vec![bytes(b"--name"), bytes(b"\xff")], 2),
            ("name", vec![bytes(b"-\xff")], 1),
        ];
        for (name, args, position) in rows {
            match parse("sample", TABLE, args) {
                Err(CliError::Usage { problem, .. }) => {
                    assert_eq!(problem, Problem::NotUtf8 { position }, "{name}")
                }
                other => panic!("{name} gave {other:?}"),
            }
        }
    }

    #[test]
    fn integers_read_as_in_go_source() {
        let good = [
            ("0", 0),
            ("-0", 0),
            ("00", 0),
            ("+5", 5),
            ("-12", -12),
            ("0x1f", 31),
            ("0X1F", 31),
            ("-0x10", -16),
            ("0b101", 5),
            ("0B1", 1),
            ("0o17", 15),
            ("0O17", 15),
            ("017", 15),
            ("1_000", 1000),
            ("0x_1f", 31),
            ("0_7", 7),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ];
        for (text, value) in good {
            assert_eq!(parse_int(text), Ok(value), "{text}");
        }
        for text in [
            "", "+", "-", "--1", "x", "0x", "0b", "0b2", "08", "0x_", "_1", "1_", "1__0", "0_", "1e3", " 1",
            "1.0", "1f",
        ] {
            assert_eq!(parse_int(text), Err(InvalidValue::Syntax), "{text}");
        }
        for text in ["9223372036854775808", "-9223372036854775809", "0xffffffffffffffffff"] {
            assert_eq!(parse_int(text), Err(InvalidValue::Range), "{text}");
        }
    }

    #[test]
    fn no_string_of_hostile_pieces_makes_the_parser_panic() {
        let pieces = [
            "-", "--", "=", "name", "count", "every", "on", "\u{b5}", "9", "0x", "_", ".", "h", "\0",
            "\u{202e}",
        ];
        for a in pieces {
            for b in pieces {
                for c in pieces {
                    for d in pieces {
                        let joined = [a, b, c, d].concat();
                        let outcome = parse("sample", TABLE, [OsString::from(&joined), OsString::from(c)]);
                        assert!(outcome.is_ok_or_has_text(), "{joined:?}");
                        let _ = (parse_int(&joined), GoDuration::parse(&joined));
                    }
                }
            }
        }
    }

    trait Outcome {
        fn is_ok_or_has_text(&self) -> bool;
    }

    impl Outcome for Result<Parsed<Sample>, CliError> {
        fn is_ok_or_has_text(&self) -> bool {
            self.as_ref().err().is_none_or(|error| !error.to_string().is_empty())
        }
    }
}
