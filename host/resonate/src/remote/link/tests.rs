//! A worker that has much at once, before a server that does not answer everything.

use super::*;
use crate::client::{Options, Transport, Unreachable};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::future::pending;

/// A server that answers no heartbeat of the execution `a`, and notes the others.
#[derive(Default)]
struct Silent(Mutex<BTreeSet<String>>);

#[async_trait]
impl Transport for Silent {
    fn server(&self) -> &str {
        "mock://server"
    }

    async fn send(&self, request: Bytes) -> Result<(u16, Bytes), Unreachable> {
        let request: Json = serde_json::from_slice(&request).unwrap();
        let data = match request["kind"].as_str() {
            Some("task.heartbeat") => {
                let id = request["data"]["tasks"][0]["id"].as_str().unwrap().to_owned();
                if id == "a" {
                    pending::<()>().await;
                }
                lock(&self.0).insert(id);
                json!({})
            }
            _ => json!({ "schedules": [] }),
        };
        let head = json!({ "corrId": request["head"]["corrId"], "status": 200, "version": "2026-04-01" });
        Ok((200, json!({ "kind": request["kind"], "head": head, "data": data }).to_string().into()))
    }

    async fn receive(&self, _: &str, _: &str) -> Result<BoxStream<'static, Result<Bytes, Unreachable>>, Unreachable> {
        Ok(stream::pending().boxed())
    }
}

struct Deaf;

impl Listener for Deaf {
    fn applied(&self, _: &[Applied]) {}
    fn failed(&self, _: &Error) {}
}

#[tokio::test]
async fn a_heartbeat_that_is_not_answered_holds_up_no_other() {
    let server = Arc::<Silent>::default();
    let options = Options { dialect: Some(Dialect::A), ..Options::default() };
    let client = Client::connect(Arc::clone(&server) as Arc<dyn Transport>, options).await.unwrap();
    let (group, target) = ("default".to_owned(), "poll://any@default".to_owned());
    let link = Link::new(client, group, target, "worker".to_owned(), 200, Arc::new(|_| {}), Arc::new(Deaf));
    let claims: Vec<_> = ('a'..='z').map(|id| Claim::new(id.to_string(), 1)).collect();
    claims.iter().for_each(|claim| link.hold(claim));
    link.renew().await;
    let renewed: String = lock(&server.0).iter().map(String::as_str).collect();
    assert_eq!(renewed, ('b'..='z').collect::<String>());
}
