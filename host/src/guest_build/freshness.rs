//! Determines whether a component is older than its sources.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Error;
use super::manifest::Manifest;

/// Whether `component` must be built again from the crate in `dir`: it is missing, or older than any source of the crate and its path
/// dependencies, a manifest, a build script, the lock file, or the settings of cargo and rustup in the crate folder and above. A
/// crate that was never built here is stale.
pub fn is_stale(dir: &Path, component: &Path) -> bool {
    let Ok(built) = modified(component) else { return true };
    let Ok(manifest) = Manifest::read(dir) else { return true };
    let Ok(sources) = fs::read_to_string(list(&manifest)) else { return true };
    let newer = |source: &Path| !modified(source).is_ok_and(|date| date <= built);
    let Some(lock) = lock(&manifest.dir) else { return true };
    // A setting may be newer than the build, and so not be among its sources.
    newer(&lock)
        || settings(&manifest.dir).any(|file| newer(&file))
        || sources.lines().any(|source| newer(Path::new(source)))
}

/// Everything that a build of the crate in `dir` reads, runs or writes, as far as it is known in advance: the crate folder, folders
/// with settings of cargo, the shared target folder of guests, and the sources of the last build. Whoever can write there controls
/// what the next build runs.
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

/// A build in progress. The component gets the time of its start, so that a source saved meanwhile counts as newer.
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
        // The first build writes the lock file after its start.
        let lock = lock(&self.dir).and_then(|lock| modified(&lock).ok());
        let date = lock.map_or(self.started, |lock| lock.max(self.started));
        let file = File::options().write(true).open(component).map_err(Error::io("cannot open", component))?;
        file.set_modified(date).map_err(Error::io("cannot date", component))
    }
}

impl Drop for Build {
    /// Removes the leftover of a failed build.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.part);
    }
}

/// The file that lists the sources of the last build, one per line.
fn list(manifest: &Manifest) -> PathBuf {
    manifest.output_dir().join(format!("{}.sources", manifest.name))
}

/// The lock file of the crate in `dir`, or of its workspace.
fn lock(dir: &Path) -> Option<PathBuf> {
    dir.ancestors().map(|folder| folder.join("Cargo.lock")).find(|lock| lock.is_file())
}

/// Existing files that cargo and rustup read besides sources: a build script, and settings in the folder and those above.
fn settings(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let files = [".cargo/config.toml", ".cargo/config", "rust-toolchain.toml", "rust-toolchain", "Cargo.toml"];
    let settings = dir.ancestors().flat_map(move |folder| files.map(|file| folder.join(file)));
    settings.chain([dir.join("build.rs")]).filter(|file| file.is_file())
}

fn modified(path: &Path) -> std::io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}
