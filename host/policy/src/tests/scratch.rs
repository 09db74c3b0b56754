//! `access = "scratch"`: a folder without one of the host.

use super::*;

const SCRATCH: &str = "version = 1\n[[files]]\nid = \"tmp\"\nguest = \"/tmp\"\naccess = \"scratch\"\nmax_files = 2\n";

fn parse(toml: &str) -> Result<Policy, String> {
    Policy::parse(toml, Path::new("/nowhere/policy.toml")).map_err(|error| error.to_string())
}

#[test]
fn a_scratch_is_written_to_like_a_folder_and_has_none() {
    let policy = parse(SCRATCH).unwrap();
    let used = Usage::default();
    assert_eq!((policy.files[0].access, policy.files[0].host.as_os_str().len()), (Access::Scratch, 0));
    assert!(decide(&policy, write("/tmp/a", 1), &used).is_ok());
    assert!(decide(&policy, file(FileOperation::Remove, "/tmp/a"), &used).is_ok());
    assert!(decide(&policy, write("/tmp/a/b/c", 1), &used).is_err(), "three, with the folders");
    assert!(decide(&policy, write("/tmp", 1), &used).is_err());
    assert_eq!(policy.writable_at(Path::new("/nowhere/tmp")), None);
    assert_eq!(policy.paths().filter(|named| named.rule == Some("tmp")).count(), 0);
    let again = parse(&crate::tools::to_toml(&policy)).unwrap();
    assert_eq!(again.files, policy.files);
    assert_ne!(policy.digest(), parse(&SCRATCH.replace("/tmp", "/t")).unwrap().digest());
}

#[test]
fn only_a_scratch_has_no_folder() {
    let with_host = SCRATCH.replace("access", "host = \"x\"\naccess");
    let error = parse(&with_host).unwrap_err();
    assert!(error.contains("5: rule \"tmp\" names a folder of the host, and a scratch has none; remove it"), "{error}");
    let error = parse(&SCRATCH.replace("scratch", "overlay")).unwrap_err();
    assert!(error.contains("3: rule \"tmp\" names no folder of the host; add host = "), "{error}");
}

#[test]
fn only_a_scratch_covers_a_scratch() {
    let tmp = parse(SCRATCH).unwrap();
    let covers = |base: &str, child: &str| {
        let (base, child) = (parse(base).unwrap(), parse(child).unwrap());
        crate::extends::Grant::covers(&base.files[0], &child.files[0])
    };
    assert!(covers(SCRATCH, SCRATCH));
    assert!(covers(SCRATCH, &SCRATCH.replace("\"/tmp\"", "\"/tmp/below\"")));
    assert!(!covers(SCRATCH, &SCRATCH.replace("\"/tmp\"", "\"/other\"")));
    for access in ["read", "overlay", "write"] {
        let folder =
            format!("version = 1\n[[files]]\nid = \"tmp\"\nguest = \"/tmp\"\nhost = \"x\"\naccess = \"{access}\"\n");
        assert!(!covers(&folder, SCRATCH), "a scratch takes memory that {access} does not");
        assert!(!covers(SCRATCH, &folder), "{access} reaches a folder");
    }
    assert_eq!(tmp.files[0].first_folders(), [""; 0]);
    assert_eq!(parse(&SCRATCH.replace("\"/tmp\"", "\"/\"")).unwrap().files[0].first_folders(), ["tmp"]);
}

#[test]
fn the_calls_of_programs_are_decided_like_those_of_our_own_interface() {
    let policy = example();
    let used = Usage::default();
    for operation in [FileOperation::Save, FileOperation::MakeFolder, FileOperation::Rename, FileOperation::SetTimes] {
        assert!(decide(&policy, file(operation, "/deep/out/a"), &used).is_ok(), "{operation:?}");
        assert!(decide(&policy, file(operation, "/data/a"), &used).is_err(), "{operation:?} where it may only read");
        assert!(decide(&policy, file(operation, "/deep/out"), &used).is_err(), "{operation:?} of the root");
    }
    let policy = parse(&format!("{SCRATCH}[limits]\nbytes_per_call = \"1KiB\"\n")).unwrap();
    let save = |bytes| Call::Files(FilesCall { operation: FileOperation::Save, path: "/tmp/a", bytes });
    assert!(decide(&policy, write("/tmp/a", 1_025), &used).is_err());
    assert!(decide(&policy, save(1_024), &used).is_ok());
    let unsaved = |files: &[(&str, u64)]| policy.is_over_files_quota(files, &used);
    assert!(!unsaved(&[("/tmp/a", 1), ("/tmp/b", 1)]));
    assert!(unsaved(&[("/tmp/a", 1), ("/tmp/b", 1), ("/tmp/c", 1)]), "max_files = 2");
    assert!(unsaved(&[("/tmp/a", 60 << 20)]), "max_written");
}
