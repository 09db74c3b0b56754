//! A name server that answers by script, over UDP, with a time to live of 0.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

/// The kinds of record that are asked for.
pub(crate) const A: u16 = 1;
const AAAA: u16 = 28;
const CNAME: u16 = 5;

/// A name server. It ends when it is dropped.
pub(crate) struct Dns {
    pub(crate) address: SocketAddr,
    queries: Arc<Mutex<Vec<(String, u16)>>>,
    task: AbortHandle,
}

/// What it says about a name.
pub(crate) enum Answer {
    /// These; of each kind those that were asked for.
    Addresses(Vec<IpAddr>),
    /// Another name, and the addresses of that one.
    Alias(&'static str, Vec<IpAddr>),
    /// The name exists and has no address.
    Nothing,
    /// It does not exist.
    NoName,
    Silence,
    /// Bytes that are no answer.
    Garbage,
}

impl Dns {
    /// Answers with what `script` says about a name; it is also told how often this name and kind was asked for before.
    pub(crate) async fn start(script: impl Fn(&str, usize) -> Answer + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let queries = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&queries);
        let task = tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let query = &buffer[..length];
                let (name, kind, question) = parse(query);
                let before = {
                    let mut seen = seen.lock().unwrap();
                    seen.push((name.clone(), kind));
                    seen.iter().filter(|one| **one == (name.clone(), kind)).count() - 1
                };
                if let Some(reply) = reply(query, question, kind, script(&name, before)) {
                    socket.send_to(&reply, from).await.unwrap();
                }
            }
        });
        Self { address, queries, task: task.abort_handle() }
    }

    /// What was asked for: names and kinds.
    pub(crate) fn queries(&self) -> Vec<(String, u16)> {
        self.queries.lock().unwrap().clone()
    }

    /// How often addresses of v4 were asked for under this name.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.queries().iter().filter(|query| **query == (name.to_owned(), A)).count()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The addresses of a text, separated by spaces.
pub(crate) fn addresses(text: &str) -> Answer {
    Answer::Addresses(text.split(' ').map(|address| address.parse().unwrap()).collect())
}

/// Name, kind and the bytes of the one question of a query.
fn parse(query: &[u8]) -> (String, u16, &[u8]) {
    let mut labels = Vec::new();
    let mut at = 12;
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8(query[at + 1..end].to_vec()).unwrap());
        at = end;
    }
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    (labels.join("."), kind, &query[12..at + 5])
}

fn reply(query: &[u8], question: &[u8], kind: u16, answer: Answer) -> Option<Vec<u8>> {
    let mut records = Vec::new();
    // A pointer to the name of the question.
    let mut owner = vec![0xc0, 12];
    let (found, code) = match answer {
        Answer::Silence => return None,
        Answer::Garbage => return Some(vec![0xff; 64]),
        Answer::NoName => (Vec::new(), 3),
        Answer::Nothing => (Vec::new(), 0),
        Answer::Addresses(found) => (found, 0),
        Answer::Alias(alias, found) => {
            let alias = encoded(alias);
            records.push(record(&owner, CNAME, &alias));
            owner = alias;
            (found, 0)
        }
    };
    for address in found {
        match address {
            IpAddr::V4(address) if kind == A => records.push(record(&owner, A, &address.octets())),
            IpAddr::V6(address) if kind == AAAA => records.push(record(&owner, AAAA, &address.octets())),
            _ => {}
        }
    }
    let mut reply = query[..2].to_vec();
    reply.extend_from_slice(&[0x81, 0x80 | code, 0, 1]);
    reply.extend_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
    reply.extend_from_slice(&[0; 4]);
    reply.extend_from_slice(question);
    reply.extend(records.into_iter().flatten());
    Some(reply)
}

fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let mut record = owner.to_vec();
    record.extend_from_slice(&kind.to_be_bytes());
    // Internet, time to live 0.
    record.extend_from_slice(&[0, 1, 0, 0, 0, 0]);
    record.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
    record.extend_from_slice(data);
    record
}
