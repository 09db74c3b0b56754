use super::*;

#[test]
fn what_lies_above_a_grant_leads_to_it_and_to_nothing_else() {
    let file = |guest: &str| {
        format!(
            "[[files]]\nid = \"r{}\"\nguest = \"{guest}\"\naccess = \"scratch\"\nmax_file = \"1KiB\"\nmax_written = \"1KiB\"\n",
            guest.len()
        )
    };
    let policy = |guests: &[&str]| {
        let text: String = guests.iter().map(|guest| file(guest)).collect();
        Policy::parse(&format!("version = 1\n{text}"), std::path::Path::new("p")).unwrap()
    };
    let names = |policy: &Policy, path: &str| {
        entries(policy, path).map(|entries| entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>())
    };
    let two = policy(&["/a/b/c", "/a/bcdef", "/x"]);
    for (path, expected) in [
        ("/", Some(vec!["a", "x"])),
        ("/a", Some(vec!["b", "bcdef"])),
        ("/a/b", Some(vec!["c"])),
        ("/a/b/c", None),
        ("/a/b/c/d", None),
        ("/x", None),
        ("/a/bc", None),
        ("/ax", None),
        ("/etc", None),
    ] {
        let expected = expected.map(|names| names.into_iter().map(str::to_owned).collect());
        assert_eq!(names(&two, path), expected, "{path}");
    }
    let looked = |policy: &Policy, path: &str| look(policy, path).map(|look| look.status.map(|status| status.kind));
    for path in ["/", "/a", "/a/b"] {
        assert_eq!(looked(&two, path), Some(Ok(Kind::Folder)), "{path}");
    }
    for path in ["/y", "/<string>", "/a/bc", "/a/b/d"] {
        assert_eq!(looked(&two, path), Some(Err(Errno::NoEntry)), "{path}");
    }
    for path in ["/x", "/x/y", "/a/b/c", "/etc/passwd", "/a/bc/d"] {
        assert_eq!(looked(&two, path), None, "{path}");
    }
    assert_eq!(names(&Policy::none(), "/"), Some(vec![]));
    assert_eq!(names(&policy(&["/"]), "/"), None);
}
