//! Values that must never be printed and are overwritten when dropped.
//!
//! The types have no `Display`, no `Serialize` and a `Debug` that shows only the length, so that a secret can
//! reach a log line, an error or an event only through an explicit `expose`, which is easy to grep for.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// Secret bytes: the contents of a file that a provider sent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Takes ownership of the buffer; it is overwritten when the value is dropped.
    pub fn new(bytes: Vec<u8>) -> SecretBytes {
        SecretBytes(bytes)
    }

    /// The bytes themselves. Whoever calls this answers for where they go.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Length in bytes, which is not secret.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is no content.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({} bytes)", self.0.len())
    }
}

/// Secret text: tokens and the JSON payloads that carry them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretString(Zeroizing<String>);

impl SecretString {
    /// Takes ownership of the text; it is overwritten when the value is dropped.
    pub fn new(text: String) -> SecretString {
        SecretString(Zeroizing::new(text))
    }

    /// The text itself. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretString({} bytes)", self.0.len())
    }
}

/// Overwrites the bytes in a way that the compiler may not leave out. What the buffer holds behind them, the program's
/// allocator overwrites.
fn wipe(bytes: &mut [u8]) {
    bytes.zeroize();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a type has a trait, found out by the compiler.
    macro_rules! has {
        ($type:ty, $bound:path) => {{
            trait Without {
                fn has(&self) -> bool {
                    false
                }
            }
            struct Asked<T>(std::marker::PhantomData<T>);
            impl<T> Without for &Asked<T> {}
            trait With {
                fn has(&self) -> bool {
                    true
                }
            }
            impl<T: $bound> With for Asked<T> {}
            // Found first, where there is such a method.
            (&Asked::<$type>(std::marker::PhantomData)).has()
        }};
    }

    /// Each would be a way into a text that nobody has to look at twice.
    #[test]
    #[allow(dead_code, reason = "of two traits that could answer, one is never asked")]
    fn a_secret_can_be_neither_shown_nor_serialised_nor_taken_for_text() {
        assert!(has!(String, fmt::Display) && has!(String, serde::Serialize) && has!(String, AsRef<str>));
        macro_rules! assert_has_none {
            ($($bound:path),*) => {$(
                assert!(!has!(SecretBytes, $bound), "bytes have {}", stringify!($bound));
                assert!(!has!(SecretString, $bound), "text has {}", stringify!($bound));
            )*};
        }
        assert_has_none!(
            fmt::Display,
            fmt::LowerHex,
            serde::Serialize,
            AsRef<str>,
            AsRef<[u8]>,
            Into<String>,
            Into<Vec<u8>>,
            std::ops::Deref,
            std::borrow::Borrow<str>,
            std::borrow::Borrow<[u8]>,
            std::hash::Hash,
            PartialOrd,
            Copy
        );
    }

    #[test]
    fn what_is_wiped_is_zero_from_the_first_byte_to_the_last() {
        for size in [0, 1, 7, 4096, 1 << 20] {
            let mut bytes = vec![0xa5; size];
            wipe(&mut bytes);
            assert!(bytes.iter().all(|byte| *byte == 0), "{size} bytes");
        }
    }

    #[test]
    fn debug_shows_the_length_and_nothing_of_the_content() {
        assert_eq!(format!("{:?}", SecretBytes::new(b"hunter2".to_vec())), "SecretBytes(7 bytes)");
        assert_eq!(format!("{:?}", SecretString::new("hunter2".into())), "SecretString(7 bytes)");
    }
}
