//! The few facts from a Cargo.toml that are needed before cargo runs.

use std::path::{Path, PathBuf};

use super::Error;

#[derive(Debug)]
pub(super) struct Manifest {
    /// The crate folder, absolute.
    pub(super) dir: PathBuf,
    /// The name of the crate.
    pub(super) name: String,
    /// The name of its library, as in the file name of the module.
    pub(super) library: String,
}

impl Manifest {
    pub(super) fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("Cargo.toml");
        if !path.is_file() {
            return Err(Error::NoCrate(dir.to_owned()));
        }
        let dir = dir.canonicalize().map_err(Error::io("cannot open", dir))?;
        let text = std::fs::read_to_string(&path).map_err(Error::io("cannot read", &path))?;
        Self::parse(dir, &text).map_err(|problem| Error::Manifest { path, problem })
    }

    fn parse(dir: PathBuf, text: &str) -> Result<Self, String> {
        let manifest: toml::Table = text.parse().map_err(|cause| format!("{cause}"))?;
        let text = |section: &str, key: &str| manifest.get(section)?.get(key)?.as_str().map(str::to_owned);
        let name = text("package", "name").ok_or("a `[package]` with a `name` is missing")?;
        let library = text("lib", "name").unwrap_or_else(|| name.replace('-', "_"));
        let kinds = manifest.get("lib").and_then(|lib| lib.get("crate-type")).and_then(toml::Value::as_array);
        match kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind.as_str() == Some("cdylib"))) {
            true => Ok(Self { dir, name, library }),
            false => Err("a guest is a `cdylib`: add `[lib]` with `crate-type = [\"cdylib\"]`".into()),
        }
    }

    /// The folder of all output of `build`.
    pub(super) fn output_dir(&self) -> PathBuf {
        self.dir.join("target/everstep")
    }

    pub(super) fn default_output(&self) -> PathBuf {
        self.output_dir().join(format!("{}.wasm", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Manifest, String> {
        Manifest::parse("/crate".into(), text)
    }

    #[test]
    fn the_names_of_crate_and_library_are_found() {
        let manifest = parse("[package]\nname = \"word-count\"\n[lib]\ncrate-type = [\"cdylib\"]").unwrap();
        assert_eq!((&*manifest.name, &*manifest.library), ("word-count", "word_count"));
        assert_eq!(manifest.default_output(), Path::new("/crate/target/everstep/word-count.wasm"));
    }

    #[test]
    fn a_manifest_without_a_cdylib_says_what_to_add() {
        assert!(parse("[package]\nname = \"a\"").unwrap_err().contains("crate-type = [\"cdylib\"]"));
        assert!(parse("[workspace]").unwrap_err().contains("[package]"));
    }
}
