//! Text that a hostile party may have chosen, made safe to show: it stays on one line, within one pair of quotes, and
//! within a limit.
//!
//! Knows neither logs nor flags. The threat: a file name, an annotation or a provider's error text that
//! carries line breaks, terminal sequences or direction marks, and so forges or hides a log record. There is one rule
//! for what is safe, [`is_printable`]. Everything else becomes an escape that a reader can undo.

use std::fmt::Write as _;

/// The text in double quotes with Go's escapes (`\n`, `\x1b`, `\u202e`), as klog prints values.
pub fn go_quoted(text: &str) -> String {
    quoted(text, |out, c| match u32::from(c) {
        code @ 0..=0x7f => write!(out, "\\x{code:02x}"),
        code @ 0x80..=0xffff => write!(out, "\\u{code:04x}"),
        code => write!(out, "\\U{code:08x}"),
    })
}

/// The text as a JSON string, in double quotes.
pub fn json_quoted(text: &str) -> String {
    quoted(text, |out, c| {
        let mut units = [0; 2];
        c.encode_utf16(&mut units).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
    })
}

fn quoted(text: &str, escape: impl Fn(&mut String, char) -> std::fmt::Result) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            // Writing to a String cannot fail; should it ever, a mark is better than the raw character.
            c => escape(&mut out, c).unwrap_or_else(|_| out.push('\u{fffd}')),
        }
    }
    out.push('"');
    out
}

/// `text` with escapes for all that is not printable, cut to at most `limit` bytes on a character's boundary; a cut is
/// marked by `...` within the limit.
pub fn printable(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        push(&mut shown, c);
        if shown.len() > limit {
            shown.truncate(shown.floor_char_boundary(limit.saturating_sub(CUT_MARK.len())));
            shown.push_str(CUT_MARK);
            break;
        }
    }
    shown
}

/// The first `most` characters of `text`, with escapes for all that is not printable and for what ends a pair of double
/// quotes; `...` stands for the others.
pub fn quotable(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut chars = text.chars();
    for c in chars.by_ref().take(most) {
        if matches!(c, '"' | '\\') {
            shown.push('\\');
        }
        push(&mut shown, c);
    }
    if !chars.as_str().is_empty() {
        shown.push_str(CUT_MARK);
    }
    shown
}

fn push(shown: &mut String, c: char) {
    if is_printable(c) {
        shown.push(c);
    } else {
        shown.extend(c.escape_default());
    }
}

/// How long the text is as JSON, without its quotation marks.
pub fn json_len(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum()
}

/// True for characters that are plainly seen, by the standard library's own table: it leaves out controls, format
/// and separator characters, and combining marks.
pub fn is_printable(c: char) -> bool {
    // The three that the table escapes for the sake of literals alone.
    matches!(c, '\'' | '"' | '\\') || c.escape_debug().len() == 1
}

/// Shows that text was cut.
const CUT_MARK: &str = "...";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_could_break_a_line_or_its_quotes_is_escaped() {
        let rows = [
            ("plain", "a b/c'd", r#""a b/c'd""#, r#""a b/c'd""#),
            ("empty", "", r#""""#, r#""""#),
            ("quotes and backslash", r#"a"b\"#, r#""a\"b\\""#, r#""a\"b\\""#),
            ("line breaks", "a\nb\r\tc", r#""a\nb\r\tc""#, r#""a\nb\r\tc""#),
            ("terminal sequence", "\u{1b}[31m", r#""\x1b[31m""#, r#""\u001b[31m""#),
            ("nul and delete", "\0\u{7f}", r#""\x00\x7f""#, r#""\u0000\u007f""#),
            ("next line", "\u{85}", r#""\u0085""#, r#""\u0085""#),
            ("line separator", "\u{2028}", r#""\u2028""#, r#""\u2028""#),
            ("right-to-left override", "\u{202e}", r#""\u202e""#, r#""\u202e""#),
            ("beyond the basic plane", "\u{e0001}", r#""\U000e0001""#, r#""\udb40\udc01""#),
            (
                "letters of other scripts",
                "gr\u{fc}n \u{1f600}",
                "\"gr\u{fc}n \u{1f600}\"",
                "\"gr\u{fc}n \u{1f600}\"",
            ),
        ];
        for (name, text, go, json) in rows {
            assert_eq!(go_quoted(text), go, "{name}, go");
            assert_eq!(json_quoted(text), json, "{name}, json");
        }
    }

    #[test]
    fn text_is_escaped_and_cut_but_otherwise_left_alone() {
        let table = [
            ("plain text", "secrets \"x\" not found", 100, "secrets \"x\" not found"),
            ("a forged log line", "a\nE0101 b", 100, "a\\nE0101 b"),
            ("a terminal escape", "\u{1b}[2J", 100, "\\u{1b}[2J"),
            ("reordering marks", "a\u{202e}b", 100, "a\\u{202e}b"),
            ("exactly the limit", "12345", 5, "12345"),
            ("one over the limit", "123456", 5, "12..."),
            ("a cut inside a character", "äääääää", 8, "ää..."),
        ];
        for (name, text, limit, shown) in table {
            assert_eq!(printable(text, limit), shown, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_escaped_in_every_way_to_show_text() {
        for hidden in
            ['\u{ad}', '\u{301}', '\u{61c}', '\u{200b}', '\u{2066}', '\u{2029}', '\u{feff}', '\u{e0001}']
        {
            let text = format!("a{hidden}b");
            let shown = format!("a\\u{{{:x}}}b", u32::from(hidden));
            assert_eq!(printable(&text, 100), shown);
            assert_eq!(quotable(&text, 100), shown);
            for quoted in [go_quoted(&text), json_quoted(&text)] {
                assert!(quoted.is_ascii() && quoted.starts_with("\"a\\"), "{quoted}");
            }
        }
    }

    #[test]
    fn a_text_for_quotes_cannot_end_them_and_says_that_it_was_cut() {
        let table = [
            ("quotes and backslash", "a\"b\\'", 100, "a\\\"b\\\\'"),
            ("exactly as many characters", "äöü", 3, "äöü"),
            ("one more", "äöüß", 3, "äöü..."),
            ("nothing", "", 0, ""),
        ];
        for (name, text, most, shown) in table {
            assert_eq!(quotable(text, most), shown, "{name}");
        }
    }

    #[test]
    fn the_length_as_json_is_that_of_the_json() {
        let every: String = ('\0'..'\u{300}').chain(['\u{2028}', '\u{fffd}', '😀']).collect();
        for text in ["", "plain", "\"\\/", &every] {
            assert_eq!(json_len(text) + 2, serde_json::to_string(text).unwrap().len(), "{text}");
        }
    }

    #[test]
    fn the_limit_holds_for_any_input() {
        for limit in 3..40 {
            assert!(printable(&"\u{0}ä\n".repeat(50), limit).len() <= limit, "{limit}");
        }
    }
}
