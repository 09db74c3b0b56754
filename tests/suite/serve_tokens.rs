//! `everstep serve` and JSON web tokens: who asks, and for what.
//!
//! One place: it drives the program, whose store is a folder.

use crate::python::beside;
use crate::serve::{Server, now};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use rcgen::{KeyPair, PKCS_ED25519, SigningKey};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Signs tokens, and has its public key in `key.pem`.
struct Issuer(KeyPair);

impl Issuer {
    fn start(dir: &Path) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        std::fs::write(dir.join("key.pem"), pair.public_key_pem()).unwrap();
        std::fs::write(dir.join("private.pem"), pair.serialize_pem()).unwrap();
        std::fs::write(dir.join("token"), "let me in\n").unwrap();
        Self(pair)
    }

    fn token(&self, claims: &Value) -> String {
        let text = format!("{}.{}", BASE64.encode(r#"{"alg":"EdDSA","typ":"JWT"}"#), BASE64.encode(claims.to_string()));
        let signature = BASE64.encode(self.0.sign(text.as_bytes()).unwrap());
        format!("{text}.{signature}")
    }

    /// One that is valid for an hour.
    fn of(&self, mut claims: Value) -> String {
        claims["exp"] = json!(now() / 1000 + 3600);
        self.token(&claims)
    }
}

/// The status and the data of an operation that is asked for with a token.
fn ask(server: &Server, auth: &str, kind: &str, data: &Value) -> (u16, Value) {
    let head = json!({ "corrId": "1", "version": "2026-04-01", "auth": auth });
    let (status, answer) = server.client().post(&json!({ "kind": kind, "head": head, "data": data }));
    (status, answer["data"].clone())
}

fn poll(server: &Server, auth: &str) -> u16 {
    server.status(&format!("GET /poll/g/w HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {auth}\r\n\r\n"))
}

#[test]
fn a_token_says_what_may_be_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = Issuer::start(dir.path());
    let server = Server::start(dir.path(), &["--store", "memory", "--auth-key", "key.pem"]);
    let (admin, a, b) = (
        issuer.of(json!({ "role": "admin" })),
        issuer.of(json!({ "prefix": "a-" })),
        issuer.of(json!({ "prefix": "b-" })),
    );
    let (all, nobody) = (issuer.of(json!({ "prefix": "" })), issuer.of(json!({ "sub": "x" })));
    let create = |id: &str, branch: &str| {
        let tags = json!({ "resonate:target": "poll://any@g", "resonate:branch": branch });
        json!({ "id": id, "timeoutAt": now() + 3_600_000, "tags": tags })
    };
    for (auth, id, status) in
        [(&a, "a-1", 200), (&b, "b-1", 200), (&a, "b-2", 403), (&nobody, "x", 403), (&all, "c", 200)]
    {
        assert_eq!(ask(&server, auth, "promise.create", &create(id, "one")).0, status, "{id}");
    }
    for (auth, status) in [(&admin, 200), (&all, 200), (&a, 200), (&b, 403), (&nobody, 403)] {
        let (found, answer) = ask(&server, auth, "promise.get", &json!({ "id": "a-1" }));
        assert_eq!(found, status, "{answer}");
    }
    let ids = |auth: &str, kind: &str, name: &str| {
        let (status, found) = ask(&server, auth, kind, &json!({ "limit": 1 }));
        assert_eq!(status, 200, "{found}");
        let ids = found[name].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned());
        (ids.collect::<Vec<_>>(), found["cursor"].as_str().map(str::to_owned))
    };
    for (kind, name) in [("promise.search", "promises"), ("task.search", "tasks")] {
        assert_eq!(ids(&b, kind, name), (vec!["b-1".to_owned()], Some("b-1".to_owned())));
        assert_eq!(ids(&admin, kind, name), (vec!["a-1".to_owned()], Some("a-1".to_owned())));
    }
    let acquire = json!({ "id": "b-1", "version": 0, "pid": "p", "ttl": 600_000 });
    assert_eq!(ask(&server, &a, "task.acquire", &acquire).0, 403);
    let (status, claimed) = ask(&server, &b, "task.acquire", &acquire);
    assert_eq!((status, &claimed["preload"]), (200, &json!([])), "a branch tells nothing of others");
    let beat = |ids: &[&str]| json!({ "pid": "p", "tasks": ids.iter().map(|id| json!({ "id": id, "version": 1 })).collect::<Vec<_>>() });
    assert_eq!(ask(&server, &b, "task.heartbeat", &beat(&["b-1"])).0, 200);
    assert_eq!(ask(&server, &b, "task.heartbeat", &beat(&["b-1", "a-1"])).0, 403);
    let other = json!({ "kind": "promise.settle", "head": {}, "data": { "id": "a-1", "state": "resolved" } });
    assert_eq!(ask(&server, &b, "task.fence", &json!({ "id": "b-1", "version": 1, "action": other })).0, 403);
    assert_eq!(ask(&server, &b, "promise.fly", &json!({})).0, 400);
    assert_eq!((poll(&server, &a), poll(&server, &nobody)), (200, 200));
}

#[test]
fn without_a_valid_token_nothing_is_done_or_heard() {
    let dir = tempfile::tempdir().unwrap();
    let (issuer, other) = (Issuer::start(dir.path()), KeyPair::generate_for(&PKCS_ED25519).unwrap());
    let args = ["--store", "memory", "--auth-key", "key.pem", "--auth-issuer", "us", "--auth-audience", "here"];
    let server = Server::start(dir.path(), &args);
    let claims = json!({ "role": "admin", "iss": "us", "aud": "here" });
    let good = issuer.of(claims.clone());
    let without = |name: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        issuer.of(claims)
    };
    let mut expired = claims.clone();
    expired["exp"] = json!(now() / 1000 - 120);
    let bad = [
        "".to_owned(),
        "let me in".to_owned(),
        issuer.token(&claims),
        issuer.token(&expired),
        without("iss"),
        without("aud"),
        Issuer(other).of(claims.clone()),
        format!("Bearer {good}"),
        good[..good.len() - 1].to_owned(),
    ];
    let get = json!({ "id": "x" });
    for auth in &bad {
        let (status, why) = ask(&server, auth, "promise.get", &get);
        assert_eq!((status, poll(&server, auth)), (401, 401), "{auth}: {why}");
    }
    assert_eq!((ask(&server, &good, "promise.get", &get).0, poll(&server, &good)), (404, 200));
    assert_eq!(server.ask("promise.get", &get).0, 401);
    let body =
        json!({ "kind": "promise.get", "head": { "corrId": "1", "version": "2026-04-01" }, "data": get }).to_string();
    let (head, _) = (format!("POST / HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {good}\r\n"), ());
    let length = body.len();
    assert_eq!(
        server.status(&format!("{head}content-length: {length}\r\n\r\n{body}")),
        401,
        "it belongs into the envelope"
    );
    assert_eq!(server.http("GET /health", b"").0, 200);
}

#[test]
fn one_token_for_all_goes_beside_those_that_are_signed() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = Issuer::start(dir.path());
    let server = Server::start(dir.path(), &["--store", "memory", "--auth-key", "key.pem", "--token-file", "token"]);
    let get = json!({ "id": "x" });
    let signed = issuer.of(json!({ "prefix": "x" }));
    for (auth, status) in [("let me in", 404), (&*signed, 404), ("let me", 401)] {
        assert_eq!(ask(&server, auth, "promise.get", &get).0, status, "{auth}");
    }
    assert_eq!((poll(&server, "let me in"), poll(&server, &signed), poll(&server, "x")), (200, 200, 401));
    for (file, why) in [("private.pem", "private key"), ("token", "no public key"), ("none.pem", "none.pem")] {
        let mut command = Command::new(beside("everstep"));
        let args = ["serve", "--listen", "127.0.0.1:0", "--store", "memory", "--auth-key", file];
        let refused = command.args(args).current_dir(dir.path()).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(2) && said.contains(why), "{said}");
    }
}
