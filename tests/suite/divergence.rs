//! Another component on a recorded journal: it goes on only where it repeats everything that is recorded.

use crate::support::{Place, failure, id, life, outcome, result, run};
use everstep::store::{FailureKind, State};
use everstep::{Component, Error, Everstep, Patience, Report, Run};
use everstep_tests::guests;

const MARK: &[u8] = b"everstep-variant:";

/// The fixture with another variant of `varies` in its bytes.
pub(crate) fn variant(name: &str) -> Component {
    let mut bytes = guests::fixture("behaviour").unwrap();
    let places: Vec<_> = bytes.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK).collect();
    assert_eq!(places.len(), 1, "the variant must stand in one place");
    let at = places[0].0 + MARK.len();
    bytes[at..at + 7].copy_from_slice(format!("{name:7}").as_bytes());
    bytes.into()
}

/// Runs `function` of the fixture as it is, up to its first question that nobody has answered.
async fn begin(host: &Everstep, function: &str) {
    let report = host.run(run(function, "null").without_waiting()).await.unwrap();
    assert_eq!(report.state, State::Suspended, "{report:?}");
}

async fn resume_with(host: &Everstep, component: Option<&Component>) -> Report {
    host.resume_with(&id("x"), component, Patience::None).await.unwrap().wait().await.unwrap()
}

/// Each way to diverge, with the message that shows both sides.
const DIVERGING: [(&str, &str); 9] = [
    (
        "args",
        r#"divergence at step 0: recorded 0 console.print (arguments 16), attempted 0 console.print (arguments 16); "#,
    ),
    ("return", "divergence at step 1: recorded 1 timers.now, attempted the return of the function; "),
    ("fail", "divergence at step 1: recorded 1 timers.now, attempted the return of the function; "),
    ("trap", "divergence at step 1: recorded 1 timers.now, attempted a trap (early, at src/divergence.rs); "),
    ("more", r#"divergence at step 2: recorded 2 memo.remember "a value" (arguments 16), attempted 2 timers.now; "#),
    ("less", r#"divergence at step 1: recorded 1 timers.now, attempted 1 memo.remember "a value" (arguments 16); "#),
    ("order", r#"divergence at step 1: recorded 1 timers.now, attempted 1 memo.remember "a value" (arguments 16); "#),
    (
        "name",
        r#"divergence at step 2: recorded 2 memo.remember "a value" (arguments 16), attempted 2 memo.remember "another value" (arguments 16); "#,
    ),
    (
        "kind",
        r#"divergence at step 3: recorded 3 console.input "how many?" (arguments 16), attempted 3 timers.sleep "1 ms" (arguments 16); "#,
    ),
];

const REMEDY: &str = "the journal is unchanged, resume with the component that the execution was started with";

/// A message with digests and places reduced to what does not change: `arguments 0a1b…` reads `arguments 16` for their size.
fn reduced(message: &str) -> String {
    let mut text = String::new();
    for (index, part) in message.split("(arguments ").enumerate() {
        if index > 0 {
            let end = part.find(')').unwrap();
            assert_eq!(end, 16, "eight bytes in hexadecimal: {message}");
            text.push_str("(arguments 16");
            text.push_str(&part[end..]);
        } else {
            text.push_str(part);
        }
    }
    let place = text.find("divergence.rs:").map(|at| at + "divergence.rs".len());
    if let Some(start) = place {
        let end = start + text[start..].find(')').unwrap();
        text.replace_range(start..end, "");
    }
    text
}

#[test]
fn a_component_that_does_something_else_is_halted_and_the_original_goes_on() {
    for place in Place::each() {
        life(async {
            let host = place.host().build().unwrap();
            begin(&host, "varies").await;
            let original = host.reader().execution(&id("x")).await.unwrap();
            let journal = host.reader().journal(&id("x")).await.unwrap();
            for (name, expected) in DIVERGING {
                let halted = resume_with(&host, Some(&variant(name))).await;
                let (kind, message) = failure(&halted);
                assert_eq!((halted.state, kind), (State::Halted, FailureKind::Divergence), "{name}: {message}");
                assert_eq!(reduced(message), expected.to_owned() + REMEDY, "{name}");
                assert!(host.reader().journal(&id("x")).await.unwrap() == journal, "{name}: the journal changed");
                let stored = host.reader().execution(&id("x")).await.unwrap();
                assert_eq!((stored.component, stored.progress.steps), (original.component, original.progress.steps));
                assert_eq!(host.reader().promises().await.unwrap().len(), 1, "{name}: the question is still open");
            }
            host.settle(&id("x").promise(3), Ok("3".into())).await.unwrap();
            assert_eq!(resume_with(&host, None).await.state, State::Suspended);
            host.settle(&id("x").promise(5), Ok("4".into())).await.unwrap();
        });
        assert_eq!(result(&outcome(place.host(), run("varies", "null"))), "7");
    }
}

#[test]
fn a_run_under_the_same_id_with_another_component_is_compared_too() {
    for place in Place::each() {
        life(async {
            let host = place.host().build().unwrap();
            begin(&host, "varies").await;
            let journal = host.reader().journal(&id("x")).await.unwrap();
            let other = Run { component: variant("more"), ..run("varies", "null") };
            let halted = host.run(other).await.unwrap();
            assert_eq!(failure(&halted).0, FailureKind::Divergence);
            assert!(host.reader().journal(&id("x")).await.unwrap() == journal);
        });
    }
}

#[test]
fn what_is_recorded_later_diverges_as_well() {
    for place in Place::each() {
        life(async {
            let host = place.host().build().unwrap();
            begin(&host, "varies").await;
            host.settle(&id("x").promise(3), Ok("3".into())).await.unwrap();
            assert_eq!(resume_with(&host, None).await.state, State::Suspended);
            let journal = host.reader().journal(&id("x")).await.unwrap();
            let halted = resume_with(&host, Some(&variant("kind"))).await;
            assert_eq!(failure(&halted).0, FailureKind::Divergence);
            assert!(host.reader().journal(&id("x")).await.unwrap() == journal);
            host.settle(&id("x").promise(5), Ok("4".into())).await.unwrap();
            assert_eq!(result(&resume_with(&host, None).await), "7");
        });
    }
}

#[test]
fn a_component_that_waits_for_another_promise_diverges() {
    for place in Place::each() {
        life(async {
            let host = place.host().build().unwrap();
            begin(&host, "varies_waits").await;
            host.settle(&id("x").promise(0), Ok("1".into())).await.unwrap();
            assert_eq!(resume_with(&host, None).await.state, State::Suspended);
            let journal = host.reader().journal(&id("x")).await.unwrap();
            let halted = resume_with(&host, Some(&variant("order"))).await;
            let (kind, message) = failure(&halted);
            assert_eq!(kind, FailureKind::Divergence, "{halted:?}");
            assert!(message.contains("recorded delivery of [0], attempted a wait for [1]"), "{message}");
            assert!(host.reader().journal(&id("x")).await.unwrap() == journal);
            host.settle(&id("x").promise(2), Ok("5".into())).await.unwrap();
            assert_eq!(result(&resume_with(&host, None).await), "5");
        });
    }
}

#[test]
fn a_component_that_differs_only_behind_the_journal_takes_over() {
    for place in Place::each() {
        let later = variant("later");
        place.equip(&later);
        life(async {
            let host = place.host().build().unwrap();
            begin(&host, "varies").await;
            assert_eq!(resume_with(&host, Some(&later)).await.state, State::Suspended);
            host.settle(&id("x").promise(3), Ok("3".into())).await.unwrap();
        });
        life(async {
            let host = place.host().build().unwrap();
            assert_eq!(host.reader().execution(&id("x")).await.unwrap().component, later.digest());
            assert_eq!(resume_with(&host, None).await.state, State::Suspended);
            host.settle(&id("x").promise(5), Ok("4".into())).await.unwrap();
            assert_eq!(result(&resume_with(&host, None).await), "70");
        });
    }
}

#[test]
fn a_remembered_value_is_kept_although_the_component_would_compute_another() {
    for place in Place::each() {
        life(async {
            let host = place.host().build().unwrap();
            begin(&host, "varies").await;
            assert_eq!(resume_with(&host, Some(&variant("value"))).await.state, State::Suspended);
        });
    }
}

#[test]
fn a_component_that_once_diverged_is_stored_with_the_next_execution_that_uses_it() {
    for place in Place::each() {
        let other = variant("more");
        place.equip(&other);
        life(async {
            let host = place.host().build().unwrap();
            begin(&host, "varies").await;
            assert_eq!(resume_with(&host, Some(&other)).await.state, State::Halted);
            let second = Run { component: other.clone(), ..run("varies", "null") }.with_id(id("y")).without_waiting();
            assert_eq!(host.run(second).await.unwrap().state, State::Suspended);
        });
        life(async {
            let host = place.host().build().unwrap();
            let resumed = host.resume(&id("y"), Patience::None).await.unwrap().wait().await.unwrap();
            assert_eq!(resumed.state, State::Suspended);
        });
    }
}

#[test]
fn a_component_that_was_never_built_for_everstep_changes_nothing() {
    for place in Place::each() {
        life(async {
            let host = place.host().build().unwrap();
            begin(&host, "varies").await;
            let before = host.reader().execution(&id("x")).await.unwrap();
            let nonsense = Component::from(b"nonsense".to_vec());
            assert!(host.resume_with(&id("x"), Some(&nonsense), Patience::None).await.is_err());
            assert_eq!(host.reader().execution(&id("x")).await.unwrap(), before);
        });
    }
}

#[test]
fn a_component_without_the_function_is_refused_and_changes_nothing() {
    for place in Place::each() {
        life(async {
            let host = place.host().build().unwrap();
            host.run(run("asks", "null").without_waiting()).await.unwrap();
            let before = host.reader().execution(&id("x")).await.unwrap();
            let hello: Component = guests::example("hello").unwrap().into();
            let refused = host.resume_with(&id("x"), Some(&hello), Patience::None).await.err().unwrap();
            assert!(matches!(&refused, Error::UnknownFunction { function, .. } if function == "asks"), "{refused}");
            assert_eq!(host.reader().execution(&id("x")).await.unwrap(), before);
            assert_eq!(resume_with(&host, None).await.state, State::Suspended);
        });
    }
}
