//! What workers in other languages write, and what they need.

use super::*;
use crate::record::Tags;

fn invocation(args: &str) -> Invocation {
    let (function, args) = ("f".to_owned(), args.to_owned());
    Invocation { function, args, component: Digest::of(b"component"), policy: Digest::of(b"policy"), trace: None }
}

fn promise(state: PromiseState, data: Option<&str>) -> Promise {
    let value = Value { data: data.map(str::to_owned), ..Value::default() };
    let (param, tags) = (Value::default(), Tags::default());
    Promise { id: "x".to_owned(), state, param, value, tags, timeout_at: NEVER, created_at: 0, settled_at: Some(1) }
}

#[test]
fn the_arguments_of_a_call_are_a_list_for_others_and_what_they_were_for_this_host() {
    for (args, listed) in [
        ("null", "[]"),
        ("21", "[21]"),
        ("{\"a\":[1]}", "[{\"a\":[1]}]"),
        ("[]", "[]"),
        ("[21]", "[21]"),
        ("[1,[2]]", "[1,[2]]"),
        (" [ 1 ] ", "[ 1 ]"),
        ("9007199254740993", "[9007199254740993]"),
    ] {
        let call = invocation(args);
        let param = call.param();
        let parameter = format!("{{\"func\":\"f\",\"args\":{listed},\"version\":1}}");
        assert_eq!(param.data.as_deref(), Some(parameter.as_str()), "{args}");
        let read = Invocation::of_parts(&param, &call.tags("poll://any@g")).unwrap();
        assert_eq!(read, Invocation { args: args.trim().to_owned(), ..call }, "{args}");
    }
    assert_eq!(invocation("not JSON").param().data, None);
}

#[test]
fn a_call_of_others_may_have_a_list_of_arguments_or_the_only_one() {
    for (args, read) in [
        ("[]", "null"),
        ("null", "null"),
        ("[21]", "21"),
        ("21", "21"),
        ("[[21]]", "[21]"),
        ("[1,2]", "[1,2]"),
        ("{\"a\":1}", "{\"a\":1}"),
    ] {
        let data =
            format!("{{\"func\":\"f\",\"args\":{args},\"version\":1,\"retry\":{{\"type\":\"never\",\"data\":{{}}}}}}");
        let mut call = promise(PromiseState::Pending, None);
        call.param.data = Some(data);
        assert_eq!(Invocation::called_by_others(&call), Some(("f".to_owned(), read.to_owned())), "{args}");
    }
}

#[test]
fn arguments_by_name_are_an_object_behind_the_others() {
    for (args, kwargs, read) in [
        ("[]", "{\"b\":2}", "{\"b\":2}"),
        ("null", "{\"b\":2}", "{\"b\":2}"),
        ("[1]", "{\"b\":[2],\"c\":null}", "[1,{\"b\":[2],\"c\":null}]"),
        ("1", "{\"b\":2}", "[1,{\"b\":2}]"),
        ("[1]", "{}", "1"),
        ("[1]", "null", "1"),
    ] {
        let mut call = promise(PromiseState::Pending, None);
        call.param.data = Some(format!("{{\"func\":\"f\",\"args\":{args},\"kwargs\":{kwargs}}}"));
        assert_eq!(Invocation::called_by_others(&call), Some(("f".to_owned(), read.to_owned())), "{args} {kwargs}");
    }
    let mut call = promise(PromiseState::Pending, None);
    call.tags = invocation("null").tags("poll://any@default").into();
    call.param.data = Some("{\"func\":\"f\",\"args\":[1],\"kwargs\":{\"b\":2}}".to_owned());
    assert_eq!(Invocation::of(&call).unwrap().args, "[1,{\"b\":2}]");
}

#[test]
fn results_and_errors_of_others_are_read_however_they_are_written() {
    let read = |state, data| outcome_of(&promise(state, data)).unwrap();
    for data in [None, Some(""), Some("null")] {
        assert_eq!(read(PromiseState::Resolved, data), Ok("null".to_owned()));
    }
    assert_eq!(read(PromiseState::Resolved, Some("[1]")), Ok("[1]".to_owned()));
    for (data, message) in [
        (
            Some(r#"{"__type":"error","message":"no seat","name":"Full","stack":"Full: no seat\n at /srv/a.js"}"#),
            "no seat",
        ),
        (Some(r#"{"__type":"aggregate_error","message":"all failed","errors":[]}"#), "all failed"),
        (Some(r#""no seat""#), "no seat"),
        (Some(r#"{"reason":7}"#), r#"{"reason":7}"#),
        (Some("no JSON"), "no JSON"),
        (Some(""), "the promise was rejected without a reason"),
        (None, "the promise was rejected without a reason"),
    ] {
        assert_eq!(read(PromiseState::Rejected, data), Err(GuestError::new(ErrorCode::Failed, message)), "{data:?}");
    }
    let ours = GuestError::new(ErrorCode::Invalid, "not so");
    let (state, value) = value_of(&Err(ours.clone()));
    assert_eq!(value.data.as_deref(), Some(r#"{"__type":"error","message":"not so"}"#));
    assert_eq!(outcome_of(&Promise { value, ..promise(state, None) }), Some(Err(ours)));
}
