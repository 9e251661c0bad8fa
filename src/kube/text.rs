//! Text from outside made safe to show: one line, bounded, no control characters.
//!
//! What a server or a provider says ends up in logs, events and kubelet's messages; a line break there could
//! forge a log line, an escape sequence could rewrite a terminal.

/// `text` with control characters escaped, cut to at most `limit` bytes on a character's boundary; a cut is
/// marked by `...` within the limit.
pub fn printable(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        if is_harmless(character) {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
        if shown.len() > limit {
            break;
        }
    }
    if shown.len() > limit {
        let mut end = limit.saturating_sub(CUT_MARK.len());
        while !shown.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        shown.truncate(end);
        shown.push_str(CUT_MARK);
    }
    shown
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

/// False for control characters and for the marks that reorder the text around them.
fn is_harmless(character: char) -> bool {
    let reorders =
        matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks_line = matches!(character, '\u{2028}' | '\u{2029}');
    !(character.is_control() || reorders || breaks_line)
}

/// Shows that text was cut.
const CUT_MARK: &str = "...";

#[cfg(test)]
mod tests {
    use super::*;

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
