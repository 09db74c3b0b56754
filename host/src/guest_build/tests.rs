//! What needs files but no compiler.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use super::*;

fn crate_in(folder: &Path) -> PathBuf {
    let dir = folder.join("guest");
    fs::create_dir_all(dir.join("src")).unwrap();
    fs::write(dir.join("Cargo.toml"), "[package]\nname = \"g\"\n[lib]\ncrate-type = [\"cdylib\"]").unwrap();
    fs::write(dir.join("Cargo.lock"), "").unwrap();
    fs::write(dir.join("src/lib.rs"), "").unwrap();
    dir
}

fn touch_later(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    let date = file.metadata().unwrap().modified().unwrap();
    file.set_modified(date + Duration::from_secs(60)).unwrap();
}

#[test]
fn a_component_is_stale_when_any_of_its_sources_is_newer() {
    let folder = tempfile::tempdir().unwrap();
    let dir = crate_in(folder.path());
    let component = default_output(&dir).unwrap();
    assert!(is_stale(&dir, &component));

    let build = freshness::Build::start(&Manifest::read(&dir).unwrap()).unwrap();
    component::write(&component, b"component").unwrap();
    assert!(is_stale(&dir, &component));
    let source = dir.join("src/lib.rs");
    build.finish(&[dir.join("Cargo.toml"), source.clone()], &component).unwrap();
    assert!(!is_stale(&dir, &component));

    touch_later(&source);
    assert!(is_stale(&dir, &component));
    touch_later(&component);
    assert!(!is_stale(&dir, &component));
    fs::remove_file(&source).unwrap();
    assert!(is_stale(&dir, &component));
}

/// Makes a component as if from `src/lib.rs`.
fn build_in(dir: &Path) -> PathBuf {
    let component = default_output(dir).unwrap();
    let build = freshness::Build::start(&Manifest::read(dir).unwrap()).unwrap();
    component::write(&component, b"component").unwrap();
    build.finish(&[dir.join("Cargo.toml"), dir.join("src/lib.rs")], &component).unwrap();
    component
}

#[test]
fn a_member_of_a_workspace_has_the_lock_file_of_the_workspace() {
    let folder = tempfile::tempdir().unwrap();
    let dir = crate_in(folder.path());
    let lock = folder.path().join("Cargo.lock");
    fs::rename(dir.join("Cargo.lock"), &lock).unwrap();
    let component = build_in(&dir);
    assert!(!is_stale(&dir, &component));
    touch_later(&lock);
    assert!(is_stale(&dir, &component));
    let built_again = build_in(&dir);
    assert!(!is_stale(&dir, &built_again));
}

#[test]
fn a_component_is_stale_when_a_setting_is_newer_or_gone() {
    let folder = tempfile::tempdir().unwrap();
    let dir = crate_in(folder.path());
    for file in ["guest/build.rs", "guest/.cargo/config.toml", ".cargo/config.toml", "rust-toolchain", "Cargo.toml"] {
        let component = build_in(&dir);
        assert!(!is_stale(&dir, &component), "{file}");
        let file = folder.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        touch_later(&file);
        assert!(is_stale(&dir, &component), "{}", file.display());
        File::options().write(true).open(&file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        build_in(&dir);
        assert!(!is_stale(&dir, &component), "{}", file.display());
        fs::remove_file(&file).unwrap();
        assert!(is_stale(&dir, &component), "{}", file.display());
    }
}

#[test]
fn what_a_build_reads_is_known_before_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let dir = crate_in(folder.path()).canonicalize().unwrap();
    build_in(&dir);
    let inputs = inputs(&dir).unwrap();
    for input in [dir.clone(), dir.join("../.cargo"), dir.join("src/lib.rs")] {
        let input = input.parent().unwrap().canonicalize().unwrap().join(input.file_name().unwrap());
        assert!(inputs.contains(&input), "{inputs:?}");
    }
}

#[test]
fn a_folder_without_a_crate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(build(folder.path(), None), Err(Error::NoCrate(_))));
}

#[test]
fn a_new_crate_has_a_manifest_that_can_be_built() {
    let folder = tempfile::tempdir().unwrap();
    let dir = new_crate(&folder.path().join("my-guest")).unwrap();
    assert_eq!(Manifest::read(&dir).unwrap().product, manifest::Product::Library("my_guest".to_owned()));
    assert!(fs::read_to_string(dir.join("policy.toml")).unwrap().contains("name = \"my-guest\""));
    assert!(matches!(new_crate(&dir), Err(Error::Exists(_))));
    assert!(matches!(new_crate(&folder.path().join("1x")), Err(Error::Name(_))));
}

#[test]
fn a_module_without_a_world_is_no_guest() {
    let empty_module = b"\0asm\x01\0\0\0";
    let product = manifest::Product::Library("g".to_owned());
    assert!(matches!(component::encode("g", empty_module, &product), Err(Error::NoFunction(_))));
    assert!(matches!(component::encode("g", b"junk", &product), Err(Error::Component { .. })));
}

#[test]
fn the_module_of_a_program_becomes_a_component() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
        path
    };
    let exits = r#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (func (export "_start") (call $exit (i32.const 3))))"#;
    let built = adapt(&file("exits.wasm", exits), None).unwrap();
    assert_eq!(built.component, folder.path().join("exits.component.wasm"));
    let component = fs::read(&built.component).unwrap();
    let names = ["wasi:cli/run@", "wasi:cli/exit@"];
    assert!(names.iter().all(|name| component.windows(name.len()).any(|bytes| bytes == name.as_bytes())));
    // A component stays as it is.
    let again = adapt(&built.component, Some(&folder.path().join("again.wasm"))).unwrap();
    assert_eq!(fs::read(&again.component).unwrap(), component);

    let of_go = exits.replace("(memory", "(@custom \"go:buildid\" \"x\") (memory");
    for (text, says) in [(&*of_go, "build it with TinyGo"), ("(module)", "does not make a component")] {
        let error = adapt(&file("refused.wasm", text), None).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(!folder.path().join("refused.component.wasm").exists());
    }
}
