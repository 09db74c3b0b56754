//! Answers and messages of a server.

use super::VERSION;
use super::record::{all, written, written_schedule, written_task};
use everstep_store::operation::{Answer, Refusal, Reply};
use everstep_store::record::Promise;
use serde_json::{Value as Json, json};

/// The parts of a request that its answer repeats.
#[derive(Clone, Debug)]
pub(crate) struct Echo {
    pub(super) kind: String,
    pub(super) corr_id: String,
    /// The kind of the action that a fence protects.
    pub(super) action: &'static str,
}

/// An answer that nothing was done: an HTTP status and a sentence.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) status: u16,
    pub(crate) reason: String,
}

/// An answer: the HTTP status, and the body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Echo {
    /// The kind of the request.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// The answer to the request. With `hides_preload`, a fenced write omits the other promises of its branch.
    pub(crate) fn answer(&self, answer: Answer, hides_preload: bool) -> Response {
        match answer {
            Ok(reply) => {
                let (status, data) = self.reply(reply, hides_preload);
                self.response(status, &data)
            }
            Err(refusal) => self.reject(&refusal.into()),
        }
    }

    pub(crate) fn reject(&self, rejection: &Rejection) -> Response {
        self.response(rejection.status, &Json::from(&*rejection.reason))
    }

    fn response(&self, status: u16, data: &Json) -> Response {
        // Written as it is: `json!` would copy the data.
        let (head, kind) = (self.head(status), Json::from(&*self.kind));
        Response { status, body: format!(r#"{{"kind":{kind},"head":{head},"data":{data}}}"#) }
    }

    fn head(&self, status: u16) -> Json {
        json!({ "corrId": self.corr_id, "status": status, "version": VERSION })
    }

    fn reply(&self, reply: Reply, hides_preload: bool) -> (u16, Json) {
        let paged = |name: &str, found: Vec<Json>, cursor: Option<String>| {
            let cursor = cursor.map(|cursor| ("cursor".to_owned(), Json::from(cursor)));
            Json::Object([(name.to_owned(), Json::Array(found))].into_iter().chain(cursor).collect())
        };
        let data = match reply {
            Reply::Done => json!({}),
            Reply::Promise(promise) => json!({ "promise": written(&promise) }),
            Reply::Promises(found, cursor) => paged("promises", found.iter().map(written).collect(), cursor),
            Reply::Task(task) => json!({ "task": written_task(&task) }),
            Reply::Tasks(found, cursor) => paged("tasks", found.iter().map(written_task).collect(), cursor),
            Reply::Schedule(schedule) => json!({ "schedule": written_schedule(&schedule) }),
            Reply::Schedules(found, cursor) => paged("schedules", found.iter().map(written_schedule).collect(), cursor),
            Reply::Claimed { task, promise, preload } => json!({
                "task": written_task(&task), "promise": written(&promise), "preload": all(&preload)
            }),
            Reply::GoOn(preload) => return (300, json!({ "preload": all(&preload) })),
            Reply::Fenced { answer, preload } => {
                let (status, data) = match *answer {
                    Ok(reply) => self.reply(reply, hides_preload),
                    Err(Refusal { status, reason }) => (status.number(), reason.into()),
                };
                let action = json!({ "kind": self.action, "head": self.head(status), "data": data });
                let preload = if hides_preload { Vec::new() } else { all(&preload) };
                json!({ "action": action, "preload": preload })
            }
        };
        (200, data)
    }
}

impl From<Refusal> for Rejection {
    fn from(Refusal { status, reason }: Refusal) -> Self {
        Self { status: status.number(), reason }
    }
}

pub(super) fn bad(reason: impl Into<String>) -> Rejection {
    Rejection { status: 400, reason: reason.into() }
}

/// The message that a task may be acquired.
pub(crate) fn execute(server: &str, task: &str, version: u64) -> String {
    let data = json!({ "task": { "id": task, "version": version } });
    json!({ "kind": "execute", "head": { "serverUrl": server }, "data": data }).to_string()
}

/// The message that a promise was settled.
pub(crate) fn unblock(promise: &Promise) -> String {
    json!({ "kind": "unblock", "head": {}, "data": { "promise": written(promise) } }).to_string()
}
