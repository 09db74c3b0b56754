//! The one runtime that may use more of the engine than other components: CPython with science (`everstep python science`), which is known by its code.
//!
//! It needs exceptions, and it is larger than what may be compiled otherwise. Its code is what was published and checked; its memory, and the small modules
//! around it, which are held to what every component is held to, may be anything.

use super::config::FEATURES;
use crate::id::Digest;
use wasmparser::{Parser, Payload, Validator};

/// The size of its code section, in bytes, and its SHA-256.
const SIZE: usize = 74_345_066;
const CODE: Digest = Digest([
    0x88, 0xac, 0x89, 0x5b, 0xb8, 0xc9, 0xcc, 0xe0, 0xd1, 0xa9, 0x53, 0xb0, 0x22, 0xf8, 0x8f, 0xc8, 0x95, 0x6f, 0x02,
    0x8c, 0xdd, 0xb4, 0x10, 0x7b, 0xf0, 0xc9, 0x89, 0xc3, 0xec, 0x80, 0x1a, 0x93,
]);
/// The largest of the modules around it, in bytes.
const MAX_OTHER: usize = 1 << 20;

/// What a component may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// What every component may use.
    Any,
    /// That of the known runtime.
    Known,
}

/// What a component may use, from its bytes.
pub(super) fn kind(bytes: &[u8]) -> Kind {
    match bytes.len() > SIZE && is_known(bytes).unwrap_or(false) {
        true => Kind::Known,
        false => Kind::Any,
    }
}

/// Whether its modules, also those of components inside it, are the known one, once, and small ones that any component may have.
fn is_known(bytes: &[u8]) -> wasmparser::Result<bool> {
    let mut found = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::ModuleSection { unchecked_range: range, .. } = payload? {
            let Some(module) = bytes.get(range) else { return Ok(false) };
            match has_its_code(module)? {
                true => found += 1,
                false if module.len() > MAX_OTHER => return Ok(false),
                false => {
                    Validator::new_with_features(FEATURES).validate_all(module)?;
                }
            }
        }
    }
    Ok(found == 1)
}

fn has_its_code(module: &[u8]) -> wasmparser::Result<bool> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::CodeSectionStart { range, .. } = payload? {
            return Ok(range.len() == SIZE && module.get(range).is_some_and(|code| Digest::of(code) == CODE));
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_component_is_not_known_however_large_it_is() {
        let mut component = wat::parse_str("(component (core module))").unwrap();
        assert_eq!(kind(&component), Kind::Any);
        // A custom section of its size.
        let mut section = vec![1, b'x'];
        section.resize(SIZE + 16, 0);
        component.push(0);
        let mut length = section.len();
        while length >= 128 {
            component.push((length & 127) as u8 | 128);
            length >>= 7;
        }
        component.push(length as u8);
        component.extend(section);
        assert!(component.len() > SIZE);
        assert_eq!(kind(&component), Kind::Any);
    }
}
