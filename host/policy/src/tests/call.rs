//! Calls of functions, in the group of the caller and in other groups.

use super::*;
use crate::audit::Line;
use crate::tools::{diff, explain, suggest, to_toml};

fn load(rest: &str) -> Policy {
    Policy::parse(&format!("version = 1\n{rest}"), Path::new("/nowhere/policy.toml")).unwrap()
}

fn granted(groups: &str) -> Policy {
    load(&format!("[[capability]]\nname = \"call\"\nmax_calls = 2\ntimeout = \"5s\"\ngroups = {groups}\n"))
}

fn call(group: Option<&'static str>, function: &'static str) -> Call<'static> {
    Call::Function(FunctionCall { group, function, bytes: 10 })
}

/// The denial; empty if there is none.
fn denial(policy: &Policy, group: Option<&'static str>, function: &'static str) -> String {
    match policy.decide(&call(group, function), &Usage::default(), 0) {
        Verdict::Deny { error, .. } => error.to_string(),
        Verdict::Allow { .. } | Verdict::Ask { .. } => String::new(),
    }
}

#[test]
fn a_function_of_another_group_is_called_only_if_the_grant_names_it() {
    let nothing = load("");
    assert_eq!(denial(&nothing, None, "f"), "denied: capability \"call\" (no [[capability]] grant has this name)");
    let own = granted("[]");
    assert_eq!(denial(&own, None, "f"), "");
    assert_eq!(
        denial(&own, Some("cards"), "charge"),
        "denied: capability \"call\" of \"cards/charge\" (rule \"capability.call\" has groups = [], without it)"
    );
    let some = granted(r#"["orders", "cards/charge"]"#);
    for (group, function, allowed) in [
        (None, "any", true),
        (Some("orders"), "any", true),
        (Some("cards"), "charge", true),
        (Some("cards"), "refund", false),
        (Some("cards"), "charge/x", false),
        (Some("order"), "s", false),
    ] {
        assert_eq!(denial(&some, group, function).is_empty(), allowed, "{group:?} {function}");
    }
}

#[test]
fn the_bounds_and_the_approvals_of_the_grant_hold_for_other_groups_too() {
    let policy = granted(r#"["cards"]"#);
    let (call, mut used) = (call(Some("cards"), "charge"), Usage::default());
    assert_eq!(call.time_allowed(&policy, "capability.call"), Some(Duration::from_secs(5)));
    for _ in 0..2 {
        assert_eq!(policy.decide(&call, &used, 0), Verdict::Allow { rule: "capability.call" });
        used.count("capability.call", &call, 0);
    }
    let Verdict::Deny { error, .. } = policy.decide(&call, &used, 0) else { panic!("a third call is allowed") };
    assert!(error.code == ErrorCode::LimitExceeded && error.message.contains("max_calls = 2"), "{error}");
    let asks = load("[[ask]]\nwhen = \"call\"\n[[capability]]\nname = \"call\"\ngroups = [\"cards\"]\n");
    assert!(matches!(asks.decide(&call, &Usage::default(), 0), Verdict::Ask { terms: "capability.call", .. }));
    let small = load("[limits]\nbytes_per_call = \"9B\"\n[[capability]]\nname = \"call\"\ngroups = [\"cards\"]\n");
    assert!(denial(&small, Some("cards"), "charge").contains("10 bytes in one call"));
}

#[test]
fn groups_that_mean_nothing_are_errors_of_the_file() {
    for (rule, why) in [
        (
            "name = \"mail\"\ngroups = [\"g\"]",
            "groups has no meaning for \"mail\", which is not called in another group; remove it",
        ),
        (
            "name = \"call\"\ngroups = [\"a group\"]",
            "\"a group\" is no worker group, and no function of one; write \"GROUP\" or \"GROUP/FUNCTION\"",
        ),
        ("name = \"call\"\ngroups = [\"g/\"]", "\"g/\" is no worker group"),
        ("name = \"call\"\ngroups = [\"/f\"]", "\"/f\" is no worker group"),
        ("name = \"call\"\ngroups = [\"g/a\\u0007\"]", "is no worker group"),
    ] {
        let text = format!("version = 1\n[[capability]]\n{rule}\n");
        let error = Policy::parse(&text, Path::new("/nowhere/policy.toml")).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/policy.toml:4: ") && error.contains(why), "{error}");
    }
}

#[test]
fn a_policy_that_extends_another_may_name_fewer_groups_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let rule = |groups: &str| format!("[[capability]]\nname = \"call\"\ngroups = {groups}\n");
    let write = |name: &str, groups: &str| {
        std::fs::write(folder.path().join(name), format!("version = 1\n{}", rule(groups))).unwrap();
    };
    write("one.toml", r#"["orders", "cards/charge", "cards/refund"]"#);
    write("two.toml", r#"["cards", "orders/list"]"#);
    let child = |bases: &str, rest: &str| {
        Policy::parse(&format!("version = 1\nextends = {bases}\n{rest}"), &folder.path().join("child.toml"))
    };
    for (groups, fits) in
        [("[]", true), (r#"["orders/any", "cards/charge"]"#, true), (r#"["cards"]"#, false), (r#"["mail"]"#, false)]
    {
        let error = child(r#"["one.toml"]"#, &rule(groups)).err().map(|error| error.to_string());
        assert_eq!(error.is_none(), fits, "{groups}: {error:?}");
        assert!(error.is_none_or(|error| error.contains("capability \"call\" has a wider groups")));
    }
    // From several it inherits what all of them name.
    let both = child(r#"["one.toml", "two.toml"]"#, "").unwrap();
    let allowed = [("orders", "list"), ("cards", "charge"), ("cards", "refund")];
    assert!(allowed.iter().all(|(group, function)| denial(&both, Some(group), function).is_empty()));
    assert!(!denial(&both, Some("orders"), "remove").is_empty() && !denial(&both, Some("cards"), "any").is_empty());
    let wider = diff(&granted(r#"["cards/charge"]"#), &granted(r#"["cards"]"#));
    assert!(wider.iter().any(|change| change.what.contains("more groups (groups)")), "{wider:?}");
}

#[test]
fn groups_are_kept_and_shown_and_a_policy_without_them_keeps_its_digest() {
    let policy = granted(r#"["orders", "cards/charge", "orders"]"#);
    assert_eq!(Policy::from_canonical(&policy.canonical()).unwrap(), policy);
    assert!(to_toml(&policy).contains("groups = [\"orders\", \"cards/charge\"]\n"), "{}", to_toml(&policy));
    assert_eq!(load(&to_toml(&policy).replace("version = 1\n", "")), policy);
    assert!(!granted("[]").canonical().contains("groups"));
}

#[test]
fn the_tools_explain_and_suggest_calls_of_other_groups() {
    let told = explain(&granted(r#"["orders"]"#), None, "call", "orders/list").unwrap();
    assert_eq!((told.decision, told.rule.as_str()), ("allow", "capability.call"));
    let told = explain(&granted(r#"["orders"]"#), None, "call", "cards/charge").unwrap();
    let why = Some("add it to the groups of the rule \"capability.call\"");
    assert_eq!((told.decision, told.would_allow.as_deref(), told.no_rule), ("deny", None, why));
    let told = explain(&load(""), None, "functions.call", "cards/charge").unwrap();
    let rule = "[[capability]]\nname = \"call\"\nmax_calls = 1\ngroups = [\"cards/charge\"]\n";
    assert_eq!(told.would_allow.as_deref(), Some(rule));
    let line = |subject: &str| {
        let (capability, decision) = ("functions.call".to_owned(), "deny".to_owned());
        Line { capability, subject: subject.to_owned(), decision, ..Line::default() }
    };
    let log = [(1, line("lines")), (2, line("cards/charge")), (3, line("orders/list"))];
    let suggested = suggest(log, None);
    let rule = "[[capability]]\nname = \"call\"\nmax_calls = 3\ngroups = [\"cards/charge\", \"orders/list\"]\n";
    assert_eq!((suggested.rules.len(), suggested.rules[0].toml.as_str()), (1, rule));
}
