//! The overlay by itself: what a path stands for, and how much is kept.

use super::*;

fn content(text: &str) -> Arc<Vec<u8>> {
    Arc::new(text.as_bytes().to_vec())
}

#[test]
fn what_was_not_changed_is_up_to_the_host() {
    let mut overlay = Overlay::default();
    for path in ["", "a", "a/b"] {
        assert_eq!(overlay.look(path), Ok(Seen::Host));
    }
    overlay.write("a/b/c", content("x"));
    assert_eq!(overlay.look("a/b/c"), Ok(Seen::File(&content("x"))));
    for folder in ["a", "a/b"] {
        assert_eq!(overlay.look(folder), Ok(Seen::Folder { is_merged: true }), "the host may have it as well");
    }
    for path in ["", "a/c", "a/b/d", "ab", "a/b/c2"] {
        assert_eq!(overlay.look(path), Ok(Seen::Host), "{path}");
    }
    assert_eq!(overlay.look("a/b/c/d"), Err(Refusal::NoFolder));
}

#[test]
fn what_was_removed_hides_the_host_for_good() {
    let mut overlay = Overlay::default();
    overlay.remove("a");
    for path in ["a", "a/b", "a/b/c"] {
        assert_eq!(overlay.look(path), Ok(Seen::Missing));
    }
    overlay.write("a/b/c", content("x"));
    assert_eq!(overlay.look("a"), Ok(Seen::Folder { is_merged: false }));
    assert_eq!(overlay.look("a/b"), Ok(Seen::Folder { is_merged: false }));
    assert_eq!(overlay.look("a/d"), Ok(Seen::Missing));
}

#[test]
fn the_names_of_temporary_files_are_never_seen() {
    let mut overlay = Overlay::default();
    let reserved = temporary::name("x");
    overlay.write("a/x", content("x"));
    for path in [reserved.clone(), format!("{reserved}/x"), format!("a/{reserved}"), format!("new/{reserved}/x")] {
        assert_eq!(overlay.look(&path), Err(Refusal::Reserved));
    }
}

#[test]
fn removals_count_once_and_leave_nothing_below_them() {
    let mut overlay = Overlay::default();
    for round in 0..10 {
        overlay.write("made/file", content("x"));
        overlay.remove("made/file");
        overlay.remove("made");
        assert_eq!(overlay.removed, 0, "round {round}: the quota of writes counts these");
    }
    assert_eq!(overlay.changes.len(), 1);
    for name in ["a", "b", "c"] {
        assert!(overlay.may_remove(name, 3));
        overlay.remove(name);
    }
    assert!(!overlay.may_remove("d", 3) && overlay.may_remove("made", 3));
}

#[test]
fn changes_are_listed_by_their_folder() {
    let mut overlay = Overlay::default();
    for path in ["a/b", "a/c/d", "a-", "a0/x", "b"] {
        overlay.write(path, content(""));
    }
    overlay.remove("a/z");
    let names = |folder: &str| overlay.changes_in(folder).map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(names(""), ["a", "a-", "a0", "b"]);
    assert_eq!(names("a"), ["b", "c", "z"]);
    assert_eq!(names("a/c"), ["d"]);
    assert!(names("a/b").is_empty() && names("x").is_empty());
}
