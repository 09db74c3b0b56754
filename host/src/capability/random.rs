//! `everstep:host/random`: a stream of its own for every step, drawn from the seed of the execution.

use crate::bindings::everstep::host::random;
use crate::bridge::{Arg, Fault, Step};
use crate::policy::{Call, RandomCall};
use crate::turns::Ctx;

impl random::Host for Ctx {
    fn bytes(&mut self, length: u32) -> Result<Vec<u8>, Fault> {
        let subject = format!("{length} bytes");
        let bytes = length.to_le_bytes();
        let args = [Arg::of("length", &bytes)];
        let grant = Call::Random(RandomCall { bytes: u64::from(length) });
        let step = Step::new("random.bytes", &subject, &args, grant);
        let seed = self.bridge.facts.seed;
        self.bridge.internal(&step, |at| {
            let mut bytes = vec![0; length as usize];
            draw(&seed, at.number, &mut bytes);
            Ok(bytes)
        })
    }

    fn uuid(&mut self) -> Result<String, Fault> {
        let step = Step::new("random.uuid", "", &[], Call::Random(RandomCall { bytes: 16 }));
        let seed = self.bridge.facts.seed;
        self.bridge.internal(&step, |at| {
            let mut bytes = [0; 16];
            draw(&seed, at.number, &mut bytes);
            Ok(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
        })
    }
}

/// A random part of `whole`, 0 and `whole` included, drawn for a step.
pub(super) fn share(seed: &[u8; 32], number: u64, whole: u64) -> u64 {
    let mut bytes = [0; 8];
    draw(seed, number, &mut bytes);
    let scaled = u128::from(u64::from_le_bytes(bytes)) * (u128::from(whole) + 1);
    (scaled >> 64) as u64
}

/// Fills `bytes` with the random stream of a step: BLAKE3 keyed with the seed, in its extendable output mode.
fn draw(seed: &[u8; 32], number: u64, bytes: &mut [u8]) {
    blake3::Hasher::new_keyed(seed)
        .update(b"everstep random ")
        .update(&number.to_le_bytes())
        .finalize_xof()
        .fill(bytes);
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_share_is_within_the_whole() {
        assert_eq!(super::share(&[1; 32], 0, 0), 0);
        let shares: Vec<u64> = (0..100).map(|number| super::share(&[1; 32], number, 3)).collect();
        assert!((0..=3).all(|share| shares.contains(&share)) && shares.iter().all(|share| *share <= 3));
        assert!(super::share(&[1; 32], 0, u64::MAX) > 0);
    }

    #[test]
    fn each_step_and_each_seed_has_a_stream_of_its_own() {
        let stream = |seed: u8, number: u64| {
            let mut bytes = [0; 40];
            super::draw(&[seed; 32], number, &mut bytes);
            bytes
        };
        assert_eq!(stream(1, 7), stream(1, 7));
        assert_ne!(stream(1, 7), stream(1, 8));
        assert_ne!(stream(1, 7), stream(2, 7));
    }
}
