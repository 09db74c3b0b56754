//! Conversions without a guest: every value of every type survives, and what does not fit is named.

use super::*;
use proptest::prelude::*;
use proptest::strategy::Union;
use serde_json::{Value, json};
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Val};

/// A function of these parameters and this result, in the text format; `types` declares what they name.
fn function(types: &str, params: &str, result: &str) -> ComponentFunc {
    let text = format!(r#"(component {types} (import "f" (func {params} {result})))"#);
    let engine = Engine::default();
    let component = Component::new(&engine, wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")));
    let component = component.unwrap_or_else(|error| panic!("{error:#}: {text}")).component_type();
    let ComponentItem::ComponentFunc(function) = component.get_import(&engine, "f").unwrap().ty else {
        panic!("{text}")
    };
    function
}

/// A function that takes and returns one type.
fn same(types: &str, ty: &str) -> ComponentFunc {
    function(types, &format!("(param \"x\" {ty})"), &format!("(result {ty})"))
}

/// The only argument back as JSON.
fn round_trip(function: &ComponentFunc, value: &Value) -> Value {
    let values = arguments(function, &json!({ "x": value }).to_string()).unwrap_or_else(|misfit| panic!("{misfit}"));
    let text = returned(function, values.first(), u64::MAX).unwrap().unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A type, as far as the text format distinguishes them.
#[derive(Clone, Debug)]
enum Ty {
    Plain(&'static str),
    List(Box<Ty>),
    Option(Box<Ty>),
    Tuple(Vec<Ty>),
    Record(Vec<Ty>),
    /// A variant in a tuple, since the result of a function is not converted as other results are.
    Result(Option<Box<Ty>>, Option<Box<Ty>>),
    Variant(Vec<Option<Ty>>),
    Enum(usize),
    Flags(usize),
}

const PLAIN: [&str; 13] =
    ["bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64", "char", "string"];

fn ty() -> impl Strategy<Value = Ty> {
    let leaf = prop_oneof![
        6 => prop::sample::select(&PLAIN[..]).prop_map(Ty::Plain),
        1 => (1..5usize).prop_map(Ty::Enum),
        1 => (1..5usize).prop_map(Ty::Flags),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let some = prop::option::of(inner.clone().prop_map(Box::new));
        prop_oneof![
            inner.clone().prop_map(|ty| Ty::List(Box::new(ty))),
            inner.clone().prop_map(|ty| Ty::Option(Box::new(ty))),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Ty::Tuple),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Ty::Record),
            (some.clone(), some).prop_map(|(ok, err)| Ty::Result(ok, err)),
            prop::collection::vec(prop::option::of(inner), 1..4).prop_map(Ty::Variant),
        ]
    })
}

impl Ty {
    /// Its text; adds to `types` what has to be declared before.
    fn text(&self, types: &mut Vec<String>) -> String {
        let declared = |types: &mut Vec<String>, ty: String| {
            let n = types.len();
            types.push(format!("(type $t{n} {ty}) (import \"t{n}\" (type $n{n} (eq $t{n})))"));
            format!("$n{n}")
        };
        let names = |count: usize| (0..count).map(|n| format!("\"n{n}\"")).collect::<Vec<_>>().join(" ");
        match self {
            Self::Plain(name) => (*name).to_owned(),
            Self::List(ty) => format!("(list {})", ty.text(types)),
            Self::Option(ty) => format!("(option {})", ty.text(types)),
            Self::Tuple(parts) => {
                let parts: Vec<_> = parts.iter().map(|ty| ty.text(types)).collect();
                format!("(tuple {})", parts.join(" "))
            }
            Self::Result(ok, err) => {
                let ok = ok.as_ref().map(|ty| ty.text(types)).unwrap_or_default();
                let err = err.as_ref().map(|ty| format!("(error {})", ty.text(types))).unwrap_or_default();
                format!("(result {ok} {err})")
            }
            Self::Record(fields) => {
                let fields = fields.iter().enumerate().map(|(n, ty)| format!("(field \"n{n}\" {})", ty.text(types)));
                let fields = fields.collect::<Vec<_>>().join(" ");
                declared(types, format!("(record {fields})"))
            }
            Self::Variant(cases) => {
                let ty =
                    |types: &mut Vec<String>, ty: &Option<Ty>| ty.as_ref().map(|ty| ty.text(types)).unwrap_or_default();
                let cases = cases.iter().enumerate().map(|(n, case)| format!("(case \"n{n}\" {})", ty(types, case)));
                let cases = cases.collect::<Vec<_>>().join(" ");
                declared(types, format!("(variant {cases})"))
            }
            Self::Enum(count) => declared(types, format!("(enum {})", names(*count))),
            Self::Flags(count) => declared(types, format!("(flags {})", names(*count))),
        }
    }

    /// Its values as JSON.
    fn values(&self) -> BoxedStrategy<Value> {
        let payload = |ty: Option<&Ty>| ty.map_or_else(|| Just(Value::Null).boxed(), Ty::values);
        match self {
            Self::Plain("bool") => any::<bool>().prop_map(Value::from).boxed(),
            Self::Plain("s8") => any::<i8>().prop_map(Value::from).boxed(),
            Self::Plain("u8") => any::<u8>().prop_map(Value::from).boxed(),
            Self::Plain("s16") => any::<i16>().prop_map(Value::from).boxed(),
            Self::Plain("u16") => any::<u16>().prop_map(Value::from).boxed(),
            Self::Plain("s32") => any::<i32>().prop_map(Value::from).boxed(),
            Self::Plain("u32") => any::<u32>().prop_map(Value::from).boxed(),
            Self::Plain("s64") => any::<i64>().prop_map(Value::from).boxed(),
            Self::Plain("u64") => any::<u64>().prop_map(Value::from).boxed(),
            Self::Plain("f32") => {
                prop_oneof![8 => any::<f32>().prop_map(|it| float(it, it.into())), 1 => special()].boxed()
            }
            Self::Plain("f64") => prop_oneof![8 => any::<f64>().prop_map(|it| float(it, it)), 1 => special()].boxed(),
            Self::Plain("char") => any::<char>().prop_map(|it| json!(it)).boxed(),
            Self::Plain(_) => any::<String>().prop_map(Value::from).boxed(),
            Self::List(ty) => prop::collection::vec(ty.values(), 0..4).prop_map(Value::from).boxed(),
            Self::Option(ty) => {
                let inner: BoxedStrategy<Value> = match **ty {
                    Self::Option(_) => ty.values().prop_map(|value| json!({ "some": value })).boxed(),
                    _ => ty.values(),
                };
                prop_oneof![Just(Value::Null), inner].boxed()
            }
            Self::Tuple(parts) => parts.iter().map(Ty::values).collect::<Vec<_>>().prop_map(Value::from).boxed(),
            Self::Record(fields) => {
                let fields = fields.iter().map(Ty::values).collect::<Vec<_>>();
                let named = |values: Vec<Value>| {
                    values
                        .into_iter()
                        .enumerate()
                        .map(|(n, value)| (format!("n{n}"), value))
                        .collect::<serde_json::Map<_, _>>()
                };
                fields.prop_map(move |values| Value::from(named(values))).boxed()
            }
            Self::Result(ok, err) => prop_oneof![
                payload(ok.as_deref()).prop_map(|value| json!({ "ok": value })),
                payload(err.as_deref()).prop_map(|value| json!({ "err": value })),
            ]
            .boxed(),
            Self::Variant(cases) => {
                let cases = cases.iter().enumerate().map(|(n, ty)| match ty {
                    None => Just(json!(format!("n{n}"))).boxed(),
                    Some(ty) => ty.values().prop_map(move |value| json!({ format!("n{n}"): value })).boxed(),
                });
                Union::new(cases).boxed()
            }
            Self::Enum(count) => (0..*count).prop_map(|n| json!(format!("n{n}"))).boxed(),
            Self::Flags(count) => {
                let names: Vec<_> = (0..*count).map(|n| format!("n{n}")).collect();
                prop::sample::subsequence(names, 0..=*count).prop_map(Value::from).boxed()
            }
        }
    }
}

fn special() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![json!("NaN"), json!("Infinity"), json!("-Infinity")])
}

/// A float as JSON has it.
fn float(it: impl serde::Serialize, wide: f64) -> Value {
    match wide.is_finite() {
        true => serde_json::from_str(&serde_json::to_string(&it).unwrap()).unwrap(),
        false => json!("NaN"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_value_of_every_type_survives_the_way_in_and_out((ty, value) in ty().prop_flat_map(|ty| {
        // In a tuple: the result of a function is converted in another way.
        let ty = Ty::Tuple(vec![ty]);
        let values = ty.values();
        (Just(ty), values)
    })) {
        let mut types = Vec::new();
        let text = ty.text(&mut types);
        let function = same(&types.join(" "), &text);
        prop_assert_eq!(round_trip(&function, &value), value.clone());
        prop_assert!(check_callable(&function).is_ok());
        let wave = result_in_wave(&function, &value.to_string()).unwrap();
        let back = arguments_in_wave(&function, &format!("({wave})")).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&back).unwrap(), json!([value]), "{}", wave);
    }
}

/// What is said of arguments that do not fit.
fn misfit(function: &ComponentFunc, args: &str) -> String {
    arguments(function, args).unwrap_err().to_string()
}

const ITEM: &str = r#"
    (type $r (record (field "name" string) (field "note" (option string)))) (import "item" (type $item (eq $r)))
    (type $v (variant (case "box" $item) (case "empty"))) (import "parcel" (type $parcel (eq $v)))
    (type $e (enum "red" "green")) (import "color" (type $color (eq $e)))
    (type $f (flags "read" "write")) (import "access" (type $access (eq $f)))"#;

#[test]
fn a_misfit_is_named_with_its_path() {
    let items = function(ITEM, r#"(param "items" (list $item)) (param "parcel" $parcel)"#, "");
    let fits = r#"{"items": [{"name": "a", "note": null}, {"name": "b"}], "parcel": "empty"}"#;
    assert_eq!(arguments(&items, fits).unwrap().len(), 2);
    let with = |items: &str, parcel: &str| format!("{{\"items\": {items}, \"parcel\": {parcel}}}");
    for (args, says) in [
        (with(r#"[{"name": "a"}, {"name": 3}]"#, "\"empty\""), "args.items[1].name: expected string, found number"),
        (with("[{}]", "\"empty\""), "args.items[0].name: expected string, found nothing"),
        (with("{}", "\"empty\""), "args.items: expected list, found object"),
        (
            with(r#"[{"name": "a", "size": 1}]"#, "\"empty\""),
            "args.items[0].size: there is no such name here, only name, note",
        ),
        (with("[]", "{\"box\": {\"name\": null}}"), "args.parcel.box.name: expected string, found null"),
        (with("[]", "\"box\""), "args.parcel: the case box needs a record: {\"box\": VALUE}"),
        (with("[]", "\"bag\""), "args.parcel: expected box, empty, found \"bag\""),
        (with("[]", "{\"empty\": 1}"), "args.parcel.empty: expected null, since the case has no value, found number"),
        ("{\"items\": []}".to_owned(), "args.parcel: expected variant, found nothing"),
        ("[[]]".to_owned(), "args: expected 2 values, found 1"),
        ("[[], 1]".to_owned(), "args[1]: expected the name of a case, or {CASE: VALUE}, found number"),
        ("null".to_owned(), "args: expected an object or a list of parameters (items, parcel), found null"),
        ("{\"items\": [], \"items\": []}".to_owned(), "args: "),
    ] {
        let message = misfit(&items, &args);
        assert!(message.starts_with(says), "{args}: {message}");
    }
}

#[test]
fn numbers_and_characters_have_to_be_in_range() {
    for (ty, value, says) in [
        ("u8", "256", "args.x: expected u8, found 256"),
        ("s8", "-129", "args.x: expected s8, found -129"),
        ("u64", "-1", "args.x: expected u64, found -1"),
        ("u64", "18446744073709551616", "args.x: expected u64, found 1.8446744073709552e+19"),
        ("s32", "1.5", "args.x: expected s32, found 1.5"),
        ("f32", "1e39", "args.x: expected f32, found 1e+39"),
        ("f64", "\"nan\"", "args.x: expected f64, found string"),
        ("char", "\"ab\"", "args.x: expected a string of one character, found 2 characters"),
        ("char", "\"\"", "args.x: expected a string of one character, found 0 characters"),
        ("bool", "0", "args.x: expected bool, found number"),
        ("(tuple u8 u8)", "[1]", "args.x: expected 2 values, found 1"),
        ("(result u8)", "{\"good\": 1}", "args.x: expected ok or err, found \"good\""),
        ("(result u8)", "1", "args.x: expected {\"ok\": VALUE} or {\"err\": VALUE}, found number"),
        ("(option (option u8))", "1", "args.x: expected null or {\"some\": VALUE}, found number"),
        ("$color", "\"blue\"", "args.x: expected red, green, found \"blue\""),
        ("$access", "[\"run\"]", "args.x: expected read, write, found \"run\""),
        ("$access", "[1]", "args.x[0]: expected the name of a flag, found number"),
    ] {
        assert_eq!(misfit(&same(ITEM, ty), &format!("{{\"x\": {value}}}")), says, "{ty} {value}");
    }
    assert_eq!(round_trip(&same("", "u64"), &json!(u64::MAX)), json!(u64::MAX));
    assert_eq!(round_trip(&same("", "f32"), &json!(1)), json!(1.0));
}

#[test]
fn what_json_cannot_hold_is_not_called() {
    let resource = r#"(import "file" (type $file (sub resource)))"#;
    for (types, ty) in [(resource, "(own $file)"), (resource, "(list (option (borrow $file)))")] {
        let function = function(types, &format!("(param \"x\" {ty})"), "");
        assert_eq!(check_callable(&function), Err("a resource"));
    }
}

#[test]
fn the_error_of_a_result_is_the_error_of_the_function() {
    let called = |function: &ComponentFunc, value: Val| returned(function, Some(&value), 1_000).unwrap();
    let plain = function("", "", "(result (result u8 (error string)))");
    assert_eq!(called(&plain, Val::Result(Ok(Some(Box::new(Val::U8(7)))))), Ok("7".to_owned()));
    let failed = |message: &str| Val::Result(Err(Some(Box::new(Val::String(message.to_owned())))));
    let error = called(&plain, failed("no paper")).unwrap_err();
    assert_eq!((error.code.name(), &*error.message), ("failed", "no paper"));
    let nothing = function("", "", "(result (result))");
    assert_eq!(called(&nothing, Val::Result(Ok(None))), Ok("null".to_owned()));
    assert_eq!(called(&nothing, Val::Result(Err(None))).unwrap_err().message, "the function returned an error");
    let ours = r#"(type $c (enum "denied" "failed")) (import "code" (type $code (eq $c)))
        (type $r (record (field "code" $code) (field "message" string))) (import "error" (type $error (eq $r)))"#;
    let ours = function(ours, "", "(result (result (error $error)))");
    let fields = [("code", Val::Enum("denied".to_owned())), ("message", Val::String("not granted".to_owned()))];
    let record = Val::Record(fields.map(|(name, value)| (name.to_owned(), value)).into());
    let error = called(&ours, Val::Result(Err(Some(Box::new(record))))).unwrap_err();
    assert_eq!((error.code.name(), &*error.message), ("denied", "not granted"));
    assert_eq!(returned(&function("", "", ""), None, 1_000).unwrap(), Ok("null".to_owned()));
}

#[test]
fn a_result_ends_at_its_limit() {
    let bytes = function("", "", "(result (list u8))");
    let value = Val::List(vec![Val::U8(255); 1_000]);
    assert_eq!(returned(&bytes, Some(&value), 4_001).unwrap().unwrap().len(), 4_001);
    assert_eq!(returned(&bytes, Some(&value), 4_000), Err(TooLong));
    let text = function("", "", "(result string)");
    assert_eq!(returned(&text, Some(&Val::String("\u{1}".repeat(1_000))), 2_000), Err(TooLong));
}

#[test]
fn a_signature_is_the_notation_of_wit_and_has_an_end() {
    let plain = function(
        ITEM,
        r#"(param "a" (list $item)) (param "b" $parcel) (param "c" (tuple u8 $color))"#,
        "(result (result (error $access)))",
    );
    assert_eq!(
        signature(&plain),
        "func(a: list<record { name: string, note: option<string> }>, \
         b: variant { box(record { name: string, note: option<string> }), empty }, c: tuple<u8, enum { red, green }>) \
         -> result<_, flags { read, write }>"
    );
    assert_eq!(signature(&function("", "", "")), "func()");
    // Each level doubles what is written.
    let mut types = "(type $t0 (tuple u8 u8))".to_owned();
    (1..16).for_each(|n| types.push_str(&format!("(type $t{n} (tuple $t{} $t{}))", n - 1, n - 1)));
    let long = signature(&function(&types, r#"(param "x" $t15)"#, ""));
    assert!(long.len() < 2_100 && long.ends_with("..."), "{long}");
}

#[test]
fn arguments_in_wave_are_those_in_json() {
    let function =
        function(ITEM, r#"(param "a" (list $item)) (param "b" $parcel)"#, "(result (result u8 (error string)))");
    let args = arguments_in_wave(&function, r#"([{name: "x"}], box({name: "y", note: some("z")}))"#).unwrap();
    let expected = json!([[{"name": "x", "note": null}], {"box": {"name": "y", "note": "z"}}]);
    assert_eq!(serde_json::from_str::<Value>(&args).unwrap(), expected);
    assert_eq!(result_in_wave(&function, "7").unwrap(), "ok(7)");
    for wrong in ["1", "(1)", "([], empty, 3)", "([], {", &"(".repeat(1_000)] {
        assert!(arguments_in_wave(&function, wrong).unwrap_err().to_string().starts_with("args: "), "{wrong}");
    }
}
