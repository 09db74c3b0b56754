//! When a component is older than what it was made from.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Error;
use super::manifest::Manifest;

/// Whether `component` must be built again from the crate in `dir`: it is missing, or older than any source of the crate and its path
/// dependencies, a manifest, a build script, the lock file, or what configures cargo and rustup in the crate folder and above. A
/// crate that was never built here is stale.
pub fn is_stale(dir: &Path, component: &Path) -> bool {
    let Ok(built) = modified(component) else { return true };
    let Ok(manifest) = Manifest::read(dir) else { return true };
    let Ok(sources) = fs::read_to_string(list(&manifest)) else { return true };
    let newer = |source: &Path| !modified(source).is_ok_and(|date| date <= built);
    let Some(lock) = lock(&manifest.dir) else { return true };
    // A setting may be new since the build, and so not among the sources.
    newer(&lock)
        || settings(&manifest.dir).any(|file| newer(&file))
        || sources.lines().any(|source| newer(Path::new(source)))
}

/// What a build of the crate in `dir` reads, runs or writes, as far as it is known before: the crate folder, folders that configure
/// cargo, the target folder that guests share, and the sources of the last build. Whoever can write there decides what the
/// next build runs.
///
/// # Errors
/// There is no crate.
pub fn inputs(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let manifest = Manifest::read(dir)?;
    let mut inputs = vec![manifest.dir.clone(), super::cargo::shared_dir()];
    inputs.extend(manifest.dir.ancestors().map(|folder| folder.join(".cargo")));
    inputs.extend(fs::read_to_string(list(&manifest)).unwrap_or_default().lines().map(PathBuf::from));
    Ok(inputs)
}

/// A build that runs. The component is dated to its start, so that a source which is saved meanwhile counts as newer.
pub(super) struct Build {
    list: PathBuf,
    part: PathBuf,
    dir: PathBuf,
    started: SystemTime,
}

impl Build {
    pub(super) fn start(manifest: &Manifest) -> Result<Self, Error> {
        let folder = manifest.output_dir();
        fs::create_dir_all(&folder).map_err(Error::io("cannot create", &folder))?;
        let list = list(manifest);
        let part = list.with_extension(format!("{}.part", std::process::id()));
        fs::write(&part, "").map_err(Error::io("cannot write", &part))?;
        let started = modified(&part).map_err(Error::io("cannot read", &part))?;
        Ok(Self { list, part, dir: manifest.dir.clone(), started })
    }

    pub(super) fn finish(self, sources: &[PathBuf], component: &Path) -> Result<(), Error> {
        let sources = sources.iter().cloned().chain(settings(&self.dir));
        let lines: String = sources.map(|source| format!("{}\n", source.display())).collect();
        fs::write(&self.part, lines).map_err(Error::io("cannot write", &self.part))?;
        fs::rename(&self.part, &self.list).map_err(Error::io("cannot write", &self.list))?;
        // The first build writes the lock file after it started.
        let lock = lock(&self.dir).and_then(|lock| modified(&lock).ok());
        let date = lock.map_or(self.started, |lock| lock.max(self.started));
        let file = File::options().write(true).open(component).map_err(Error::io("cannot open", component))?;
        file.set_modified(date).map_err(Error::io("cannot date", component))
    }
}

impl Drop for Build {
    /// What a failed build leaves.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.part);
    }
}

/// Where the sources of the last build are listed, one in a line.
fn list(manifest: &Manifest) -> PathBuf {
    manifest.output_dir().join(format!("{}.sources", manifest.name))
}

/// The lock file of the crate in `dir`, or of the workspace it is a member of.
fn lock(dir: &Path) -> Option<PathBuf> {
    dir.ancestors().map(|folder| folder.join("Cargo.lock")).find(|lock| lock.is_file())
}

/// What cargo and rustup read beside sources, as far as it is there: a build script, and settings of the folder and those above.
fn settings(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let files = [".cargo/config.toml", ".cargo/config", "rust-toolchain.toml", "rust-toolchain", "Cargo.toml"];
    let settings = dir.ancestors().flat_map(move |folder| files.map(|file| folder.join(file)));
    settings.chain([dir.join("build.rs")]).filter(|file| file.is_file())
}

fn modified(path: &Path) -> std::io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}
