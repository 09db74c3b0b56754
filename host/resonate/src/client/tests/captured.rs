//! Exchanges that were captured from a server of the protocol: the client writes the same requests, and reads the answers.

use crate::client::answer::Reader;
use crate::client::error::Quote;
use crate::client::ids::Ids;
use crate::client::request::Request;
use crate::wire;
use everstep_store::operation::Dialect;
use serde_json::{Value as Json, json};

const CAPTURED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/serve/exchanges.jsonl"));

#[test]
fn captured_requests_are_written_and_their_answers_read() {
    let ids = Ids { dialect: Dialect::B };
    let reader = Reader { ids, quote: &Quote { token: None } };
    let mut replies = 0;
    for line in CAPTURED.lines() {
        let exchange: Json = serde_json::from_str(line).unwrap();
        let Some(request) = exchange["request"].as_str() else { continue };
        let wire::Request { operation: Ok(operation), .. } = wire::Request::read(request.as_bytes(), false) else {
            continue;
        };
        let written = Request::of(&operation, ids).unwrap();
        if let [Request { kind, data }] = &written[..] {
            let head = json!({ "corrId": "c", "version": wire::VERSION });
            let body = json!({ "kind": kind, "head": head, "data": data }).to_string();
            assert_eq!(wire::Request::read(body.as_bytes(), false).operation.unwrap(), operation);
        }
        let status = exchange["answer"]["head"]["status"].as_u64().unwrap();
        let answer = reader.answer(&operation, status.try_into().unwrap(), exchange["answer"]["data"].clone());
        let answer = answer.unwrap_or_else(|why| panic!("{why}: {line}"));
        assert_eq!(answer.is_ok(), status < 400, "{line}");
        replies += usize::from(answer.is_ok());
    }
    assert!(replies > 30, "{replies}");
}
