use super::*;
use serde_json::{Value, json};

fn parse(schema: &Value) -> Schema {
    Schema::parse(&schema.to_string()).unwrap()
}

fn refusal(schema: &Value) -> String {
    Schema::parse(&schema.to_string()).unwrap_err()
}

fn misfit(schema: &Value, value: &Value) -> String {
    parse(schema).check(&value.to_string()).unwrap_err()
}

/// A chain of definitions `0`, `1`, and so on, each made of the reference to the next; the root is the first.
fn chain(length: usize, link: impl Fn(Value) -> Value, last: Value) -> Value {
    let mut definitions = serde_json::Map::new();
    for index in 0..length {
        definitions.insert(index.to_string(), link(json!({ "$ref": format!("#/$defs/{}", index + 1) })));
    }
    definitions.insert(length.to_string(), last);
    json!({ "$ref": "#/$defs/0", "$defs": definitions })
}

/// Arrays in arrays around a text.
fn nested(depth: usize, inner: &str) -> String {
    format!("{}{inner}{}", "[".repeat(depth), "]".repeat(depth))
}

/// Runs something on a stack as small as a thread of a host could have.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
}

/// As schemars 1 writes it for a struct with an enum, an option, a list and a tree in it.
fn order() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Order",
        "type": "object",
        "properties": {
            "quantity": { "type": "integer", "format": "uint8", "minimum": 0, "maximum": 255 },
            "price": { "type": "number", "format": "double" },
            "size": { "$ref": "#/$defs/Size" },
            "note": { "type": ["string", "null"], "default": null },
            "address": { "anyOf": [{ "$ref": "#/$defs/Address" }, { "type": "null" }] },
            "parts": { "type": "array", "items": { "$ref": "#/$defs/Tree" } },
            "payment": { "$ref": "#/$defs/Payment" }
        },
        "required": ["quantity", "size"],
        "$defs": {
            "Size": { "type": "string", "enum": ["small", "medium", "large", "huge", "other"] },
            "Address": {
                "type": "object",
                "properties": { "city": { "type": "string", "minLength": 1 }, "zip": { "type": "string", "pattern": "^[0-9]{5}$" } },
                "required": ["city"],
                "additionalProperties": false
            },
            "Tree": {
                "type": "object",
                "properties": {
                    "name": { "type": "string" },
                    "children": { "type": "array", "items": { "$ref": "#/$defs/Tree" } }
                },
                "required": ["name", "children"]
            },
            "Payment": {
                "oneOf": [
                    { "type": "object", "properties": { "Card": { "type": "string" } }, "required": ["Card"], "additionalProperties": false },
                    { "description": "In notes", "type": "string", "const": "Cash" }
                ]
            }
        }
    })
}

#[test]
fn schema_of_a_struct_takes_what_fits() {
    let schema = parse(&order());
    let tree = json!({ "name": "a", "children": [{ "name": "b", "children": [{ "name": "c", "children": [] }] }] });
    for value in [
        json!({ "quantity": 255, "size": "small" }),
        json!({ "quantity": 0, "size": "huge", "price": 1, "note": null, "address": null, "unknown": 1 }),
        json!({ "quantity": 1, "size": "large", "note": "x", "address": { "city": "Ulm", "zip": "89073" }, "parts": [tree] }),
        json!({ "quantity": 1, "size": "large", "payment": "Cash" }),
        json!({ "quantity": 1, "size": "large", "payment": { "Card": "1" } }),
    ] {
        assert_eq!(schema.check(&value.to_string()), Ok(()), "{value}");
    }
}

#[test]
fn schema_says_where_a_struct_does_not_fit() {
    for (value, message) in [
        (json!([]), r#"[] is not of type "object""#),
        (json!({ "size": "small" }), r#""quantity" is a required property"#),
        (json!({ "quantity": 256, "size": "small" }), "at /quantity: 256 is greater than the maximum of 255"),
        (json!({ "quantity": -1, "size": "small" }), "at /quantity: -1 is less than the minimum of 0"),
        (json!({ "quantity": 1.5, "size": "small" }), r#"at /quantity: 1.5 is not of type "integer""#),
        (
            json!({ "quantity": 0.0, "size": "small" }),
            "at /quantity: 0.0 is not written as an integer: without fraction, exponent, or a sign before 0",
        ),
        (
            json!({ "quantity": 1, "size": "tiny" }),
            r#"at /size: "tiny" is not one of ["small","medium","large","huge","other"]"#,
        ),
        (json!({ "quantity": 1, "size": "small", "note": 1 }), r#"at /note: 1 is not of types "null", "string""#),
        (
            json!({ "quantity": 1, "size": "small", "address": 1 }),
            r#"at /address: 1 fits none of the alternatives: 1 is not of type "object"; or 1 is not of type "null""#,
        ),
        (
            json!({ "quantity": 1, "size": "small", "address": { "city": "Ulm", "zip": "x" } }),
            r#"at /address/zip: "x" does not match "^[0-9]{5}$""#,
        ),
        (
            json!({ "quantity": 1, "size": "small", "parts": [{ "name": "a", "children": [{ "name": 1, "children": [] }] }] }),
            r#"at /parts/0/children/0/name: 1 is not of type "string""#,
        ),
        (
            json!({ "quantity": 1, "size": "small", "payment": { "Card": 1 } }),
            r#"at /payment/Card: 1 is not of type "string""#,
        ),
    ] {
        assert_eq!(misfit(&order(), &value), message);
    }
    assert!(parse(&order()).check("{").unwrap_err().starts_with("the value is not JSON: "));
}

#[test]
fn schema_messages_stay_short() {
    let long = "x".repeat(100_000);
    for (schema, value) in [
        (json!({ "type": "integer" }), json!(long)),
        (json!({ "enum": (0..9_000).collect::<Vec<_>>() }), json!("x")),
        (json!({ "additionalProperties": { "type": "null" } }), json!({ &long: 1 })),
        (json!({ "properties": {}, "additionalProperties": false }), json!({ &long: 1, "y": 1 })),
        (json!({ "anyOf": vec![json!({ "type": "null" }); 1_000] }), json!(1)),
    ] {
        let message = misfit(&schema, &value);
        assert!(message.chars().count() <= 501, "{message}");
    }
    assert!(refusal(&json!({ "$ref": "x".repeat(60_000) })).chars().count() <= 501);
}

#[test]
fn schema_says_what_is_wrong_with_itself() {
    for (schema, message) in [
        (json!(1), "it is not an object, true or false"),
        (json!({ "properties": { "a": 1 } }), "at /properties/a: it is not an object, true or false"),
        (json!({ "items": [{}] }), "at /items: it is not an object, true or false"),
        (json!({ "allOf": {} }), "at /allOf: it is not a list of schemas"),
        (json!({ "allOf": [] }), "at /allOf: [] has less than 1 item"),
        (
            json!({ "type": "text" }),
            r#"at /type: "text" fits none of the alternatives: "text" is not one of ["array","#,
        ),
        (json!({ "required": "a" }), r#"at /required: "a" is not of type "array""#),
        (json!({ "minLength": -1 }), "at /minLength: it is not a whole number from 0 to 2^53"),
        (json!({ "maxItems": 1e300 }), "at /maxItems: it is not a whole number from 0 to 2^53"),
        (json!({ "multipleOf": 0 }), "at /multipleOf: it is not a number from 1e-9 to 2^53"),
        (json!({ "multipleOf": 1e-300 }), "at /multipleOf: it is not a number from 1e-9 to 2^53"),
        (json!({ "pattern": "(" }), "at /pattern: it is \"(\", which is not a pattern that can be used"),
        (
            json!({ "$schema": "http://json-schema.org/draft-07/schema#" }),
            "at /$schema: it is not https://json-schema.org/",
        ),
        (json!({ "dependencies": {} }), "at /dependencies: it is of an older draft"),
        (json!({ "items": { "$id": "x" } }), "at /items/$id: it is not supported"),
        (json!({ "$dynamicRef": "#a", "$dynamicAnchor": "a" }), "at /$dynamicRef: it is not supported"),
    ] {
        let refusal = refusal(&schema);
        assert!(refusal.starts_with(&format!("the schema cannot be used: {message}")), "{refusal}");
    }
    assert!(Schema::parse("{").unwrap_err().starts_with("the schema is not JSON: "));
    assert!(Schema::parse(&" ".repeat(65_537)).unwrap_err().contains("at most 65536 are allowed"));
}

#[test]
fn schema_refers_to_its_own_definitions_only() {
    for reference in [
        "",
        "x",
        "#x",
        "#/$defs",
        "#/$defs/b",
        "#/$defs/a/not",
        "#/properties/a",
        "http://example.com/schema#/$defs/a",
        "file:///etc/passwd",
        "https://json-schema.org/draft/2020-12/schema",
    ] {
        let refusal =
            refusal(&json!({ "properties": { "a": { "$ref": reference } }, "$defs": { "a": { "not": {} } } }));
        assert!(refusal.contains("and the schema must have that definition"), "{refusal}");
    }
    let schema = parse(&json!({
        "$id": "https://example.com/root",
        "prefixItems": [{ "$ref": "#/$defs/a~1b%25" }, { "$ref": "#/definitions/c" }, { "$ref": "#" }],
        "$defs": { "a/b%": { "type": "null" } },
        "definitions": { "c": { "type": "string" } }
    }));
    assert_eq!(schema.check(r#"[null, "x", [null]]"#), Ok(()));
    assert_eq!(schema.check(r#"[null, "x", [1]]"#).unwrap_err(), r#"at /2/0: 1 is not of type "null""#);
    assert_eq!(schema.check("[null, 1]").unwrap_err(), r#"at /1: 1 is not of type "string""#);
}

#[test]
fn schema_applied_to_its_own_value_is_refused() {
    let cycles = [
        json!({ "$ref": "#" }),
        json!({ "allOf": [{ "$ref": "#" }] }),
        json!({ "anyOf": [{ "type": "null" }, { "$ref": "#" }] }),
        json!({ "oneOf": [{ "$ref": "#" }] }),
        json!({ "not": { "$ref": "#" } }),
        json!({ "if": { "$ref": "#" }, "then": {} }),
        json!({ "if": {}, "then": { "$ref": "#" } }),
        json!({ "if": {}, "else": { "$ref": "#" } }),
        json!({ "dependentSchemas": { "a": { "$ref": "#" } } }),
        json!({ "$ref": "#/$defs/a", "$defs": { "a": { "anyOf": [{ "$ref": "#/$defs/b" }] }, "b": { "not": { "$ref": "#/$defs/a" } } } }),
        json!({ "$defs": { "a": { "$ref": "#/$defs/a" } } }),
        json!({ "unevaluatedProperties": false, "allOf": [{ "$ref": "#" }] }),
    ];
    for schema in cycles {
        assert!(refusal(&schema).contains("that the schema is applied to already"), "{schema}");
    }
    let consuming =
        ["items", "contains", "unevaluatedItems", "additionalProperties", "unevaluatedProperties", "propertyNames"];
    for keyword in consuming {
        assert_eq!(parse(&json!({ keyword: { "$ref": "#" } })).check(r#"[[], {"a": {}}]"#), Ok(()), "{keyword}");
    }
}

#[test]
fn schema_applied_too_often_to_one_value_is_refused() {
    for keyword in ["allOf", "anyOf", "oneOf"] {
        for unevaluated in ["unevaluatedProperties", "unevaluatedItems", "title"] {
            let double = |next: Value| json!({ keyword: [next, next], unevaluated: {} });
            let [lower, higher] = [20, 40].map(|length| refusal(&chain(length, double, json!({ "type": "integer" }))));
            assert!(lower.contains("more than 10000 schemas to one value"), "{keyword}: {lower}");
            assert!(higher.contains("more than 64 on top of each other"), "{keyword}: {higher}");
        }
    }
    // Each of these looks up all that the heavy one evaluates.
    let light = json!({ "$ref": "#/$defs/heavy", "unevaluatedProperties": false });
    let members: serde_json::Map<_, _> = (0..500).map(|name| (name.to_string(), light.clone())).collect();
    let heavy = json!({ "properties": members, "$defs": { "heavy": { "allOf": vec![json!({}); 500] } } });
    assert!(refusal(&heavy).contains("too much around its unevaluatedProperties"));
    assert!(
        refusal(&chain(70, |next| json!({ "not": next }), json!({}))).contains("more than 64 on top of each other")
    );
}

#[test]
fn schema_that_takes_exponential_time_in_the_value_is_stopped() {
    let member = json!({ "properties": { "a": { "$ref": "#" } } });
    for schema in [
        json!({ "allOf": [member, member] }),
        json!({ "anyOf": [member, member], "required": ["a"] }),
        json!({ "properties": { "a": { "$ref": "#" } }, "patternProperties": { "a": { "$ref": "#" } } }),
        json!({ "properties": { "a": { "$ref": "#" } }, "unevaluatedProperties": false }),
        json!({ "dependentSchemas": { "a": member, "b": member }, "additionalProperties": { "$ref": "#" } }),
    ] {
        let schema = parse(&schema);
        let deep = format!("{}1{}", r#"{"a":"#.repeat(120), "}".repeat(120));
        assert!(schema.check(&deep).unwrap_err().contains("would take too long"));
        assert!(!schema.check(r#"{"a":{"a":{"b":1}}}"#).is_err_and(|message| message.contains("too long")));
    }
    let items = parse(&json!({ "items": { "$ref": "#" }, "contains": { "$ref": "#" }, "unevaluatedItems": false }));
    assert!(items.check(&nested(120, "")).unwrap_err().contains("would take too long"));
}

#[test]
fn schema_survives_deep_nesting() {
    on_a_small_stack(|| {
        for (open, close) in [
            (r#"{"not":"#, "}"),
            (r#"{"allOf":["#, "]}"),
            (r#"{"anyOf":["#, "]}"),
            (r#"{"items":"#, "}"),
            (r#"{"const":"#, "}"),
            (r#"{"properties":{"a":"#, "}}"),
            (r#"{"unevaluatedProperties":false,"anyOf":["#, "]}"),
        ] {
            for depth in [60, 126, 127, 128, 5_000] {
                let schema = format!("{}{{}}{}", open.repeat(depth), close.repeat(depth));
                let Ok(schema) = Schema::parse(&schema) else { continue };
                for value in ["1", "{}", r#"{"a":{"a":1}}"#, &nested(120, "1")] {
                    // Whether it fits depends on the schema; what counts is that an answer comes.
                    let _ = schema.check(value);
                }
            }
        }
        // The deepest stacks that are allowed, in place and down the value.
        for keyword in ["allOf", "anyOf", "oneOf"] {
            let array = json!({ "type": "array", "items": { "$ref": "#/$defs/0" } });
            let schema = parse(&chain(30, |next| json!({ keyword: [next] }), array));
            assert_eq!(schema.check(&nested(9, "")), Ok(()));
            assert!(schema.check(&nested(9, "1")).is_err());
            assert!(schema.check(&nested(120, "")).unwrap_err().contains("more than 600 schemas"));
        }
        let long = parse(&chain(1_000, |next| json!({ "properties": { "a": next } }), json!(false)));
        assert_eq!(long.check(r#"{"a":{"a":{"a":1}}}"#), Ok(()));
        let tree = json!({ "anyOf": [{ "type": "null" }, { "items": { "$ref": "#" }, "type": "array" }] });
        assert_eq!(parse(&tree).check(&nested(127, "null")), Ok(()));
        assert!(misfit(&tree, &serde_json::from_str(&nested(126, "1")).unwrap()).contains("1 fits none"));
    });
}

#[test]
fn schema_patterns_have_no_catastrophes() {
    for pattern in ["(a{1000}){1000}", "(?=a)b", r"(a)\1", &"(".repeat(3_000), &"a".repeat(5_000), r"(\p{L}{100}){100}"]
    {
        let refusal = refusal(&json!({ "pattern": pattern }));
        assert!(refusal.contains("at /pattern: it is "), "{refusal}");
        assert_eq!(refusal.contains("more than 4096 bytes"), pattern.len() > 4096);
    }
    let names: serde_json::Map<_, _> = (0..300).map(|n| (format!("a{n}b*"), json!({}))).collect();
    assert!(refusal(&json!({ "patternProperties": names })).contains("too many patterns"));
    let large: serde_json::Map<_, _> = (0..100).map(|n| (format!("({n}b*){{5000}}"), json!({}))).collect();
    assert!(refusal(&json!({ "patternProperties": large })).contains("too many patterns"));

    for pattern in ["^(a+)+$", "^(a|a)*$", "(.*)*(.*)*b", "(a|b)*a(a|b){30}c", "(?:a?){30}a{30}$"] {
        for schema in [json!({ "pattern": pattern }), json!({ "propertyNames": { "pattern": pattern } })] {
            let schema = parse(&schema);
            for length in [30, 2_000, 4_000_000] {
                let text = json!("a".repeat(length) + "!");
                let checked =
                    [schema.check(&text.to_string()), schema.check(&json!({ text.as_str().unwrap(): 1 }).to_string())];
                assert_eq!(checked.iter().any(|c| c.as_ref().is_err_and(|m| m.contains("too long"))), length > 2_000);
            }
        }
    }
    assert!(misfit(&json!({ "pattern": r"^\d{4}-\d{2}$" }), &json!("20-1")).contains("does not match"));
    assert!(
        misfit(&json!({ "pattern": r"^\d+$" }), &json!("١")).contains("does not match"),
        "digits are those of ASCII"
    );
}

#[test]
fn schema_counts_what_single_keywords_cost() {
    // What differs only in how lists are nested hashes alike.
    let bits =
        |number: u32| (0..20).map(|bit| json!(vec![json!([]); (number >> bit & 1) as usize])).collect::<Vec<_>>();
    let alike = |count: u32| json!((0..count).map(bits).collect::<Vec<_>>()).to_string();
    let unique = parse(&json!({ "uniqueItems": true }));
    assert_eq!(unique.check(&alike(500)), Ok(()));
    assert!(unique.check(&alike(50_000)).unwrap_err().contains("would take too long"));
    assert_eq!(unique.check(&json!((0..200_000).map(|n| n.to_string()).collect::<Vec<_>>()).to_string()), Ok(()));
    assert!(unique.check("[1, 2, 1.0]").unwrap_err().contains("non-unique"));

    let multiple = parse(&json!({ "items": { "multipleOf": 0.01 } }));
    assert_eq!(multiple.check("[0.07, 1, 1e15, 12345678.91]"), Ok(()));
    assert!(multiple.check("[0.071]").unwrap_err().contains("not a multiple of 0.01"));
    let huge = format!("[{}1]", "1.1e308,".repeat(100_000));
    assert!(multiple.check(&huge).unwrap_err().contains("would take too long"));

    let listed = parse(&json!({ "items": { "enum": (0..9_000).collect::<Vec<_>>() } }));
    assert!(listed.check(&format!("[{}1]", "-1,".repeat(100_000))).unwrap_err().contains("would take too long"));
    let long = parse(&json!({ "minLength": 1, "maxLength": 9_007_199_254_740_992_u64, "maxItems": 3.0 }));
    assert_eq!(long.check(r#""x""#), Ok(()));

    let deep_names = json!({ "properties": { "k".repeat(30_000): { "prefixItems": vec![json!({}); 10_000] } } });
    assert!(refusal(&deep_names).contains("its names are too long"));
}

#[test]
fn schema_checks_large_values_or_says_that_it_does_not() {
    let numbers = parse(&json!({ "items": { "type": "integer" } }));
    let large = format!("[{}1]", "1,".repeat(4_000_000));
    assert_eq!(numbers.check(&large), Ok(()));
    let wrong = format!("[{}true]", "1,".repeat(4_000_000));
    assert_eq!(numbers.check(&wrong).unwrap_err(), r#"at /4000000: true is not of type "integer""#);
    assert!(numbers.check(&" ".repeat(MAX_VALUE + 1)).unwrap_err().contains("at most 8388608 are allowed"));
    let either = parse(&json!({ "items": { "anyOf": [{ "type": "string" }, { "type": "null" }] } }));
    assert_eq!(either.check(&large).unwrap_err(), "the value does not fit the schema, and is too large to say where");
    assert!(either.check("[1]").unwrap_err().starts_with("at /0: 1 fits none of the alternatives"));
}

/// What a guest asks for, and whether it can read a text as that.
fn asked<T: schemars::JsonSchema + serde::de::DeserializeOwned>() -> (Schema, fn(&str) -> bool) {
    (parse(&schemars::schema_for!(T).to_value()), |text| serde_json::from_str::<T>(text).is_ok())
}

/// Whether a type takes a text.
type Takes = fn(&str) -> bool;

/// All integers, and other types of which a schema alone says too little.
fn all_asked() -> Vec<(&'static str, Schema, Takes)> {
    macro_rules! all {
        ($($asked:ty),* $(,)?) => { vec![$({ let (schema, reads) = asked::<$asked>(); (stringify!($asked), schema, reads) }),*] };
    }
    all![
        u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64, char, String, bool,
        Option<u8>, Vec<i64>, (u8, Option<u64>), std::collections::BTreeMap<String, i16>, std::net::IpAddr,
        std::net::Ipv4Addr, std::net::Ipv6Addr, std::num::NonZeroU8, std::num::NonZeroI64,
    ]
}

#[test]
fn an_answer_that_fits_can_be_read() {
    let numbers = [
        "0",
        "1",
        "-1",
        "-0",
        "1.0",
        "-0.0",
        "1e0",
        "1e2",
        "1E+2",
        "100e-2",
        "0.5",
        "255",
        "256",
        "255.0",
        "-128",
        "-129",
        "65536",
        "2147483648",
        "4294967296",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "18446744073709551616.0",
        "1e20",
        "340282366920938463463374607431768211455",
        "340282366920938463463374607431768211456",
        "3.5e38",
        "-3.5e38",
        "1e308",
        "1e400",
    ];
    let others = [
        r#""""#,
        r#""a""#,
        r#""ab""#,
        r#""é""#,
        r#""e\u0301""#,
        r#""\ud83d""#,
        r#""\ud83d\ude00""#,
        "null",
        "true",
        "{}",
        "[]",
        r#"{"a": 1, "a": 2}"#,
        r#"{"a": 1.0}"#,
        r#"{"a": 70000}"#,
        r#""127.0.0.1""#,
        r#""::1""#,
        r#""127.0.0.256""#,
        r#""1""#,
    ];
    let lists = numbers.iter().flat_map(|number| [format!("[{number}]"), format!("[1, {number}]")]);
    let texts: Vec<String> = numbers.iter().chain(&others).map(|text| (*text).to_owned()).chain(lists).collect();
    for (name, schema, reads) in all_asked() {
        let mut fits = 0;
        for text in &texts {
            let checked = schema.check(text);
            assert!(checked.is_err() || reads(text), "{text} is accepted and no {name}");
            fits += usize::from(checked.is_ok());
        }
        assert!(fits > 0, "nothing is a {name}");
    }
}

#[test]
fn an_answer_that_can_be_read_fits_but_for_integers_beyond_64_bits() {
    // `usize` and `isize` have other sizes here than in a guest.
    for (name, schema, reads) in all_asked().into_iter().filter(|(name, ..)| !name.ends_with("size")) {
        for text in [
            "0",
            "1",
            "-1",
            "255",
            "-128",
            "65535",
            "4294967295",
            "9223372036854775807",
            "18446744073709551615",
            "0.5",
            "1e2",
        ] {
            assert_eq!(schema.check(text).is_ok(), reads(text), "{text} as {name}");
        }
    }
    let (wide, _) = asked::<u128>();
    assert!(wide.check("18446744073709551616").unwrap_err().contains("is not between 0 and 18446744073709551615"));
}

#[test]
fn an_answer_that_does_not_fit_is_told_why() {
    for (schema, value, why) in [
        (json!({ "type": "integer", "format": "uint8", "maximum": 255 }), "1.0", "1.0 is not written as an integer"),
        (
            json!({ "type": "integer", "format": "uint64" }),
            "18446744073709551616",
            "is not between 0 and 18446744073709551615",
        ),
        (json!({ "type": ["integer", "null"] }), "-0", "is not written as an integer"),
        (json!({ "type": "number", "format": "float" }), "1e39", "is too large for a number of 32 bits"),
        (json!({ "type": "string", "format": "uuid" }), r#""x""#, r#""x" is not a UUID"#),
    ] {
        let refusal = parse(&schema).check(value).unwrap_err();
        assert!(refusal.contains(why), "{refusal}");
    }
    for (schema, value) in [
        (json!({ "type": ["integer", "null"], "format": "uint8" }), "null"),
        (json!({ "type": ["integer", "number"] }), "1.5"),
        (json!({ "type": "integer" }), "18446744073709551616"),
        (json!({ "type": "string", "format": "uint8" }), r#""x""#),
        (json!({ "type": "string", "format": "email" }), r#""x""#),
        (json!({ "type": "string", "format": "uuid" }), r#""67e55044-10b1-426f-9247-bb680e5fe0c8""#),
    ] {
        assert_eq!(parse(&schema).check(value), Ok(()), "{schema}");
    }
}
