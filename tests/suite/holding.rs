//! What a host holds while it stays: nothing of executions that have ended, and no more instances than its memory has room for.

use crate::support::{Place, eventually, failure, id, life, parse, policy, result, run, soon};
use everstep::store::{FailureKind, State};
use everstep::{Builder, Error, Everstep, Patience, Policy, Run, Scope};
use std::time::Duration;

#[test]
fn a_host_that_stays_keeps_nothing_of_executions_that_have_ended() {
    for scope in [Scope::Everything, Scope::Started, Scope::Nothing] {
        for place in Place::each() {
            life(async {
                let host = place.host().scope(scope).keep_warm(Duration::ZERO).build().unwrap();
                assert_eq!(host.gauge().entries, 0);
                for round in 0..8 {
                    let of = |what: &str| id(&format!("{what}-{round}"));
                    let (function, args) = if scope == Scope::Nothing { ("adds", "[1,2]") } else { ("twenty", "null") };
                    // One that ends, is looked at again, and is asked for something else.
                    let report = soon("the end", host.run(run(function, args).with_id(of("ends")))).await.unwrap();
                    result(&report);
                    host.run(run(function, args).with_id(of("ends"))).await.unwrap();
                    let other = host.run(run(function, "[3,4]").with_id(of("ends"))).await.unwrap_err();
                    assert!(matches!(&*other, Error::IdInUse { .. }), "{other}");
                    drop(host.resume(&of("ends"), Patience::Forever).await.unwrap());
                    // One that nobody has started.
                    let unknown = host.resume(&of("nobody"), Patience::Forever).await.map(drop).unwrap_err();
                    assert!(matches!(unknown, Error::UnknownExecution(_)), "{unknown}");
                    // One that rests while somebody listens, and is canceled; and one that nobody listens to.
                    for what in ["canceled", "ignored"] {
                        let handle = host.start(run("asks", "null").with_id(of(what))).await.unwrap();
                        let listens = (what == "canceled").then_some(handle);
                        host.cancel(&of(what)).await.unwrap();
                        if let Some(handle) = listens {
                            soon("the word of its end", handle.wait()).await.unwrap();
                        }
                    }
                }
                let nothing = async || (host.gauge().entries == 0).then_some(());
                eventually("nothing is kept of what has ended", nothing).await;
            });
        }
    }
}

const MIB: u64 = 1 << 20;

/// A host whose executions keep their instances unless others need them.
fn warm(place: &Place, memory: u64) -> Builder {
    place.host().instances(128).scope(Scope::Started).keep_warm(Duration::from_secs(3600)).memory(memory)
}

/// Takes so many MiB of the 16 that it may take, and asks.
fn holds(name: &str, mib: u64) -> Run {
    let limits = parse("[limits]\nmemory = \"16MiB\"").limits;
    Run { policy: Policy { limits, ..policy() }, ..run("holds", &mib.to_string()) }.with_id(id(name))
}

async fn state(host: &Everstep, name: &str) -> State {
    host.reader().execution(&id(name)).await.unwrap().state
}

#[test]
fn instances_never_take_more_memory_than_the_host_has_for_them_and_all_work_is_done() {
    const BUDGET: u64 = 96 * MIB;
    for place in Place::each() {
        life(async {
            let host = warm(&place, BUDGET).build().unwrap();
            let mut handles = Vec::new();
            for number in 0..60 {
                handles.push(host.start(holds(&format!("h{number}"), 4)).await.unwrap());
            }
            let asked = async || {
                let asked = host.reader().promises().await.unwrap();
                (asked.len() == 60).then_some(asked)
            };
            let asked = eventually("all have asked", asked).await;
            let gauge = host.gauge();
            // Each of them keeps 5 MiB, so that not all are there at once, and those that came last are.
            assert!(gauge.instances >= 4 && gauge.instances < 24, "{gauge:?}");
            assert!(gauge.memory > 16 * MIB, "{gauge:?}");
            for promise in &asked {
                host.settle(&promise.id, Ok("7".to_owned())).await.unwrap();
            }
            for handle in handles {
                assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), "[7,4]");
            }
            let nothing = async || (host.gauge().memory == 0 && host.gauge().instances == 0).then_some(());
            eventually("nothing is taken any more", nothing).await;
            assert!(host.gauge().most_memory <= BUDGET, "{:?}", host.gauge());
        });
    }
}

#[test]
fn the_instance_that_has_waited_for_longest_is_given_up_first() {
    for place in Place::each() {
        life(async {
            // Each keeps 10 MiB while it waits, so that one is enough for the fifth to get its 16, be the fourth waiting yet or not.
            let host = warm(&place, 54 * MIB).build().unwrap();
            for (number, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
                drop(host.start(holds(name, 9)).await.unwrap());
                let asked = async || (host.reader().promises().await.unwrap().len() == number + 1).then_some(());
                eventually("it has asked", asked).await;
                if number < 4 {
                    assert_eq!(state(&host, "a").await, State::Running, "there is room for {name}");
                }
            }
            eventually("the first is given up", async || (state(&host, "a").await == State::Suspended).then_some(()))
                .await;
            for name in ["b", "c", "d", "e"] {
                assert_eq!(state(&host, name).await, State::Running, "{name}");
            }
        });
    }
}

#[test]
fn one_instance_gets_no_more_than_the_host_has_for_all() {
    for place in Place::each() {
        life(async {
            let host = warm(&place, 8 * MIB).build().unwrap();
            let report = soon("the end", host.run(holds("x", 12))).await.unwrap();
            let (kind, message) = failure(&report);
            assert_eq!((kind, report.state), (FailureKind::Limit, State::Halted), "{message}");
            assert!(message.starts_with("the host has 8MiB for all of its instances (--memory)"), "{message}");
            // It has not taken the room with it.
            let small = host.start(holds("y", 1)).await.unwrap();
            eventually("it has asked", async || (host.reader().promises().await.unwrap().len() == 1).then_some(()))
                .await;
            host.settle(&id("y").promise(0), Ok("7".to_owned())).await.unwrap();
            assert_eq!(result(&soon("the end", small.wait()).await.unwrap()), "[7,1]");
        });
    }
}
