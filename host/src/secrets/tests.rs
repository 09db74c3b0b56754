use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;

fn secrets(values: &[&str]) -> Secrets {
    let by_rule = values.iter().map(|value| ((*value).to_owned(), ("authorization".to_owned(), (*value).to_owned())));
    Secrets::of_values(by_rule.collect()).unwrap()
}

fn scrubbed(secrets: &Secrets, text: &str) -> String {
    let bytes = secrets.scrub_bytes(text.as_bytes().to_vec());
    assert_eq!(String::from_utf8(bytes).unwrap(), secrets.scrub(text), "{text}");
    secrets.scrub(text).into_owned()
}

fn each_byte(text: &str, write: impl Fn(u8) -> String) -> String {
    text.bytes().map(write).collect()
}

/// How servers, frameworks and tools write a text into another one; each is the whole of it.
fn written(value: &str) -> Vec<String> {
    let json = serde_json::to_string(value).unwrap();
    let json = &json[1..json.len() - 1];
    let percent = |value: &str| {
        each_byte(value, |byte| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
    };
    let html = value.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('/', "&#x2F;");
    let nested = serde_json::to_string(json).unwrap();
    vec![
        value.to_owned(),
        value.to_uppercase(),
        value.to_lowercase(),
        json.to_owned(),
        json.replace('/', "\\/"),
        nested[1..nested.len() - 1].to_owned(),
        percent(value),
        percent(value).to_lowercase(),
        percent(&percent(value)),
        html.clone(),
        html.replace('&', "&amp;"),
        each_byte(value, |byte| format!("%{byte:02x}")),
        each_byte(value, |byte| format!("\\u{byte:04x}")),
        each_byte(value, |byte| format!("\\u{byte:04X}")),
        each_byte(value, |byte| format!("\\u{{{byte:x}}}")),
        each_byte(value, |byte| format!("\\x{byte:02x}")),
        each_byte(value, |byte| format!("\\{byte:03o}")),
        each_byte(value, |byte| format!("&#{byte};")),
        each_byte(value, |byte| format!("&#x{byte:X};")),
        each_byte(value, |byte| format!("={byte:02X}")),
        each_byte(value, |byte| format!("{}\0", char::from(byte))),
        each_byte(value, |byte| format!("\0\0\0{}", char::from(byte))),
        hex::encode(value),
        hex::encode_upper(value),
        value.bytes().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"),
        value.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
        value.bytes().map(|byte| format!("0x{byte:02x}")).collect::<Vec<_>>().join(", ")[2..].to_owned(),
        value.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", "),
        value.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(",\n  "),
        value.split_at(5).0.to_owned() + "\r\n " + value.split_at(5).1,
    ]
}

const VALUE: &str = r#"Bearer t0p/"secret"+va%6Cue\u0041&lt;~x"#;

#[test]
fn a_secret_is_taken_out_however_it_is_written() {
    for value in [VALUE, "plain-token-0123456789", "12345678", "Basic dXNlcm5hbWU6cGFzc3dvcmQtMQ==", "abc def ghi jkl"]
    {
        let secrets = secrets(&[value, "another-one"]);
        for written in written(value) {
            let left = scrubbed(&secrets, &format!("before {written} after"));
            assert_eq!(left.replace('\0', ""), "before [secret] after", "{written:?}");
        }
    }
}

#[test]
fn a_secret_in_the_midst_of_an_encoded_text_is_taken_out() {
    for value in [VALUE, "plain-token-0123456789", "12345678"] {
        let secrets = secrets(&[value]);
        for before in ["", "{", "ab", "abc", "{\"authorization\": \""] {
            for after in ["", "}", "yz", "xyz"] {
                for inner in [value.to_owned(), serde_json::to_string(value).unwrap()] {
                    let plain = format!("{before}{inner}{after}");
                    let wide: Vec<u8> = plain.encode_utf16().flat_map(u16::to_le_bytes).collect();
                    let once = STANDARD.encode(&plain);
                    let texts = [
                        once.clone(),
                        URL_SAFE.encode(&plain),
                        STANDARD.encode(wide),
                        STANDARD.encode(&once),
                        URL_SAFE.encode(format!("x{once}")),
                        once.as_bytes()
                            .chunks(10)
                            .map(|line| std::str::from_utf8(line).unwrap())
                            .collect::<Vec<_>>()
                            .join("\r\n"),
                        once.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"),
                        once.replace('/', "\\/"),
                    ];
                    for text in texts {
                        let left = scrubbed(&secrets, &text);
                        assert!(left.contains("[secret]"), "{plain:?} as {text:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_parts_of_a_secret_that_are_secret_are_taken_out_alone() {
    let secrets = secrets(&["Basic dXNlcm5hbWU6cGFzc3dvcmQtMQ==", "Bearer the-bare-token"]);
    for part in ["dXNlcm5hbWU6cGFzc3dvcmQtMQ==", "username:password-1", "password-1", "the-bare-token"] {
        assert_eq!(scrubbed(&secrets, &format!("<{part}>")), "<[secret]>");
    }
    assert_eq!(scrubbed(&secrets, "Bearer of nothing, Basic"), "Bearer of nothing, Basic");
}

#[test]
fn a_long_token_is_found_whole_and_one_that_begins_alike_is_left() {
    let token = format!("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9{}", "abcdefghij".repeat(400));
    let secrets = secrets(&[&format!("Bearer {token}")]);
    assert_eq!(scrubbed(&secrets, &format!("a{token}b")), "a[secret]b");
    assert!(scrubbed(&secrets, &STANDARD.encode(format!("ab{token}"))).contains("[secret]"));
    let other = format!("{}x", &token[..token.len() - 1]);
    assert_eq!(scrubbed(&secrets, &other), other);
}

#[test]
fn what_is_no_secret_stays_as_it_is() {
    let secrets = secrets(&[VALUE]);
    for bytes in [b"\xff\xfe%zz\\ &amp; =41 \0 plain \xff".to_vec(), vec![], vec![b'%'; 1000], vec![b'\\'; 1001]] {
        assert_eq!(secrets.scrub_bytes(bytes.clone()), bytes);
    }
    assert_eq!(secrets.scrub_bytes(b"\xff t0p/\"secret\"+va%6Cue\\u0041&lt;~x \xff".to_vec()), b"\xff [secret] \xff");
    assert_eq!(Secrets::default().scrub("anything"), "anything");
}

#[test]
fn a_value_that_cannot_be_a_secret_is_refused() {
    for value in ["", "short", "a b c d e f", "with\nnewline in it", "ümläut-in-it"] {
        assert!(checked(value.to_owned()).is_err(), "{value:?}");
    }
    assert_eq!(checked("long-enough\n".to_owned()).unwrap(), "long-enough");
}

proptest! {
    #[test]
    fn any_secret_in_any_text_is_taken_out_and_nothing_else_is(
        value in "[!-~]{8,40}", before in ".{0,20}", after in ".{0,20}", kind in 0_usize..30,
    ) {
        let secrets = secrets(&[&value]);
        let kinds = written(&value);
        let text = format!("{before} {} {after}", kinds[kind % kinds.len()]);
        prop_assert!(scrubbed(&secrets, &text).contains("[secret]"), "{text:?}");
        let bytes = secrets.scrub_bytes(text.into_bytes());
        prop_assert!(!String::from_utf8_lossy(&bytes).to_lowercase().contains(&value.to_lowercase()));
    }

    #[test]
    fn any_bytes_are_read_to_their_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        secrets(&[VALUE]).scrub_bytes(bytes);
    }
}
