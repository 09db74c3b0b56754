//! What a host holds while it stays: nothing of executions that have ended, and no more instances than its memory has room for.

use crate::support::{Place, id, life, result, run, soon};
use everstep::{Error, Patience, Scope};
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
                let nothing = || (host.gauge().entries == 0).then_some(());
                crate::support::eventually("nothing is kept of what has ended", nothing).await;
            });
        }
    }
}
