//! What components have made of files, in memory and in the cache folder.

use super::*;
use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;

/// A host with a cache, and a component that it has loaded.
fn host(dir: &tempfile::TempDir, number: u32) -> (Engines, Component) {
    let engines =
        Engines::new(Options { pool: 4, cache: Some(dir.path().join("cache")), ..Options::default() }).unwrap();
    let component = load(&engines, &returns(number)).unwrap();
    (engines, component)
}

/// What is made of a file, and whether it was made now.
async fn get(component: &Component, file: &str, makes: Option<&str>) -> (Option<String>, bool) {
    let mut made_now = false;
    let make = async || {
        made_now = true;
        Ok::<_, Infallible>(makes.map(|made| made.as_bytes().to_vec()))
    };
    let made = component.prepared.get(component, file.as_bytes(), true, make).await.unwrap();
    (made.map(|made| String::from_utf8(made.to_vec()).unwrap()), made_now)
}

fn notes(dir: &tempfile::TempDir) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.path().join("cache")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|kind| kind == "prepared")).collect()
}

#[tokio::test]
async fn what_a_component_makes_of_a_file_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let (_engines, component) = host(&dir, 1);
    let one = |text: &str| Some(text.to_owned());
    assert_eq!(get(&component, "a", Some("made of a")).await, (one("made of a"), true));
    assert_eq!(get(&component, "a", Some("another")).await, (one("made of a"), false));
    assert_eq!(get(&component, "b", None).await, (None, true));
    // What was not made is not kept.
    let unmade = component.prepared.get(&component, b"c", false, async || Err("it was made")).await;
    assert_eq!(unmade, Ok(None));
    let failed = component.prepared.get(&component, b"c", true, async || Err("no content")).await;
    assert_eq!(failed, Err("no content"));
    assert_eq!(get(&component, "c", Some("made of c")).await, (one("made of c"), true));

    let (_others, same) = host(&dir, 1);
    assert_eq!(get(&same, "a", Some("another")).await, (one("made of a"), false));
    assert_eq!(get(&same, "b", Some("another")).await, (None, false));
    let (_others, other) = host(&dir, 2);
    assert_eq!(get(&other, "a", Some("another")).await, (one("another"), true));
}

#[tokio::test]
async fn what_somebody_else_has_put_in_its_place_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (_engines, component) = host(&dir, 1);
    get(&component, "a", Some("made of a")).await;
    let note = notes(&dir).remove(0);
    let good = fs::read(&note).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&note, bad).unwrap();
        let (_engines, component) = host(&dir, 1);
        assert!(get(&component, "a", Some("made of a")).await.1, "byte {at}");
        assert_eq!(fs::read(&note).unwrap(), good);
    }
    // What was made of another file.
    get(&component, "b", Some("made of b")).await;
    let other = notes(&dir).into_iter().find(|path| *path != note).unwrap();
    fs::copy(&note, other).unwrap();
    let (_engines, component) = host(&dir, 1);
    assert_eq!(get(&component, "b", Some("made of b")).await, (Some("made of b".to_owned()), true));
}
