//! Functions with types of their own: called by reflection, with JSON that is checked against the types.

use crate::support::{Place, eventually, failure, id, life, outcome, parse, policy, result, soon};
use everstep::store::{FailureKind, State};
use everstep::{Component, Error, ErrorCode, PROGRAM, Policy, Run, Scope};
use everstep_tests::guests;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

static TYPED: LazyLock<Component> = LazyLock::new(|| guests::fixture("typed").unwrap().into());

fn run(function: &str, args: &Value, policy: Policy) -> Run {
    Run::new(TYPED.clone(), function, args.to_string(), policy).with_id(id("x"))
}

/// Runs it in a place that has the component.
fn called(place: &Place, run: Run) -> everstep::Report {
    place.equip(&TYPED);
    outcome(place.host(), run)
}

/// The reason that a call is refused before anything is stored.
fn refused(function: &str, args: &Value) -> Arc<Error> {
    // One place: nothing is stored.
    let place = Place::memory();
    life(async {
        let host = place.host().build().unwrap();
        let error = host.run(run(function, args, Policy::none())).await.unwrap_err();
        assert!(host.reader().execution(&id("x")).await.is_err(), "it is not stored");
        error
    })
}

fn everything() -> Value {
    json!({
        "truth": true,
        "tiny": [-128, 255],
        "short": [-32768, 65535],
        "middle": [-2147483648, 4294967295u32],
        "long": [i64::MIN, u64::MAX],
        "floats": [0.1, "-Infinity"],
        "letter": "ß",
        "text": "zwölf \"12\"\n",
        "bytes": [0, 255],
        "shapes": [{"circle": 1.5}, {"polygon": [{"x": 0.0, "y": -1.25}]}, "nothing"],
        "color": "blue",
        "access": ["read", "execute"],
        "maybe": null,
        "perhaps": {"some": null},
        "outcome": {"err": "lost"},
        "bare": {"ok": null}
    })
}

#[test]
fn a_value_of_every_type_goes_in_and_comes_back() {
    for place in Place::each() {
        let report = called(&place, run("same", &json!({ "value": everything() }), Policy::none()));
        assert_eq!(serde_json::from_str::<Value>(result(&report)).unwrap(), everything());
    }
}

fn values() -> impl Strategy<Value = Value> {
    let numbers = (
        any::<(i8, u8)>(),
        any::<(i16, u16)>(),
        any::<(i32, u32)>(),
        any::<(i64, u64)>(),
        (-1e30f32..1e30, -1e300f64..1e300),
    );
    let texts = (any::<bool>(), any::<char>(), any::<String>(), any::<Vec<u8>>(), any::<Option<String>>());
    let choices = (
        prop::sample::select(vec!["red", "green", "blue"]),
        prop::sample::subsequence(vec!["read", "write", "execute"], 0..=3),
        any::<Option<Option<u32>>>(),
        any::<Result<(), ()>>(),
    );
    (numbers, texts, choices).prop_map(|(numbers, texts, choices)| {
        let (tiny, short, middle, long, (float, double)) = numbers;
        let (truth, letter, text, bytes, maybe) = texts;
        let (color, access, perhaps, bare) = choices;
        // As JSON has it: a float of 32 bits in its shortest form.
        let float: Value = serde_json::from_str(&serde_json::to_string(&float).unwrap()).unwrap();
        let perhaps = perhaps.map_or(Value::Null, |inner| json!({ "some": inner }));
        let bare = if bare.is_ok() { json!({"ok": null}) } else { json!({"err": null}) };
        json!({
            "truth": truth, "tiny": tiny, "short": short, "middle": middle, "long": long, "floats": [float, double],
            "letter": letter, "text": text, "bytes": bytes, "shapes": [{"circle": double}], "color": color,
            "access": access, "maybe": maybe, "perhaps": perhaps,
            "outcome": {"ok": {"x": double, "y": 1.0}}, "bare": bare
        })
    })
}

#[test]
fn any_value_goes_in_and_comes_back() {
    // One place: the values do not depend on it.
    let place = Place::memory();
    let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(value in values())| {
        let report = life(async {
            let host = place.host().build().unwrap();
            let args = json!([value]).to_string();
            host.run(Run::new(TYPED.clone(), "same", args, Policy::none())).await.unwrap()
        });
        prop_assert_eq!(serde_json::from_str::<Value>(result(&report)).unwrap(), value);
    });
}

#[test]
fn arguments_that_do_not_fit_are_refused_with_the_place_where_they_do_not() {
    let with = |path: &str, value: Value| {
        let mut all = json!({ "value": everything() });
        *all.pointer_mut(path).unwrap() = value;
        all
    };
    for (function, args, says) in [
        ("same", with("/value/tiny/1", json!(256)), "args.value.tiny[1]: expected u8, found 256"),
        (
            "same",
            with("/value/shapes/1/polygon/0/x", json!("1")),
            "args.value.shapes[1].polygon[0].x: expected f64, found string",
        ),
        ("same", with("/value/color", json!("pink")), "args.value.color: expected red, green, blue, found \"pink\""),
        ("same", json!({}), "args.value: expected record, found nothing"),
        ("area", json!({"shape": "circle"}), "args.shape: the case circle needs a f64: {\"circle\": VALUE}"),
        ("greet", json!({"name": "Ada", "age": 36}), "args.age: there is no such name here, only name"),
        ("greet", json!([1]), "args[0]: expected string, found number"),
        ("nothing", json!([1]), "args: expected 0 values, found 1"),
        ("take", json!([1]), "test:typed/hostile@1.2.0#take: it takes or returns a resource, which JSON cannot hold"),
    ] {
        let error = refused(function, &args);
        assert!(matches!(&*error, Error::Misfit { .. }), "{error}");
        assert_eq!(error.to_string(), format!("the arguments do not fit: {says}"));
    }
}

#[test]
fn a_function_may_be_named_by_as_much_as_it_takes_to_tell_it() {
    // One place: names are resolved before anything is stored.
    let place = Place::memory();
    for (function, args, expected) in [
        ("test:typed/shapes@1.2.0#add", json!({"a": 40, "b": 2}), "42"),
        ("test:typed/shapes#add", json!([40, 2]), "42"),
        ("test:typed/other#add", json!({"text": "a"}), "\"a\""),
        ("greet", json!(["Ada"]), "\"hello Ada\""),
        ("nothing", Value::Null, "null"),
    ] {
        let run = Run::new(TYPED.clone(), function, args.to_string(), Policy::none());
        assert_eq!(result(&outcome(place.host(), run)), expected, "{function}");
    }
    let ambiguous = refused("add", &json!([1, 2])).to_string();
    assert_eq!(
        ambiguous,
        "\"add\" may be any of test:typed/shapes@1.2.0#add, test:typed/other@1.2.0#add; name one in full"
    );
    for (unknown, why) in [
        ("subtract", "the component has no function \"subtract\""),
        ("test:typed/shapes@1.3.0#add", "the component has no function \"test:typed/shapes@1.3.0#add\""),
        (PROGRAM, "the component is no program: name one of its functions"),
    ] {
        let message = refused(unknown, &Value::Null).to_string();
        assert!(message.starts_with(&format!("{why}; it has ")), "{message}");
        assert!(message.contains("test:typed/shapes@1.2.0#area"), "{message}");
    }
}

#[test]
fn an_error_that_a_function_returns_is_its_error() {
    for place in Place::each() {
        let polygon = json!({"shape": {"polygon": [{"x": 0.0, "y": 0.0}]}});
        let report = called(&place, run("area", &polygon, Policy::none()));
        let (kind, message) = failure(&report);
        assert_eq!((report.state, kind), (State::Failed, FailureKind::Returned(ErrorCode::Failed)));
        assert_eq!(message, "a polygon has at least 3 points, and this has 1");
    }
    // One place: what is made of an error does not depend on it.
    let report = called(&Place::memory(), run("refuse", &Value::Null, Policy::none()));
    assert_eq!(failure(&report), (FailureKind::Returned(ErrorCode::Denied), "not for you"));
}

#[test]
fn the_calls_of_a_typed_function_are_steps_that_are_replayed() {
    for place in Place::each() {
        place.equip(&TYPED);
        let asks = || run("ask", &json!(["Name?"]), policy());
        let suspended = outcome(place.host(), asks().without_waiting());
        assert_eq!(suspended.state, State::Suspended);
        life(async {
            let host = place.host().build().unwrap();
            let asked = eventually("the question", async || host.reader().promises().await.unwrap().pop()).await;
            assert_eq!(asked.subject, "Name?");
            host.settle(&asked.id, Ok("\"Ada\"".into())).await.unwrap();
        });
        let done = outcome(place.host(), asks());
        assert_eq!((result(&done), done.replayed), ("\"\\\"Ada\\\"\"", 1));
        let draws = || run("draw", &Value::Null, policy()).with_id(id("y"));
        let drawn = outcome(place.host(), draws());
        assert_eq!(result(&drawn), result(&outcome(place.host(), draws())));
        life(async {
            let host = place.host().build().unwrap();
            let replayed = host.replay(&id("y"), None, None).await.unwrap();
            assert_eq!((replayed.end, replayed.steps.len()), (everstep::ReplayEnd::Repeated, 2));
        });
    }
}

#[test]
fn the_section_of_a_function_holds_under_each_of_its_names() {
    for place in Place::each() {
        let narrowed = "[[capability]]\nname = \"input\"\n[functions.ask]\ncapability = []\n";
        let ask = run("test:typed/durable@1.2.0#ask", &json!(["Name?"]), parse(narrowed));
        let report = called(&place, ask);
        let (_, message) = failure(&report);
        assert!(message.contains("input"), "{message}");
    }
}

#[test]
fn a_hostile_component_stays_within_its_limits() {
    for place in Place::each() {
        place.equip(&TYPED);
        let limits = parse("[limits]\nmemory = \"32MiB\"\ncpu = \"200ms\"\nresult = \"100KiB\"\n");
        let report = |function: &str, args: Value, name: &str| {
            outcome(place.host(), run(function, &args, limits.clone()).with_id(id(name)))
        };
        for (function, count, name) in [("flood", 20_000, "large"), ("wide", 100_000, "wide")] {
            let large = report(function, json!([count]), name);
            let (kind, message) = failure(&large);
            assert_eq!(kind, FailureKind::Returned(ErrorCode::LimitExceeded), "{message}");
            assert!(message.contains("limits.result is 102400"), "{message}");
        }
        // Each byte is a value of its own to the host.
        let huge = report("wide", json!([8 << 20]), "huge");
        assert_eq!((huge.state, failure(&huge).0), (State::Halted, FailureKind::Limit), "{huge:?}");
        let endless = report("spin", Value::Null, "endless");
        assert_eq!((endless.state, failure(&endless).0), (State::Halted, FailureKind::Limit), "{endless:?}");
        let trapped = report("trap", Value::Null, "trapped");
        assert_eq!((trapped.state, failure(&trapped).0), (State::Halted, FailureKind::Trap), "{trapped:?}");
        assert_eq!(result(&report("greet", json!(["Ada"]), "well")), "\"hello Ada\"", "the host is well");
    }
}

#[test]
fn a_typed_function_is_scheduled_and_submitted_like_any_other() {
    for place in Place::each() {
        place.equip(&TYPED);
        life(async {
            let host = place.host().scope(Scope::Everything).build().unwrap();
            let wrong = Run::new(TYPED.clone(), "greet", "[1]", Policy::none());
            let error = host.schedule("daily", "0 0 * * *", wrong, false).await.unwrap_err();
            assert!(error.to_string().contains("args[0]: expected string, found number"), "{error}");
            if place.is_server() {
                // Whoever runs what was submitted checks it.
                let submitted = host.submit(run("greet", &json!([1]), Policy::none())).await.unwrap();
                let report = soon("the end", submitted.wait()).await.unwrap();
                let (kind, message) = failure(&report);
                assert_eq!(kind, FailureKind::Returned(ErrorCode::Invalid));
                assert_eq!(message, "args[0]: expected string, found number");
            }
        });
    }
}
