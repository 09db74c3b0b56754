//! The keys of `HashMap` and `HashSet`, which decide in which order they are walked.
//!
//! The standard library draws them once per thread, without a WASI from the addresses of a stack and a heap variable, and counts
//! them up with every map. A replay makes the same maps in the same order, but for those of a computation that it skips.

use std::hash::RandomState;

/// Keys that are skipped at most: so many maps take longer to make than a step may run.
const MOST: u64 = 1 << 26;

/// Draws the keys where every run of an execution is the same: at its start.
pub(crate) fn draw() {
    let _ = RandomState::new();
}

/// Computes something, and counts the maps that it makes.
pub(crate) fn counted<T>(compute: impl FnOnce() -> T) -> (T, u64) {
    let before = sum(&RandomState::new());
    let value = compute();
    let after = sum(&RandomState::new());
    (value, after.wrapping_sub(before).saturating_sub(1))
}

/// Goes on as if a computation that made so many maps had been `counted`.
pub(crate) fn skip(maps: u64) {
    counted(|| (0..maps.min(MOST)).for_each(|_| draw()));
}

/// One of the two keys stays and the other counts up, so their sum does.
#[allow(unsafe_code, reason = "the standard library shows these keys in no other way")]
fn sum(state: &RandomState) -> u64 {
    const { assert!(size_of::<RandomState>() == size_of::<[u64; 2]>()) };
    // SAFETY: the sizes are equal, so that no byte is padding, and every bit pattern is a pair of integers.
    let keys: [u64; 2] = unsafe { std::mem::transmute_copy(state) };
    keys[0].wrapping_add(keys[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    /// The next map is walked in the order of this number.
    fn next_map() -> u64 {
        RandomState::new().hash_one("key")
    }

    #[test]
    fn a_skipped_computation_leaves_the_keys_as_it_had_left_them() {
        let compute = || drop((0..5).map(|_| HashSet::new()).collect::<Vec<HashSet<u8>>>());
        // What stands between the two looks at the keys must count them up just as much.
        let distance = |between: &dyn Fn()| counted(between).1;
        let ((), maps) = counted(compute);
        assert_eq!(maps, 5);
        assert_eq!(
            distance(&|| skip(maps)),
            distance(&|| {
                counted(compute);
            })
        );
        assert_ne!(next_map(), next_map(), "the keys do not count up any more, and nothing needs to be skipped");
    }
}
