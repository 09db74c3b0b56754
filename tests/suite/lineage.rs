//! What a root and all that it has called or detached may use together: whatever they do, and however often the host dies.

use crate::support::{Place, eventually, failure, id, life, parse, policy, result, run, soon};
use everstep::store::{Execution, FailureKind, State};
use everstep::{ErrorCode, Everstep, Patience, Policy, Run, Scope};

/// Everything that needs no folder, and a budget for all together.
fn budget(lineage: &str) -> Policy {
    let limits = parse(&format!("[limits.lineage]\n{lineage}")).limits;
    Policy { limits, ..policy() }
}

fn under(lineage: &str, function: &str, args: &str) -> Run {
    Run { policy: budget(lineage), ..run(function, args) }
}

async fn executions(host: &Everstep) -> Vec<Execution> {
    host.reader().executions().await.unwrap()
}

/// Waits until everything has ended; what is returned, by executions.
async fn all_end(host: &Everstep) -> Vec<Vec<String>> {
    let ended = async || {
        // A server is asked for one after the other: what began meanwhile is in the next list.
        let all = executions(host).await;
        let are_all = all.iter().all(|one| one.state.is_final()) && executions(host).await.len() == all.len();
        are_all.then_some(all)
    };
    let all = eventually("the end of all", ended).await;
    all.iter().map(|one| serde_json::from_str(one.result.as_deref().unwrap()).unwrap()).collect()
}

#[test]
pub(crate) fn what_detaches_itself_without_end_ends_at_the_budget_of_its_lineage() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().scope(Scope::Everything).build().unwrap();
            soon("the end", host.run(under("executions = 40", "spawns_itself", "3"))).await.unwrap();
            let refused = all_end(&host).await;
            assert_eq!(refused.len(), 40);
            let refused: Vec<String> = refused.concat();
            // Each of them has tried three times, and 39 times that went well.
            assert_eq!(refused.len(), 40 * 3 - 39);
            let told = "limit-exceeded: x and all that it has called or detached are as many executions as they may be \
                        (limits.lineage.executions is 40)";
            assert!(refused.iter().all(|refused| refused == told), "{refused:?}");
        });
    }
}

#[test]
pub(crate) fn calls_and_detached_executions_count_by_their_distance_from_the_root() {
    // An id of which not all fits into that of what it detaches.
    for root in ["x".to_owned(), "long-".repeat(24)] {
        for place in Place::every_dialect() {
            life(async {
                let host = place.host().scope(Scope::Everything).build().unwrap();
                let chain = under("depth = 4", "spawns_itself", "1").with_id(id(&root));
                soon("the end", host.run(chain)).await.unwrap();
                let refused = all_end(&host).await;
                assert_eq!((refused.len(), refused.concat().len()), (5, 1), "{refused:?}");
                assert!(refused.concat()[0].contains("limits.lineage.depth is 4"), "{refused:?}");
            });
        }
    }
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().scope(Scope::Everything).build().unwrap();
            let fits = soon("the end", host.run(under("depth = 4", "nests", "4"))).await.unwrap();
            assert_eq!(result(&fits), "4");
            let deeper = under("depth = 4", "nests", "5").with_id(id("y"));
            let deeper = soon("the end", host.run(deeper)).await.unwrap();
            let (kind, message) = failure(&deeper);
            assert_eq!(kind, FailureKind::Returned(ErrorCode::LimitExceeded), "{message}");
            assert!(message.contains("limits.lineage.depth is 4"), "{message}");
        });
    }
}

#[test]
pub(crate) fn neither_a_crash_nor_a_resume_refills_the_budget_of_a_lineage() {
    for (limit, key, made) in [("executions = 5", "executions", 4), ("promises = 6", "promises", 4)] {
        for place in Place::every_dialect() {
            life(async {
                let host = place.host().build().unwrap();
                host.run(under(limit, "spawns_as_told", "null").without_waiting()).await.unwrap();
            });
            for copies in ["3", "3", "0"] {
                // Each in a host of its own.
                life(async {
                    let host = place.host().build().unwrap();
                    for asked in host.reader().promises().await.unwrap() {
                        host.settle(&asked.id, Ok(copies.to_owned())).await.unwrap();
                    }
                    let handle = host.resume(&id("x"), Patience::None).await.unwrap();
                    soon("the end of the run", handle.wait()).await.unwrap();
                });
            }
            life(async {
                let host = place.host().build().unwrap();
                let root = host.reader().execution(&id("x")).await.unwrap();
                let refused: Vec<String> = serde_json::from_str(root.result.as_deref().unwrap_or("[]")).unwrap();
                if key == "executions" {
                    assert_eq!(refused.len(), 2, "{root:?}");
                    assert!(refused.iter().all(|refused| refused.contains(key)), "{refused:?}");
                } else {
                    // Two questions and four executions: there is no promise left for a third question.
                    assert_eq!(root.progress.error.unwrap().kind, FailureKind::Returned(ErrorCode::LimitExceeded));
                }
                assert_eq!(executions(&host).await.len(), 1 + made, "{limit}");
            });
        }
    }
}

#[test]
pub(crate) fn children_do_not_multiply_the_computing_time_of_their_root() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().scope(Scope::Everything).build().unwrap();
            let root = host.start(under("cpu = \"400ms\"", "burns_in_children", "4")).await.unwrap();
            let halted = async || {
                let children: Vec<_> =
                    executions(&host).await.into_iter().filter(|one| one.id.parent().is_some()).collect();
                (children.len() == 4 && children.iter().all(|one| one.state == State::Halted)).then_some(children)
            };
            let children = eventually("all children are halted", halted).await;
            for child in &children {
                let failure = child.progress.error.as_ref().unwrap();
                assert_eq!(failure.kind, FailureKind::Limit);
                assert!(failure.message.contains("of x and all that it has called or detached"), "{}", failure.message);
                assert!(failure.message.contains("limits.lineage.cpu"), "{}", failure.message);
            }
            let used: u64 = children.iter().map(|child| child.progress.cpu_us).sum();
            assert!((300_000..1_000_000).contains(&used), "{used} us of 400 ms");
            drop(root);
        });
        life(async {
            let host = place.host().build().unwrap();
            let handle = host.resume(&id("x").child(0).unwrap(), Patience::Forever).await.unwrap();
            let again = soon("the limit again", handle.wait()).await.unwrap();
            let (kind, message) = failure(&again);
            assert_eq!((kind, message.contains("limits.lineage.cpu")), (FailureKind::Limit, true), "{message}");
        });
    }
}

#[test]
fn the_ceiling_of_a_host_and_the_section_of_a_function_lower_the_budget_of_a_lineage() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().ceiling(budget("executions = 3")).build().unwrap();
            let report = host.run(under("executions = 10", "spawns_itself", "5")).await.unwrap();
            let refused: Vec<String> = serde_json::from_str(result(&report)).unwrap();
            assert_eq!((refused.len(), executions(&host).await.len()), (3, 3), "{refused:?}");
            host.set_ceiling(None);
            let text = "[[capability]]\nname = \"call\"\n[functions.spawns_itself]\nlimits.lineage.executions = 2";
            let narrowed = Run { policy: parse(text), ..run("spawns_itself", "5").with_id(id("y")) };
            let refused: Vec<String> = serde_json::from_str(result(&host.run(narrowed).await.unwrap())).unwrap();
            assert_eq!(refused.len(), 4, "{refused:?}");
        });
    }
}
