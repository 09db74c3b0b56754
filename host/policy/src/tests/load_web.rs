//! What is wrong with the sections about URLs, addresses and approvals, and where; and the same policy as JSON.

use super::*;
use std::fmt::Write;

fn parse(toml: &str) -> Result<Policy, Error> {
    Policy::parse(toml, Path::new("/nowhere/policy.toml"))
}

/// Compares the load error of each policy, whose first line is added here, with `LINE: MESSAGE`.
fn expect(cases: &[(&str, &str)]) {
    let mut wrong = String::new();
    for (rest, expected) in cases {
        let got = parse(&format!("version = 1\n{rest}")).map(drop).map_err(|error| error.to_string());
        if got != Err(format!("/nowhere/policy.toml:{expected}")) {
            writeln!(wrong, "{rest}\n  {got:?}\n  {expected}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

pub(super) const WEB: &str = r#"
version = 1
name = "web"

[[fetch]]
id = "gh-read"
url = "https://api.github.com/repos/acme/**"
methods = ["GET", "HEAD", "GET"]
max_calls = 100
rate = "5/s"
concurrent = 4
max_request = "64KiB"
max_response = "4MiB"
timeout = "10s"
redirects = 3
secret = { header = "Authorization", from = "env:GH_TOKEN" }
on_crash = "fail"

[[fetch]]
id = "plain"
url = "http://plain.example.org/"
methods = ["POST"]
max_calls = "unlimited"
secret = { header = "x-key", from = "file:keys/plain" }

[[websocket]]
id = "feed"
url = "wss://stream.acme.com/v1"
max_open = 2
max_message = "2MiB"
max_messages = 20_000
idle = "90s"

[[websocket]]
id = "other"
url = "ws://stream.acme.com/v2"

[network]
block = ["non-global", "203.0.114.0/24"]
allow = ["127.0.0.1/32"]

[[ask]]
when = "fetch"
methods = ["POST", "DELETE"]
url = "https://api.github.com/**"
ttl = "12h"
on_timeout = "deny"
remember = "execution"

[[ask]]
id = "mail"
when = "send-mail"

[functions.summarise]
fetch = ["gh-read", "ask.1"]
files = []
limits.cpu = "2s"
"#;

#[test]
fn the_sections_are_read_in_full() {
    let policy = parse(WEB).unwrap();
    let read = &policy.fetch[0];
    assert_eq!((&*read.id, read.url.as_str()), ("gh-read", "https://api.github.com/repos/acme/**"));
    assert_eq!(read.methods, ["GET", "HEAD"]);
    let rate = Rate { calls: 5, window: Duration::from_secs(1) };
    let secret = SecretGrant { header: "authorization".into(), from: SecretSource::Env("GH_TOKEN".into()) };
    let terms = FetchTerms {
        max_calls: Some(100),
        rate: Some(rate),
        concurrent: 4,
        max_request: 64 << 10,
        max_response: 4 << 20,
        timeout: Duration::from_secs(10),
        redirects: 3,
        secret: Some(secret),
        on_crash: OnCrash::Fail,
    };
    assert_eq!(read.terms, terms);
    let secret = SecretGrant { header: "x-key".into(), from: SecretSource::File("/nowhere/keys/plain".into()) };
    assert_eq!(policy.fetch[1].terms, FetchTerms { secret: Some(secret), ..FetchTerms::DEFAULT });
    let terms =
        WebSocketTerms { max_open: 2, max_message: 2 << 20, max_messages: 20_000, idle: Duration::from_secs(90) };
    assert_eq!((&*policy.websocket[0].id, &policy.websocket[0].terms), ("feed", &terms));
    assert_eq!(policy.websocket[1].terms, WebSocketTerms::DEFAULT);
    assert_eq!(policy.network.block, ["203.0.114.0/24".parse().unwrap()]);
    assert_eq!(policy.network.allow, ["127.0.0.1/32".parse().unwrap()]);
    let ask = AskRule {
        rule: "ask.1".into(),
        when: When::new("fetch"),
        methods: vec!["POST".into(), "DELETE".into()],
        url: Some(url::Pattern::parse("https://api.github.com/**").unwrap()),
        ttl: Duration::from_secs(12 * 3600),
        remember: Remember::Execution,
        sufficient: true,
    };
    assert_eq!(policy.asks[0], ask);
    assert_eq!((&*policy.asks[1].rule, &policy.asks[1].when), ("mail", &When::new("send-mail")));
    assert_eq!((policy.asks[1].ttl, policy.asks[1].remember), (AskRule::TTL, Remember::Once));
    let section = &policy.functions["summarise"];
    assert_eq!(section.fetch.as_deref(), Some(&["gh-read".to_owned(), "ask.1".to_owned()][..]));
    assert_eq!((section.files.as_deref(), &section.websocket), (Some(&[][..]), &None));
    assert_eq!(section.limits, Limits { cpu: Duration::from_secs(2), ..Limits::default() });
    assert_eq!(Policy::from_canonical(&policy.canonical()).unwrap(), policy);
}

#[test]
fn every_change_of_a_key_of_these_sections_changes_the_policy() {
    let changes = [
        ("id = \"plain\"", "id = \"plainer\""),
        ("repos/acme/**", "repos/acme/*"),
        ("\"HEAD\", \"GET\"", "\"PUT\""),
        ("max_calls = 100", ""),
        ("5/s", "5/m"),
        ("concurrent = 4", ""),
        ("64KiB", "65KiB"),
        ("4MiB", "5MiB"),
        ("timeout = \"10s\"", ""),
        ("redirects = 3", ""),
        ("\"Authorization\"", "\"x-token\""),
        ("env:GH_TOKEN", "env:OTHER"),
        ("on_crash = \"fail\"", ""),
        ("file:keys/plain", "file:keys/other"),
        ("secret = { header = \"x-key\", from = \"file:keys/plain\" }", ""),
        ("id = \"feed\"", "id = \"food\""),
        ("acme.com/v1", "acme.com/v3"),
        ("max_open = 2", ""),
        ("2MiB", "1MiB"),
        ("20_000", "20_001"),
        ("90s", "91s"),
        ("203.0.114.0/24", "203.0.115.0/24"),
        ("[\"127.0.0.1/32\"]", "[]"),
        ("when = \"fetch\"\nmethods = [\"POST\", \"DELETE\"]", "when = \"fetch\""),
        ("url = \"https://api.github.com/**\"", ""),
        ("12h", "13h"),
        ("remember = \"execution\"", ""),
        ("send-mail", "send-post"),
        ("id = \"mail\"\n", ""),
        ("[functions.summarise]", "[functions.summarize]"),
        ("fetch = [\"gh-read\", \"ask.1\"]", "fetch = [\"gh-read\"]"),
        ("files = []", ""),
        ("limits.cpu = \"2s\"", "limits.wall = \"2s\""),
    ];
    for (from, to) in changes {
        assert!(WEB.contains(from), "{from}");
        let changed = parse(&WEB.replacen(from, to, 1)).unwrap();
        assert_ne!(changed.digest(), parse(WEB).unwrap().digest(), "{from} -> {to}");
    }
    for same in [("https://api.github.com/repos", "HTTPS://API.github.com:443/repos"), ("on_timeout = \"deny\"\n", "")]
    {
        let spelled = parse(&WEB.replacen(same.0, same.1, 1)).unwrap();
        assert_eq!(spelled.digest(), parse(WEB).unwrap().digest(), "{same:?}");
    }
}

#[test]
fn a_policy_without_these_sections_keeps_its_digest() {
    let canonical = Policy::none().canonical();
    for key in ["fetch", "websocket", "network", "asks", "functions"] {
        assert!(!canonical.contains(&format!("\"{key}\"")), "{canonical}");
    }
}

#[test]
fn load_errors_name_line_and_remedy_for_fetch() {
    let rule = "[[fetch]]\nid = \"a\"\nurl = \"https://a.org/\"\nmethods = [\"GET\"]\n";
    let with = |key: &str| format!("{rule}{key}");
    let remedy = "write one such as \"https://api.example.org/items/**\"";
    let cases = [
        ("[[fetch]]\nid = \"a\"\nurl = \"https://a.org/\"".to_owned(), "2: missing key `methods`; add it".to_owned()),
        (with("colour = 1"), "6: unknown key `colour`; its section takes `id`, `url`, `methods`, `max_calls`, `rate`, `concurrent`, `max_request`, `max_response`, `timeout`, `redirects`, `secret`, `on_crash`".to_owned()),
        (rule.replace("https://a.org/", "https://*/**"), format!("4: \"https://*/**\" is no URL of this rule: its host is open at the end; spell the last two labels out, as in \"*.example.org\"; {remedy}")),
        (rule.replace("https://a.org/", "*"), format!("4: \"*\" is no URL of this rule: it has no scheme; begin with \"https://\"; {remedy}")),
        (rule.replace("https://a.org/", "wss://a.org/"), format!("4: \"wss://a.org/\" is no URL of this rule: its scheme is none of http and https; {remedy}")),
        (rule.replace("https://a.org/", "https://a@a.org/"), format!("4: \"https://a@a.org/\" is no URL of this rule: its host has a \"@\" or a \"%\"; {remedy}")),
        (rule.replace("[\"GET\"]", "[]"), "5: methods is empty; name at least one, such as [\"GET\"]".to_owned()),
        (rule.replace("\"GET\"", "\"get\""), "5: \"get\" is no method that can be granted; write methods in upper case, such as \"GET\"; not CONNECT or TRACE".to_owned()),
        (rule.replace("\"GET\"", "\"*\""), "5: \"*\" is no method that can be granted; write methods in upper case, such as \"GET\"; not CONNECT or TRACE".to_owned()),
        (rule.replace("\"GET\"", "\"CONNECT\""), "5: \"CONNECT\" is no method that can be granted; write methods in upper case, such as \"GET\"; not CONNECT or TRACE".to_owned()),
        (rule.replace("\"a\"", "\"network\""), "3: \"network\" is the id of a built-in rule; choose another".to_owned()),
        (rule.replace("\"a\"", "\"ask.1\""), "3: \"ask.1\" is no id of a rule; use 1 to 64 of the characters a-z, A-Z, 0-9, '-' and '_'".to_owned()),
        (with("concurrent = 0"), "6: concurrent is zero; write at least 1, or remove the rule".to_owned()),
        (with("timeout = \"0s\""), "6: timeout is zero; write at least \"1ms\"".to_owned()),
        (with("redirects = 21"), "6: redirects is more than 20; write at most 20".to_owned()),
        (with("rate = \"5\""), "6: \"5\" is no rate; write calls and time, such as \"5/s\" or \"3/10s\"; up to 10_000 calls and 24h".to_owned()),
        (with("rate = \"0/s\""), "6: \"0/s\" is no rate; write calls and time, such as \"5/s\" or \"3/10s\"; up to 10_000 calls and 24h".to_owned()),
        (with("rate = \"10001/s\""), "6: \"10001/s\" is no rate; write calls and time, such as \"5/s\" or \"3/10s\"; up to 10_000 calls and 24h".to_owned()),
        (with("rate = \"5/25h\""), "6: \"5/25h\" is no rate; write calls and time, such as \"5/s\" or \"3/10s\"; up to 10_000 calls and 24h".to_owned()),
        (with("rate = \"+5/s\""), "6: \"+5/s\" is no rate; write calls and time, such as \"5/s\" or \"3/10s\"; up to 10_000 calls and 24h".to_owned()),
        (with("secret = { header = \"host\", from = \"env:A\" }"), "6: \"host\" is no header for a secret; use one such as \"authorization\"; not one that frames or routes the request".to_owned()),
        (with("secret = { header = \"Proxy-Authorization\", from = \"env:A\" }"), "6: \"Proxy-Authorization\" is no header for a secret; use one such as \"authorization\"; not one that frames or routes the request".to_owned()),
        (with("secret = { header = \"Transfer_Encoding\", from = \"env:A\" }"), "6: \"Transfer_Encoding\" is no header for a secret; use one such as \"authorization\"; not one that frames or routes the request".to_owned()),
        (with("secret = { header = \"a\\r\\nb\", from = \"env:A\" }"), "6: \"a\\r\\nb\" is no header for a secret; use one such as \"authorization\"; not one that frames or routes the request".to_owned()),
        (with("secret = { header = \"a\", from = \"GH_TOKEN\" }"), "6: \"GH_TOKEN\" is no place of a secret; write \"env:NAME\" or \"file:PATH\"".to_owned()),
        (with("secret = { header = \"a\", from = \"env:\" }"), "6: \"env:\" is no place of a secret; write \"env:NAME\" or \"file:PATH\"".to_owned()),
        (with("secret = \"env:A\""), "6: invalid type: string \"env:A\", expected struct Secret; correct the value".to_owned()),
        (with("on_crash = \"maybe\""), "6: unknown variant `maybe`, expected `retry` or `fail`; correct the value".to_owned()),
        (format!("{rule}{rule}"), "7: \"a\" is taken by the rule on line 3; give each rule a name of its own".to_owned()),
        (format!("{rule}[[files]]\nid = \"a\"\nguest = \"/a\"\nhost = \"a\"\naccess = \"read\""), "3: \"a\" is taken by the rule on line 7; give each rule a name of its own".to_owned()),
        (format!("{rule}secret = {{ header = \"a\", from = \"file:a/key\" }}\n[[files]]\nid = \"f\"\nguest = \"/a\"\nhost = \"a\"\naccess = \"read\""), "10: rule \"f\" lets the guest read or change a file with a secret; grant a folder that does not hold it".to_owned()),
    ];
    let cases = cases.iter().map(|(rest, expected)| (rest.as_str(), expected.as_str())).collect::<Vec<_>>();
    expect(&cases);
}

#[test]
fn load_errors_name_line_and_remedy_for_the_other_sections() {
    expect(&[
        (
            "[[websocket]]\nid = \"a\"\nurl = \"https://a.org/\"",
            "4: \"https://a.org/\" is no URL of this rule: its scheme is none of ws and wss; write one such as \"https://api.example.org/items/**\"",
        ),
        (
            "[[websocket]]\nid = \"a\"\nurl = \"wss://a.org/\"\nmax_open = 0",
            "5: max_open is zero; write at least 1, or remove the rule",
        ),
        ("[[websocket]]\nid = \"a\"\nurl = \"wss://a.org/\"\nidle = \"0s\"", "5: idle is zero; write at least \"1ms\""),
        (
            "[network]\nblock = []",
            "3: block leaves \"non-global\" out, which is always blocked; add it, and name exceptions in `allow`",
        ),
        (
            "[network]\nblock = [\"non-global\", \"10.0.0.1/8\"]",
            "3: \"10.0.0.1/8\" names an address inside a range; write 10.0.0.0/8 for the range; write a range such as \"10.0.0.0/8\"",
        ),
        (
            "[network]\nallow = [\"*\"]",
            "3: \"*\" is no IP address; write one like 10.0.0.0/8 or fd00::/8; write a range such as \"10.0.0.0/8\"",
        ),
        ("[[ask]]\nmethods = [\"POST\"]", "2: missing key `when`; add it"),
        (
            "[[ask]]\nwhen = \"print\"",
            "3: nobody is asked about \"print\"; write \"fetch\", \"websocket\", \"files.write\", \"files.remove\", or another capability",
        ),
        (
            "[[ask]]\nwhen = \"files.read\"",
            "3: nobody is asked about \"files.read\"; write \"fetch\", \"websocket\", \"files.write\", \"files.remove\", or another capability",
        ),
        (
            "[[ask]]\nwhen = \"promise\"",
            "3: nobody is asked about \"promise\"; write \"fetch\", \"websocket\", \"files.write\", \"files.remove\", or another capability",
        ),
        (
            "[[ask]]\nwhen = \"\"",
            "3: \"\" is no name of a capability; use 1 to 128 of the characters a-z, A-Z, 0-9, '-', '_', '.', ':' and '/'",
        ),
        (
            "[[ask]]\nwhen = \"mail\"\nmethods = [\"POST\"]",
            "4: methods has a meaning for when = \"fetch\" only; remove it",
        ),
        (
            "[[ask]]\nwhen = \"mail\"\nurl = \"https://a.org/\"",
            "4: url has a meaning for when = \"fetch\" or \"websocket\" only; remove it",
        ),
        (
            "[[ask]]\nwhen = \"fetch\"\nurl = \"https://a.org/?q\"",
            "4: the URL of an [[ask]] rule has a query, which a guest could write in another way; leave the query out: it asks about every one",
        ),
        (
            "[[ask]]\nwhen = \"websocket\"\nurl = \"https://a.org/\"",
            "4: \"https://a.org/\" is no URL of this rule: its scheme is none of ws and wss; write one such as \"https://api.example.org/items/**\"",
        ),
        ("[[ask]]\nwhen = \"fetch\"\nttl = \"0s\"", "4: ttl is zero; write at least \"1ms\""),
        (
            "[[ask]]\nwhen = \"fetch\"\non_timeout = \"allow\"",
            "4: unknown variant `allow`, expected `deny`; correct the value",
        ),
        (
            "[[ask]]\nwhen = \"fetch\"\nremember = \"always\"",
            "4: unknown variant `always`, expected `once` or `execution`; correct the value",
        ),
        (
            "[functions.f]\nfetch = [\"nobody\"]",
            "3: \"nobody\" is no [[fetch]] rule of this policy; name one that it has, or leave the list empty",
        ),
        (
            "[functions.f]\ncapability = [\"print\"]",
            "3: \"print\" is no [[capability]] of this policy; name one that it has, or leave the list empty",
        ),
        (
            "[functions.f]\nlimits.cpu = \"11s\"",
            "3: limits.cpu of the function \"f\" is wider than that of the policy; write less, or leave it out",
        ),
        (
            "[functions.\"\"]\nlimits.cpu = \"1s\"",
            "2: \"\" is no name of a function; use 1 to 128 bytes without control characters",
        ),
        (
            "[functions.f]\nlimits = { memory = \"1B\" }",
            "3: limits.memory lies between 65536 and 4294967296 bytes; the engine has these bounds: write a size within them",
        ),
    ]);
}

#[test]
fn the_same_policy_can_be_json() {
    fn json(value: &toml::Value) -> serde_json::Value {
        match value {
            toml::Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
            toml::Value::Array(items) => items.iter().map(json).collect(),
            toml::Value::Integer(number) => (*number).into(),
            toml::Value::String(text) => text.as_str().into(),
            other => panic!("{other}"),
        }
    }
    for toml in [WEB, EXAMPLE] {
        let text = serde_json::to_string_pretty(&json(&toml::Value::Table(toml::from_str(toml).unwrap()))).unwrap();
        let policy = Policy::from_json(&text, Path::new("/nowhere/policy.json")).unwrap();
        assert_eq!(policy, parse(toml).unwrap());
    }
    let cases = [
        ("{\n \"version\": 1,\n \"colour\": 1\n}", "3: unknown key `colour`; its section takes `version`"),
        ("{\n \"version\": 2}", "2: version 2 is not known to this build; write version = 1"),
        ("{\"version\": 1,\n\"limits\": {\n\"wall\": \"0s\"}}", "3: limits.wall is zero; write at least \"1ms\""),
        ("{\"version\": 1,\n\"version\": 1}", "2: duplicate key; correct the line"),
        ("{\"version\": 1,\n\"name\": null}", "2: null has no meaning here; leave the key out"),
        (
            "{\"version\": 1,\n\"name\": \"a\\u000a\"}",
            "2: \"a\\n\" is no name of a policy; use 1 to 128 bytes without control characters",
        ),
        (
            "{\"version\": 1,\n\"limits\": {\"steps\": 1.5}}",
            "2: invalid type: floating point `1.5`, expected a whole number",
        ),
        ("{\"version\": 1,\n\"limits\": {\"steps\": 1e400}}", "2: "),
        ("{\"version\": 1,\n", "2: EOF while parsing"),
        ("[\n]", "1: the policy is no object; write {\"version\": 1}"),
        ("{\"version\": 1} x", "1: trailing characters"),
        ("", "1: EOF while parsing"),
    ];
    for (text, expected) in cases {
        let error = Policy::from_json(text, Path::new("/nowhere/policy.json")).unwrap_err().to_string();
        assert!(error.starts_with(&format!("/nowhere/policy.json:{expected}")), "{text}\n{error}\n{expected}");
    }
    let deep = format!("{{\"version\": {}1{}}}", "[".repeat(100), "]".repeat(100));
    let error = Policy::from_json(&deep, Path::new("/nowhere/policy.json")).unwrap_err().to_string();
    assert_eq!(error, "/nowhere/policy.json:1: it is nested too deeply; flatten it");
}
