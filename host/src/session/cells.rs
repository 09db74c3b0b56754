//! What a session and its guest hand each other: requests for cells, cells, questions about code, and answers.

use super::message::{Body, Json};
use crate::host::{Error, Everstep, Reader, StepView};
use crate::id::ExecutionId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// The capability that requests cells.
pub(super) const CAPABILITY: &str = "session";

/// What is handed to the guest: a cell to run, or an empty one that asks about code. A guest that does not know `look` has nothing to run then.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Cell {
    pub(super) id: String,
    pub(super) code: String,
    #[serde(default)]
    pub(super) interactive: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) look: Option<Looked>,
}

/// A question about code.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Looked {
    Complete { code: String, cursor: u64 },
    Inspect { code: String, cursor: u64, detail: u8 },
}

/// The guest's request for a cell.
#[derive(Deserialize)]
pub(super) struct Prompt {
    pub(super) cells: u64,
    pub(super) answer: Option<Answer>,
}

/// The outcome of a cell.
#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) id: Option<String>,
    cell: Option<u64>,
    value: Option<Json>,
    repr: Option<String>,
    #[serde(default)]
    data: BTreeMap<String, String>,
    #[serde(default)]
    incomplete: bool,
    error: Option<Raised>,
}

#[derive(Deserialize)]
struct Raised {
    name: String,
    message: String,
    traceback: String,
}

impl Cell {
    pub(super) fn looking(id: String, look: Looked) -> Self {
        Self { id, code: String::new(), interactive: false, look: Some(look) }
    }
}

impl Answer {
    pub(super) fn told(self) -> (Option<String>, Body) {
        let Self { id, cell, value, repr, data, incomplete, error } = self;
        let body = match error {
            Some(Raised { name, message, traceback }) => {
                Body::Error { name, message, traceback: Some(traceback).filter(|text| !text.is_empty()), cell }
            }
            None => Body::Result { value: value.unwrap_or(Json::of("null")), repr, data, cell, incomplete },
        };
        (id, body)
    }
}

/// The number of the steps of a session after which `cells` of its cells have run, and the next one has not begun: where it can be forked. `None`
/// if fewer have run.
///
/// # Errors
/// There is no such execution, or the store failed.
pub async fn steps_of_cells(reader: &Reader, id: &ExecutionId, cells: u64) -> Result<Option<u64>, Error> {
    for number in requests(reader, id).await? {
        let question = reader.question(&id.promise(number)).await?;
        let prompt = question.and_then(|question| serde_json::from_str::<Prompt>(&question.data?).ok());
        if prompt.is_some_and(|prompt| prompt.cells == cells) {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// The numbers of the requests for a cell.
async fn requests(reader: &Reader, id: &ExecutionId) -> Result<Vec<u64>, Error> {
    let mut asked = Vec::new();
    let note = |step: StepView| {
        if step.kind == "bridge.send-request" && step.subject == CAPABILITY {
            asked.push(step.n);
        }
        ControlFlow::Continue(())
    };
    reader.each_step(id, note).await?;
    Ok(asked)
}

/// The last cell that was handed to a session.
pub(super) async fn last_cell(host: &Everstep, id: &ExecutionId) -> Result<Option<Cell>, Error> {
    let reader = host.reader();
    for number in requests(&reader, id).await?.into_iter().rev() {
        if let Some(outcome) = reader.outcome(&id.promise(number)).await? {
            return Ok(outcome.ok().and_then(|cell| serde_json::from_str(&cell).ok()));
        }
    }
    Ok(None)
}
