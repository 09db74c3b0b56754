//! What a URL is, whatever it is spelled like, and which patterns match it.

use super::*;
use proptest::prelude::*;

fn target(text: &str) -> Target {
    Target::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

#[test]
fn a_target_has_one_canonical_text() {
    let cases = [
        ("https://ok.com", "https://ok.com:443/"),
        ("HTTPS://OK.com:443/a?b=c#d", "https://ok.com:443/a?b=c"),
        ("http://ok.com.:8080/a/./b/../c", "http://ok.com:8080/a/c"),
        ("wss://ok.com/%7Euser/%c3%bc", "wss://ok.com:443/~user/%C3%BC"),
        ("https://b\u{fc}cher.example/\u{fc}", "https://xn--bcher-kva.example:443/%C3%BC"),
        ("https://ok\u{3002}com/", "https://ok.com:443/"),
        ("https://\u{ff4f}\u{ff4b}\u{ff0e}com/", "https://ok.com:443/"),
        ("http://127.1/", "http://127.0.0.1:80/"),
        ("http://0x7f.1/", "http://127.0.0.1:80/"),
        ("http://2130706433/", "http://127.0.0.1:80/"),
        ("http://0177.0.0.1/", "http://127.0.0.1:80/"),
        ("http://127.0.0.1./", "http://127.0.0.1:80/"),
        ("http://0/", "http://0.0.0.0:80/"),
        ("http://\u{ff11}27.0.0.1/", "http://127.0.0.1:80/"),
        ("http://[0:0::1]:81/", "http://[::1]:81/"),
        ("http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]:80/"),
        ("https://ok.com/a/%2e%2e/b", "https://ok.com:443/b"),
        ("https://ok.com/a/.%2E/%2e/b", "https://ok.com:443/b"),
        ("https://ok.com/../../b", "https://ok.com:443/b"),
        ("https://ok.com#@evil.com/", "https://ok.com:443/"),
        ("https://ok.com?@evil.com/", "https://ok.com:443/?@evil.com/"),
        ("https://ok.com/@evil.com/", "https://ok.com:443/@evil.com/"),
        ("https://ok.com:/", "https://ok.com:443/"),
    ];
    for (text, canonical) in cases {
        let parsed = target(text);
        assert_eq!(parsed.as_str(), canonical, "{text}");
        assert_eq!(target(canonical), parsed, "{text}");
        assert_eq!(target(parsed.url().as_str()), parsed, "{text}");
    }
    assert_eq!(target("http://127.1/").ip(), Some("127.0.0.1".parse().unwrap()));
    assert_eq!(target("http://[::1]/").ip(), Some("::1".parse().unwrap()));
    assert_eq!(target("http://127.0.0.1.nip.io/").ip(), None);
    assert_eq!(target("https://ok.com/a/b?c").authority(), "ok.com:443");
}

#[test]
fn a_url_with_two_readings_is_refused() {
    let cases = [
        ("https://ok.com@evil.com/", Fault::UserInfo),
        ("https://@evil.com/", Fault::UserInfo),
        ("https://:@evil.com/", Fault::UserInfo),
        ("https://user:pw@ok.com/", Fault::UserInfo),
        ("https://ok.com\\@evil.com/", Fault::Character),
        ("https:\\\\ok.com/", Fault::Character),
        ("https://ok\t.com/", Fault::Character),
        ("https://ok.com/\n", Fault::Character),
        (" https://ok.com/", Fault::Character),
        ("https://ok.com/a b", Fault::Character),
        ("https://ok.com/\u{2028}", Fault::Character),
        ("https://ok.com/\0", Fault::Character),
        ("https:ok.com", Fault::Scheme),
        ("https:/ok.com", Fault::Scheme),
        ("//ok.com", Fault::Scheme),
        ("file:///etc/passwd", Fault::Scheme),
        ("ftp://ok.com/", Fault::Scheme),
        ("javascript://ok.com/", Fault::Scheme),
        ("https:///ok.com", Fault::Host("it has no host")),
        ("https://", Fault::Host("it has no host")),
        ("https://ok%2ecom/", Fault::Host("its host has a \"%\"")),
        ("http://[fe80::1%25eth0]/", Fault::Host("its host has a \"%\"")),
        ("https://ok.com../", Fault::Host("its host is no name of a server")),
        ("https://.ok.com/", Fault::Host("its host is no name of a server")),
        ("https://*.ok.com/", Fault::Host("its host is no name of a server")),
        ("https://ok.1/", Fault::Host("its host is no name of a server and no address")),
        ("https://1.2.3.4.5/", Fault::Host("its host is no name of a server and no address")),
        ("https://0x100000000/", Fault::Host("its host is no name of a server and no address")),
        ("https://ok.com:65536/", Fault::Port),
        ("https://ok.com:0/", Fault::Port),
        ("https://ok.com/a//b", Fault::Segment("its path has an empty segment")),
        ("https://ok.com//", Fault::Segment("its path has an empty segment")),
        ("https://ok.com/a/..;/b", Fault::Segment("a segment of its path reads as \"..\"")),
        ("https://ok.com/a/%2e.;x=1/b", Fault::Segment("a segment of its path reads as \"..\"")),
        ("https://ok.com/a%2fb", Fault::Encoding("its path has an encoded slash, backslash or control character")),
        (
            "https://ok.com/..%2F..%5cb",
            Fault::Encoding("its path has an encoded slash, backslash or control character"),
        ),
        ("https://ok.com/%00", Fault::Encoding("its path has an encoded slash, backslash or control character")),
        (
            "https://ok.com/%0d%0aHost:x",
            Fault::Encoding("its path has an encoded slash, backslash or control character"),
        ),
        ("https://ok.com/%", Fault::Encoding("a \"%\" in its path encodes nothing")),
        ("https://ok.com/%4", Fault::Encoding("a \"%\" in its path encodes nothing")),
        ("https://ok.com/%zz", Fault::Encoding("a \"%\" in its path encodes nothing")),
        ("https://ok.com/%c0%af", Fault::Encoding("an encoded part of its path is not UTF-8")),
    ];
    for (text, fault) in cases {
        assert_eq!(Target::parse(text), Err(fault), "{text}");
    }
    let long = format!("https://ok.com/{}", "x".repeat(8200));
    assert_eq!(Target::parse(&long), Err(Fault::Long));
    let long = format!("https://ok.com/{}", "\u{fc}".repeat(4000));
    assert_eq!(Target::parse(&long), Err(Fault::Long), "longer once it is encoded");
    let label = format!("https://{}.com/", "x".repeat(64));
    assert_eq!(Target::parse(&label), Err(Fault::Host("its host is no name of a server")));
}

#[test]
fn a_redirect_is_parsed_like_any_url() {
    let from = target("https://ok.com/a/b?c");
    let cases = [
        ("d", "https://ok.com:443/a/d"),
        ("/d?e#f", "https://ok.com:443/d?e"),
        ("../../../d", "https://ok.com:443/d"),
        ("//other.com/d", "https://other.com:443/d"),
        ("http://ok.com/", "http://ok.com:80/"),
        ("", "https://ok.com:443/a/b?c"),
    ];
    for (location, to) in cases {
        assert_eq!(from.join(location).unwrap().as_str(), to, "{location}");
    }
    let refused = [
        ("file:///etc/passwd", Fault::Scheme),
        ("data:text/plain,x", Fault::Scheme),
        ("//ok.com@evil.com/", Fault::UserInfo),
        ("\\\\evil.com/", Fault::Character),
        ("/a\r\nb", Fault::Character),
        ("a//b", Fault::Segment("its path has an empty segment")),
        ("%2f", Fault::Encoding("its path has an encoded slash, backslash or control character")),
    ];
    for (location, fault) in refused {
        assert_eq!(from.join(location), Err(fault), "{location}");
    }
    assert!(from.same_origin(&target("https://OK.com:443/x")));
    for other in ["http://ok.com/", "https://ok.com:444/", "https://www.ok.com/", "wss://ok.com/"] {
        assert!(!from.same_origin(&target(other)), "{other}");
    }
}

#[test]
fn a_pattern_matches_parsed_parts() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            "https://api.github.com/repos/acme/**",
            &[
                "https://api.github.com/repos/acme",
                "https://API.GitHub.com.:443/repos/acme/x/y?q",
                "https://api.github.com/repos/%61cme/x",
                "https://api.github.com/repos/acme/",
            ],
            &[
                "https://api.github.com/repos/acme2/x",
                "https://api.github.com/repos/acme/../evil",
                "https://api.github.com/repos/acme/%2e%2e/evil",
                "https://api.github.com/REPOS/acme/x",
                "http://api.github.com/repos/acme/x",
                "https://api.github.com:8443/repos/acme/x",
                "https://api.github.com.evil.com/repos/acme/x",
                "https://evil.com/api.github.com/repos/acme/x",
                "https://api.g\u{456}thub.com/repos/acme/x",
                "wss://api.github.com/repos/acme/x",
            ],
        ),
        ("https://ok.com", &["https://ok.com/", "https://ok.com/?x"], &["https://ok.com/a", "https://www.ok.com/"]),
        ("https://ok.com/a/", &["https://ok.com/a/"], &["https://ok.com/a", "https://ok.com/a/b"]),
        (
            "https://ok.com/*/b",
            &["https://ok.com/a/b", "https://ok.com/%C3%BC/b"],
            &["https://ok.com/a/a/b", "https://ok.com/b"],
        ),
        (
            "https://ok.com/v*/r-*.json",
            &["https://ok.com/v1/r-a.b.json", "https://ok.com/v/r-.json"],
            &["https://ok.com/v1/r.json", "https://ok.com/x/r-.json"],
        ),
        (
            "https://ok.com/**/b/*/c",
            &["https://ok.com/b/x/c", "https://ok.com/b/b/x/b/x/c"],
            &["https://ok.com/b/c", "https://ok.com/b/x/c/"],
        ),
        (
            "https://ok.com/a?b=c",
            &["https://ok.com/a?b=c", "https://ok.com/a?b=c#d"],
            &["https://ok.com/a", "https://ok.com/a?b=c&d", "https://ok.com/a?b=C"],
        ),
        (
            "https://ok.com/100%25/%2A",
            &["https://ok.com/100%25/*", "https://ok.com/100%25/%2a"],
            &["https://ok.com/100%25/x"],
        ),
        (
            "https://*.ok.com/**",
            &["https://a.ok.com/", "https://A.ok.com./x"],
            &["https://ok.com/", "https://a.b.ok.com/", "https://evilok.com/", "https://a.ok.com.evil.com/"],
        ),
        (
            "https://**.ok.com/**",
            &["https://ok.com/", "https://a.b.ok.com/x"],
            &["https://evilok.com/", "https://ok.com.evil.com/"],
        ),
        ("https://a.*.ok.com/", &["https://a.b.ok.com/"], &["https://a.b.c.ok.com/", "https://a.ok.com/"]),
        (
            "http://127.1:8080/**",
            &["http://127.0.0.1:8080/x", "http://2130706433:8080/"],
            &[
                "http://127.0.0.1/",
                "http://127.0.0.2:8080/",
                "http://localhost:8080/",
                "http://[::ffff:127.0.0.1]:8080/",
            ],
        ),
        ("http://[0::1]:80/", &["http://[::1]/"], &["http://[::2]/"]),
        (
            "http://[::ffff:127.0.0.1]/",
            &["http://[::ffff:7f00:1]/", "http://[::FFFF:127.0.0.1]:80/"],
            &["http://127.0.0.1/"],
        ),
        ("wss://b\u{fc}cher.example/\u{fc}", &["wss://xn--bcher-kva.example/%c3%bc"], &["wss://bucher.example/u"]),
    ];
    for (text, yes, no) in cases {
        let one = pattern(text);
        assert_eq!(pattern(one.as_str()), one, "{text}");
        for url in *yes {
            assert!(one.matches(&target(url)), "{text} {url}");
        }
        for url in *no {
            assert!(!one.matches(&target(url)), "{text} {url}");
        }
    }
}

#[test]
fn a_pattern_that_says_too_much_or_nothing_is_refused() {
    let cases = [
        ("https://*/**", "its host is open at the end; spell the last two labels out, as in \"*.example.org\""),
        ("https://**/", "its host is open at the end; spell the last two labels out, as in \"*.example.org\""),
        ("https://*.com/", "its host is open at the end; spell the last two labels out, as in \"*.example.org\""),
        ("https://*.com./", "its host is open at the end; spell the last two labels out, as in \"*.example.org\""),
        ("https://ok.*/", "its host is open at the end; spell the last two labels out, as in \"*.example.org\""),
        ("https://*k.ok.com/", "a label of its host has a part that is \"*\"; write \"*\" for a whole label"),
        ("*", "it has no scheme; begin with \"https://\""),
        ("ok.com/x", "it has no scheme; begin with \"https://\""),
        ("*://ok.com/", "its scheme is none of http, https, ws and wss"),
        ("ftp://ok.com/", "its scheme is none of http, https, ws and wss"),
        ("https://", "\"\" is no host"),
        ("https://*.0.1/", "\"*.0.1\" is no host"),
        ("https://ok..com/", "\"ok..com\" is no host"),
        ("https://u@ok.com/", "its host has a \"@\" or a \"%\""),
        (
            "https://ok.com:*/",
            "\"*\" is no port; write a number from 1 to 65535, or leave it out for that of the scheme",
        ),
        (
            "https://ok.com:0/",
            "\"0\" is no port; write a number from 1 to 65535, or leave it out for that of the scheme",
        ),
        ("https://ok.com/a//b", "its path has an empty segment"),
        ("https://ok.com/a/../b", "its path has a \".\" or \"..\" segment; write the path it leads to"),
        ("https://ok.com/%2e%2e", "its path has a \".\" or \"..\" segment; write the path it leads to"),
        ("https://ok.com/a**", "\"**\" stands for whole segments; write it between slashes"),
        ("https://ok.com/%2f", "its path has an encoded slash, backslash or control character"),
        ("https://ok.com/a b", "it has a control character, a space, a backslash or a \"#\""),
        ("https://ok.com/#a", "it has a control character, a space, a backslash or a \"#\""),
    ];
    for (text, why) in cases {
        assert_eq!(Pattern::parse(text).unwrap_err(), why, "{text}");
    }
}

/// What is stored of a policy is the canonical text, which must be read again.
#[test]
fn a_pattern_that_grows_too_long_by_its_encoding_is_refused() {
    let path = |length| format!("https://ok.com/{}", ">".repeat(length));
    let longest = pattern(&path(670));
    assert_eq!(pattern(&longest.to_string()), longest);
    for length in [700, 2033] {
        let why = Pattern::parse(&path(length)).unwrap_err();
        assert_eq!(why, "it is longer than 2048 bytes once it is percent-encoded");
    }
}

#[test]
fn a_pattern_covers_what_is_narrower() {
    let cover = [
        ("https://ok.com/**", "https://ok.com/a/*/b?c"),
        ("https://ok.com/**", "https://ok.com/"),
        ("https://ok.com/a/**", "https://ok.com/a"),
        ("https://ok.com/**/b/**", "https://ok.com/a/**/b"),
        ("https://ok.com/*", "https://ok.com/a*"),
        ("https://ok.com/a*c", "https://ok.com/ab*bc"),
        ("https://**.ok.com/", "https://*.a.ok.com/"),
        ("https://**.ok.com/", "https://ok.com/"),
        ("https://*.ok.com/", "https://a.ok.com/"),
    ];
    for (wide, narrow) in cover {
        assert!(pattern(wide).covers(&pattern(narrow)), "{wide} {narrow}");
        assert!(!pattern(narrow).covers(&pattern(wide)), "{narrow} {wide}");
        assert!(pattern(wide).overlaps(&pattern(narrow)), "{wide} {narrow}");
    }
    let apart = [
        ("https://ok.com/*", "https://ok.com/"),
        ("https://ok.com/a", "https://ok.com/b"),
        ("https://ok.com/a*", "https://ok.com/b*"),
        ("https://ok.com/**", "http://ok.com/**"),
        ("https://ok.com/**", "https://ok.com:8443/**"),
        ("https://*.ok.com/", "https://*.a.ok.com/"),
        ("https://ok.com/?a", "https://ok.com/?b"),
        ("http://1.1.1.1/", "http://1.1.1.2/"),
    ];
    for (a, b) in apart {
        assert!(!pattern(a).covers(&pattern(b)) && !pattern(b).covers(&pattern(a)), "{a} {b}");
        assert!(!pattern(a).overlaps(&pattern(b)) && !pattern(b).overlaps(&pattern(a)), "{a} {b}");
    }
}

#[test]
fn matching_takes_no_more_time_than_the_lengths_allow() {
    let stars = pattern(&format!("https://ok.com/{}b", "**/a/".repeat(200)));
    assert!(!stars.matches(&target(&format!("https://ok.com/{}", "a/".repeat(4000)))));
    let globs = pattern(&format!("https://ok.com/{}b", "a*".repeat(500)));
    assert!(!globs.matches(&target(&format!("https://ok.com/{}", "a".repeat(8000)))));
    assert!(!stars.covers(&pattern(&format!("https://ok.com/{}", "**/a/".repeat(400)))));
}

fn host() -> impl Strategy<Value = String> {
    let label = prop_oneof![Just("a"), Just("b"), Just("x1")];
    proptest::collection::vec(label, 0..3)
        .prop_map(|labels| labels.iter().map(|label| format!("{label}.")).collect::<String>() + "ok.com")
}

fn host_pattern() -> impl Strategy<Value = String> {
    let label = prop_oneof![Just("a"), Just("b"), Just("*"), Just("**")];
    proptest::collection::vec(label, 0..3)
        .prop_map(|labels| labels.iter().map(|label| format!("{label}.")).collect::<String>() + "ok.com")
}

fn path(part: &'static str) -> impl Strategy<Value = String> {
    let segments = proptest::collection::vec(part, 0..5);
    (segments, any::<bool>()).prop_map(|(segments, slash)| {
        let path = segments.iter().map(|segment| format!("/{segment}")).collect::<String>();
        if slash || path.is_empty() { path + "/" } else { path }
    })
}

fn query() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => Just("?q"), 1 => Just("?p=1")]
}

fn urls() -> impl Strategy<Value = String> {
    (host(), path("[ab]{1,2}"), query()).prop_map(|(host, path, query)| format!("https://{host}{path}{query}"))
}

fn patterns() -> impl Strategy<Value = String> {
    (host_pattern(), path(r"[ab]{1,2}|\*|\*\*|[ab]\*|\*[ab]|a\*b"), query())
        .prop_map(|(host, path, query)| format!("https://{host}{path}{query}"))
}

/// Matching by trying every way, to compare with.
fn slowly(pattern: &[&str], text: &[&str]) -> bool {
    fn characters(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', tail @ ..] => (0..=text.len()).any(|cut| characters(tail, &text[cut..])),
            [one, tail @ ..] => text.first() == Some(one) && characters(tail, &text[1..]),
        }
    }
    match pattern {
        [] => text.is_empty(),
        ["**", tail @ ..] => (0..=text.len()).any(|cut| slowly(tail, &text[cut..])),
        ["*", tail @ ..] => text.first().is_some_and(|text| !text.is_empty()) && slowly(tail, &text[1..]),
        [one, tail @ ..] => {
            text.first().is_some_and(|text| characters(one.as_bytes(), text.as_bytes())) && slowly(tail, &text[1..])
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_parses_has_a_canonical_text_that_parses_to_the_same(text in "(https?|wss?)://[a-z0-9.:%/?#@é。\\[\\]\\\\-]{0,40}|\\PC{0,40}") {
        if let Ok(first) = Target::parse(&text) {
            let again = Target::parse(first.as_str()).unwrap();
            prop_assert_eq!(again.as_str(), first.as_str());
            prop_assert_eq!(&again, &first);
            prop_assert!(!first.path().contains("//") && !first.path().split('/').any(|segment| segment == ".."));
            prop_assert_eq!(first.ip().is_some(), first.host().parse::<std::net::IpAddr>().is_ok() || first.host().starts_with('['));
            let exact = format!("{}://{}:{}{}", first.scheme(), first.host(), first.port(), first.path().replace('*', "%2A"));
            prop_assert!(Pattern::parse(&exact).unwrap().matches(&first));
        }
    }

    #[test]
    fn a_pattern_reads_back(text in patterns(), odd in "https://ok.com(:[0-9]{1,5})?/[a*%0-9;.ü/]{0,12}") {
        for text in [text, odd] {
            if let Ok(one) = Pattern::parse(&text) {
                prop_assert_eq!(Pattern::parse(one.as_str()).unwrap(), one);
            }
        }
    }

    #[test]
    fn matching_is_what_trying_every_way_finds(text in patterns(), url in urls()) {
        let (one, target) = (pattern(&text), target(&url));
        let cut = |text: &str| {
            let (host, rest) = text["https://".len()..].split_once('/').unwrap();
            let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
            (host.to_owned(), path.to_owned(), query.map(str::to_owned))
        };
        let ((host, path, query), (url_host, url_path, url_query)) = (cut(&text), cut(&url));
        let split = |text: &'static str, by| text.split(by).collect::<Vec<_>>();
        let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
        let expected = slowly(&split(leak(host), '.'), &split(leak(url_host), '.'))
            && slowly(&split(leak(path), '/'), &split(leak(url_path), '/'))
            && (query.is_none() || query == url_query);
        prop_assert_eq!(one.matches(&target), expected);
    }

    #[test]
    fn what_a_covered_pattern_matches_the_covering_one_matches(a in patterns(), b in patterns(), url in urls()) {
        let (a, b, url) = (pattern(&a), pattern(&b), target(&url));
        prop_assert!(!(a.covers(&b) && b.matches(&url)) || a.matches(&url), "{} {} {}", a, b, url.as_str());
        prop_assert!(!(a.matches(&url) && b.matches(&url)) || a.overlaps(&b), "{} {} {}", a, b, url.as_str());
        prop_assert!(a.covers(&a) && a.overlaps(&a));
        prop_assert_eq!(a.overlaps(&b), b.overlaps(&a));
        prop_assert!(!a.covers(&b) || a.overlaps(&b));
    }

    #[test]
    fn no_spelling_of_a_url_changes_what_matches(
        text in patterns(), url in urls(), upper in any::<bool>(), dot in any::<bool>(), port in any::<bool>(), up in any::<bool>(),
        encoded in any::<bool>(), fragment in any::<bool>(), wide in any::<bool>(),
    ) {
        let plain = target(&url);
        let (host, rest) = url["https://".len()..].split_once('/').unwrap();
        let host = if upper { host.to_uppercase() } else { host.to_owned() };
        let host = if wide { host.replace('.', "\u{3002}") } else { host };
        let host = host + if dot { "." } else { "" } + if port { ":443" } else { "" };
        let (path, query) = rest.split_once('?').map_or((rest, String::new()), |(path, query)| (path, format!("?{query}")));
        let path = if encoded { path.replace('a', "%61").replace('b', "%62") } else { path.to_owned() };
        let path = if up { format!("x/%2E%2e/./{path}") } else { path };
        let spelled = format!("https://{host}/{path}{query}{}", if fragment { "#@evil.com/" } else { "" });
        let spelled = target(&spelled);
        prop_assert_eq!(&spelled, &plain);
        prop_assert_eq!(pattern(&text).matches(&spelled), pattern(&text).matches(&plain));
    }
}
