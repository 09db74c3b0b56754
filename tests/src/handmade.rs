//! Components around hand-written core modules: what no compiler would write.

use anyhow::{Context, Result};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// A core module that exports what a guest exports: one function, `f`.
///
/// Below address 65536 are constants: [`DONE`], [`PENDING`] and the name of the function. `cabi_realloc` hands out what is above,
/// and never takes anything back.
#[derive(Clone, Copy, Debug)]
pub struct Module<'a> {
    /// Imports, such as `(import "everstep:host/timers@0.1.0" "now" (func $now (param i32)))`.
    pub imports: &'a str,
    /// The body of `start`, which leaves the address of its progress.
    pub start: &'a str,
    /// The body of `resume`, the same.
    pub resume: &'a str,
    /// The body of `functions` up to its result; runs before it names `f`.
    pub functions: &'a str,
    /// The body of `cabi_realloc` (old address, old size, alignment, new size); none: the one described above.
    pub realloc: Option<&'a str>,
    /// Pages of the memory.
    pub pages: u32,
    /// Anything else.
    pub more: &'a str,
}

/// The address of a progress that says: the function returned `1`.
pub const DONE: &str = "(i32.const 64)";
/// The address of a progress that says: waiting.
pub const PENDING: &str = "(i32.const 96)";

impl Default for Module<'_> {
    fn default() -> Self {
        let (imports, functions, more) = ("", "", "");
        Self { imports, start: DONE, resume: DONE, functions, realloc: None, pages: 2, more }
    }
}

impl Module<'_> {
    /// The component around it.
    ///
    /// # Errors
    /// The text does not assemble, or does not fit the world.
    pub fn component(&self) -> Result<Vec<u8>> {
        let text = self.text();
        let mut module = wat::parse_str(&text).with_context(|| text.clone())?;
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_dir(crate::guests::project().join("wit"))?;
        let world = resolve.select_world(&[package], Some("durable"))?;
        wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
        ComponentEncoder::default().validate(true).module(&module)?.encode().with_context(|| text)
    }

    fn text(&self) -> String {
        let Self { imports, start, resume, functions, realloc, pages, more } = self;
        let realloc = realloc.unwrap_or(BUMP);
        format!(
            r#"(module
                {imports}
                (memory (export "memory") {pages})
                (global $free (mut i32) (i32.const 65536))
                (func (export "cabi_realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32)
                    (result i32) {realloc})
                (func (export "everstep:host/guest@0.1.0#functions") (result i32) {functions} (i32.const 32))
                (func (export "everstep:host/guest@0.1.0#start") (param i32 i32 i32 i32) (result i32) {start})
                (func (export "everstep:host/guest@0.1.0#resume") (param i32 i32) (result i32) {resume})
                (data (i32.const 16) "f1")
                (data (i32.const 32) "\28\00\00\00\01\00\00\00\10\00\00\00\01\00\00\00\10\00\00\00\00\00\00\00")
                (data (i32.const 64) "\00\00\00\00\00\00\00\00\11\00\00\00\01\00\00\00\00\00\00\00")
                (data (i32.const 96) "\01")
                {more})"#
        )
    }
}

const BUMP: &str = "(local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $at) (local.get $new)))
    (local.get $at)";
