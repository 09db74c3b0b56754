//! The functions that a component exports with types of its own: their names, and how one is found.
//!
//! A function has the name `namespace:package/interface@1.0.0#function`, or just `function` if it belongs to no interface. Where it is
//! unambiguous, the version or all but the part after the `#` may be left out. The function of a program has the name [`PROGRAM`].

use super::FunctionInfo;
use super::typed::signature;
use crate::engine::{self, is_program};
use wasmtime::component::ComponentExportIndex;
use wasmtime::component::types::{ComponentFunc, ComponentItem};

/// The name of the function that runs a program, a component of the world `wasi:cli/command` of WASI 0.2.
///
/// Its arguments are a JSON list of strings, the name of the program first, or null for the name `program` alone. Its result is null; a
/// program that ends with another exit code than 0 has failed, and its [`Report`](crate::Report) has the code.
pub const PROGRAM: &str = "wasi:cli/run";

/// An exported function.
pub(super) struct Export {
    pub(super) name: String,
    pub(super) index: ComponentExportIndex,
    pub(super) ty: ComponentFunc,
}

/// The reason that no function was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfound {
    /// None has that name.
    Unknown,
    /// Several may be meant.
    Ambiguous(Vec<String>),
}

/// All exported functions of a component, in its order.
pub(super) fn of(component: &engine::Component) -> Vec<Export> {
    let engine::Component { engine, component, .. } = component;
    let mut found = Vec::new();
    for (name, export) in component.component_type().exports(engine) {
        match export.ty {
            ComponentItem::ComponentFunc(ty) => {
                let index = component.get_export_index(None, name);
                found.extend(index.map(|index| Export { name: name.to_owned(), index, ty }));
            }
            ComponentItem::ComponentInstance(interface) => {
                let Some(place) = component.get_export_index(None, name) else { continue };
                for (function, export) in interface.exports(engine) {
                    let ComponentItem::ComponentFunc(ty) = export.ty else { continue };
                    let Some(index) = component.get_export_index(Some(&place), function) else { continue };
                    let program = is_program(name) && function == "run";
                    let name = if program { PROGRAM.to_owned() } else { format!("{name}#{function}") };
                    found.push(Export { name, index, ty });
                }
            }
            _ => {}
        }
    }
    found
}

/// The function that a name means.
pub(super) fn find<'e>(exports: &'e [Export], name: &str) -> Result<&'e Export, Unfound> {
    if let Some(exact) = exports.iter().find(|export| export.name == name) {
        return Ok(exact);
    }
    let meant: Vec<_> = exports.iter().filter(|export| is_short_for(name, &export.name)).collect();
    match meant[..] {
        [] => Err(Unfound::Unknown),
        [one] => Ok(one),
        _ => Err(Unfound::Ambiguous(meant.into_iter().map(|export| export.name.clone()).collect())),
    }
}

/// Whether a name is that of a function without the version, or without all but the part after the `#`.
fn is_short_for(name: &str, full: &str) -> bool {
    let Some((interface, function)) = full.split_once('#') else { return false };
    match name.split_once('#') {
        None => name == function,
        Some((of, name)) => name == function && interface.split_once('@').is_some_and(|(interface, _)| interface == of),
    }
}

impl Export {
    /// Whether it is the function of a program.
    pub(super) fn is_program(&self) -> bool {
        self.name == PROGRAM
    }

    pub(super) fn info(&self) -> FunctionInfo {
        FunctionInfo { name: self.name.clone(), description: String::new(), signature: signature(&self.ty) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_short() {
        let full = "docs:shapes/area@1.2.0#square";
        for (name, is_short) in [
            ("square", true),
            ("docs:shapes/area#square", true),
            ("docs:shapes/area@1.1.0#square", false),
            ("shapes/area#square", false),
            ("docs:shapes/area#circle", false),
            ("area", false),
            ("", false),
        ] {
            assert_eq!(is_short_for(name, full), is_short, "{name}");
        }
        assert!(!is_short_for("square", "square"), "which is the name itself");
    }
}
