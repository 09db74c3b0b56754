//! Policies that others narrow: `[functions.NAME]`, and files that extend others.

use crate::network::servers::ok;
use crate::site::Site;
use crate::support::{Place, failure, outcome, parse, result, run};
use everstep::policy::Error;
use everstep::store::{FailureKind, State};
use everstep::{ErrorCode, Policy, Report, Run, Scope};
use serde_json::json;

/// How a run ends in a fresh place of that kind.
fn ends(place: &Place, policy: &Policy, function: &str, args: &str) -> Report {
    outcome(place.another().host().scope(Scope::Started), Run { policy: policy.clone(), ..run(function, args) })
}

#[track_caller]
fn is_denied(report: &Report) {
    assert_eq!(failure(report).0, FailureKind::Returned(ErrorCode::Denied), "{report:?}");
}

fn network(site: &Site) -> String {
    format!(
        "[network]\nblock = [\"non-global\"]\nallow = [\"127.0.0.1/32\"]\n\
         [[fetch]]\nid = \"site\"\nurl = \"{}\"\nmethods = [\"GET\"]\n\
         [[websocket]]\nid = \"chat\"\nurl = \"ws://{}/**\"\n[[capability]]\nname = \"call\"\n[[capability]]\nname = \"print\"\n",
        site.url("/**"),
        site.address()
    )
}

#[test]
pub(super) fn a_function_section_takes_grants_of_the_network_away() {
    for place in Place::each() {
        let site = Site::start(|_| ok("fine"));
        let all = network(&site);
        let fetch = json!({ "url": site.url("/") }).to_string();
        assert_eq!(ends(&place, &parse(&all), "fetches", &fetch).state, State::Completed);
        assert_eq!(
            ends(&place, &parse(&format!("{all}[functions.other]\nfetch = []")), "fetches", &fetch).state,
            State::Completed
        );
        let before = site.connections();
        is_denied(&ends(&place, &parse(&format!("{all}[functions.fetches]\nfetch = []")), "fetches", &fetch));
        let talk = json!({ "url": format!("ws://{}/", site.address()), "say": [] }).to_string();
        is_denied(&ends(&place, &parse(&format!("{all}[functions.talks]\nwebsocket = []")), "talks", &talk));
        assert_eq!(site.connections(), before);
        for kept in ["", "[functions.talks]\nwebsocket = [\"chat\"]"] {
            let before = site.connections();
            // It gets as far as the server, which speaks no WebSocket.
            let report = ends(&place, &parse(&format!("{all}{kept}")), "talks", &talk);
            assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::Failed), "{kept}");
            assert_eq!(site.connections(), before + 1);
        }
    }
}

#[test]
pub(super) fn a_function_section_takes_folders_and_capabilities_away() {
    for place in Place::each() {
        let folder = tempfile::tempdir().unwrap();
        let all = format!(
            "[[files]]\nid = \"out\"\nguest = \"/out\"\nhost = \"{}\"\naccess = \"write\"\n[[capability]]\nname = \"print\"\n",
            folder.path().display()
        );
        let told = |policy: &str| {
            let report = ends(&place, &parse(policy), "writes_files", r#"[["/out/a"],"text"]"#);
            serde_json::from_str::<Vec<String>>(result(&report)).unwrap().remove(0)
        };
        assert!(told(&format!("{all}[functions.writes_files]\nfiles = []")).starts_with("denied"));
        assert!(!folder.path().join("a").exists());
        assert_eq!(told(&all), "written");
        assert_eq!(result(&ends(&place, &parse(&all), "prints", r#""x""#)), r#""x""#);
        is_denied(&ends(&place, &parse(&format!("{all}[functions.prints]\ncapability = []")), "prints", r#""x""#));
    }
}

#[test]
pub(super) fn a_function_section_bounds_every_limit() {
    let limits = [
        ("wall", "\"7ms\""),
        ("cpu", "\"7ms\""),
        ("session_cpu", "\"7ms\""),
        ("memory", "\"65536B\""),
        ("table_elements", "7"),
        ("wasm_stack", "\"65536B\""),
        ("steps", "1"),
        ("in_flight", "7"),
        ("bytes_per_call", "\"7B\""),
        ("output", "\"7B\""),
        ("result", "\"7B\""),
        ("journal", "\"7B\""),
        ("pending_promises", "7"),
        ("lineage.executions", "7"),
        ("lineage.cpu", "\"7ms\""),
        ("lineage.promises", "7"),
        ("lineage.depth", "7"),
    ];
    for (key, value) in limits {
        let narrowed = parse(&format!("[functions.f.limits]\n{key} = {value}"));
        let whole = parse(&format!("[limits]\n{key} = {value}"));
        assert_eq!(narrowed.for_function("f").limits, whole.limits, "{key}");
        assert_ne!(narrowed.for_function("g").limits, whole.limits, "{key}");
    }
    for place in Place::each() {
        let site = Site::start(|_| ok("fine"));
        let asks = json!([{ "url": site.url("/") }, { "url": site.url("/") }]).to_string();
        let bounded = parse(&format!("{}[functions.fetches_in_turn]\nlimits.steps = 1", network(&site)));
        assert_eq!(failure(&ends(&place, &bounded, "fetches_in_turn", &asks)).0, FailureKind::Limit);
        assert_eq!(site.requests().len(), 1);
    }
}

/// A function that may not fetch does not get there by calling one that may.
#[test]
pub(super) fn a_called_function_has_no_more_than_its_caller() {
    for place in Place::each() {
        let site = Site::start(|_| ok("fine"));
        let call = json!({ "function": "fetches", "args": { "url": site.url("/") } }).to_string();
        let all = network(&site);
        assert_eq!(ends(&place, &parse(&all), "calls", &call).state, State::Completed);
        is_denied(&ends(&place, &parse(&format!("{all}[functions.calls]\nfetch = []")), "calls", &call));
        is_denied(&ends(&place, &parse(&format!("{all}[functions.fetches]\nfetch = []")), "calls", &call));
        assert_eq!(site.requests().len(), 1);
    }
}

#[test]
pub(super) fn a_file_that_extends_another_grants_no_more() {
    for place in Place::each() {
        let site = Site::start(|_| ok("fine"));
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, format!("version = 1\n{text}")).unwrap();
            file
        };
        write("base.toml", &network(&site));
        let same = Policy::load(&write("same.toml", "extends = [\"base.toml\"]")).unwrap();
        let less = Policy::load(&write("less.toml", "extends = [\"base.toml\"]\nfetch = []")).unwrap();
        let fetch = json!({ "url": site.url("/") }).to_string();
        assert_eq!(ends(&place, &same, "fetches", &fetch).state, State::Completed);
        is_denied(&ends(&place, &less, "fetches", &fetch));
        let wider = "extends = [\"base.toml\"]\n[[fetch]]\nid = \"site\"\nurl = \"https://example.org/**\"\nmethods = [\"GET\"]";
        let error = Policy::load(&write("more.toml", wider)).unwrap_err();
        assert!(matches!(error, Error::Widening { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("more.toml:") && message.contains("base.toml:"), "{message}");
    }
}
