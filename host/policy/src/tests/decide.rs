//! Which calls are allowed, under which rule, and what a denial says.

use super::*;

#[test]
fn paths_outside_the_grants_are_denied_before_any_effect() {
    let policy = example();
    let nearest = "nearest rule \"data\" grants read below \"/data\"";
    let long = format!("/data/{}", "x".repeat(256));
    let deep = "/data".to_owned() + &"/x".repeat(128);
    let longer = "/data".to_owned() + &"/x".repeat(2100);
    let cases = [
        ("/etc/passwd", "no [[files]] grant covers it"),
        ("/proc/self/environ", "no [[files]] grant covers it"),
        ("/dev/sda", "no [[files]] grant covers it"),
        ("/", "no [[files]] grant covers it"),
        ("/database", "no [[files]] grant covers it"),
        ("/DATA/x", "no [[files]] grant covers it"),
        ("", "path is not canonical: it does not start with \"/\""),
        ("data/x", "path is not canonical: it does not start with \"/\""),
        ("\\\\?\\C:", "path is not canonical: it does not start with \"/\""),
        ("/data/../../etc/passwd", "path is not canonical: it has a \"..\" component"),
        ("/data/..", "path is not canonical: it has a \"..\" component"),
        ("/data/./x", "path is not canonical: it has a \".\" component"),
        ("//data/x", "path is not canonical: it has an empty component"),
        ("/data//x", "path is not canonical: it has an empty component"),
        ("/data/", "path is not canonical: it has an empty component"),
        ("/data/x\0", "invalid path: it has a control character"),
        ("/data/\u{1b}[2J", "invalid path: it has a control character"),
        ("/data/x.", "invalid path: a component ends with a dot or a space"),
        ("/data/x /y", "invalid path: a component ends with a dot or a space"),
        ("/data/...", "invalid path: a component ends with a dot or a space"),
        (&long, "invalid path: a component is longer than 255 bytes"),
        (&deep, "invalid path: it has more than 128 components"),
        (&longer, "invalid path: it is longer than 4096 bytes"),
    ];
    for (path, why) in cases {
        let (rule, error) = decide(&policy, file(FileOperation::Read, path), &Usage::default()).unwrap_err();
        assert_eq!((rule.as_str(), error.code), ("data", ErrorCode::Denied), "{path}");
        assert_eq!(error.message, format!("files read {} ({why}; {nearest})", quoted(path)));
        assert_eq!(policy.resolve(path), None, "{path}");
    }
    let (rule, error) = decide(&policy, file(FileOperation::List, "/deep/other"), &Usage::default()).unwrap_err();
    assert_eq!(rule, "out");
    let expected = "files list \"/deep/other\" (no [[files]] grant covers it; nearest rule \"out\" grants write below \"/deep/out\")";
    assert_eq!(error.message, expected);
}

#[test]
fn a_guest_path_in_a_message_is_escaped_and_capped() {
    assert_eq!(quoted("a\"\n\u{202e}'"), r#""a\"\n\u{202e}'""#);
    let shown = quoted(&"\u{7f}".repeat(10_000));
    assert!(shown.chars().count() < 210 && shown.ends_with("...\""), "{shown}");
    assert_eq!(quoted(&"ü".repeat(200)).chars().count(), 202);
}

#[test]
fn grants_cover_their_root_and_what_is_below() {
    let policy = example();
    let used = Usage::default();
    assert_eq!(policy.resolve("/data"), Some((0, "")));
    assert_eq!(policy.resolve("/deep/out/a/b"), Some((1, "a/b")));
    for operation in [FileOperation::Read, FileOperation::List, FileOperation::Stat] {
        assert_eq!(decide(&policy, file(operation, "/data"), &used).unwrap(), "data");
        assert_eq!(decide(&policy, file(operation, "/deep/out/a b/ü"), &used).unwrap(), "out");
    }
    for (operation, name) in [(FileOperation::Write, "write"), (FileOperation::Remove, "remove")] {
        assert_eq!(decide(&policy, file(operation, "/deep/out/x"), &used).unwrap(), "out");
        let (rule, error) = decide(&policy, file(operation, "/data/x"), &used).unwrap_err();
        assert_eq!((rule.as_str(), error.code), ("data", ErrorCode::Denied));
        let why = "rule \"data\" grants read below \"/data\"; access = \"write\" would allow it";
        assert_eq!(error.message, format!("files {name} \"/data/x\" ({why})"));
        let (_, error) = decide(&policy, file(operation, "/deep/out"), &used).unwrap_err();
        assert_eq!(error.message, format!("files {name} \"/deep/out\" (it is the root of rule \"out\")"));
    }
    let whole = EXAMPLE.replace("\"/data\"", "\"/\"").replace("[[files]]\nid = \"out\"", "[ignored]");
    let whole = Policy::parse(&whole[..whole.find("[ignored]").unwrap()], Path::new("/nowhere/policy.toml")).unwrap();
    assert_eq!(whole.resolve("/"), Some((0, "")));
    assert_eq!(whole.resolve("/a/b"), Some((0, "a/b")));
}

#[test]
fn each_quota_ends_in_limit_exceeded() {
    let policy = example();
    let mut used = Usage::default();
    let mut go = |call: Call<'_>| {
        let outcome = decide(&policy, call, &used);
        if let Ok(rule) = &outcome {
            used.count(rule, &call, 0);
        }
        outcome.map_err(|(_, error)| {
            assert_eq!(error.code, ErrorCode::LimitExceeded);
            error.message
        })
    };
    let lookup = Call::Capability(CapabilityCall { name: "lookup", bytes: 10 });
    assert!(go(lookup).is_ok() && go(lookup).is_ok());
    assert_eq!(go(lookup).unwrap_err(), "capability \"lookup\" (rule \"capability.lookup\" allows max_calls = 2)");
    assert!(go(Call::Capability(CapabilityCall { name: "print", bytes: 1024 })).is_ok());
    assert_eq!(
        go(Call::Capability(CapabilityCall { name: "print", bytes: 1025 })).unwrap_err(),
        "capability \"print\" (1025 bytes in one call; limits.bytes_per_call = 1024)"
    );
    assert_eq!(
        go(Call::Random(RandomCall { bytes: 1 << 32 })).unwrap_err(),
        "random (4294967296 bytes in one call; limits.bytes_per_call = 1024)"
    );
    assert_eq!(
        go(write("/deep/out/a", 101)).unwrap_err(),
        "files write \"/deep/out/a\" (101 bytes; rule \"out\" allows max_file = 100)"
    );
    assert!(go(write("/deep/out/a", 100)).is_ok());
    assert!(go(write("/deep/out/a", 50)).is_ok(), "a path counts once");
    assert!(go(write("/deep/out/b", 50)).is_ok());
    assert_eq!(
        go(write("/deep/out/c", 0)).unwrap_err(),
        "files write \"/deep/out/c\" (rule \"out\" allows max_files = 2)"
    );
    assert_eq!(
        go(write("/deep/out/b", 51)).unwrap_err(),
        "files write \"/deep/out/b\" (51 bytes after 200 written before; rule \"out\" allows max_written = 250)"
    );
    assert!(go(write("/deep/out/b", 50)).is_ok());
    assert!(go(file(FileOperation::Remove, "/deep/out/b")).is_ok(), "removing costs nothing");
}

#[test]
fn folders_count_as_files() {
    let policy = example();
    let mut used = Usage::default();
    assert!(decide(&policy, write("/deep/out/a/b/c", 1), &used).is_err(), "two folders and a file");
    let (first, second) = (write("/deep/out/a/b", 1), write("/deep/out/a/c", 1));
    used.count(&decide(&policy, first, &used).unwrap(), &first, 0);
    assert!(decide(&policy, first, &used).is_ok());
    let (_, error) = decide(&policy, second, &used).unwrap_err();
    assert_eq!(error.message, "files write \"/deep/out/a/c\" (rule \"out\" allows max_files = 2)");
}

#[test]
fn usage_rebuilt_from_a_replay_equals_the_live_one() {
    let policy = example();
    let (mut live, mut replayed, mut recorded) = (Usage::default(), Usage::default(), Vec::new());
    let calls = (0..200u64).map(|n| match n % 5 {
        0 => write(["/deep/out/a", "/deep/out/b", "/deep/out/c"][(n % 3) as usize], n % 60),
        1 => Call::Capability(CapabilityCall { name: "lookup", bytes: n }),
        2 => Call::Capability(CapabilityCall { name: "print", bytes: n }),
        3 => Call::Clock(ClockCall),
        _ => file(FileOperation::Read, "/data/x"),
    });
    for call in calls {
        if let Verdict::Allow { rule } = policy.decide(&call, &live, 0) {
            live.count(rule, &call, 0);
            recorded.push((rule.to_owned(), call));
        }
    }
    recorded.iter().for_each(|(rule, call)| replayed.count(rule, call, 0));
    assert_eq!(live, replayed);
    assert_eq!(decide(&policy, write("/deep/out/c", 1), &live), decide(&policy, write("/deep/out/c", 1), &replayed));
}

#[test]
fn a_policy_borrows_only_the_folders_and_secrets_that_another_one_lends() {
    let parse = |rest: &str| Policy::parse(&format!("version = 1\n{rest}"), Path::new("/nowhere/policy.toml")).unwrap();
    let files = |guest: &str, host: &str, access: &str| {
        parse(&format!("[[files]]\nid = \"a\"\nguest = \"{guest}\"\nhost = \"{host}\"\naccess = \"{access}\"\n"))
    };
    let lent = files("/data", "/srv/data", "write");
    let (read, written) = (file(FileOperation::Read, "/data/x/y"), write("/data/x/y", 1));
    for (guest, host, access, reads, writes) in [
        ("/data", "/srv/data", "write", true, true),
        ("/data", "/srv/data", "overlay", true, true),
        ("/data/x", "/srv/data/x", "write", true, true),
        ("/data/x", "/srv/data", "write", false, false),
        ("/data", "/srv", "write", false, false),
        ("/data", "/srv/data/../other", "read", false, false),
        // It allows nothing there.
        ("/other", "/etc", "write", true, true),
    ] {
        let ours = files(guest, host, access);
        let told = [&read, &written].map(|call| call.borrows(&ours, &lent).is_none());
        assert_eq!(told, [reads, writes], "{guest} {host} {access}");
    }
    let scratch = parse("[[files]]\nid = \"a\"\nguest = \"/data\"\naccess = \"scratch\"\n");
    assert_eq!([written.borrows(&scratch, &lent), written.borrows(&scratch, &scratch)], [None, None]);
    let told = read.borrows(&lent, &scratch).unwrap();
    assert!(told.ends_with("(it would use /srv/data at /data; it may use a scratch folder at /data)"), "{told}");
    let ours = files("/data", "/etc", "read");
    assert_eq!(
        read.borrows(&ours, &lent).unwrap(),
        "files read \"/data/x/y\" (it would use /etc at /data; it may use /srv/data at /data)"
    );
    let overlay = files("/data", "/srv/data", "overlay");
    assert_eq!(read.borrows(&lent, &overlay), None);
    let told = written.borrows(&lent, &overlay).unwrap();
    assert!(told.ends_with("(it would write to the folder; access = \"overlay\")"), "{told}");

    let fetch = |secret: &str| {
        parse(&format!("[[fetch]]\nid = \"a\"\nurl = \"https://example.org/**\"\nmethods = [\"GET\"]\n{secret}\n"))
    };
    let [none, one, other] = ["", "env:ONE", "file:/other"].map(|from| match from {
        "" => fetch(""),
        from => fetch(&format!("secret = {{ header = \"x-key\", from = \"{from}\" }}")),
    });
    let url = crate::url::Target::parse("https://example.org/x").unwrap();
    let call = Call::Fetch(FetchCall { method: "GET", url: &url, bytes: 0 });
    for (ours, lends, told) in [
        (&none, &none, None),
        (&none, &one, None),
        (&one, &one, None),
        (&one, &none, Some("(it would use the secret from env:ONE; it may use none)")),
        (&other, &one, Some("(it would use the secret from file:/other; it may use that from env:ONE)")),
    ] {
        let borrowed = call.borrows(ours, lends);
        assert_eq!(borrowed.is_some(), told.is_some(), "{borrowed:?}");
        assert!(told.is_none_or(|told| borrowed.as_ref().unwrap().ends_with(told)), "{borrowed:?}");
    }
}
