//! Numbers that follow from a seed, for tests that draw what they do: a sequence is known by its seed.

/// The multiplier and the increment of Knuth's MMIX generator.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// One of several.
    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}
