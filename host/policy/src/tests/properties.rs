//! What holds for every policy and every call.

use super::*;
use crate::url::Target;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// One rule of the file: its section and its keys.
type Rule = (&'static str, Vec<(&'static str, String)>);

/// A policy file as a list of rules, so that it can be changed.
#[derive(Clone, Debug)]
struct Draft {
    rules: Vec<Rule>,
    block: Vec<&'static str>,
    allow: Vec<&'static str>,
    steps: u64,
}

const URLS: [&str; 8] = [
    "https://a.ok.com/**",
    "https://a.ok.com/x/**",
    "https://a.ok.com/x/*",
    "https://*.ok.com/**",
    "https://**.ok.com/x",
    "https://a.ok.com/x/y*",
    "http://10.0.0.1/**",
    "http://8.8.8.8/**",
];
const RANGES: [&str; 2] = ["10.0.0.0/8", "8.8.8.0/24"];
const METHODS: [&str; 3] = ["GET", "POST", "PUT"];

fn quoted_list(items: &[&str]) -> String {
    format!("[{}]", items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>().join(", "))
}

fn number(most: u64) -> impl Strategy<Value = String> {
    (1..=most).prop_map(|number| number.to_string())
}

fn bytes() -> impl Strategy<Value = String> {
    select(vec!["\"1B\"", "\"5B\"", "\"20B\""]).prop_map(str::to_owned)
}

fn url() -> impl Strategy<Value = String> {
    select(&URLS[..]).prop_map(|url| format!("{url:?}"))
}

fn methods() -> impl Strategy<Value = String> {
    subsequence(&METHODS[..], 1..=3).prop_map(|methods| quoted_list(&methods))
}

/// A key, or none.
fn maybe(
    key: &'static str,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = Option<(&'static str, String)>> {
    proptest::option::of(value).prop_map(move |value| Some((key, value?)))
}

fn fetch() -> impl Strategy<Value = Rule> {
    let rate = select(vec!["\"1/s\"", "\"2/s\"", "\"3/2s\""]).prop_map(str::to_owned);
    let bounds = (
        maybe("max_calls", number(4)),
        maybe("rate", rate),
        maybe("concurrent", number(3)),
        maybe("max_request", bytes()),
    );
    (url(), methods(), bounds).prop_map(|(url, methods, (calls, rate, concurrent, request))| {
        let keys = [("url", url), ("methods", methods)].into_iter();
        ("fetch", keys.chain([calls, rate, concurrent, request].into_iter().flatten()).collect())
    })
}

fn websocket() -> impl Strategy<Value = Rule> {
    let bounds = (maybe("max_open", number(3)), maybe("max_message", bytes()), maybe("max_messages", number(3)));
    (url(), bounds).prop_map(|(url, (open, message, messages))| {
        let url = url.replace("\"http", "\"ws");
        ("websocket", std::iter::once(("url", url)).chain([open, message, messages].into_iter().flatten()).collect())
    })
}

fn files() -> impl Strategy<Value = Rule> {
    let place = select(vec!["a", "b", "a/x"]);
    let bounds = (maybe("max_file", bytes()), maybe("max_written", bytes()), maybe("max_files", number(4)));
    (place, select(vec!["read", "overlay", "write"]), bounds).prop_map(|(place, access, (file, written, files))| {
        let keys =
            [("guest", format!("\"/{place}\"")), ("host", format!("{place:?}")), ("access", format!("{access:?}"))];
        let written = [written, files].into_iter().flatten().filter(|_| access != "read");
        ("files", keys.into_iter().chain(file).chain(written).collect())
    })
}

fn capability() -> impl Strategy<Value = Rule> {
    let groups = subsequence(&["g", "g/f", "h/f"][..], 0..=3).prop_map(|groups| quoted_list(&groups));
    (select(vec!["print", "mail", "call"]), maybe("max_calls", number(3)), maybe("groups", groups)).prop_map(
        |(name, calls, groups)| {
            let groups = groups.filter(|_| name == "call");
            let keys = std::iter::once(("name", format!("{name:?}"))).chain(calls).chain(groups);
            ("capability", keys.collect())
        },
    )
}

fn ask() -> impl Strategy<Value = Rule> {
    let when = select(vec!["fetch", "websocket", "files.write", "files.remove", "mail"]);
    (when, proptest::option::of(url()), proptest::option::of(methods())).prop_map(|(when, url, methods)| {
        let url = url.filter(|_| matches!(when, "fetch" | "websocket"));
        let url = url.map(|url| if when == "websocket" { url.replace("\"http", "\"ws") } else { url });
        let keys = [("url", url), ("methods", methods.filter(|_| when == "fetch"))];
        let keys = keys.into_iter().filter_map(|(key, value)| Some((key, value?)));
        ("ask", std::iter::once(("when", format!("{when:?}"))).chain(keys).collect())
    })
}

fn draft() -> impl Strategy<Value = Draft> {
    let rule = prop_oneof![4 => fetch(), 2 => websocket(), 2 => files(), 2 => capability(), 3 => ask()];
    let (block, allow) = (subsequence(&RANGES[..], 0..=2), subsequence(&RANGES[..], 0..=2));
    (proptest::collection::vec(rule, 0..9), block, allow, 5..50_u64).prop_map(|(rules, block, allow, steps)| Draft {
        rules,
        block,
        allow,
        steps,
    })
}

impl Draft {
    /// The text of the file. `empty` lists the sections without rules, so that a child does not inherit them.
    fn text(&self, extends: &str, empty: bool) -> String {
        let mut text = format!("version = 1\n{extends}\n");
        for section in ["fetch", "websocket", "files", "capability"] {
            if empty && !self.rules.iter().any(|(name, _)| *name == section) {
                text.push_str(&format!("{section} = []\n"));
            }
        }
        let block = [&["non-global"][..], &self.block].concat();
        text.push_str(&format!("[limits]\nbytes_per_call = \"10B\"\nsteps = {}\n", self.steps));
        text.push_str(&format!("[network]\nblock = {}\nallow = {}\n", quoted_list(&block), quoted_list(&self.allow)));
        for (number, (section, keys)) in self.rules.iter().enumerate() {
            text.push_str(&format!("[[{section}]]\n"));
            if !matches!(*section, "capability") {
                text.push_str(&format!("id = \"r{number}\"\n"));
            }
            keys.iter().for_each(|(key, value)| text.push_str(&format!("{key} = {value}\n")));
        }
        text
    }

    fn without_bounds(mut self) -> Self {
        for (_, keys) in &mut self.rules {
            keys.retain(|(key, _)| !key.starts_with("max_") && !matches!(*key, "rate" | "concurrent"));
        }
        self
    }

    fn load(&self) -> Result<Policy, Error> {
        Policy::parse(&self.text("", true), Path::new("/nowhere/policy.toml"))
    }
}

/// One call of a guest.
#[derive(Clone, Debug)]
enum Attempt {
    Fetch { method: &'static str, url: Target, bytes: u64 },
    WebSocket { url: Target },
    Files { operation: FileOperation, path: &'static str, bytes: u64 },
    Capability { name: &'static str },
    Function { group: Option<&'static str>, function: &'static str },
    Message { bytes: u64 },
}

fn attempts() -> impl Strategy<Value = Vec<(Attempt, u64, bool)>> {
    let urls = [
        "https://a.ok.com/",
        "https://a.ok.com/x",
        "https://a.ok.com/x/y",
        "https://a.ok.com/x/yz",
        "https://b.ok.com/x",
        "https://ok.com/x",
        "https://a.b.ok.com/x",
        "http://10.0.0.1/",
        "http://8.8.8.8/x",
        "http://a.ok.com/x",
    ];
    let target = move || select(urls.to_vec());
    let paths = vec!["/a", "/a/f", "/a/x/f", "/a/x/g", "/b/f", "/b/d/e/f", "/c", "/a/../b"];
    let operation = select(vec![FileOperation::Read, FileOperation::Write, FileOperation::Remove, FileOperation::List]);
    let bytes = || select(vec![0_u64, 1, 4, 11]);
    let fetch = (select(&METHODS[..]), target(), bytes()).prop_map(|(method, url, bytes)| Attempt::Fetch {
        method,
        url: Target::parse(url).unwrap(),
        bytes,
    });
    let open =
        target().prop_map(|url| Attempt::WebSocket { url: Target::parse(&url.replacen("http", "ws", 1)).unwrap() });
    let files = (operation, select(paths), bytes()).prop_map(|(operation, path, bytes)| Attempt::Files {
        operation,
        path,
        bytes,
    });
    let name = select(vec!["print", "mail", "other"]).prop_map(|name| Attempt::Capability { name });
    let function = (select(vec![None, Some("g"), Some("h")]), select(vec!["f", "e"]))
        .prop_map(|(group, function)| Attempt::Function { group, function });
    let attempt = prop_oneof![5 => fetch, 2 => open, 3 => files, 1 => name, 1 => function, 2 => bytes().prop_map(|bytes| Attempt::Message { bytes })];
    proptest::collection::vec((attempt, 0..700_u64, any::<bool>()), 1..40)
}

impl Attempt {
    fn call<'a>(&'a self, connection: &'a str) -> Call<'a> {
        match self {
            Self::Fetch { method, url, bytes } => Call::Fetch(FetchCall { method, url, bytes: *bytes }),
            Self::WebSocket { url } => Call::Connect(ConnectCall { url }),
            Self::Files { operation, path, bytes } => {
                let bytes = if *operation == FileOperation::Write { *bytes } else { 0 };
                Call::Files(FilesCall { operation: *operation, path, bytes })
            }
            Self::Capability { name } => Call::Capability(CapabilityCall { name, bytes: 0 }),
            Self::Function { group, function } => Call::Function(FunctionCall { group: *group, function, bytes: 0 }),
            Self::Message { bytes } => Call::Message(MessageCall { rule: connection, bytes: *bytes }),
        }
    }

    fn stays_open(&self) -> bool {
        matches!(self, Self::Fetch { .. } | Self::WebSocket { .. })
    }
}

/// The rule whose quotas apply; none for a denial. And 0 for a denial, 1 for asking, 2 for allowing.
fn outcome<'p>(verdict: &Verdict<'p>) -> (Option<&'p str>, u8) {
    match verdict {
        Verdict::Allow { rule } => (Some(rule), 2),
        Verdict::Ask { terms, .. } => (Some(terms), 1),
        Verdict::Deny { .. } => (None, 0),
    }
}

/// One policy as calls are made under it: what it has used, and the connections that are open.
struct Run<'p> {
    policy: &'p Policy,
    used: Usage,
    sockets: Vec<&'p str>,
    open: Vec<&'p str>,
}

impl<'p> Run<'p> {
    fn new(policy: &'p Policy) -> Self {
        Self { policy, used: Usage::default(), sockets: Vec::new(), open: Vec::new() }
    }

    fn decide(&self, attempt: &Attempt, now_ms: u64) -> (Option<&'p str>, u8) {
        let connection = self.sockets.last().copied().unwrap_or("none");
        outcome(&self.policy.decide(&attempt.call(connection), &self.used, now_ms))
    }

    fn count(&mut self, attempt: &Attempt, rule: &'p str, now_ms: u64) {
        let connection = self.sockets.last().copied().unwrap_or("none");
        self.used.count(rule, &attempt.call(connection), now_ms);
        if attempt.stays_open() {
            self.used.opened(rule);
            self.open.push(rule);
        }
        if matches!(attempt, Attempt::WebSocket { .. }) {
            self.sockets.push(rule);
        }
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.used.closed(self.open.remove(0));
        }
    }
}

/// Makes the calls that the narrower policy lets through under both; the wider one must let them through as well.
fn compare(narrow: &Policy, wide: &Policy, attempts: &[(Attempt, u64, bool)]) -> Result<(), TestCaseError> {
    let (mut ours, mut theirs) = (Run::new(narrow), Run::new(wide));
    let mut now_ms = 0;
    for (attempt, pause, close) in attempts {
        now_ms += pause;
        let (mine, other) = (ours.decide(attempt, now_ms), theirs.decide(attempt, now_ms));
        prop_assert!(
            mine.1 <= other.1,
            "{:?} at {}: {:?} but {:?}\n{:#?}\n{:#?}",
            attempt,
            now_ms,
            mine,
            other,
            narrow,
            wide
        );
        if let ((Some(mine), _), (Some(other), _)) = (mine, other) {
            ours.count(attempt, mine, now_ms);
            theirs.count(attempt, other, now_ms);
        }
        if *close {
            ours.close();
            theirs.close();
        }
    }
    Ok(())
}

/// Changes that take away, picked by numbers. The first two also make a later rule the first one that matches.
fn narrowed(mut draft: Draft, picks: &[(usize, usize)]) -> Draft {
    for (pick, how) in picks {
        let rules = draft.rules.len();
        match how {
            0 if rules > 0 && draft.rules[pick % rules].0 != "ask" => drop(draft.rules.remove(pick % rules)),
            1 if rules > 0 && draft.rules[pick % rules].0 == "fetch" => {
                let methods = draft.rules[pick % rules]
                    .1
                    .iter_mut()
                    .find(|(key, value)| *key == "methods" && value.contains("GET"));
                methods.into_iter().for_each(|(_, value)| *value = "[\"GET\"]".to_owned());
            }
            2 => draft.block = RANGES.to_vec(),
            3 => draft.allow.truncate(pick % 2),
            4 => draft.steps = draft.steps.min(5 + *pick as u64),
            5 if rules > 0 => shrink(&mut draft.rules[pick % rules], *pick),
            _ => {}
        }
    }
    draft
}

/// Which rule of a parent, and which URL and methods of its own a part of it has.
type Part = (usize, Option<String>, Option<String>);

fn part() -> impl Strategy<Value = Part> {
    (0..20_usize, proptest::option::of(url()), proptest::option::of(methods()))
}

/// A child that holds parts of its parent's rules: some wider than the rule, some more than once.
fn taken_apart(parent: &Draft, parts: &[Part]) -> Draft {
    let grants = parent.rules.iter().filter(|(section, _)| *section != "ask").collect::<Vec<_>>();
    let rules = parts.iter().filter(|_| !grants.is_empty()).map(|(pick, url, methods)| {
        let (section, mut keys) = grants[pick % grants.len()].clone();
        for (key, value) in &mut keys {
            match (*key, url, methods) {
                ("url", Some(url), _) if section == "fetch" => value.clone_from(url),
                ("url", Some(url), _) => *value = url.replace("\"http", "\"ws"),
                ("methods", _, Some(methods)) => value.clone_from(methods),
                _ => {}
            }
        }
        (section, keys)
    });
    Draft { rules: rules.collect(), ..parent.clone() }
}

/// Gives a rule one more bound, or the smallest value of one that it has.
fn shrink((section, keys): &mut Rule, pick: usize) {
    let bounds: &[(&str, &str)] = match *section {
        "fetch" => &[("max_calls", "1"), ("rate", "\"1/2s\""), ("concurrent", "1"), ("max_request", "\"1B\"")],
        "websocket" => &[("max_open", "1"), ("max_message", "\"1B\""), ("max_messages", "1")],
        "files" => &[("max_file", "\"1B\""), ("access", "\"read\"")],
        "capability" => &[("max_calls", "1")],
        _ => return,
    };
    let (key, value) = bounds[pick % bounds.len()];
    if key == "access" {
        keys.retain(|(one, _)| !matches!(*one, "max_written" | "max_files"));
    }
    keys.retain(|(one, _)| *one != key);
    keys.push((key, value.to_owned()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, max_global_rejects: 1_000_000, ..ProptestConfig::default() })]

    /// Any two policies of which one loads as an extension of the other: parts of the parent, changed as well as unrelated.
    #[test]
    fn a_child_never_allows_what_its_parent_denies(
        parent in draft(), other in draft(), parts in proptest::collection::vec(part(), 0..5),
        picks in proptest::collection::vec((0..20_usize, 0..6_usize), 0..3), empty in any::<bool>(), related in 0..20_u8,
        own in proptest::option::of(ask()),
        attempts in attempts(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (base, child) = (folder.path().join("base.toml"), folder.path().join("child.toml"));
        std::fs::write(&base, parent.text("", true)).unwrap();
        let Ok(parent_policy) = Policy::load(&base) else { return Err(TestCaseError::reject("the parent does not load")) };
        let mut draft = match related {
            0 => other,
            1..8 => narrowed(parent, &picks),
            _ => taken_apart(&parent, &parts),
        };
        draft.rules.extend(own);
        let text = draft.text("extends = [\"base.toml\"]", empty).replace("id = \"r", "id = \"c");
        match Policy::parse(&text, &child) {
            Ok(child) => compare(&child, &parent_policy, &attempts)?,
            Err(_) => return Err(TestCaseError::reject("the child is wider")),
        }
    }

    #[test]
    fn a_smaller_bound_or_a_larger_block_never_allows_more(
        draft in draft(), picks in proptest::collection::vec((0..20_usize, 2..6_usize), 1..4), attempts in attempts(),
    ) {
        let Ok(before) = draft.load() else { return Err(TestCaseError::reject("it does not load")) };
        let Ok(after) = narrowed(draft, &picks).load() else { return Err(TestCaseError::reject("it does not load")) };
        compare(&after, &before, &attempts)?;
    }

    /// Bounds apart: without the rule that matched first, the bounds of the next one apply, and they may be wider.
    #[test]
    fn a_grant_that_is_taken_away_never_allows_more(
        draft in draft(), picks in proptest::collection::vec((0..20_usize, 0..2_usize), 1..4), attempts in attempts(),
    ) {
        let draft = draft.without_bounds();
        let Ok(before) = draft.load() else { return Err(TestCaseError::reject("it does not load")) };
        let Ok(after) = narrowed(draft, &picks).load() else { return Err(TestCaseError::reject("it does not load")) };
        for (attempt, _, _) in &attempts {
            let (before, after) = (Run::new(&before).decide(attempt, 0), Run::new(&after).decide(attempt, 0));
            prop_assert!(after.1 <= before.1, "{:?}: {:?} then {:?}", attempt, before, after);
        }
    }

    #[test]
    fn a_rule_that_asks_never_allows_what_was_denied_or_asked(draft in draft(), ask in ask(), attempts in attempts()) {
        let Ok(before) = draft.load() else { return Err(TestCaseError::reject("it does not load")) };
        let mut after = draft;
        after.rules.push(ask);
        let after = after.load().unwrap();
        for (attempt, _, _) in &attempts {
            let (before, after) = (Run::new(&before).decide(attempt, 0), Run::new(&after).decide(attempt, 0));
            prop_assert!(after.1 <= before.1.max(1), "{:?}: {:?} then {:?}", attempt, before, after);
        }
    }

    /// Without quotas used the order of rules decides which one is recorded, and whose bounds apply; nothing else.
    #[test]
    fn the_order_of_rules_decides_only_which_one_is_recorded(draft in draft(), attempts in attempts(), seed in 0..1000_usize) {
        let mut draft = draft;
        for (_, keys) in &mut draft.rules {
            keys.retain(|(key, _)| !matches!(*key, "max_request" | "max_message"));
        }
        let Ok(policy) = draft.load() else { return Err(TestCaseError::reject("it does not load")) };
        let mut shuffled = draft.clone();
        let rules = shuffled.rules.len();
        for index in (1..rules).rev() {
            shuffled.rules.swap(index, (seed * 31 + index * 17) % (index + 1));
        }
        let Ok(shuffled) = shuffled.load() else { return Err(TestCaseError::reject("it does not load")) };
        for (attempt, _, _) in attempts.iter().filter(|(attempt, _, _)| !matches!(attempt, Attempt::Message { .. })) {
            let one = Run::new(&policy).decide(attempt, 0);
            let other = Run::new(&shuffled).decide(attempt, 0);
            prop_assert_eq!(one.1, other.1, "{:?}", attempt);
            if let Attempt::Fetch { method, url, .. } = attempt {
                let first = policy.fetch.iter().find(|grant| grant.url.matches(url) && grant.methods.iter().any(|one| one == method));
                prop_assert!(one.0.is_none() || first.is_none() || one.0 == first.map(|grant| grant.id.as_str()));
            }
        }
    }

    #[test]
    fn replaying_what_was_counted_gives_the_same_usage(draft in draft(), attempts in attempts()) {
        let Ok(policy) = draft.load() else { return Err(TestCaseError::reject("it does not load")) };
        let mut live = Run::new(&policy);
        let (mut now_ms, mut recorded) = (0, Vec::new());
        for (attempt, pause, close) in &attempts {
            now_ms += pause;
            if let (Some(rule), _) = live.decide(attempt, now_ms) {
                live.count(attempt, rule, now_ms);
                recorded.push((Some((attempt, rule)), now_ms));
            }
            if *close {
                live.close();
                recorded.push((None, now_ms));
            }
        }
        let mut replayed = Run::new(&policy);
        for (counted, at_ms) in recorded {
            match counted {
                Some((attempt, rule)) => replayed.count(attempt, rule, at_ms),
                None => replayed.close(),
            }
        }
        prop_assert_eq!(live.used, replayed.used);
    }

    /// Bounds apart, as above.
    #[test]
    fn a_function_never_has_more_than_its_policy(draft in draft(), keep in proptest::collection::vec(any::<bool>(), 9), attempts in attempts()) {
        let draft = draft.without_bounds();
        let mut text = draft.text("", true);
        let listed = |wanted: &[&str]| {
            let ids = draft.rules.iter().enumerate().zip(&keep).filter(|((_, (section, keys)), keep)| {
                let ask = *section == "ask" && keys[0].1.contains(wanted[0]);
                **keep && (*section == wanted[0] || ask)
            });
            ids.map(|((number, _), _)| format!("\"r{number}\"")).collect::<Vec<_>>().join(", ")
        };
        let (fetch, websocket, files) = (listed(&["fetch"]), listed(&["websocket"]), draft.rules.iter().enumerate().filter(|(_, (section, _))| *section == "files"));
        let files = files.filter(|(number, _)| keep[*number % 9]).map(|(number, _)| format!("\"r{number}\"")).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("[functions.f]\nfetch = [{fetch}]\nwebsocket = [{websocket}]\nfiles = [{files}]\n"));
        let Ok(policy) = Policy::parse(&text, Path::new("/nowhere/policy.toml")) else { return Err(TestCaseError::reject("it does not load")) };
        let narrow = policy.for_function("f");
        prop_assert_eq!(narrow.for_function("f").canonical(), narrow.canonical());
        for (attempt, _, _) in &attempts {
            let (whole, part) = (Run::new(&policy).decide(attempt, 0), Run::new(&narrow).decide(attempt, 0));
            prop_assert!(part.1 <= whole.1, "{:?}: {:?} {:?}", attempt, part, whole);
        }
    }
}
