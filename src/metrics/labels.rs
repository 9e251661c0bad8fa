//! Which texts may become label values.
//!
//! Provider names come from whoever may write a SecretProviderClass, error types from providers. Each new
//! value costs memory here and in every Prometheus that scrapes this node, for as long as the process lives,
//! so their number, length and characters are bounded.

use std::collections::BTreeSet;

use base::lock::Mutex;

/// The values seen so far for one label.
#[derive(Default)]
pub(super) struct Values {
    seen: Mutex<BTreeSet<String>>,
}

impl Values {
    /// The value to show for `raw`: itself, cleaned, if it was seen before or fewer than `limit` values were;
    /// otherwise [`OTHER`]. Empty stays empty, which Prometheus treats as a label that is not there.
    pub(super) fn admit(&self, raw: &str, limit: usize) -> String {
        let value = clean(raw);
        if value.is_empty() || value == OTHER {
            return value;
        }
        let mut seen = self.seen.lock();
        if seen.contains(&value) {
            return value;
        }
        if seen.len() >= limit {
            return OTHER.to_string();
        }
        seen.insert(value.clone());
        value
    }
}

/// Where values go that are one too many.
pub(super) const OTHER: &str = "other";

/// Replaces what is not in `A-Za-z0-9_.-` and cuts at [`LONGEST_BYTES`].
fn clean(raw: &str) -> String {
    raw.chars()
        .take(LONGEST_BYTES)
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '_' })
        .collect()
}

/// Longer than any code that a provider in use sends, short enough to read. Every kept character is one byte.
const LONGEST_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_characters_are_kept() {
        let rows = [
            ("plain", "GRPCProviderError", "GRPCProviderError"),
            ("allowed punctuation", "a_b.c-9", "a_b.c-9"),
            ("injection", "x\"} 1\nfake{a=\"b", "x___1_fake_a__b"),
            ("not ASCII", "né", "n_"),
            ("empty", "", ""),
        ];
        for (name, raw, shown) in rows {
            assert_eq!(Values::default().admit(raw, 8), shown, "{name}");
        }
    }

    #[test]
    fn long_values_are_cut_at_64_bytes() {
        assert_eq!(Values::default().admit(&"é".repeat(5000), 8), "_".repeat(64));
    }

    #[test]
    fn values_past_the_limit_become_other_and_known_ones_stay() {
        let values = Values::default();
        assert_eq!(values.admit("a", 2), "a");
        assert_eq!(values.admit("b", 2), "b");
        assert_eq!(values.admit("c", 2), "other");
        assert_eq!(values.admit("a", 2), "a");
        assert_eq!(values.admit("c", 3), "c");
    }

    #[test]
    fn neither_empty_nor_other_takes_a_place() {
        let values = Values::default();
        assert_eq!(values.admit("other", 1), "other");
        assert_eq!(values.admit("", 1), "");
        assert_eq!(values.admit("a", 1), "a");
    }
}
