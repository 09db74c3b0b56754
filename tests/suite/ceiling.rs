//! What the ceiling of a host bounds beside the calls of a guest: addresses behind names, and secrets.

use crate::http::{READS, fetch, get, granting};
use crate::network::dns::{Dns, addresses};
use crate::network::servers::ok;
use crate::site::Site;
use crate::support::{Place, failure, id, life, parse, result, run};
use everstep::network::Options;
use everstep::store::{FailureKind, State};
use everstep::{ErrorCode, Everstep, Policy, Run};
use everstep_tests::sandbox::{Sandbox, calls};
use serde_json::json;
use std::fs;
use std::sync::{Arc, OnceLock};

#[test]
fn a_ceiling_bounds_the_addresses_that_a_name_leads_to() {
    for place in Place::each() {
        let site = Site::start(|_| ok("inside"));
        let url = format!("http://site.test:{}/", site.port());
        let rule = format!("[[fetch]]\nid = \"site\"\nurl = \"{url}**\"\n{READS}\n");
        let host = place.host();
        life(async {
            let dns = Dns::start(|_, _| addresses("127.0.0.1")).await;
            let host = host.network(Options::system().with_name_servers(&[dns.address])).build().unwrap();
            let run = |name: &str| fetch(granting(&rule), &json!({ "url": url })).with_id(id(name));
            assert_eq!(host.run(run("a")).await.unwrap().state, State::Completed);
            // It grants the URL, and no address of this machine; nor may the connection be used again.
            host.set_ceiling(Some(parse(&rule)));
            let report = host.run(run("b")).await.unwrap();
            assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::Denied), "{report:?}");
            host.set_ceiling(Some(granting(&rule)));
            assert_eq!(host.run(run("c")).await.unwrap().state, State::Completed);
        });
        assert_eq!(site.requests().len(), 2);
    }
}

#[test]
fn a_secret_that_the_ceiling_does_not_lend_is_not_read() {
    for place in Place::each() {
        let lending = Arc::new(OnceLock::<(Everstep, Policy)>::new());
        let lend = Arc::clone(&lending);
        let site = Site::start(move |request| {
            if let (Some((host, ceiling)), "GET /open") = (lend.get(), request.line()) {
                host.set_ceiling(Some(ceiling.clone()));
            }
            ok("page")
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let open = format!("[[fetch]]\nid = \"open\"\nurl = \"{}\"\n{READS}\n", site.url("/open"));
        let closed = format!("[[fetch]]\nid = \"closed\"\nurl = \"{}\"\n{READS}\n", site.url("/closed"));
        let secret = format!("secret = {{ header = \"x-key\", from = \"file:{}\" }}\n", file.display());
        let policy = granting(&format!("{open}{closed}{secret}"));
        let run = |name: &str| {
            let wanted = json!([get(&site, "/open"), get(&site, "/closed")]).to_string();
            Run { policy: policy.clone(), ..run("fetches_in_turn", &wanted) }.with_id(id(name))
        };
        let host = place.host();
        life(async {
            let host = host.build().unwrap();
            // The file does not exist.
            assert!(host.run(run("a")).await.is_err());
            host.set_ceiling(Some(granting(&format!("{open}{closed}"))));
            let report = host.run(run("b")).await.unwrap();
            assert!(result(&report).contains("it may use none"), "{report:?}");
            // It is lent while the execution runs, which has none to send.
            fs::write(&file, "s3cret-t0ken").unwrap();
            lending.set((host.clone(), policy.clone())).ok().unwrap();
            let report = host.run(run("c")).await.unwrap();
            assert!(result(&report).contains("did not lend its secret"), "{report:?}");
            let report = host.run(run("d")).await.unwrap();
            assert_eq!(result(&report), r#"["200","200"]"#);
        });
        let of_closed: Vec<_> = site.requests().into_iter().filter(|one| one.line() == "GET /closed").collect();
        assert_eq!(of_closed.iter().map(|one| one.header("x-key")).collect::<Vec<_>>(), [["s3cret-t0ken"]]);
    }
}

#[test]
fn a_folder_that_the_ceiling_does_not_lend_is_not_opened() {
    for sandbox in Sandbox::each() {
        let rule = |name: &str, access: &str| {
            format!("[[files]]\nid = \"{name}\"\nguest = \"/{name}\"\nhost = \"{name}\"\naccess = \"{access}\"\n")
        };
        // A file is no folder, and the other two are not there.
        let lacking = ["secret", "gone", "other"].map(|name| rule(name, "overlay")).concat();
        let policy = sandbox.policy(&format!("{}{lacking}", rule("in", "read"))).unwrap();
        let elsewhere = rule("other", "overlay").replace("host = \"other\"", "host = \"in\"");
        let ceiling = sandbox.policy(&format!("{}{elsewhere}", rule("in", "read"))).unwrap();
        life(async {
            let host = sandbox.builder().build().unwrap();
            assert!(calls(&host, &policy, json!([])).await.is_err());
            host.set_ceiling(Some(ceiling));
            let made = json!([
                { "read": "/in/a.txt" },
                { "read": "/gone/a" },
                { "list": "/secret" },
                { "write": ["/gone/a", "x"] },
                { "write": ["/other/a.txt", "x"] },
            ]);
            let made = calls(&host, &policy, made).await.unwrap();
            let denied: Vec<bool> = made.iter().map(|made| made["error"] == "denied").collect();
            assert_eq!(denied, [false, true, true, true, true], "{made:?}");
            assert!(!sandbox.path("gone").exists() && !sandbox.path("in/a").exists());
            // What the ceiling lends has to be there.
            host.set_ceiling(Some(policy.clone()));
            assert!(calls(&host, &policy, json!([])).await.is_err());
            let there = sandbox.policy(&format!("{}{}", rule("in", "read"), rule("gone", "overlay"))).unwrap();
            fs::create_dir(sandbox.path("gone")).unwrap();
            fs::write(sandbox.path("gone/a"), "x").unwrap();
            let made = calls(&host, &there, json!([{ "read": "/gone/a" }])).await.unwrap();
            assert!(made[0]["error"].is_null(), "{made:?}");
        });
    }
}
