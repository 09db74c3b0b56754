//! Folders that the ceiling of the host does not lend.

use super::*;

#[test]
fn a_folder_that_is_not_lent_is_not_opened_and_serves_nothing() {
    let fixture = Fixture::new();
    let grants = [("gone", Access::Overlay), ("inside", Access::Write), ("inside/file", Access::Read)]
        .map(|(name, access)| grant(name, &format!("/{name}"), fixture.folder.path().join(name), access));
    fixture.write("file", b"x").unwrap();
    assert!(Folders::open(&grants).is_err());
    let folders = Folders::open_if(&grants, |_| false).unwrap();
    for index in 0..grants.len() {
        assert!(!folders.is_scratch(index));
        let answers = [
            folders.read(index, "file", 100).map(drop),
            folders.write(index, "file", b"y"),
            folders.list(index, "", 1_000).map(drop),
            folders.stat(index, "file").map(drop),
            folders.remove(index, "file", true),
            folders.floor(FileOperation::Read, index, "file"),
        ];
        for answer in answers {
            let error = answer.unwrap_err();
            assert!(error.code == ErrorCode::Denied && error.message.contains("did not lend its folder"), "{error}");
        }
    }
    assert_eq!(fixture.read("file").unwrap(), b"x");
}
