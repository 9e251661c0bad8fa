//! The name of a provider, which is also the name of a socket file.

use std::fmt;

use base::text::quotable;

/// At most 30 ASCII letters, digits, `_` and `-`, and at least one: nothing that could lead out of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProviderName(String);

impl ProviderName {
    /// Checks a name as a class gives it.
    pub fn parse(name: &str) -> Result<ProviderName, InvalidProviderName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || name.len() > MAX_BYTES || !name.bytes().all(allowed) {
            return Err(InvalidProviderName { name: name.chars().take(SHOWN_CHARS).collect() });
        }
        Ok(ProviderName(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name that no provider can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidProviderName {
    name: String,
}

impl InvalidProviderName {
    /// The name, cut to a length that can be shown; not printable as it is.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for InvalidProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid provider: provider \"{}\"", quotable(&self.name, SHOWN_CHARS))
    }
}

impl std::error::Error for InvalidProviderName {}

const MAX_BYTES: usize = 30;
const SHOWN_CHARS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_digits_underscores_and_dashes_make_a_name() {
        for name in ["vault", "AWS", "e2e-provider", "a_b-9", &"x".repeat(30)] {
            assert_eq!(ProviderName::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn a_name_can_never_be_a_path() {
        for name in ["", "bad/provider/name", "..", "a.b", "é", "a b", "a\0", &"x".repeat(31)] {
            let error = ProviderName::parse(name).unwrap_err().to_string();
            assert!(error.starts_with("invalid provider: provider \""), "{name:?}: {error}");
        }
    }
}
