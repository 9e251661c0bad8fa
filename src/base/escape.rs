//! Quoting of text that a hostile party may have chosen, so that it stays within one line and one pair of
//! quotes.
//!
//! Knows neither logs nor flags. The threat: a file name, an annotation or a provider's error text that
//! carries line breaks, terminal sequences or direction marks, and so forges or hides a log record. Nothing
//! is lost: everything that is not plainly printable becomes an escape that a reader can undo.

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

/// True for characters that are plainly seen, by the standard library's own table: it leaves out controls, format
/// and separator characters, and combining marks.
pub fn is_printable(c: char) -> bool {
    // The three that the table escapes for the sake of literals alone.
    matches!(c, '\'' | '"' | '\\') || c.escape_debug().len() == 1
}

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
}
