//! What is wrong with a policy file, and where.

use super::*;

fn load_error(toml: &str) -> String {
    Policy::parse(toml, Path::new("/nowhere/policy.toml")).unwrap_err().to_string()
}

/// Compares the load error of each policy with `LINE: MESSAGE`.
fn expect(cases: &[(String, &str)]) {
    let wrong = cases.iter().map(|(toml, expected)| (load_error(toml), format!("/nowhere/policy.toml:{expected}")));
    let wrong = wrong.filter(|(got, expected)| got != expected).collect::<Vec<_>>();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A policy with `rest` from line 2 on.
fn one(rest: &str) -> String {
    format!("version = 1\n{rest}")
}

/// A policy that grants one writable folder; `access` is its line 6, the last.
const FILES: &str = "version = 1\n[[files]]\nid = \"a\"\nguest = \"/a\"\nhost = \"a\"\naccess = \"write\"\n";

/// `FILES` with another value for one key.
fn with(key: &str, value: &str) -> String {
    let line = FILES.lines().find(|line| line.starts_with(key)).unwrap();
    FILES.replace(line, &format!("{key} = {value}"))
}

/// `FILES` and a second rule.
fn second(id: &str, guest: &str, host: &str) -> String {
    format!("{FILES}[[files]]\nid = \"{id}\"\nguest = \"{guest}\"\nhost = \"{host}\"\naccess = \"read\"\n")
}

#[test]
fn load_errors_name_line_and_remedy_for_keys_and_types() {
    expect(&[
        (String::new(), "1: missing key `version`; add it"),
        ("version = 2".into(), "1: version 2 is not known to this build; write version = 1"),
        ("version = \"1\"".into(), "1: invalid type: string \"1\", expected u64; correct the value"),
        (one("name ="), "2: string values must be quoted, expected literal string; correct the value"),
        (one("[limits]\nwall = \"1s\"\nwall = \"2s\""), "4: duplicate key; correct the line"),
        (
            one("colour = 1"),
            "2: unknown key `colour`; its section takes `version`, `name`, `extends`, `limits`, `env`, `python`, `clock`, `random`, `capability`, `files`, `fetch`, `websocket`, `network`, `ask`, `functions`, `audit`",
        ),
        (
            one("[limits]\ncpus = 1"),
            "3: unknown key `cpus`; its section takes `wall`, `cpu`, `session_cpu`, `memory`, `table_elements`, `wasm_stack`, `steps`, `in_flight`, `bytes_per_call`, `output`, `result`, `journal`, `pending_promises`, `lineage`",
        ),
        (one("[random]\nmode = \"seeded\"\nseed = 1"), "4: unknown key `seed`; its section takes `mode`"),
        (one("[clock]"), "2: missing key `mode`; add it"),
        (
            one("[clock]\nmode = \"live\""),
            "3: unknown variant `live`, expected one of `recorded`, `frozen`, `deny`; correct the value",
        ),
        (
            one("[random]\nmode = true"),
            "3: the value is no string; write one of the words that this key takes, in quotes",
        ),
        (one("[env]\nA = 1"), "3: invalid type: integer `1`, expected a string; correct the value"),
        (
            one("[env]\n\"A=B\" = \"\""),
            "3: \"A=B\" is no environment variable; use a name without \"=\", and no NUL in name or value",
        ),
        (one("name = \"\""), "2: \"\" is no name of a policy; use 1 to 128 bytes without control characters"),
    ]);
}

#[test]
fn load_errors_name_line_and_remedy_for_units_and_bounds() {
    expect(&[
        (
            one("[limits]\nmemory = 1024"),
            "3: invalid type: integer `1024`, expected a size with its unit (B, KiB, MiB, GiB or TiB), such as \"10MiB\", or \"unlimited\"; correct the value",
        ),
        (
            one("[limits]\noutput = \"10MB\""),
            "3: invalid value: string \"10MB\", expected a size with its unit (B, KiB, MiB, GiB or TiB), such as \"10MiB\", or \"unlimited\"; correct the value",
        ),
        (
            one("[limits]\nwall = \"5 s\""),
            "3: invalid value: string \"5 s\", expected a time with its unit (ms, s, m, h or d), such as \"30s\", or \"unlimited\"; correct the value",
        ),
        (one("[limits]\nwall = \"0s\""), "3: limits.wall is zero; write at least \"1ms\""),
        (
            one("[limits]\nsteps = -1"),
            "3: invalid value: integer `-1`, expected a whole number, such as 1_000, or \"unlimited\"; correct the value",
        ),
        (
            one("[limits]\nsteps = \"many\""),
            "3: invalid value: string \"many\", expected a whole number, such as 1_000, or \"unlimited\"; correct the value",
        ),
        (
            one("[limits]\nsteps = 1.5"),
            "3: invalid type: floating point `1.5`, expected a whole number, such as 1_000, or \"unlimited\"; correct the value",
        ),
        (
            one("[limits]\nmemory = \"5GiB\""),
            "3: limits.memory lies between 65536 and 4294967296 bytes; the engine has these bounds: write a size within them",
        ),
        (
            one("[limits]\nmemory = \"unlimited\""),
            "3: limits.memory lies between 65536 and 4294967296 bytes; the engine has these bounds: write a size within them",
        ),
        (
            one("[limits]\nwasm_stack = \"1KiB\""),
            "3: limits.wasm_stack lies between 65536 and 67108864 bytes; the engine has these bounds: write a size within them",
        ),
        (
            one("[limits]\nresult = \"99999999999999999TiB\""),
            "3: invalid value: string \"99999999999999999TiB\", expected a size with its unit (B, KiB, MiB, GiB or TiB), such as \"10MiB\", or \"unlimited\"; correct the value",
        ),
    ]);
}

#[test]
fn load_errors_name_line_and_remedy_for_the_clock() {
    expect(&[
        (
            one("[clock]\nmode = \"frozen\""),
            "3: clock.mode = \"frozen\" needs the moment; add at = \"2026-01-31T12:00:00Z\" (RFC 3339)",
        ),
        (
            one("[clock]\nmode = \"frozen\"\nat = \"noon\""),
            "4: clock.at is no moment since 1970; write it after RFC 3339, such as \"2026-01-31T12:00:00Z\"",
        ),
        (
            one("[clock]\nmode = \"frozen\"\nat = \"1969-01-31T12:00:00Z\""),
            "4: clock.at is no moment since 1970; write it after RFC 3339, such as \"2026-01-31T12:00:00Z\"",
        ),
        (
            one("[clock]\nmode = \"recorded\"\nat = 2026-01-31T12:00:00Z"),
            "4: clock.at has a meaning for mode = \"frozen\" only; remove it, or set mode = \"frozen\"",
        ),
    ]);
}

#[test]
fn load_errors_name_line_and_remedy_for_capabilities() {
    expect(&[
        (
            one("[[capability]]\nname = \"print\"\ntimeout = \"1s\""),
            "4: timeout has no meaning for \"print\", which never waits; remove it",
        ),
        (
            one("[[capability]]\nname = \"display\"\ntimeout = \"unlimited\""),
            "4: timeout has no meaning for \"display\", which never waits; remove it",
        ),
        (
            one("[[capability]]\nname = \"a\"\n[[capability]]\nname = \"a\""),
            "5: \"a\" is taken by the rule on line 3; give each rule a name of its own",
        ),
        (
            one("[[capability]]\nname = \"*\""),
            "3: \"*\" is no name of a capability; use 1 to 128 of the characters a-z, A-Z, 0-9, '-', '_', '.', ':' and '/'",
        ),
        (
            one("[[capability]]\nname = \"clock\""),
            "3: \"clock\" is not granted by name; use the section that has this name",
        ),
        (one("[[capability]]\nmax_calls = 1"), "2: missing key `name`; add it"),
    ]);
}

#[test]
fn load_errors_name_line_and_remedy_for_files() {
    expect(&[
        (second("a", "/b", "b"), "8: \"a\" is taken by the rule on line 3; give each rule a name of its own"),
        (
            second("b", "/a/b", "b"),
            "9: the guest path \"/a/b\" overlaps that of rule \"a\"; give each rule a path outside the others",
        ),
        (
            second("b", "/", "b"),
            "9: the guest path \"/\" overlaps that of rule \"a\"; give each rule a path outside the others",
        ),
        (
            second("b", "/b", "a/deep"),
            "10: the host folder overlaps that of rule \"a\", and one of them is writable; keep a writable folder apart from the others",
        ),
        (
            second("b", "/b", "c/../a"),
            "10: the host folder overlaps that of rule \"a\", and one of them is writable; keep a writable folder apart from the others",
        ),
        (
            second("b", "/b", "../nowhere"),
            "10: the host folder overlaps that of rule \"a\", and one of them is writable; keep a writable folder apart from the others",
        ),
        (with("id", "\"default\""), "3: \"default\" is the id of a built-in rule; choose another"),
        (
            with("id", "\"capability.print\""),
            "3: \"capability.print\" is no id of a rule; use 1 to 64 of the characters a-z, A-Z, 0-9, '-' and '_'",
        ),
        (
            with("guest", "\"\""),
            "4: \"\" is no guest path (path is not canonical: it does not start with \"/\"); write an absolute path, such as \"/data\"",
        ),
        (
            with("guest", "\"/a/\""),
            "4: \"/a/\" is no guest path (path is not canonical: it has an empty component); write an absolute path, such as \"/data\"",
        ),
        (
            with("guest", "\"/a/../b\""),
            "4: \"/a/../b\" is no guest path (path is not canonical: it has a \"..\" component); write an absolute path, such as \"/data\"",
        ),
        (with("host", "\"\""), "5: \"\" is no path of the host; write a path, such as \"./data\""),
        (
            with("access", "\"all\""),
            "6: unknown variant `all`, expected one of `image`, `read`, `scratch`, `overlay`, `write`; correct the value",
        ),
        (
            with("access", "[\"read\"]"),
            "6: the value is no string; write one of the words that this key takes, in quotes",
        ),
        (
            with("access", "\"read\"\nmax_written = \"1B\""),
            "7: max_written has no meaning for access = \"read\"; remove it, or set access = \"write\"",
        ),
        (
            with("access", "\"read\"\nmax_files = 1"),
            "7: max_files has no meaning for access = \"read\"; remove it, or set access = \"write\"",
        ),
        (
            with("access", "\"write\"\nmax_file = 1"),
            "7: invalid type: integer `1`, expected a size with its unit (B, KiB, MiB, GiB or TiB), such as \"10MiB\", or \"unlimited\"; correct the value",
        ),
        (
            with("host", "\".\""),
            "5: rule \"a\" lets the guest rewrite this policy file; grant a folder that does not hold it",
        ),
        (
            format!("{FILES}[audit]\nfile = \"a/log\""),
            "8: rule \"a\" lets the guest rewrite the audit log; grant a folder that does not hold it",
        ),
        (
            format!("{FILES}[python]\ncomponent = \"a/python.wasm\""),
            "8: rule \"a\" lets the guest replace the component of Python; grant a folder that does not hold it",
        ),
    ]);
}

#[test]
fn load_errors_name_line_and_remedy_for_the_audit_log() {
    expect(&[
        (
            one("[audit]\nfile = \"a\"\non_failure = \"allow\""),
            "4: unknown variant `allow`, expected `deny`; correct the value",
        ),
        (one("[audit]"), "2: missing key `file`; add it"),
    ]);
}

#[test]
fn load_errors_name_line_and_remedy_for_python() {
    expect(&[
        (one("[python]"), "2: missing key `component`; add it"),
        (one("[python]\ncomponent = \"\""), "3: \"\" is no path of the host; write a path, such as \"./data\""),
    ]);
}

#[test]
fn a_policy_names_science_as_commands_do() {
    let named = |component: &str| {
        let toml = one(&format!("[python]\ncomponent = \"{component}\""));
        let policy = Policy::parse(&toml, Path::new("/nowhere/policy.toml")).unwrap();
        policy.python.unwrap().to_string_lossy().into_owned()
    };
    assert_eq!(named("science"), "science");
    assert_eq!(named("./science"), "/nowhere/science", "a file of that name");
    let granted = FILES.replace("host = \"a\"", "host = \"science\"");
    Policy::parse(&format!("{granted}[python]\ncomponent = \"science\""), Path::new("/nowhere/policy.toml")).unwrap();
}

#[test]
fn a_missing_policy_file_says_so() {
    let error = Policy::load(Path::new("/nowhere/policy.toml")).unwrap_err().to_string();
    assert_eq!(error, "cannot read the policy /nowhere/policy.toml; check the path, and that the file is UTF-8 text");
}

#[test]
fn a_link_does_not_hide_that_folders_overlap() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("a")).unwrap();
    std::os::unix::fs::symlink("a", folder.path().join("alias")).unwrap();
    let toml = "version=1\n[[files]]\nid='a'\nguest='/a'\nhost='a'\naccess='write'\n[[files]]\nid='b'\nguest='/b'\nhost='alias/x'\naccess='read'";
    let error = Policy::parse(toml, &folder.path().join("policy.toml")).unwrap_err().to_string();
    assert!(error.contains("overlaps that of rule \"a\""), "{error}");
}
