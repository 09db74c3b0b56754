//! Sizes of rules and limits that have to agree.

use super::*;

fn load(text: &str) -> Policy {
    Policy::parse(&format!("version = 1\n{text}"), Path::new("/nowhere/policy.toml")).unwrap()
}

const DATA: &str = "[[files]]\nid = \"data\"\nguest = \"/data\"\nhost = \"data\"\naccess = \"write\"\n";
const SITE: &str = "[[fetch]]\nid = \"site\"\nurl = \"https://a.org/**\"\nmethods = [\"GET\"]\n";
const CHAT: &str = "[[websocket]]\nid = \"chat\"\nurl = \"wss://a.org/**\"\n";
const MIB: u64 = 1 << 20;

#[test]
fn one_call_carries_what_a_rule_spells_out_unless_the_file_says_what_it_carries() {
    for (rule, key) in [(DATA, "max_file"), (SITE, "max_request"), (SITE, "max_response"), (CHAT, "max_message")] {
        let spelled = |size: &str| format!("{rule}{key} = \"{size}\"\n");
        assert_eq!(load(&spelled("50MiB")).limits.bytes_per_call, 50 * MIB, "{key}");
        assert_eq!(load(&spelled("1KiB")).limits.bytes_per_call, 8 * MIB, "{key}");
        assert_eq!(load(&spelled("unlimited")).limits.bytes_per_call, 8 * MIB, "{key}");
        let fixed = load(&format!("[limits]\nbytes_per_call = \"2MiB\"\n{}", spelled("50MiB")));
        assert_eq!(fixed.limits.bytes_per_call, 2 * MIB, "{key}");
        let remark = format!("{key} = 50MiB of rule");
        assert!(
            fixed.remarks().iter().any(|one| one.starts_with(&remark) && one.contains("limits.bytes_per_call = 2MiB"))
        );
    }
}

#[test]
fn what_no_file_says_is_no_more_than_one_call_carries() {
    let policy = load(&format!("[limits]\nbytes_per_call = \"100KiB\"\n{DATA}{SITE}{CHAT}"));
    assert_eq!(policy.files[0].max_file, 100 << 10);
    assert_eq!((policy.fetch[0].terms.max_request, policy.fetch[0].terms.max_response), (100 << 10, 100 << 10));
    assert_eq!(policy.websocket[0].terms.max_message, 100 << 10);
    assert_eq!(load(&format!("{DATA}{SITE}{CHAT}")).files[0].max_file, 8 * MIB);
    for text in [
        "",
        DATA,
        SITE,
        CHAT,
        "[limits]\nbytes_per_call = \"100KiB\"\n[[files]]\nid = \"a\"\nguest = \"/a\"\nhost = \"a\"\naccess = \"read\"",
    ] {
        assert_eq!(load(text).remarks(), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_file_that_may_be_so_large_may_be_written_once() {
    assert_eq!(load(&format!("{DATA}max_file = \"80MiB\"\n")).files[0].max_written, 80 * MIB);
    assert_eq!(load(&format!("{DATA}max_file = \"1MiB\"\n")).files[0].max_written, 50 * MIB);
    let less = load(&format!("{DATA}max_file = \"2MiB\"\nmax_written = \"1MiB\"\n"));
    assert_eq!(less.remarks(), ["max_file = 2MiB of rule \"data\" holds for reading only: max_written = 1MiB"]);
}

#[test]
fn sizes_that_never_apply_are_told_with_what_is_smaller() {
    let remarks = |text: &str| load(text).remarks().join("\n");
    let journal = remarks(&format!("[limits]\njournal = \"8MiB\"\n{SITE}max_response = \"7MiB\"\n"));
    assert_eq!(
        journal,
        "max_response = 7MiB of rule \"site\" is more than limits.journal = 8MiB: what comes back is recorded"
    );
    let memory = remarks(&format!("[limits]\nmemory = \"16MiB\"\n{DATA}max_file = \"40MiB\"\n"));
    assert!(memory.contains("limits.bytes_per_call = 40MiB is more than limits.memory = 16MiB"), "{memory}");
    assert!(memory.contains("max_file = 40MiB of rule \"data\" is more than limits.memory = 16MiB"), "{memory}");
}

#[test]
fn a_section_of_a_function_that_carries_less_is_told() {
    let text = format!(
        "{DATA}max_file = \"40MiB\"\n[functions.small]\nlimits.bytes_per_call = \"1MiB\"\n[functions.none]\nfiles = []\nlimits.bytes_per_call = \"1MiB\"\n"
    );
    let expected = "for the function \"small\": max_file = 40MiB of rule \"data\" is more than limits.bytes_per_call = 1MiB: one call carries no more";
    assert_eq!(load(&text).remarks(), [expected]);
}

#[test]
fn a_policy_that_extends_another_keeps_what_one_call_carries_there() {
    let folder = tempfile::tempdir().unwrap();
    let base = |limits: &str| {
        std::fs::write(folder.path().join("base.toml"), format!("version = 1\n{limits}{DATA}max_file = \"40MiB\"\n"))
            .unwrap();
    };
    let child = |text: &str| {
        let file = folder.path().join("child.toml");
        std::fs::write(&file, format!("version = 1\nextends = [\"base.toml\"]\n{text}")).unwrap();
        Policy::load(&file)
    };
    base("");
    assert_eq!(child("").unwrap().limits.bytes_per_call, 40 * MIB);
    assert_eq!(child(&format!("{DATA}max_file = \"20MiB\"\n")).unwrap().limits.bytes_per_call, 40 * MIB);
    let narrowed = child("[limits]\nbytes_per_call = \"1MiB\"\n").unwrap();
    assert!(
        narrowed.remarks()[0].contains("max_file = 40MiB of rule \"data\" is more than limits.bytes_per_call = 1MiB")
    );
    base("[limits]\nbytes_per_call = \"2MiB\"\n");
    let same = child(&format!("{DATA}max_file = \"20MiB\"\n")).unwrap();
    assert_eq!((same.limits.bytes_per_call, same.remarks().len()), (2 * MIB, 1));
}
