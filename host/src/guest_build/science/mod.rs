//! CPython with numpy, pandas and their like: a module from PyPI, prepared and made a component.
//!
//! Read `mod.rs` (the steps), `prepare.rs` (it runs until everything is imported; `files.rs` is what it reads then), `snapshot.rs` (its memory becomes that of
//! the module), `door.rs` and `door.wat` (the adapter between its one import and our interfaces). The Python side is `guest-sdk/python/science`.

mod door;
mod files;
mod prepare;
mod snapshot;

use super::Error;
use super::python::{PYTHON, PythonContents, PythonPackage, Removed, SECTION, workshop};
use serde::Deserialize;
use serde_json::json;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasm_encoder::{ComponentSection, CustomSection};
use wit_component::ComponentEncoder;

/// The name of the component in the cache.
const COMPONENT: &str = "science.wasm";

/// A build of that component that runs. Dropping it ends what it has started, and leaves nothing.
pub struct ScienceBuild {
    child: Child,
    cache: PathBuf,
    work: Removed,
}

/// The end of a build.
pub struct ScienceEnd {
    group: u32,
    work: PathBuf,
}

/// What the program that gets everything says at its end.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Got { module: PathBuf, archive: PathBuf, python: String, packages: Vec<PythonPackage>, imported: Vec<String> },
    Failed { error: String },
}

/// Where the component is; it may not be there. None is the cache of the user.
pub fn science(cache: Option<&Path>) -> PathBuf {
    cache.map_or_else(super::cargo::python_dir, Path::to_owned).join(COMPONENT)
}

impl ScienceBuild {
    /// Starts it. Its progress is written to standard error.
    ///
    /// # Errors
    /// A file cannot be written, or there is no Python on this machine.
    pub fn start(cache: Option<&Path>) -> Result<Self, Error> {
        let (cache, work) = workshop(cache)?;
        let file = work.0.join("guest/interfaces.json");
        fs::write(&file, door::door(&interfaces())?.description).map_err(Error::io("cannot write", &file))?;
        let mut command = Command::new("python3");
        command.arg("-B").arg(work.0.join("builder/science.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.process_group(0).spawn().map_err(Error::no_python)?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that is gone says why.
            let _ = stdin.write_all(json!({ "cache": cache }).to_string().as_bytes());
        }
        Ok(Self { child, cache, work })
    }

    /// What ends it from another thread.
    pub fn end(&self) -> ScienceEnd {
        ScienceEnd { group: self.child.id(), work: self.work.0.clone() }
    }

    /// Waits until everything is there, prepares it, and puts the component into the cache; returns where, and what is in it. Takes minutes of processor
    /// time.
    ///
    /// # Errors
    /// The package is not to be had, it cannot be prepared, or a file cannot be written.
    pub fn wait(mut self) -> Result<(PathBuf, PythonContents), Error> {
        let mut said = Vec::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_end(&mut said).map_err(Error::io("cannot read what is said of", &self.cache))?;
        }
        let status = self.child.wait().map_err(Error::io("cannot wait for what is run in", &self.cache))?;
        let (module, archive, contents) = match serde_json::from_slice(&said) {
            Ok(Said::Got { module, archive, python, packages, imported }) => {
                (module, archive, PythonContents { python, packages, imported, waiting: Vec::new() })
            }
            Ok(Said::Failed { error }) => return Err(Error::Python(error)),
            Err(_) => return Err(Error::Python(format!("what gets CPython with science ended by itself ({status})"))),
        };
        let read = |file: &Path| fs::read(file).map_err(Error::io("cannot read", file));
        eprintln!("python: preparing CPython with science, which takes minutes");
        let prepared = prepare::prepare(&read(&module)?, read(&archive)?)?;
        let component = component(&prepared, &contents)?;
        let (output, part) = (self.cache.join(COMPONENT), self.work.0.join(COMPONENT));
        fs::write(&part, component).map_err(Error::io("cannot write", &part))?;
        fs::rename(&part, &output).map_err(Error::io("cannot write", &output))?;
        Ok((output, contents))
    }
}

impl ScienceEnd {
    /// Ends what the build has started, and removes its folder. What it prepares in this process ends with the process.
    pub fn now(self) {
        super::RunningBuild::stop(self.group);
        drop(Removed(self.work));
    }
}

impl Drop for ScienceBuild {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            super::RunningBuild::stop(self.child.id());
            let _ = self.child.wait();
        }
    }
}

/// The files of our interfaces.
fn interfaces() -> Vec<(&'static str, &'static [u8])> {
    PYTHON.iter().filter(|(name, _)| name.starts_with("wit/")).copied().collect()
}

/// The prepared module as a component, which says what is in it.
fn component(module: &[u8], contents: &PythonContents) -> Result<Vec<u8>, Error> {
    let door = door::door(&interfaces())?;
    let encoded = ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| {
            encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)
        })
        .and_then(|encoder| encoder.adapter(door::MODULE, &door.adapter))
        .and_then(|mut encoder| encoder.encode());
    let mut component =
        encoded.map_err(|cause| Error::Python(format!("CPython with science does not make a component: {cause:#}")))?;
    let data = serde_json::to_vec(contents).unwrap_or_default();
    CustomSection { name: SECTION.into(), data: data.into() }.append_to_component(&mut component);
    Ok(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the module of CPython imports and exports; `turn` asks what the host has called, and answers with `None`, no list and no text.
    const MODULE: &str = r#"(module
        (import "host" "call" (func $call (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "host_alloc") (param i32) (result i32) (i32.const 1024))
        (func (export "turn") (param i32 i32) (result i32)
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 8)))
            (call $call (i32.const 16) (i32.const 32) (i32.const 8) (i32.const 12)))
        (data (i32.const 16) "\ff\ff\ff\ff"))"#;

    #[test]
    fn the_adapter_serves_every_function_of_our_interfaces() {
        let door = door::door(&interfaces()).unwrap();
        let told: serde_json::Value = serde_json::from_str(&door.description).unwrap();
        let functions =
            told["imports"].as_object().unwrap().values().flat_map(|it| it["functions"].as_array().unwrap());
        let mut numbers: Vec<_> = functions.map(|function| function["number"].as_u64().unwrap()).collect();
        numbers.sort_unstable();
        assert!(numbers.len() > 40 && numbers.iter().copied().eq(0..numbers.len() as u64), "{numbers:?}");
        assert_eq!(told["guest"]["functions"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn the_module_and_the_adapter_make_a_component_of_ours() {
        let contents = PythonContents {
            python: "3.15.0".into(),
            packages: Vec::new(),
            imported: vec!["numpy".into()],
            waiting: Vec::new(),
        };
        let component = component(&wat::parse_str(MODULE).unwrap(), &contents).unwrap();
        wasmparser::Validator::new().validate_all(&component).unwrap();
        let wit_component::DecodedWasm::Component(resolve, world) = wit_component::decode(&component).unwrap() else {
            panic!("no component");
        };
        let names = |items: &wit_parser::IndexMap<_, _>| {
            items.keys().map(|key| resolve.name_world_key(key)).collect::<Vec<_>>()
        };
        assert_eq!(names(&resolve.worlds[world].exports), ["everstep:host/guest@0.1.0"]);
        let imports = names(&resolve.worlds[world].imports);
        for name in ["everstep:host/console@0.1.0", "everstep:host/http@0.1.0", "wasi:cli/stdout@0.2.6"] {
            assert!(
                imports.iter().any(|import| import.split('@').next() == name.split('@').next()),
                "{name}: {imports:?}"
            );
        }
    }
}
