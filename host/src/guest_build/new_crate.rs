//! The template of `everstep new`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::Error;

/// The files of a new crate; `{name}` and `{sdk}` are filled in.
const FILES: [(&str, &str); 5] = [
    ("Cargo.toml", include_str!("template/Cargo.toml.in")),
    ("src/lib.rs", include_str!("template/lib.rs.in")),
    ("policy.toml", include_str!("template/policy.toml.in")),
    ("README.md", include_str!("template/README.md.in")),
    (".gitignore", "/target\n/.everstep\n"),
];

/// Creates a guest crate in the new folder `path`, named after it, and returns the absolute path of the folder. It depends
/// on the SDK in `$EVERSTEP_SDK`, or else on that of the checkout this program was built from.
pub fn new_crate(path: &Path) -> Result<PathBuf, Error> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !is_crate_name(name) {
        return Err(Error::Name(name.into()));
    }
    if path.exists() {
        return Err(Error::Exists(path.to_owned()));
    }
    let sdk = toml::Value::from(sdk()?.to_string_lossy().as_ref()).to_string();
    for (file, template) in FILES {
        let file = path.join(file);
        let folder = file.parent().unwrap_or(path);
        fs::create_dir_all(folder).map_err(Error::io("cannot create", folder))?;
        fs::write(&file, template.replace("{name}", name).replace("{sdk}", &sdk))
            .map_err(Error::io("cannot write", &file))?;
    }
    path.canonicalize().map_err(Error::io("cannot open", path))
}

fn is_crate_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|one| one.is_ascii_alphanumeric() || one == '-' || one == '_')
}

fn sdk() -> Result<PathBuf, Error> {
    let built_from = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk");
    let folder = env::var_os("EVERSTEP_SDK").map_or_else(built_from, PathBuf::from);
    match folder.join("Cargo.toml").is_file() {
        true => folder.canonicalize().map_err(Error::io("cannot open", &folder)),
        false => Err(Error::NoSdk(folder)),
    }
}
