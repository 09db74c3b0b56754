//! The keys of `HashMap` and `HashSet`, which determine their iteration order.
//!
//! The standard library draws them once per thread, without WASI from the addresses of a stack and a heap variable, and
//! increments them with every map. A replay makes the same maps in the same order, except for those of a computation that it
//! skips.

use std::hash::RandomState;

/// The most maps that are skipped: more would take longer to make than a step may run.
const MOST: u64 = 1 << 26;

/// Draws the keys at a point that is the same in every run of an execution: at its start.
pub(crate) fn draw() {
    let _ = RandomState::new();
}

/// Runs a computation, and counts the maps that it makes.
pub(crate) fn counted<T>(compute: impl FnOnce() -> T) -> (T, u64) {
    let before = sum(&RandomState::new());
    let value = compute();
    let after = sum(&RandomState::new());
    (value, after.wrapping_sub(before).saturating_sub(1))
}

/// Advances the keys as if a computation that made so many maps had been `counted`.
pub(crate) fn skip(maps: u64) {
    counted(|| (0..maps.min(MOST)).for_each(|_| draw()));
}

/// One of the two keys stays and the other is incremented, and so is their sum.
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

    /// A number that determines the iteration order of the next map.
    fn next_map() -> u64 {
        RandomState::new().hash_one("key")
    }

    #[test]
    fn a_skipped_computation_leaves_the_keys_as_it_had_left_them() {
        let compute = || drop((0..5).map(|_| HashSet::new()).collect::<Vec<HashSet<u8>>>());
        // Whatever comes between the two looks at the keys must increment them equally.
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
