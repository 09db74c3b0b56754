//! Puts the Python guest, its interfaces and what builds it into the program, for `everstep python build`: the list `PYTHON` of paths and contents.

use std::fmt::Write as _;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let python = root.join("guest-sdk/python");
    // `scripts/native.sh` compiles them; without them, Python has no bz2, lzma and zstd.
    let native = root.join("target/native");
    fs::create_dir_all(&native)?;
    let mut list = String::from("pub(super) const PYTHON: &[(&str, &[u8])] = &[\n");
    for (folder, to) in [
        (python.join("app.py"), "guest/app.py"),
        (python.join("everstep"), "guest/everstep"),
        (python.join("science"), "science"),
        (python.join("builder"), "builder"),
        (root.join("wit"), "wit"),
        (native, "native"),
    ] {
        println!("cargo:rerun-if-changed={}", folder.display());
        add(&folder, to, &mut list)?;
    }
    list.push_str("];\n");
    let out = env::var_os("OUT_DIR").ok_or_else(|| Error::other("cargo names no folder for what is generated"))?;
    fs::write(PathBuf::from(out).join("python.rs"), list)
}

fn add(path: &Path, to: &str, list: &mut String) -> Result<()> {
    if path.is_file() {
        writeln!(list, "({to:?}, include_bytes!({:?})),", path.canonicalize()?).map_err(Error::other)?;
        return Ok(());
    }
    let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
    entries.sort();
    for name in entries.iter().filter_map(|name| name.to_str()).filter(|name| *name != "__pycache__") {
        add(&path.join(name), &format!("{to}/{name}"), list)?;
    }
    Ok(())
}
