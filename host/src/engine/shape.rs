//! The requirements on a component before compilation: its imports, its exports, and its size.
//!
//! One walk over the bytes that only reads section headers and names. The compiler decides whether the code is valid;
//! this decides that compiling it ends in reasonable time.

use super::Error;
use super::imports::is_offered;
use super::known::Kind;
use super::wasi;
use wasmparser::{ComponentInstance, Encoding, Instance, Parser, Payload};

/// The export of a component with durable functions, and the versions that are compatible with it.
const GUEST: (&str, &str) = ("everstep:host/guest@", "0.1.");
/// The export of a program, and the versions that are compatible with it.
const PROGRAM: (&str, &str) = ("wasi:cli/run@", wasi::VERSION);

/// The most bytes, functions, and bytes of code of a component.
struct Size {
    bytes: u64,
    functions: u64,
    code: u64,
}

const ANY: Size = Size { bytes: 128 << 20, functions: 60_000, code: 32 << 20 };
/// The known runtime has 89,060 functions, 71 MiB of code, and a memory with everything imported.
const KNOWN: Size = Size { bytes: 384 << 20, functions: 90_000, code: 72 << 20 };
const MAX_BODY: u64 = 1 << 20;
/// The compiler expands a component into all instances of all components inside it: with `n` instantiations in `d` levels
/// there are at most `(n / d) ^ d` of them.
const MAX_INSTANTIATIONS: u64 = 256;
const MAX_NESTING: u64 = 3;

/// Refuses anything that is not a component, imports more than this host offers, exports nothing, or is too large to compile.
pub(super) fn check(bytes: &[u8], kind: Kind) -> Result<(), Error> {
    let most = if kind == Kind::Known { &KNOWN } else { &ANY };
    at_most("bytes", bytes.len() as u64, most.bytes)?;
    begins_as_component(bytes)?;
    let names = Walk::of(most).run(bytes)?;
    let unknown: Vec<_> = names.imports.iter().filter(|name| !is_offered(name)).cloned().collect();
    if !unknown.is_empty() {
        return Err(Error::Imports { imports: unknown });
    }
    if names.exports == 0 { Err(Error::NoExport) } else { Ok(()) }
}

pub(super) fn at_most(what: &'static str, found: u64, max: u64) -> Result<(), Error> {
    if found > max { Err(Error::TooLarge { what, found, max }) } else { Ok(()) }
}

/// Refuses what is no component, from its first bytes.
pub(crate) fn begins_as_component(bytes: &[u8]) -> Result<(), Error> {
    let found = match bytes {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => return Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            "a core module; `everstep build` makes a component of it, or of a crate"
        }
        [0, b'a', b's', b'm', ..] => "a binary of another version; build it with a current tool chain",
        [0x7f, b'E', b'L', b'F', ..] => "a native or precompiled binary; pass the .wasm file it was made from",
        [] => "an empty file",
        text if text.trim_ascii_start().starts_with(b"(") => {
            "WebAssembly text; assemble it first, with `wasm-tools parse`"
        }
        _ => "something else; `everstep build` makes a component of a crate",
    };
    Err(Error::NotAComponent { found })
}

/// Whether an export is the interface of durable functions.
pub(super) fn is_guest(name: &str) -> bool {
    is_version_of(name, GUEST)
}

/// Whether an export is that of a program.
pub(crate) fn is_program(name: &str) -> bool {
    is_version_of(name, PROGRAM)
}

fn is_version_of(name: &str, (interface, series): (&str, &str)) -> bool {
    name.strip_prefix(interface).is_some_and(|version| is_patch(version, series))
}

/// Whether `version` is `series` and a patch number, without a pre-release part.
pub(super) fn is_patch(version: &str, series: &str) -> bool {
    version
        .strip_prefix(series)
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|digit| digit.is_ascii_digit()))
}

/// What a component imports and exports at its top level, and the counts.
struct Walk<'a> {
    most: &'a Size,
    imports: Vec<String>,
    exports: u32,
    /// The encodings of the modules and components around the current payload, outermost first.
    depth: Vec<Encoding>,
    functions: u64,
    code: u64,
    instantiations: u64,
}

impl<'a> Walk<'a> {
    fn of(most: &'a Size) -> Self {
        Self { most, imports: Vec::new(), exports: 0, depth: Vec::new(), functions: 0, code: 0, instantiations: 0 }
    }

    fn run(mut self, bytes: &[u8]) -> Result<Self, Error> {
        for payload in Parser::new(0).parse_all(bytes) {
            self.payload(payload.map_err(malformed)?)?;
        }
        Ok(self)
    }

    fn payload(&mut self, payload: Payload<'_>) -> Result<(), Error> {
        match payload {
            Payload::Version { encoding, .. } => {
                self.depth.push(encoding);
                let components = self.depth.iter().filter(|encoding| **encoding == Encoding::Component).count();
                at_most("levels of components", components as u64, MAX_NESTING)?;
            }
            Payload::End(_) => {
                self.depth.pop();
            }
            Payload::CodeSectionStart { count, size, .. } => {
                self.functions += u64::from(count);
                self.code += u64::from(size);
                at_most("functions", self.functions, self.most.functions)?;
                at_most("bytes of code", self.code, self.most.code)?;
            }
            Payload::CodeSectionEntry(body) => {
                at_most("bytes of code in one function", body.range().len() as u64, MAX_BODY)?;
            }
            Payload::InstanceSection(section) => {
                for instance in section {
                    let instance = instance.map_err(malformed)?;
                    self.instantiates(matches!(instance, Instance::Instantiate { .. }))?;
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    let instance = instance.map_err(malformed)?;
                    self.instantiates(matches!(instance, ComponentInstance::Instantiate { .. }))?;
                }
            }
            Payload::ComponentImportSection(section) if self.depth.len() == 1 => {
                for import in section {
                    self.imports.push(import.map_err(malformed)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if self.depth.len() == 1 => {
                self.exports = self.exports.saturating_add(section.count());
            }
            _ => {}
        }
        Ok(())
    }

    fn instantiates(&mut self, instantiates: bool) -> Result<(), Error> {
        self.instantiations += u64::from(instantiates);
        at_most("instantiations", self.instantiations, MAX_INSTANTIATIONS)
    }
}

pub(super) fn malformed(error: wasmparser::BinaryReaderError) -> Error {
    Error::Malformed { offset: error.offset() as u64, reason: error.message().to_owned() }
}
