//! Chance that is the same in every run.

/// Marsaglia's xorshift: the same sequence for the same seed, everywhere.
pub struct Random(u64);

impl Random {
    /// The sequence of a seed that is not zero.
    pub fn new(seed: u64) -> Random {
        assert_ne!(seed, 0);
        Random(seed)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("it is below a number of that type")
    }

    /// One of these.
    pub fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
