//! What was said, remembered by a few bytes: enough to see whether the same is said again.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Two of equal things are equal; two of different ones are, but for a chance of one in 2^64, not.
///
/// A peer that could find two different answers with one fingerprint would hide a change of its own from the pod status
/// of its own volume, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// That of `said`. Good within one process.
    pub fn of(said: &(impl Hash + ?Sized)) -> Fingerprint {
        let mut hasher = DefaultHasher::new();
        said.hash(&mut hasher);
        Fingerprint(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_has_the_same_fingerprint_and_another_thing_another() {
        assert_eq!(Fingerprint::of(&["a", "b"]), Fingerprint::of(&["a", "b"]));
        for other in [&["a", "c"][..], &["b", "a"], &["ab"], &["a"], &[]] {
            assert_ne!(Fingerprint::of(&["a", "b"][..]), Fingerprint::of(other));
        }
    }
}
