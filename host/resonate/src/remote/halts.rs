//! Halts, of which no server tells. Whoever waits for an execution listens to a promise, and whoever halts the execution settles it.
//!
//! For `x` that is `x.w0`, after its first halt `x.w1`, and so on: the first that is pending. There is none if nobody waits. It is a timer, so that what a
//! waiter leaves that is gone settles by itself.

use super::link::{Link, lock, unexpected};
use everstep_store::Error;
use everstep_store::operation::{NewPromise, Operation, Refusal, Reply, Settlement, Status};
use everstep_store::record::{PromiseState, Value, tag};
use everstep_words::id::ExecutionId;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::Notify;

/// The executions whose halts are listened to, each with the promise.
pub(super) type Halts = HashMap<String, (String, Arc<Notify>)>;

fn id(execution: &str, number: u32) -> String {
    format!("{execution}.w{number}")
}

/// The execution of such a promise; of another promise that one itself.
fn execution_of(promise: &str) -> &str {
    let split = promise.rsplit_once(".w").filter(|(_, number)| number.parse::<u32>().is_ok());
    split.map_or(promise, |(execution, _)| execution)
}

impl Link {
    /// Listens to the next halt of an execution, up to a moment in milliseconds since the Unix epoch. The notice comes once it has halted, has ended, or
    /// the moment has come.
    pub(super) async fn hear_of_a_halt(&self, execution: &str, until_ms: u64) -> Result<Arc<Notify>, Error> {
        for number in 0.. {
            let id = id(execution, number);
            let tags = BTreeMap::from([(tag::TIMER.to_owned(), "true".to_owned())]);
            let signal =
                NewPromise { id: id.clone(), timeout_at: until_ms, param: Value::default(), tags: tags.into() };
            match self.operate(&Operation::PromiseCreate(signal)).await?.0.answer {
                Ok(Reply::Promise(promise)) if promise.state == PromiseState::Pending => {}
                // That of a halt before.
                Ok(Reply::Promise(_)) => continue,
                answer => return Err(unexpected("promise.create", &answer)),
            }
            let notice = Arc::<Notify>::default();
            lock(&self.halts).insert(execution.to_owned(), (id.clone(), Arc::clone(&notice)));
            self.listen(vec![id]).await?;
            return Ok(notice);
        }
        Err(Error::Server { cause: format!("{execution} has halted too often") })
    }

    /// Ends that: nobody waits for the execution any more. What is not needed by other waiters is settled.
    pub(super) async fn hear_no_more(&self, execution: &str, has_ended: bool) -> Result<(), Error> {
        let heard = lock(&self.halts).remove(execution);
        if let Some((id, _)) = heard.filter(|_| has_ended) {
            let settlement = Settlement { id, state: PromiseState::RejectedCanceled, value: Value::default() };
            self.operate(&Operation::PromiseSettle(settlement)).await?;
        }
        Ok(())
    }

    /// Tells those who wait for an execution that it has halted.
    pub(super) async fn tell_of_a_halt(&self, execution: &str) -> Result<(), Error> {
        // Known again if the answer was lost.
        let data = Some(format!("{:?}", ExecutionId::random().as_str()));
        let value = Value { headers: BTreeMap::new(), data };
        for number in 0.. {
            let (id, state, value) = (id(execution, number), PromiseState::Resolved, value.clone());
            let settle = Operation::PromiseSettle(Settlement { id, state, value: value.clone() });
            match self.operate(&settle).await?.0.answer {
                Ok(Reply::Promise(promise)) if promise.value != value => {}
                Ok(Reply::Promise(_)) | Err(Refusal { status: Status::NotFound, .. }) => return Ok(()),
                answer => return Err(unexpected("promise.settle", &answer)),
            }
        }
        Ok(())
    }

    /// Passes on that a promise has settled, to those who wait for the halt or the end that it may tell of.
    pub(super) fn note_settled(&self, promise: &str) {
        if let Some((_, notice)) = lock(&self.halts).get(execution_of(promise)) {
            notice.notify_one();
        }
    }
}
