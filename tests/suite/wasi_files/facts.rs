//! Facts of a file system that programs rely on: what each sequence of calls comes to, in a folder of the host, over one, and in memory.

use super::*;
use crate::support::Shown;

/// Calls, and their outcome; an error without `error: `.
struct Fact {
    is: &'static str,
    calls: Vec<(Value, &'static str)>,
}

fn fact(is: &'static str, calls: impl IntoIterator<Item = (Value, &'static str)>) -> Fact {
    Fact { is, calls: calls.into_iter().collect() }
}

fn stat(path: &str) -> Value {
    json!({ "stat": path })
}

fn list(path: &str) -> Value {
    json!({ "list": path })
}

fn rename(from: &str, to: &str) -> Value {
    json!({ "rename": { "from": from, "to": to } })
}

fn set_size(name: &str, size: u64) -> Value {
    json!({ "set-size": { "name": name, "size": size } })
}

fn text(name: &str) -> Value {
    json!({ "text": name })
}

/// Each fact begins with the empty folder `f` and the file `a`, which holds `text`.
fn facts() -> Vec<Fact> {
    [paths(), contents(), names()].into_iter().flatten().collect()
}

fn paths() -> Vec<Fact> {
    vec![
        fact(
            "a path that ends in a slash names a folder",
            [
                (open("1", "/out/a/", "r"), "not-directory"),
                (stat("/out/a/"), "not-directory"),
                (json!({ "unlink": "/out/a/" }), "not-directory"),
                (rename("/out/a/", "/out/b"), "not-directory"),
                (open("1", "/out/f/", "r"), "a folder"),
                (stat("/out/f/"), "folder 0"),
                (json!({ "mkdir": "/out/g/" }), ""),
                (rename("/out/g/", "/out/h/"), ""),
                (list("/out/h/"), ""),
                (json!({ "rmdir": "/out/h/" }), ""),
                (list("/out"), "file a, folder f"),
            ],
        ),
        fact(
            "a file is no folder, and a folder no file",
            [
                (open("1", "/out/a", "rd"), "not-directory"),
                (open("1", "/out/a/b", "r"), "not-directory"),
                (open("1", "/out/a/b", "wc"), "not-directory"),
                (open("1", "/out/f", "rd"), "a folder"),
                (open("1", "/out/f", "w"), "is-directory"),
                (open("1", "/out/f", "wt"), "is-directory"),
                (open("1", "/out/f", "rx"), "a folder"),
                (open("1", "/out/f", "wcx"), "exist"),
                (list("/out/a"), "not-directory"),
                (json!({ "rmdir": "/out/a" }), "not-directory"),
                (json!({ "unlink": "/out/f" }), "is-directory"),
                (json!({ "mkdir": "/out/a" }), "exist"),
                (json!({ "mkdir": "/out/a/b" }), "not-directory"),
            ],
        ),
        fact(
            "dots lead where they say, and not out",
            [
                (stat("/out/."), "folder 0"),
                (stat("/out/f/.."), "folder 0"),
                (stat("/out/./f/../a"), "file 4"),
                (stat("/out/f//../a"), "file 4"),
                // By name, whether or not it is there.
                (stat("/out/none/../a"), "file 4"),
                (json!({ "mkdir": "/out/f/../g" }), ""),
                (json!({ "mkdir": "/out/." }), "exist"),
                (json!({ "mkdir": "/out/f/." }), "exist"),
                (json!({ "rmdir": "/out/f/." }), "busy"),
                (rename("/out/f/.", "/out/h"), "busy"),
                (json!({ "unlink": "/out/f/.." }), "is-directory"),
                (stat("/out/../out/a"), "not-permitted"),
                (list("/out"), "file a, folder f, folder g"),
            ],
        ),
    ]
}

fn contents() -> Vec<Fact> {
    vec![
        fact(
            "a handle does what it was opened for",
            [
                (open("r", "/out/a", "r"), ""),
                (say("r", "x"), "bad-descriptor"),
                (set_size("r", 1), "bad-descriptor"),
                (json!({ "sync": "r" }), ""),
                (open("w", "/out/a", "w"), ""),
                (text("w"), "bad-descriptor"),
                (json!({ "size": "w" }), "4"),
                (say("w", "s"), ""),
                (text("r"), "texts"),
            ],
        ),
        fact(
            "what is cut off is gone, and what is added is zero",
            [
                (open("1", "/out/a", "rw"), ""),
                (set_size("1", 2), ""),
                (say("1", "!"), ""),
                (text("1"), "te!"),
                (set_size("1", 5), ""),
                (text("1"), "te!\0\0"),
                (json!({ "read": { "name": "1", "offset": 5, "len": 9 } }), "0 cbf29ce484222325"),
                (json!({ "read": { "name": "1", "offset": 1_u64 << 40, "len": 9 } }), "0 cbf29ce484222325"),
                (open("2", "/out/a", "wt"), ""),
                (text("1"), ""),
                (say("1", "new"), ""),
                (close("1"), ""),
                (close("2"), ""),
                (stat("/out/a"), "file 3"),
            ],
        ),
        fact(
            "a write far after the end leaves zeros before it, and one of nothing changes nothing",
            [
                (open("1", "/out/a", "rw"), ""),
                (json!({ "write": { "name": "1", "offset": 200_000, "len": 0, "seed": 0 } }), ""),
                (json!({ "size": "1" }), "4"),
                (json!({ "write": { "name": "1", "offset": 200_000, "len": 3, "seed": 0 } }), ""),
                (json!({ "size": "1" }), "200003"),
                (set_size("1", 6), ""),
                (text("1"), "text\0\0"),
            ],
        ),
        fact(
            "a new file is there at once, and once",
            [
                (open("1", "/out/n", "wcx"), ""),
                (open("2", "/out/n", "wcx"), "exist"),
                (stat("/out/n"), "file 0"),
                (say("1", "abc"), ""),
                (stat("/out/n"), "file 3"),
                (open("3", "/out/n", "rc"), ""),
                (text("3"), "abc"),
                (json!({ "same": { "a": "1", "b": "3" } }), "true"),
            ],
        ),
    ]
}

fn names() -> Vec<Fact> {
    vec![
        fact(
            "an open file outlives its name",
            [
                (open("1", "/out/a", "rw"), ""),
                (rename("/out/a", "/out/f/b"), ""),
                (say("1", "!"), ""),
                (text("1"), "text!"),
                (json!({ "unlink": "/out/f/b" }), ""),
                (say("1", "?"), ""),
                (text("1"), "text!?"),
                (open("2", "/out/a", "wcx"), ""),
                (say("2", "other"), ""),
                (json!({ "same": { "a": "1", "b": "2" } }), "false"),
                (text("1"), "text!?"),
                (close("1"), ""),
                (close("2"), ""),
                (list("/out"), "file a, folder f"),
                (stat("/out/a"), "file 5"),
            ],
        ),
        fact(
            "a rename takes the place of what it may take",
            [
                (open("1", "/out/b", "wc"), ""),
                (say("1", "of b"), ""),
                (close("1"), ""),
                (open("old", "/out/a", "r"), ""),
                (rename("/out/a", "/out/a"), ""),
                (rename("/out/b", "/out/a"), ""),
                (text("old"), "text"),
                (open("new", "/out/a", "r"), ""),
                (text("new"), "of b"),
                (rename("/out/a", "/out/f"), "is-directory"),
                (rename("/out/f", "/out/a"), "not-directory"),
                (rename("/out/none", "/out/a"), "no-entry"),
                (rename("/out/a", "/out/none/a"), "no-entry"),
                (json!({ "mkdir": "/out/g" }), ""),
                (rename("/out/g", "/out/f"), ""),
                (json!({ "mkdir": "/out/g" }), ""),
                (json!({ "mkdir": "/out/g/h" }), ""),
                (rename("/out/f", "/out/g"), "not-empty"),
                (rename("/out/g", "/out/g/h"), "invalid"),
                (rename("/out/g", "/out/g/h/i"), "invalid"),
                (list("/out"), "file a, folder f, folder g"),
            ],
        ),
        fact(
            "a folder lists what is in it now",
            [
                (open("1", "/out/f/one", "wc"), ""),
                (open("2", "/out/f/two", "wc"), ""),
                (json!({ "mkdir": "/out/f/.three" }), ""),
                (list("/out/f"), "folder .three, file one, file two"),
                (json!({ "unlink": "/out/f/one" }), ""),
                (rename("/out/f/two", "/out/f/2"), ""),
                (list("/out/f"), "folder .three, file 2"),
                (json!({ "rmdir": "/out/f" }), "not-empty"),
                (json!({ "rmdir": "/out/f/.three" }), ""),
                (json!({ "unlink": "/out/f/2" }), ""),
                (json!({ "rmdir": "/out/f" }), ""),
                (list("/out/f"), "no-entry"),
                (open("3", "/out/f/one", "wc"), "no-entry"),
            ],
        ),
    ]
}

#[test]
fn a_file_system_does_what_programs_rely_on() {
    let mut wrong = Vec::new();
    let first = [json!({ "mkdir": "/out/f" }), open("0", "/out/a", "wc"), say("0", "text"), close("0")];
    for sandbox in Sandbox::each() {
        let run = |access: &'static str, number: usize, fact: &Fact| {
            let folder = format!("{access}{number}");
            fs::create_dir(sandbox.path(&folder)).unwrap();
            let host = if access == "scratch" { String::new() } else { format!("host = \"{folder}\"\n") };
            let rule = format!("[[files]]\nid = \"out\"\nguest = \"/out\"\n{host}access = \"{access}\"\n");
            let calls: Vec<&Value> = first.iter().chain(fact.calls.iter().map(|(call, _)| call)).collect();
            script(&granted(&sandbox, &rule), &json!(calls)).with_id(id(&folder))
        };
        let facts = facts();
        let kinds = ["write", "overlay", "scratch"];
        let all: Vec<_> =
            kinds.into_iter().flat_map(|access| facts.iter().enumerate().map(move |fact| (access, fact))).collect();
        let reports = life(async {
            let host = sandbox.host().unwrap();
            futures::future::join_all(all.iter().map(|(access, (number, fact))| host.run(run(access, *number, fact))))
                .await
        });
        for ((access, (_, fact)), report) in all.iter().zip(reports) {
            let told = outcomes(&report.unwrap());
            let told = told[first.len()..].iter().map(|told| told.strip_prefix("error: ").unwrap_or(told));
            for ((call, expected), told) in fact.calls.iter().zip(told) {
                if told != *expected {
                    wrong.push(format!("{access}: {}: {call}: {told:?}, not {expected:?}", fact.is));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_standard_output_can_be_dropped_and_got_again() {
    for sandbox in Sandbox::each() {
        let print = |text: &str, handles: u32| json!({ "print": { "text": text, "handles": handles } });
        let shown = Shown::default();
        let run = script(&granted(&sandbox, FILES), &json!([print("one ", 1), print("two ", 3), print("three", 1)]));
        let report = life(async { sandbox.builder().on_output(shown.sink()).build().unwrap().run(run).await.unwrap() });
        assert_eq!(outcomes(&report), ["", "", ""]);
        assert_eq!(shown.lines().concat(), "one two two two three");
    }
}
