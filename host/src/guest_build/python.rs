//! Components of CPython with packages built in.
//!
//! The guest, its interfaces and the Python programs that build it are part of this program. They run in a folder of their own below the
//! cache; what they have built is moved to where it belongs when all of it is there.

use super::Error;
use crate::regular_file;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use wasmparser::{Encoding, Parser, Payload};

include!(concat!(env!("OUT_DIR"), "/python.rs"));

/// How many builds this process has started: the folder of each is its own.
static BUILDS: AtomicU32 = AtomicU32::new(0);

/// The custom section of a component that says what is in it.
pub(super) const SECTION: &str = "everstep-python";

/// A component that is to be built.
#[derive(Clone, Debug, Default)]
pub struct PythonBuild {
    /// Files of requirements, as pip reads them.
    pub files: Vec<PathBuf>,
    /// Further requirements.
    pub with: Vec<String>,
    /// Modules to be imported while it is built, besides those of the packages that are asked for.
    pub preload: Vec<String>,
    /// Where the component is written; its lock beside it, as `{output}.lock`.
    pub output: PathBuf,
    /// Whether packages are found anew where a lock has them.
    pub upgrade: bool,
    /// The folder for tools and components; none is `$EVERSTEP_PYTHON_CACHE`, or `everstep/python` in the user's cache folder.
    pub cache: Option<PathBuf>,
}

/// The result of a build.
#[derive(Debug)]
#[non_exhaustive]
pub struct PythonBuilt {
    /// The path of the component.
    pub component: PathBuf,
    /// The path of the lock.
    pub lock: PathBuf,
    /// The component's digest, `sha256:...`.
    pub digest: String,
    /// Whether it was in the cache.
    pub is_cached: bool,
    /// What is in it.
    pub contents: PythonContents,
}

/// What a component of CPython holds.
#[derive(Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PythonContents {
    /// The version of CPython.
    pub python: String,
    /// The packages, by name.
    pub packages: Vec<PythonPackage>,
    /// The modules of them that were imported while it was built.
    pub imported: Vec<String>,
    /// Modules that a program imports as it runs, because they draw random numbers or read the clock as they are imported.
    pub waiting: Vec<String>,
}

/// A package in a component.
#[derive(Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PythonPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it has native code, which was left out.
    pub without_native_code: bool,
}

/// What the programs that build say at their end.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Built { component: PathBuf, lock: String, digest: String, is_cached: bool },
    Failed { error: String },
}

/// A build that runs. Dropping it ends it, and leaves nothing.
pub struct RunningBuild {
    child: Child,
    output: PathBuf,
    part: Removed,
    _work: Removed,
}

/// A file or a folder that is removed in the end.
pub(super) struct Removed(pub(super) PathBuf);

impl PythonBuild {
    /// Starts it. Its progress is written to standard error.
    ///
    /// # Errors
    /// A file cannot be read or written, or there is no Python on this machine.
    pub fn start(&self) -> Result<RunningBuild, Error> {
        let part = self.claim()?;
        let lock = lock_of(&self.output);
        let known = match fs::read_to_string(&lock) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io("cannot read", &lock)(error)),
        };
        let (cache, work) = workshop(self.cache.as_deref())?;
        let name = self.output.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let request = json!({
            "files": self.files, "with": self.with, "preload": self.preload, "name": name, "lock": known,
            "upgrade": self.upgrade, "cache": cache,
        });
        let mut command = Command::new("python3");
        command.arg("-B").arg(work.0.join("builder/main.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        // What it starts ends with it.
        let mut child = command.process_group(0).spawn().map_err(Error::no_python)?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that is gone says why.
            let _ = stdin.write_all(request.to_string().as_bytes());
        }
        Ok(RunningBuild { child, output: self.output.clone(), part, _work: work })
    }

    /// The file, beside the output, that becomes it.
    fn claim(&self) -> Result<Removed, Error> {
        if self.output.is_dir() {
            return Err(Error::io("cannot write", &self.output)(ErrorKind::IsADirectory.into()));
        }
        let folder = self.output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(Error::io("cannot create", folder))?;
        let part = Removed(with_ending(&self.output, &format!(".{}.part", std::process::id())));
        File::create(&part.0).map_err(Error::io("cannot write", &self.output))?;
        Ok(part)
    }
}

/// The cache, and a folder in it with everything that builds, for the time of a build; none is the cache of the user.
pub(super) fn workshop(cache: Option<&Path>) -> Result<(PathBuf, Removed), Error> {
    let cache = cache.map_or_else(super::cargo::python_dir, Path::to_owned);
    let absolute = std::path::absolute(&cache).map_err(Error::io("cannot tell where the cache is:", &cache))?;
    let number = BUILDS.fetch_add(1, Ordering::Relaxed);
    let work = Removed(absolute.join(format!("work-{}-{number}", std::process::id())));
    // What a process of this number has left that was killed.
    drop(Removed(work.0.clone()));
    for (name, content) in PYTHON {
        let file = work.0.join(name);
        let folder = file.parent().unwrap_or(&file);
        fs::create_dir_all(folder).map_err(Error::io("cannot create", folder))?;
        fs::write(&file, content).map_err(Error::io("cannot write", &file))?;
    }
    Ok((absolute, work))
}

impl RunningBuild {
    /// What ends it from another thread: its process group.
    pub fn group(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, and puts the component and its lock in their places.
    ///
    /// # Errors
    /// It could not be built, or a file cannot be written.
    pub fn wait(mut self) -> Result<PythonBuilt, Error> {
        let mut said = Vec::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_end(&mut said).map_err(Error::io("cannot read what is said of", &self.output))?;
        }
        let status = self.child.wait().map_err(Error::io("cannot wait for the build of", &self.output))?;
        let (component, lock, digest, is_cached) = match serde_json::from_slice(&said) {
            Ok(Said::Built { component, lock, digest, is_cached }) => (component, lock, digest, is_cached),
            Ok(Said::Failed { error }) => return Err(Error::Python(error)),
            Err(_) => return Err(Error::Python(format!("what builds the component ended by itself ({status})"))),
        };
        let bytes = fs::read(&component).map_err(Error::io("cannot read", &component))?;
        let contents = contents(&bytes).ok_or_else(|| Error::NoPython(component.clone()))?;
        // One that is there already stays as it is, and so do those who know it by its time.
        if fs::read(&self.output).is_ok_and(|there| there == bytes) {
            drop(bytes);
        } else {
            fs::write(&self.part.0, bytes).map_err(Error::io("cannot write", &self.output))?;
            fs::rename(&self.part.0, &self.output).map_err(Error::io("cannot write", &self.output))?;
        }
        let path = lock_of(&self.output);
        fs::write(&self.part.0, lock).map_err(Error::io("cannot write", &path))?;
        fs::rename(&self.part.0, &path).map_err(Error::io("cannot write", &path))?;
        Ok(PythonBuilt { component: self.output.clone(), lock: path, digest, is_cached, contents })
    }

    /// Ends a build by its process group.
    pub fn stop(group: u32) {
        let group = i32::try_from(group).ok().and_then(rustix::process::Pid::from_raw);
        // It may have ended.
        let _ = group.map(|group| rustix::process::kill_process_group(group, rustix::process::Signal::KILL));
    }
}

impl Drop for RunningBuild {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            Self::stop(self.group());
            let _ = self.child.wait();
        }
    }
}

impl Drop for Removed {
    fn drop(&mut self) {
        // What is not there needs not be removed.
        let _ = if self.0.is_dir() { fs::remove_dir_all(&self.0) } else { fs::remove_file(&self.0) };
    }
}

/// What the component in a file holds.
///
/// # Errors
/// It cannot be read, or `everstep python build` has not made it.
pub fn python_contents(file: &Path) -> Result<(PythonContents, Vec<u8>), Error> {
    let bytes = regular_file::open(file, regular_file::COMPONENT)
        .and_then(|opened| regular_file::read_from(&opened, regular_file::COMPONENT))
        .map_err(Error::io("cannot read", file))?;
    match contents(&bytes) {
        Some(contents) => Ok((contents, bytes)),
        None => Err(Error::NoPython(file.to_owned())),
    }
}

fn contents(component: &[u8]) -> Option<PythonContents> {
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload.ok()? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => return None,
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 && section.name() == SECTION => {
                return serde_json::from_slice(section.data()).ok();
            }
            _ => {}
        }
    }
    None
}

fn lock_of(output: &Path) -> PathBuf {
    with_ending(output, ".lock")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(name: &str, data: &str) -> Vec<u8> {
        let content = [&[u8::try_from(name.len()).unwrap()], name.as_bytes(), data.as_bytes()].concat();
        [&[0, u8::try_from(content.len()).unwrap()], &*content].concat()
    }

    #[test]
    fn what_is_in_a_component_is_told_by_its_own_section() {
        let [component, module] = [&b"\0asm\x0d\0\x01\0"[..], b"\0asm\x01\0\0\0"];
        let told = section(SECTION, r#"{"python":"3.14.0","packages":[],"imported":["yaml"],"waiting":[]}"#);
        let found = contents(&[component, &told].concat()).unwrap();
        assert_eq!((&*found.python, &*found.imported), ("3.14.0", &["yaml".to_owned()][..]));
        let inner = [module, &told].concat();
        let nested = [&[1, u8::try_from(inner.len()).unwrap()], &*inner].concat();
        for other in [
            [component, &section("another", "{}")].concat(),
            [component, &section(SECTION, "no JSON")].concat(),
            [component, &nested].concat(),
            inner,
            told,
            Vec::new(),
        ] {
            assert!(contents(&other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn the_guest_and_what_builds_it_are_in_the_program() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk/python/everstep");
        for entry in fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = format!("guest/everstep/{name}");
            assert!(name == "__pycache__" || PYTHON.iter().any(|(known, _)| *known == path), "{path}");
        }
        for path in ["guest/app.py", "builder/main.py", "wit/world.wit"] {
            assert!(PYTHON.iter().any(|(known, content)| *known == path && !content.is_empty()), "{path}");
        }
    }
}
