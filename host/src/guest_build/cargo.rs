//! Runs cargo and finds its output.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Error;
use super::manifest::Manifest;
use super::toolchain::{self, Toolchain};

pub(super) struct Compiled {
    /// A core module; a component if the compiler's linker makes one.
    pub(super) module: Vec<u8>,
    /// All source files of this crate and its path dependencies.
    pub(super) sources: Vec<PathBuf>,
}

pub(super) fn compile(manifest: &Manifest) -> Result<Compiled, Error> {
    // One build at a time, also so that two do not ask rustup for the same target.
    let shared = SharedTarget::lock()?;
    let target = manifest.product.target();
    let toolchain = toolchain::find(&manifest.dir, target)?;
    shared.claim(manifest, &toolchain)?;
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--target", target, "--message-format=json-render-diagnostics"]);
    command.args(manifest.product.options());
    command.arg("--target-dir").arg(&shared.dir);
    command.current_dir(&manifest.dir).stdin(Stdio::null()).stderr(Stdio::inherit());
    if let Toolchain::FromSource { rustc, linker, libc } = &toolchain {
        command.arg("-Zbuild-std=std,panic_abort").env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
        let variable = |name: &str| format!("CARGO_TARGET_{}_{name}", target.to_uppercase().replace('-', "_"));
        command.envs(linker.iter().map(|linker| (variable("LINKER"), linker)));
        command.envs(libc.iter().map(|libc| (variable("RUSTFLAGS"), libc.flags())));
    }
    run(command, manifest)
}

fn run(mut command: Command, manifest: &Manifest) -> Result<Compiled, Error> {
    let output = command.output().map_err(Error::io("cannot run cargo in", &manifest.dir))?;
    if !output.status.success() {
        return Err(Error::Compile { dir: manifest.dir.clone() });
    }
    let messages: Vec<Value> = output.stdout.split(|byte| *byte == b'\n').filter_map(parse).collect();
    let module = module(&messages, &manifest.dir).ok_or_else(|| Error::Compile { dir: manifest.dir.clone() })?;
    let mut sources = manifests(&messages);
    sources.extend(dependencies(&module.with_extension("d"), &manifest.dir)?);
    Ok(Compiled { module: fs::read(&module).map_err(Error::io("cannot read", &module))?, sources })
}

fn parse(line: &[u8]) -> Option<Value> {
    serde_json::from_slice(line).ok().filter(|message: &Value| message["reason"] == "compiler-artifact")
}

/// The module that was built from the manifest in `dir`.
fn module(artifacts: &[Value], dir: &Path) -> Option<PathBuf> {
    let manifest = dir.join("Cargo.toml");
    let own = artifacts.iter().filter(|artifact| artifact["manifest_path"].as_str().map(Path::new) == Some(&manifest));
    let files = own.filter_map(|artifact| artifact["filenames"].as_array()).flatten().filter_map(Value::as_str);
    files.map(PathBuf::from).find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}

/// The manifests of this crate and its path dependencies, and other files that cargo reads beside them.
fn manifests(artifacts: &[Value]) -> Vec<PathBuf> {
    let local = artifacts.iter().filter(|one| one["package_id"].as_str().is_some_and(|id| id.starts_with("path+")));
    let mut found: Vec<_> = local.filter_map(|one| one["manifest_path"].as_str().map(PathBuf::from)).collect();
    found.sort();
    found.dedup();
    let build_scripts: Vec<_> = found.iter().map(|path| path.with_file_name("build.rs")).collect();
    found.extend(build_scripts.into_iter().filter(|path| path.is_file()));
    found
}

/// Reads the dependency file that cargo writes beside an artefact: `artefact: source source`, spaces escaped.
fn dependencies(file: &Path, dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let text = fs::read_to_string(file).map_err(Error::io("cannot read", file))?;
    let list = text.split_once(": ").map(|(_, list)| list.lines().next().unwrap_or_default()).unwrap_or_default();
    let sources = list.replace("\\ ", "\0");
    Ok(sources.split(' ').filter(|one| !one.is_empty()).map(|one| dir.join(one.replace('\0', " "))).collect())
}

/// One target folder for all guests, so that the SDK, and a standard library built from source, are compiled once.
///
/// Two crates with the same name of a library or program would overwrite each other's module there, and cargo would take the other's for its
/// own, and likewise that of another compiler. So the folder is locked, and a module of another crate and compiler is removed
/// first.
struct SharedTarget {
    dir: PathBuf,
    _lock: File,
}

impl SharedTarget {
    fn lock() -> Result<Self, Error> {
        let dir = shared_dir();
        let lock = dir.join("everstep.lock");
        fs::create_dir_all(&dir).map_err(Error::io("cannot create", &dir))?;
        let file = File::create(&lock).map_err(Error::io("cannot open", &lock))?;
        file.lock().map_err(Error::io("cannot lock", &lock))?;
        Ok(Self { dir, _lock: file })
    }

    fn claim(&self, manifest: &Manifest, toolchain: &Toolchain) -> Result<(), Error> {
        let stem = manifest.product.file_stem();
        let owner = self.dir.join(format!("{stem}.owner"));
        let mut claim = manifest.dir.as_os_str().as_encoded_bytes().to_vec();
        claim.extend_from_slice(format!("\n{toolchain:?}\n").as_bytes());
        if fs::read(&owner).is_ok_and(|current| current == claim) {
            return Ok(());
        }
        let module = self.dir.join(manifest.product.target()).join("release/deps").join(format!("{stem}.wasm"));
        if module.exists() {
            fs::remove_file(&module).map_err(Error::io("cannot remove", &module))?;
        }
        fs::write(&owner, claim).map_err(Error::io("cannot write", &owner))
    }
}

/// `$EVERSTEP_GUEST_TARGET`, or `everstep/guests` in the user's cache folder.
pub(super) fn shared_dir() -> PathBuf {
    variable("EVERSTEP_GUEST_TARGET").unwrap_or_else(|| cache_dir("guests"))
}

/// `$EVERSTEP_PYTHON_CACHE`, or `everstep/python` in the user's cache folder.
pub(super) fn python_dir() -> PathBuf {
    variable("EVERSTEP_PYTHON_CACHE").unwrap_or_else(|| cache_dir("python"))
}

/// `everstep/{name}` in the user's cache folder.
fn cache_dir(name: &str) -> PathBuf {
    let home = || variable("HOME").map_or_else(std::env::temp_dir, |home| home.join(".cache"));
    variable("XDG_CACHE_HOME").unwrap_or_else(home).join("everstep").join(name)
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_module_is_that_of_the_crate_itself() {
        let artifacts = [
            json!({"manifest_path": "/sdk/Cargo.toml", "filenames": ["/t/sdk.wasm"], "package_id": "path+file:///sdk#0.1.0"}),
            json!({"manifest_path": "/c/Cargo.toml", "filenames": ["/t/c.d", "/t/c.wasm"], "package_id": "path+file:///c#0.1.0"}),
            json!({"manifest_path": "/r/Cargo.toml", "filenames": [], "package_id": "registry+https://x#r@1.0.0"}),
        ];
        assert_eq!(module(&artifacts, Path::new("/c")), Some("/t/c.wasm".into()));
        assert_eq!(module(&artifacts, Path::new("/d")), None);
        assert_eq!(manifests(&artifacts), [Path::new("/c/Cargo.toml"), Path::new("/sdk/Cargo.toml")]);
    }
}
