//! What single functions keep.

use super::load_web::WEB;
use super::*;
use crate::url::Target;

fn policy(rest: &str) -> Policy {
    let files = "[[files]]\nid = \"f\"\nguest = \"/f\"\nhost = \"f\"\naccess = \"read\"\n";
    let capabilities = "[[capability]]\nname = \"print\"\n[[capability]]\nname = \"send-mail\"\n";
    Policy::parse(&format!("{WEB}{rest}{files}{capabilities}"), Path::new("/nowhere/policy.toml")).unwrap()
}

fn ids(policy: &Policy) -> Vec<&str> {
    let fetch = policy
        .fetch
        .iter()
        .map(|grant| grant.id.as_str())
        .chain(policy.websocket.iter().map(|grant| grant.id.as_str()));
    let files = policy.files.iter().map(|grant| grant.id.as_str());
    fetch.chain(files).chain(policy.capabilities.iter().map(CapabilityGrant::name)).collect()
}

#[test]
fn a_function_keeps_what_its_section_lists() {
    let policy =
        policy("websocket = [\"other\"]\ncapability = [\"print\"]\n[functions.silent]\nfetch = []\nwebsocket = []\n");
    assert!(matches!(policy.for_function("other"), Cow::Borrowed(_)));
    let summarise = policy.for_function("summarise");
    assert_eq!(ids(&summarise), ["gh-read", "other", "print"]);
    assert_eq!(summarise.limits, Limits { cpu: Duration::from_secs(2), ..policy.limits.clone() });
    assert_eq!(summarise.for_function("summarise"), summarise);
    assert_eq!(ids(&policy.for_function("silent")), ["f", "print", "send-mail"]);
    // A called function has no more than its caller.
    assert_eq!(ids(&summarise.for_function("silent")), ["print"]);
    assert_eq!(summarise.for_function("silent").limits, summarise.limits);
    assert_eq!(policy.for_function("silent").for_function("summarise"), summarise.for_function("silent"));
}

#[test]
fn a_function_that_lists_nothing_of_a_section_has_none_of_its_rules() {
    for (section, _) in FunctionGrant::of(&Limits::default()).lists() {
        let policy = policy(&format!("[functions.one]\n{} = []\n", section.key()));
        assert!(!section.rules(&policy).is_empty(), "{}", section.key());
        assert_eq!(section.rules(&policy.for_function("one")), Vec::<&str>::new(), "{}", section.key());
    }
}

#[test]
fn every_name_that_a_function_may_have_leads_to_the_section_of_each() {
    let section = |name: &str| policy(&format!("[functions.\"{name}\"]\ncapability = [\"print\"]\n"));
    let names = ["area", "docs:shapes/sizes#area", "docs:shapes/sizes@1.0.0#area", "docs:shapes/sizes@2.0.0#area"];
    for known in names {
        for called in names {
            assert_eq!(ids(&section(known).for_function(called)).last(), Some(&"print"), "{known} {called}");
        }
        for other in ["volume", "docs:shapes/others#area#", "docs:shapes/others@1.0.0#volume", "docs:shapes/sizes"] {
            assert!(matches!(section(known).for_function(other), Cow::Borrowed(_)), "{known} {other}");
        }
    }
    assert!(matches!(section(names[1]).for_function("docs:shapes/others#area"), Cow::Borrowed(_)));
}

#[test]
fn an_approval_is_enough_for_a_function_that_lists_it() {
    let delete = Target::parse("https://api.github.com/x").unwrap();
    let call = Call::Fetch(FetchCall { method: "DELETE", url: &delete, bytes: 0 });
    let policy = policy("[functions.silent]\nfetch = []\n[functions.read]\nfetch = [\"gh-read\"]\n");
    for (function, enough) in [("any", true), ("summarise", true), ("silent", false), ("read", false)] {
        let policy = policy.for_function(function);
        let verdict = policy.decide(&call, &Usage::default(), 0);
        assert_eq!(matches!(verdict, Verdict::Ask { .. }), enough, "{function}: {verdict:?}");
    }
}

#[test]
fn an_approval_does_not_take_the_place_of_a_grant_that_a_function_does_not_keep() {
    let toml = "version = 1\n[[fetch]]\nid = \"post\"\nurl = \"https://ok.com/**\"\nmethods = [\"POST\"]\nmax_calls = 0\n[[ask]]\nwhen = \"fetch\"\n[functions.f]\nfetch = [\"ask.1\"]\n";
    let policy = Policy::parse(toml, Path::new("policy.toml")).unwrap();
    let (ok, other) = (Target::parse("https://ok.com/").unwrap(), Target::parse("https://other.com/").unwrap());
    for url in [&ok, &other] {
        let call = Call::Fetch(FetchCall { method: "POST", url, bytes: 0 });
        assert!(matches!(policy.for_function("f").decide(&call, &Usage::default(), 0), Verdict::Deny { .. }));
    }
}
