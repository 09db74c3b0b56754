//! The few facts from a Cargo.toml that are needed before cargo runs.

use std::path::{Path, PathBuf};

use super::Error;

#[derive(Debug)]
pub(super) struct Manifest {
    /// The crate folder, absolute.
    pub(super) dir: PathBuf,
    /// The name of the crate.
    pub(super) name: String,
    pub(super) product: Product,
}

/// What a crate is built into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Product {
    /// A library with exported functions, of this name: a guest.
    Library(String),
    /// A program with `main`, of this name.
    Program(String),
}

/// Memory that a component has from its start, so that the instances of most functions never grow: the allocator of the SDK begins with it.
const INITIAL_HEAP: &str = r#"target.wasm32-unknown-unknown.rustflags=["-Clink-arg=--initial-heap=131072"]"#;

impl Product {
    /// The target that it is compiled for: a guest reaches the outside through our interfaces only, a program through WASI.
    pub(super) fn target(&self) -> &'static str {
        match self {
            Self::Library(_) => "wasm32-unknown-unknown",
            Self::Program(_) => "wasm32-wasip2",
        }
    }

    /// The options of cargo that select it.
    pub(super) fn options(&self) -> Vec<&str> {
        match self {
            Self::Library(_) => vec!["--lib", "--config", INITIAL_HEAP],
            Self::Program(name) => vec!["--bin", name],
        }
    }

    /// Its name in the files that the compiler writes.
    pub(super) fn file_stem(&self) -> String {
        match self {
            Self::Library(name) | Self::Program(name) => name.replace('-', "_"),
        }
    }
}

impl Manifest {
    pub(super) fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("Cargo.toml");
        if !path.is_file() {
            return Err(Error::NoCrate(dir.to_owned()));
        }
        let dir = dir.canonicalize().map_err(Error::io("cannot open", dir))?;
        let text = std::fs::read_to_string(&path).map_err(Error::io("cannot read", &path))?;
        let has_main = dir.join("src/main.rs").is_file();
        Self::parse(dir, &text, has_main).map_err(|problem| Error::Manifest { path, problem })
    }

    /// Reads a manifest; `has_main` says whether there is a `src/main.rs`, which cargo takes for a program.
    fn parse(dir: PathBuf, text: &str, has_main: bool) -> Result<Self, String> {
        let manifest: toml::Table = text.parse().map_err(|cause| format!("{cause}"))?;
        let text = |section: &str, key: &str| manifest.get(section)?.get(key)?.as_str().map(str::to_owned);
        let name = text("package", "name").ok_or("a `[package]` with a `name` is missing")?;
        let kinds = manifest.get("lib").and_then(|lib| lib.get("crate-type")).and_then(toml::Value::as_array);
        let product = if kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind.as_str() == Some("cdylib"))) {
            Product::Library(text("lib", "name").unwrap_or_else(|| name.replace('-', "_")))
        } else {
            let tables = manifest.get("bin").and_then(toml::Value::as_array);
            let tables = tables.into_iter().flatten().filter_map(|bin| bin.get("name")?.as_str());
            let mut programs: Vec<_> = tables.map(str::to_owned).collect();
            if has_main && programs.is_empty() {
                programs.push(name.clone());
            }
            Product::Program(the_one(programs, text("package", "default-run"))?)
        };
        Ok(Self { dir, name, product })
    }

    /// The folder of all output of `build`.
    pub(super) fn output_dir(&self) -> PathBuf {
        self.dir.join("target/everstep")
    }

    pub(super) fn default_output(&self) -> PathBuf {
        self.output_dir().join(format!("{}.wasm", self.name))
    }
}

/// The program to build.
fn the_one(programs: Vec<String>, default: Option<String>) -> Result<String, String> {
    match (default, &programs[..]) {
        (Some(default), _) => Ok(default),
        (None, [one]) => Ok(one.clone()),
        (None, []) => {
            Err("there is neither a guest nor a program: for a guest, which is a `cdylib`, add `[lib]` with \
                           `crate-type = [\"cdylib\"]`; a program has a `src/main.rs`"
                .into())
        }
        (None, several) => Err(format!(
            "there are several programs ({}): name one in `[package]` as `default-run`",
            several.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, has_main: bool) -> Result<Manifest, String> {
        Manifest::parse("/crate".into(), text, has_main)
    }

    #[test]
    fn the_names_of_crate_and_library_are_found() {
        let manifest = parse("[package]\nname = \"word-count\"\n[lib]\ncrate-type = [\"cdylib\"]", true).unwrap();
        assert_eq!(manifest.product, Product::Library("word_count".to_owned()));
        assert_eq!(manifest.default_output(), Path::new("/crate/target/everstep/word-count.wasm"));
    }

    #[test]
    fn a_crate_without_a_cdylib_is_a_program() {
        let package = "[package]\nname = \"my-tool\"\n";
        let program = |rest: &str, has_main| parse(&format!("{package}{rest}"), has_main).map(|it| it.product);
        let of = |name: &str| Ok(Product::Program(name.to_owned()));
        assert_eq!(program("", true), of("my-tool"));
        assert_eq!(program("[[bin]]\nname = \"tool\"", true), of("tool"));
        assert_eq!(program("default-run = \"b\"\n[[bin]]\nname = \"a\"\n[[bin]]\nname = \"b\"", false), of("b"));
        let several = program("[[bin]]\nname = \"a\"\n[[bin]]\nname = \"b\"", false).unwrap_err();
        assert!(several.contains("several programs (a, b)") && several.contains("default-run"), "{several}");
        assert_eq!(of("my-tool").unwrap().file_stem(), "my_tool");
    }

    #[test]
    fn a_manifest_with_nothing_to_build_says_what_to_add() {
        let message = parse("[package]\nname = \"a\"", false).unwrap_err();
        assert!(message.contains("crate-type = [\"cdylib\"]") && message.contains("src/main.rs"), "{message}");
        assert!(parse("[workspace]", false).unwrap_err().contains("[package]"));
    }
}
