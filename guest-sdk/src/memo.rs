//! Computations that are too expensive to repeat after a crash.

use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::ser::Error as _;

use crate::bindings::everstep::host::memo::{self, Recollection};
use crate::hash_keys;
use crate::{Context, Error};

impl Context {
    /// Computes a value once per execution: after a crash it is remembered, and `compute` does not run.
    ///
    /// `compute` gets no context and must be pure; it may hold anything that takes long. A computation that can fail returns a `Result`,
    /// which is remembered like any other value. The returned value has been through JSON, the first time as well, so that a value which
    /// JSON does not keep is an error from the start (`NaN`), or the same in every run (a skipped field).
    pub fn step<T>(&self, name: &str, compute: impl FnOnce() -> T) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned,
    {
        let invalid = |cause| Error::invalid(format!("value of step `{name}`: {cause}"));
        match memo::recall(name)? {
            Recollection::Remembered(kept) => {
                let unknown = || Error::invalid(format!("value of step `{name}`: it was not kept by this SDK"));
                let (maps, value) = parts(&kept).ok_or_else(unknown)?;
                hash_keys::skip(maps);
                serde_json::from_str(value).map_err(invalid)
            }
            Recollection::Compute(step) => {
                let (value, maps) = hash_keys::counted(compute);
                let (kept, value) = keep(maps, &value).map_err(invalid)?;
                let value = serde_json::from_str(&kept[value]).map_err(invalid)?;
                memo::remember(step, &kept)?;
                Ok(value)
            }
        }
    }
}

/// A value is kept as `{"maps":0,"value":…}`, with the number of hash maps that were made for it: later ones must have the same iteration
/// order, and so must those of the value itself, which is read after them.
const MAPS: &str = r#"{"maps":"#;
const VALUE: &str = r#","value":"#;

/// What is kept of a value, and where in it the value is: it is written once.
fn keep<T: Serialize>(maps: u64, value: &T) -> serde_json::Result<(String, Range<usize>)> {
    let mut kept = Vec::with_capacity(128);
    kept.extend_from_slice(MAPS.as_bytes());
    serde_json::to_writer(&mut kept, &maps)?;
    kept.extend_from_slice(VALUE.as_bytes());
    let start = kept.len();
    serde_json::to_writer(&mut kept, value)?;
    let place = start..kept.len();
    kept.push(b'}');
    Ok((String::from_utf8(kept).map_err(serde_json::Error::custom)?, place))
}

/// The number of maps and the value.
fn parts(kept: &str) -> Option<(u64, &str)> {
    let (maps, value) = kept.strip_prefix(MAPS)?.strip_suffix('}')?.split_once(VALUE)?;
    Some((maps.parse().ok()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_value_reads_back() {
        for value in [r#"a "quoted","value":1}"#, "", "ü\\"] {
            let (kept, place) = keep(7, &[value]).unwrap();
            assert_eq!(parts(&kept), Some((7, &kept[place])), "{kept}");
            assert_eq!(serde_json::from_str::<[String; 1]>(parts(&kept).unwrap().1).unwrap(), [value]);
        }
        assert_eq!(keep(0, &1).unwrap().0, r#"{"maps":0,"value":1}"#, "journals hold it in this form");
        for other in ["1", r#"{"maps":-1,"value":1}"#, r#"{"maps":1}"#, r#"{"maps":1,"value":1"#] {
            assert_eq!(parts(other), None, "{other}");
        }
    }
}
