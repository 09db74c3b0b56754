//! The adapter that gives CPython's one import our interfaces, and their types as Python is told of them.

use crate::guest_build::Error;
use serde_json::{Value, json};
use std::fmt::Write as _;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{InterfaceId, Resolve, SourceMap, Type, TypeDefKind, TypeId, WorldId, WorldItem, WorldKey};

/// What the module imports from.
pub(super) const MODULE: &str = "host";
/// The world of a guest.
const WORLD: &str = "durable";
/// The interface that it exports.
const GUEST: &str = "everstep:host/guest@0.1.0";
/// What `host.call` is asked besides the number of an imported function: what the host has called, and to keep the answer to that.
const TAKEN: u32 = 0xffff_fffe;
const ANSWERED: u32 = 0xffff_ffff;
/// What Python runs when the host calls, 32 bytes.
const CODE: &[u8; 32] = b"__import__(\"_turn\").turn()      ";
const TEMPLATE: &str = include_str!("door.wat");

/// The adapter, and the description of the interfaces.
pub(super) struct Door {
    pub(super) adapter: Vec<u8>,
    /// `{"imports": {INTERFACE: {"types": [ID], "functions": [{"name", "number", "params": [[NAME, TYPE]], "result", "is_written"}]}}, "guest": the same,
    /// "types": [TYPE], "taken", "answered"}`, where a TYPE is the name of a primitive one, `{"ref": ID}`, or `{KIND: ...}`.
    pub(super) description: String,
}

/// Makes both of the files of the interfaces.
pub(super) fn door(wit: &[(&str, &[u8])]) -> Result<Door, Error> {
    let failed = |cause: String| Error::Python(format!("the adapter of Python: {cause}"));
    let (resolve, world) = world(wit).map_err(failed)?;
    let mut writer = Writer { resolve: &resolve, imports: String::new(), calls: String::new(), number: 0 };
    let (mut imports, mut guest) = (serde_json::Map::new(), Value::Null);
    for (key, item) in &resolve.worlds[world].imports {
        if let WorldItem::Interface { id, .. } = item {
            let name = resolve.interfaces[*id].name.clone().unwrap_or_default();
            imports.insert(name, writer.imported(key, *id).map_err(failed)?);
        }
    }
    for item in resolve.worlds[world].exports.values() {
        if let WorldItem::Interface { id, .. } = item {
            guest = writer.interface(*id, |_, _| Ok(())).map_err(failed)?;
        }
    }
    let types: Result<Vec<_>, _> = resolve.types.iter().map(|(id, _)| writer.definition(id)).collect();
    let description = json!({
        "imports": imports, "guest": guest, "types": types.map_err(failed)?, "taken": TAKEN, "answered": ANSWERED,
    });
    let mut code = String::new();
    for (at, word) in CODE.chunks_exact(8).enumerate() {
        let word = word.iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        let _ = writeln!(code, "    (i64.store offset={} (local.get $code) (i64.const {word:#x}))", at * 8);
    }
    let text = TEMPLATE.replace("{imports}", &writer.imports).replace("{calls}", &writer.calls);
    let text = text.replace("{code}", &code).replace("{guest}", GUEST);
    let text = text.replace("{taken}", &TAKEN.to_string()).replace("{answered}", &ANSWERED.to_string());
    let mut adapter = wat::parse_str(text).map_err(|cause| failed(cause.to_string()))?;
    embed_component_metadata(&mut adapter, &resolve, world, StringEncoding::UTF8)
        .map_err(|cause| failed(format!("{cause:#}")))?;
    Ok(Door { adapter, description: description.to_string() })
}

fn world(wit: &[(&str, &[u8])]) -> Result<(Resolve, WorldId), String> {
    let mut sources = SourceMap::default();
    for (name, content) in wit {
        sources.push_str(name, String::from_utf8_lossy(content));
    }
    let group = sources.parse().map_err(|(_, error)| error.to_string())?;
    let mut resolve = Resolve::default();
    let package = resolve.push_group(group).map_err(|error| error.to_string())?;
    let world = resolve.select_world(&[package], Some(WORLD)).map_err(|error| error.to_string())?;
    Ok((resolve, world))
}

/// Writes the part of the adapter that depends on the interfaces.
struct Writer<'r> {
    resolve: &'r Resolve,
    imports: String,
    calls: String,
    number: u32,
}

impl Writer<'_> {
    /// Imports the functions of an interface and calls each by its number.
    fn imported(&mut self, key: &WorldKey, id: InterfaceId) -> Result<Value, String> {
        let module = self.resolve.name_world_key(key);
        self.interface(id, |writer, function| {
            let signature = writer.resolve.wasm_signature(AbiVariant::GuestImport, function);
            let number = writer.number;
            let params: Result<Vec<_>, _> = signature.params.iter().map(|param| core(*param)).collect();
            let (params, results) =
                (params?, signature.results.iter().map(|it| core(*it)).collect::<Result<Vec<_>, _>>()?);
            let (name, types, returned) = (&function.name, params.join(" "), results.join(" "));
            let _ = writeln!(
                writer.imports,
                "  (import \"{module}\" \"{name}\" (func $f{number} (param {types}) (result {returned})))"
            );
            let mut given = String::new();
            let written = usize::from(signature.retptr);
            for (at, param) in params[..params.len() - written].iter().enumerate() {
                let _ = write!(given, " ({param}.load offset={} (local.get $at))", at * 8);
            }
            if signature.retptr {
                given.push_str(" (local.get $new)");
            }
            let called = format!("(call $f{number}{given})");
            let called = match results.as_slice() {
                [] => called,
                ["i32"] => format!("(local.set $value (i64.extend_i32_u {called}))"),
                _ => format!("(local.set $value {called})"),
            };
            let _ = writeln!(
                writer.calls,
                "      (if (i32.eq (local.get $what) (i32.const {number})) (then {called} (br $called)))"
            );
            Ok(())
        })
    }

    /// The description of an interface; `each` is called for every function before it gets its number.
    fn interface(
        &mut self,
        id: InterfaceId,
        mut each: impl FnMut(&mut Self, &wit_parser::Function) -> Result<(), String>,
    ) -> Result<Value, String> {
        let interface = &self.resolve.interfaces[id];
        let mut functions = Vec::new();
        for function in interface.functions.values() {
            each(self, function)?;
            let params: Result<Vec<_>, String> =
                function.params.iter().map(|param| Ok(json!([param.name, self.ty(&param.ty)?]))).collect();
            let signature = self.resolve.wasm_signature(AbiVariant::GuestImport, function);
            if signature.indirect_params {
                return Err(format!("{} has too many parameters", function.name));
            }
            functions.push(json!({
                "name": function.name, "number": self.number, "params": params?,
                "result": function.result.as_ref().map(|ty| self.ty(ty)).transpose()?, "is_written": signature.retptr,
            }));
            self.number += 1;
        }
        let types: Vec<_> = interface.types.values().map(|id| id.index()).collect();
        Ok(json!({ "types": types, "functions": functions }))
    }

    fn ty(&self, ty: &Type) -> Result<Value, String> {
        Ok(match ty {
            Type::Bool => json!("bool"),
            Type::U8 => json!("u8"),
            Type::U16 => json!("u16"),
            Type::U32 => json!("u32"),
            Type::U64 => json!("u64"),
            Type::String => json!("string"),
            Type::Id(id) => match &self.resolve.types[*id].name {
                Some(_) => json!({ "ref": id.index() }),
                None => self.definition(*id)?,
            },
            other => return Err(format!("a type that is not known to Python: {other:?}")),
        })
    }

    fn definition(&self, id: TypeId) -> Result<Value, String> {
        let definition = &self.resolve.types[id];
        let some = |ty: &Option<Type>| ty.as_ref().map(|ty| self.ty(ty)).transpose();
        let kind = match &definition.kind {
            TypeDefKind::Record(record) => {
                let fields: Result<Vec<_>, String> =
                    record.fields.iter().map(|field| Ok(json!([field.name, self.ty(&field.ty)?]))).collect();
                json!({ "record": fields? })
            }
            TypeDefKind::Variant(variant) => {
                let cases: Result<Vec<_>, String> =
                    variant.cases.iter().map(|case| Ok(json!([case.name, some(&case.ty)?]))).collect();
                json!({ "variant": cases? })
            }
            TypeDefKind::Enum(choice) => {
                json!({ "enum": choice.cases.iter().map(|case| &case.name).collect::<Vec<_>>() })
            }
            TypeDefKind::Tuple(tuple) => {
                json!({ "tuple": tuple.types.iter().map(|ty| self.ty(ty)).collect::<Result<Vec<_>, _>>()? })
            }
            TypeDefKind::Option(ty) => json!({ "option": self.ty(ty)? }),
            TypeDefKind::Result(result) => json!({ "result": [some(&result.ok)?, some(&result.err)?] }),
            TypeDefKind::List(ty) => json!({ "list": self.ty(ty)? }),
            TypeDefKind::Type(ty) => json!({ "alias": self.ty(ty)? }),
            other => return Err(format!("a type that is not known to Python: {}", other.as_str())),
        };
        Ok(match &definition.name {
            Some(name) => json!({ "name": name, "is": kind }),
            None => kind,
        })
    }
}

fn core(ty: WasmType) -> Result<&'static str, String> {
    match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => Ok("i32"),
        WasmType::I64 | WasmType::PointerOrI64 => Ok("i64"),
        WasmType::F32 | WasmType::F64 => Err("numbers with a fraction are not known to Python".into()),
    }
}
