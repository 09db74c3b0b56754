//! Times that no clock reaches: they wait, as long as it takes, and nothing ends because of them.

use crate::python::PYTHON;
use crate::support::{Place, id, life, outcome, parse, result, run};
use everstep::store::{PendingPromise, PromiseKind, State};
use everstep::{Run, Scope};
use serde_json::{Value, json};

#[test]
fn the_longest_duration_waits_in_every_call_that_takes_one() {
    for place in Place::every_dialect() {
        let host = || place.host().scope(Scope::Started);
        let suspended = outcome(host(), run("waits_for_ever", "null").without_waiting());
        assert_eq!(suspended.state, State::Suspended, "{suspended:?}");
        life(async {
            let host = host().build().unwrap();
            // The child may have asked by now, too.
            let ours = |promise: &PendingPromise| promise.id.execution == id("x");
            let open: Vec<_> = host.reader().promises().await.unwrap().into_iter().filter(ours).collect();
            let mut kinds: Vec<&str> = open.iter().map(|promise| promise.kind.name()).collect();
            kinds.sort_unstable();
            assert_eq!(kinds, ["input", "input", "promise", "request"], "{open:?}");
            let gate = open.iter().find(|promise| promise.subject == "go on?").unwrap();
            host.settle(&gate.id, Ok("1".to_owned())).await.unwrap();
        });
        let done = outcome(host(), run("waits_for_ever", "null"));
        assert_eq!(result(&done), json!(vec![true; 8]).to_string());
    }
}

#[test]
fn a_python_program_that_sleeps_for_ever_waits_beside_a_question() {
    let policy = "[limits]\nwasm_stack = \"8MiB\"\n[clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n\
                  [[capability]]\nname = \"input\"\n[[capability]]\nname = \"promise\"\n";
    let code = "import asyncio, math\nfrom everstep import ask, promise\n\
                naps = [asyncio.create_task(asyncio.sleep(s)) for s in (math.inf, 1e18, 1e300, 10**30)]\n\
                open = [asyncio.create_task(promise(timeout=s)) for s in (math.inf, 1e30, 10**30)]\n\
                answer = await asyncio.wait_for(ask('well? ', timeout=1e30), math.inf)\n\
                [answer, [one.done() for one in naps + open]]";
    for place in Place::every_dialect() {
        place.equip(&PYTHON);
        let new = || {
            let args = json!({ "code": code }).to_string();
            Run::new(PYTHON.clone(), "execute", args, parse(policy)).with_id(id("x"))
        };
        let suspended = outcome(place.host(), new().without_waiting());
        assert_eq!(suspended.state, State::Suspended, "{suspended:?}");
        life(async {
            let host = place.host().build().unwrap();
            let open = host.reader().promises().await.unwrap();
            assert_eq!(open.len(), 4, "{open:?}");
            let asked = open.iter().find(|promise| promise.kind == PromiseKind::Input).unwrap();
            host.settle(&asked.id, Ok(json!("fine").to_string())).await.unwrap();
        });
        let done: Value = serde_json::from_str(result(&outcome(place.host(), new()))).unwrap();
        assert_eq!(done["value"], json!(["fine", vec![false; 7]]));
    }
}
