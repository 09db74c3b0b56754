//! A compiler for WebAssembly: one that rustup has or can get, or one that compiles the standard library itself.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Toolchain {
    /// The active compiler has the target.
    Ready,
    /// This compiler lacks the target, but has the sources of the standard library.
    FromSource {
        rustc: PathBuf,
        /// `None`: the compiler has its own.
        linker: Option<PathBuf>,
        /// The C library, which the standard library for WASI needs.
        libc: Option<Libc>,
    },
}

/// The folder of a C library for WASI.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Libc(PathBuf);

impl Libc {
    /// How a program is linked with it: its entry, instead of the one that a compiler with this target has, and the library itself. A
    /// library that is older than the compiler may lack functions for sockets; a program that calls one traps.
    pub(super) fn flags(&self) -> String {
        let folder = self.0.display();
        format!(
            "-Clink-self-contained=no -Clinker-flavor=wasm-ld -Clink-arg=--unresolved-symbols=ignore-all \
             -Clink-arg={folder}/{ENTRY} -Lnative={folder}"
        )
    }
}

/// The entry of a program, which calls `main`.
const ENTRY: &str = "crt1-command.o";

/// Searches for a compiler to `target`, from `dir`, where a `rust-toolchain.toml` may choose it.
pub(super) fn find(dir: &Path, target: &'static str) -> Result<Toolchain, Error> {
    let active = PathBuf::from(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    if has_target(&active, dir, target) {
        return Ok(Toolchain::Ready);
    }
    let rustup = rustup_target_add(dir, target);
    if has_target(&active, dir, target) {
        return Ok(Toolchain::Ready);
    }
    match with_sources(dir) {
        Some((rustc, sysroot)) => from_source(rustc, &sysroot, target),
        None => Err(Error::NoToolchain { target, rustup }),
    }
}

fn has_target(rustc: &Path, dir: &Path, target: &str) -> bool {
    let libraries =
        printed(Command::new(rustc).args(["--print", "target-libdir", "--target", target]).current_dir(dir));
    let entries = libraries.and_then(|path| path.read_dir().ok());
    entries.into_iter().flatten().flatten().any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
}

/// Asks rustup for the target; returns its output if it failed. Not tried if `CARGO_NET_OFFLINE` forbids network
/// access.
fn rustup_target_add(dir: &Path, target: &str) -> Option<String> {
    if env::var_os("CARGO_NET_OFFLINE").is_some_and(|offline| offline == "true") {
        return None;
    }
    let mut command = Command::new("rustup");
    command.args(["target", "add", target]).env("RUSTUP_MAX_RETRIES", "0").current_dir(dir);
    let output = command.output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| line.starts_with("error")).unwrap_or_default();
    (!output.status.success()).then(|| last.trim_start_matches("error: ").to_owned())
}

/// The first compiler that has the sources, with its sysroot: `$RUSTC`, or any on the path. Always a full path: rustup's cargo
/// would take a bare `rustc` for its own.
fn with_sources(dir: &Path) -> Option<(PathBuf, PathBuf)> {
    let chosen = env::var_os("RUSTC").map(PathBuf::from);
    let found = programs().map(|folder| folder.join("rustc")).filter(|rustc| rustc.is_file());
    chosen.into_iter().chain(found).find_map(|rustc| {
        let sysroot = printed(Command::new(&rustc).args(["--print", "sysroot"]).current_dir(dir))?;
        sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml").is_file().then_some((rustc, sysroot))
    })
}

fn from_source(rustc: PathBuf, sysroot: &Path, target: &str) -> Result<Toolchain, Error> {
    let libc = match target.contains("wasi") {
        true => Some(libc().ok_or(Error::NoLibc)?),
        false => None,
    };
    if libc.is_none() && brings_linker(sysroot) {
        return Ok(Toolchain::FromSource { rustc, linker: None, libc });
    }
    let names = programs().filter_map(|folder| folder.read_dir().ok()).flatten().flatten().map(|file| file.path());
    match best_linker(names) {
        Some(linker) => Ok(Toolchain::FromSource { rustc, linker: Some(linker), libc }),
        None => Err(Error::NoLinker { rustc }),
    }
}

/// The C library in `$WASI_SYSROOT`, or Debian's.
fn libc() -> Option<Libc> {
    let sysroot =
        env::var_os("WASI_SYSROOT").filter(|value| !value.is_empty()).map(|root| PathBuf::from(root).join("lib"));
    let versions = ["wasm32-wasip1", "wasm32-wasi"];
    let folders = sysroot.into_iter().chain(["/usr/lib".into()]);
    let mut folders = folders.flat_map(|folder| versions.map(|version| folder.join(version)));
    folders.find(|folder| folder.join(ENTRY).is_file()).map(Libc)
}

fn brings_linker(sysroot: &Path) -> bool {
    let hosts = sysroot.join("lib/rustlib").read_dir().into_iter().flatten().flatten();
    hosts.into_iter().any(|host| host.path().join("bin/rust-lld").is_file())
}

/// The newest `wasm-ld-NN`, then `wasm-ld`, then `rust-lld`.
fn best_linker(programs: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    let ranked = programs.filter_map(|path| Some((linker_rank(path.file_name()?.to_str()?)?, path)));
    ranked.max_by_key(|(rank, _)| *rank).map(|(_, path)| path)
}

fn linker_rank(name: &str) -> Option<u32> {
    match name {
        "rust-lld" => Some(0),
        "wasm-ld" => Some(1),
        _ => name.strip_prefix("wasm-ld-")?.parse::<u32>().ok()?.checked_add(2),
    }
}

/// The folders of the path, and Debian's, each once under its real name: cargo would take `/bin/wasm-ld` and
/// `/usr/bin/wasm-ld` for two linkers, and compile the standard library again.
fn programs() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/bin".into()]).filter_map(|folder| folder.canonicalize().ok());
    let mut seen = BTreeSet::new();
    folders.filter(|folder| seen.insert(folder.clone())).collect::<Vec<_>>().into_iter()
}

/// The path that a command prints; `None` if the command fails or does not exist.
fn printed(command: &mut Command) -> Option<PathBuf> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_linker_wins() {
        let best = |names: &[&str]| best_linker(names.iter().map(PathBuf::from));
        assert_eq!(best(&["/a/rust-lld", "/a/wasm-ld-9", "/b/wasm-ld-19", "/b/wasm-ld"]), Some("/b/wasm-ld-19".into()));
        assert_eq!(best(&["/a/rust-lld", "/a/wasm-ld", "/a/wasm-ld-x"]), Some("/a/wasm-ld".into()));
        assert_eq!(best(&["/a/ld.lld"]), None);
    }
}
