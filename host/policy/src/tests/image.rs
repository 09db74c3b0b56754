//! `access = "image"`: a folder that is pinned when an execution starts.

use super::*;

const IMAGE: &str =
    "version = 1\n[[files]]\nid = \"deps\"\nguest = \"/deps\"\nhost = \"deps\"\naccess = \"image\"\nkeep = true\n";

fn parse(toml: &str) -> Result<Policy, String> {
    Policy::parse(toml, Path::new("/nowhere/policy.toml")).map_err(|error| error.to_string())
}

#[test]
fn an_image_is_read_and_not_written_to() {
    let policy = parse(IMAGE).unwrap();
    let used = Usage::default();
    assert_eq!((policy.files[0].access, policy.files[0].keep), (Access::Image, true));
    for operation in [FileOperation::Read, FileOperation::List, FileOperation::Stat] {
        assert!(decide(&policy, file(operation, "/deps/a"), &used).is_ok(), "{operation:?}");
    }
    assert!(decide(&policy, write("/deps/a", 1), &used).is_err());
    assert!(decide(&policy, file(FileOperation::Remove, "/deps/a"), &used).is_err());
    assert_eq!(policy.writable_at(Path::new("/nowhere/deps/a")), None);
    assert_eq!(policy.paths().filter(|named| named.rule == Some("deps")).count(), 1);
    let told = crate::tools::told(&policy);
    let told = told.iter().find(|(key, _)| *key == "files").unwrap();
    assert_eq!(
        told.1,
        "deps: /deps is /nowhere/deps: read, as it is at the start; files up to 8 MiB; kept in the store"
    );
}

#[test]
fn keep_is_part_of_the_policy_and_belongs_to_an_image() {
    let policy = parse(IMAGE).unwrap();
    let again = parse(&crate::tools::to_toml(&policy)).unwrap();
    assert_eq!(again.files, policy.files);
    let without = parse(&IMAGE.replace("keep = true\n", "")).unwrap();
    assert_ne!(policy.digest(), without.digest());
    assert_eq!(without.digest(), parse(&IMAGE.replace("true", "false")).unwrap().digest());
    assert!(!without.canonical().contains("keep"), "the digests of older policies stay as they are");
    for access in ["read", "write", "overlay"] {
        let error = parse(&IMAGE.replace("\"image\"", &format!("\"{access}\""))).unwrap_err();
        let expected =
            format!("7: keep has no meaning for access = \"{access}\"; remove it, or set access = \"image\"");
        assert!(error.contains(&expected), "{error}");
    }
    for key in ["max_written = \"1MiB\"", "max_files = 1"] {
        let error = parse(&format!("{IMAGE}{key}\n")).unwrap_err();
        assert!(error.contains("has no meaning for access = \"image\"; remove it"), "{error}");
    }
}

#[test]
fn an_image_is_narrower_than_any_other_access_to_its_folder() {
    let with = |access: &str| parse(&IMAGE.replace("keep = true\n", "").replace("image", access)).unwrap();
    let image = parse(IMAGE).unwrap();
    for access in ["read", "overlay", "write"] {
        let other = with(access);
        assert!(crate::extends::Grant::covers(&other.files[0], &image.files[0]));
        assert!(crate::extends::Grant::bounds(&other.files[0], &image.files[0]).is_ok(), "{access} as an image");
        let error = crate::extends::Grant::bounds(&image.files[0], &other.files[0]).map(drop).unwrap_err();
        assert_eq!(error, format!("access = \"{access}\" instead of \"image\""));
    }
}
