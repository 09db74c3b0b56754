//! From a core module to a component file.

use std::fs;
use std::path::Path;

use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, DecodedWasm};

use super::Error;
use super::manifest::Product;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as ADAPTER, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
};

/// How a component begins.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Wraps a module that contains its WIT world, and checks that a host can start a function in it. For a program, its calls of WASI
/// preview 1 become those of WASI 0.2; what is a component already stays as it is.
pub(super) fn encode(name: &str, module: &[u8], product: &Product) -> Result<Vec<u8>, Error> {
    let problem = |cause: String| Error::Component { name: name.into(), problem: explain(cause) };
    if module.starts_with(COMPONENT) {
        return Ok(module.to_vec());
    }
    if is_of_go(module) {
        return Err(problem(NO_ROOM.into()));
    }
    let encoded = ComponentEncoder::default().validate(true).module(module).and_then(|mut encoder| {
        if let Product::Program(_) = product {
            encoder = encoder.adapter(ADAPTER, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER)?;
        }
        encoder.encode()
    });
    let component = encoded.map_err(|cause| problem(format!("{cause:#}")))?;
    match wit_component::decode(&component).map_err(|cause| problem(format!("{cause:#}")))? {
        DecodedWasm::Component(resolve, world) if !resolve.worlds[world].exports.is_empty() => Ok(component),
        _ => Err(Error::NoFunction(name.into())),
    }
}

/// Whether Go's own compiler made it.
fn is_of_go(module: &[u8]) -> bool {
    let sections = Parser::new(0).parse_all(module).map_while(Result::ok);
    let mut named = sections.filter_map(|section| match section {
        Payload::CustomSection(section) => Some(section.name().to_owned()),
        _ => None,
    });
    named.any(|name| name == "go:buildid")
}

/// Go grows its memory as if nobody else did, so that it would overwrite what the adapter keeps there.
const NO_ROOM: &str =
    "Go's own compiler leaves no room in memory for the adapter from WASI preview 1; build it with TinyGo, for wasip2";

fn explain(cause: String) -> String {
    match cause.contains("wasi_snapshot_preview1") {
        true => format!(
            "it imports WASI preview 1 (a dependency that expects wasm32-wasip1); guests reach the outside through the SDK only: {cause}"
        ),
        false => cause,
    }
}

/// Replaces `output` in one step, so that no reader sees a part of it.
pub(super) fn write(output: &Path, component: &[u8]) -> Result<(), Error> {
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io("cannot create", folder))?;
    let part = output.with_extension(format!("{}.part", std::process::id()));
    fs::write(&part, component).map_err(Error::io("cannot write", &part))?;
    fs::rename(&part, output).map_err(Error::io("cannot write", output))
}
