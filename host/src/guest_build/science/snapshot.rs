//! Changes to a core module that leave its code as it is.

use crate::guest_build::Error;
use wasm_encoder::{ConstExpr, DataSection, ExportKind, ExportSection, MemorySection, MemoryType, Module, RawSection};
use wasmparser::{ExternalKind, Parser, Payload};

const PAGE: usize = 64 << 10;
/// Zeros that end a piece of memory: a piece of its own takes a few bytes.
const GAP: usize = 64;
/// The most pieces: engines have limits on their number.
const PIECES: usize = 50_000;
/// What a module exports that an adapter needs of it.
const KEPT: [&str; 3] = ["memory", "turn", "host_alloc"];

/// The module with these functions exported, too.
pub(super) fn exporting(module: &[u8], functions: &[(&str, u32)]) -> Result<Vec<u8>, Error> {
    rewrite(module, |payload, module| {
        if let Payload::ExportSection(section) = payload {
            let mut exports = ExportSection::new();
            for export in section.clone() {
                let export = export?;
                exports.export(export.name, kind(export.kind), export.index);
            }
            for (name, index) in functions {
                exports.export(name, ExportKind::Func, *index);
            }
            module.section(&exports);
            return Ok(true);
        }
        Ok(false)
    })
}

/// The module that begins with this memory, without names and without what only prepares it.
pub(super) fn with_memory(module: &[u8], memory: &[u8]) -> Result<Vec<u8>, Error> {
    let pieces = pieces(memory);
    let count = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
    rewrite(module, |payload, module| {
        match payload {
            Payload::ExportSection(section) => {
                let mut exports = ExportSection::new();
                for export in section.clone() {
                    let export = export?;
                    if KEPT.contains(&export.name) {
                        exports.export(export.name, kind(export.kind), export.index);
                    }
                }
                module.section(&exports);
            }
            Payload::MemorySection(_) => {
                let minimum = memory.len().div_ceil(PAGE) as u64;
                let ty = MemoryType { minimum, maximum: None, memory64: false, shared: false, page_size_log2: None };
                module.section(MemorySection::new().memory(ty));
            }
            Payload::DataCountSection { .. } => {
                module.section(&wasm_encoder::DataCountSection { count });
            }
            Payload::DataSection(_) => {
                let mut data = DataSection::new();
                for (start, bytes) in &pieces {
                    // An address, of which the sign says nothing.
                    let at = *start as u32 as i32;
                    data.active(0, &ConstExpr::i32_const(at), bytes.iter().copied());
                }
                module.section(&data);
            }
            Payload::CustomSection(_) => {}
            _ => return Ok(false),
        }
        Ok(true)
    })
}

/// What of a memory is no zero.
fn pieces(memory: &[u8]) -> Vec<(usize, &[u8])> {
    let mut gap = GAP;
    loop {
        let found = pieces_between(memory, gap);
        if found.len() <= PIECES {
            return found;
        }
        gap *= 2;
    }
}

fn pieces_between(memory: &[u8], gap: usize) -> Vec<(usize, &[u8])> {
    let (mut found, mut at) = (Vec::new(), 0);
    let next = |from: usize| memory[from..].iter().position(|byte| *byte != 0).map(|by| from + by);
    while let Some(start) = next(at) {
        let mut end = start + 1;
        while let Some(other) = next(end).filter(|other| other - end < gap) {
            end = other + 1;
        }
        found.push((start, &memory[start..end]));
        at = end;
    }
    found
}

/// Copies a module section by section; `replace` writes those that it takes upon itself.
fn rewrite(
    bytes: &[u8],
    mut replace: impl FnMut(&Payload<'_>, &mut Module) -> wasmparser::Result<bool>,
) -> Result<Vec<u8>, Error> {
    let failed = |cause: wasmparser::BinaryReaderError| Error::Python(format!("the module of CPython: {cause}"));
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(failed)?;
        if !replace(&payload, &mut module).map_err(failed)?
            && let Some((id, range)) = payload.as_section()
        {
            module.section(&RawSection { id, data: &bytes[range] });
        }
    }
    Ok(module.finish())
}

fn kind(kind: ExternalKind) -> ExportKind {
    match kind {
        ExternalKind::Table => ExportKind::Table,
        ExternalKind::Memory => ExportKind::Memory,
        ExternalKind::Global => ExportKind::Global,
        ExternalKind::Tag => ExportKind::Tag,
        ExternalKind::Func | ExternalKind::FuncExact => ExportKind::Func,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hold_what_is_no_zero_and_short_gaps() {
        let mut memory = vec![0; 1000];
        memory[10] = 1;
        memory[40] = 2;
        memory[500] = 3;
        let found: Vec<_> = pieces(&memory).iter().map(|(start, bytes)| (*start, bytes.len())).collect();
        assert_eq!(found, [(10, 31), (500, 1)]);
    }

    #[test]
    fn a_module_begins_with_the_memory_that_it_is_given() {
        let module = r#"(module (memory (export "memory") 1) (func (export "turn")) (func (export "other"))
            (data (i32.const 8) "gone"))"#;
        let mut memory = vec![0; 2 * PAGE];
        memory[PAGE + 1] = 7;
        let changed = with_memory(&wat::parse_str(module).unwrap(), &memory).unwrap();
        let engine = wasmtime::Engine::default();
        let mut store = wasmtime::Store::new(&engine, ());
        let compiled = wasmtime::Module::new(&engine, &changed).unwrap();
        let names: Vec<_> = compiled.exports().map(|export| export.name().to_owned()).collect();
        assert_eq!(names, ["memory", "turn"]);
        let instance = wasmtime::Instance::new(&mut store, &compiled, &[]).unwrap();
        assert_eq!(instance.get_memory(&mut store, "memory").unwrap().data(&store), memory);
    }
}
