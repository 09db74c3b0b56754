//! Modules of Python out of an image: their byte code is made once, by nobody but the host, and no execution can tell.

use super::*;
use std::path::PathBuf;

/// What the cache folder of the tests holds of modules with that text in them.
fn kept(mark: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(guests::project().join("target/test-cache")).unwrap().map(|entry| entry.unwrap().path());
    let notes = files.filter(|path| path.extension().is_some_and(|kind| kind == "prepared"));
    let holds = |path: &PathBuf| {
        fs::read(path).is_ok_and(|bytes| bytes.windows(mark.len()).any(|window| window == mark.as_bytes()))
    };
    notes.filter(holds).collect()
}

/// Fills the folder with modules that no other test has, and returns the text that is in them.
fn modules(sandbox: &Sandbox) -> String {
    let mark = format!("mark of {}", sandbox.path("deps").display());
    fs::create_dir_all(sandbox.path("deps")).unwrap();
    fs::write(sandbox.path("deps/lamps.py"), format!("MARK = {mark:?}\n\ndef price():\n    return 4\n")).unwrap();
    fs::write(sandbox.path("deps/shades.py"), format!("MARK = {mark:?}\nCOLOURS = {{'red', 'blue', 'green'}}\n"))
        .unwrap();
    fs::write(sandbox.path("deps/broken.py"), "x = 1\ndef f(:\n").unwrap();
    mark
}

fn program(sandbox: &Sandbox, name: &str, code: &str) -> Run {
    sandbox.place().equip(&PYTHON);
    let policy = policy(sandbox, "[env]\nPYTHONPATH = \"/deps\"\n[limits]\nwasm_stack = \"8MiB\"\n");
    Run::new(PYTHON.clone(), "execute", json!({ "code": code }).to_string(), policy).with_id(id(name))
}

/// Runs a program on a host of its own, and returns what it prints.
fn printed(sandbox: &Sandbox, name: &str, code: &str) -> String {
    let (shown, run) = (Shown::default(), program(sandbox, name, code));
    let report = life(async { sandbox.builder().on_output(shown.sink()).build().unwrap().run(run).await.unwrap() });
    assert!(matches!(report.state, everstep::store::State::Completed), "{report:?}");
    shown.lines().concat()
}

#[test]
fn byte_code_is_made_once_and_not_by_a_program() {
    // One place: the cache folder is that of the host.
    let sandbox = Sandbox::over(Place::memory()).unwrap();
    let mark = modules(&sandbox);
    let hostile = "import builtins, marshal\n\
                   true = builtins.compile\n\
                   builtins.compile = lambda source, *rest, **more: true('def price(): return 5', *rest, **more)\n\
                   marshal.dumps = lambda *_: b'none'\n\
                   import lamps\nprint(lamps.price())";
    assert_eq!(printed(&sandbox, "first", hostile), "4\n");
    let note = kept(&mark);
    assert_eq!(note.len(), 1, "{note:?}");
    let good = fs::read(&note[0]).unwrap();
    // One that reads sources does that alone.
    let own = "from importlib.machinery import SourceFileLoader\n\
               SourceFileLoader.source_to_code = lambda self, data, path: compile('def price(): return 6', path, 'exec')\n\
               import lamps\nprint(lamps.price())";
    assert_eq!(printed(&sandbox, "second", own), "6\n");
    assert_eq!(printed(&sandbox, "third", "import lamps\nprint(lamps.price())"), "4\n");
    assert_eq!(fs::read(&note[0]).unwrap(), good);
    // What is not what the host has written is made anew, and the same.
    fs::write(&note[0], &good[..good.len() - 1]).unwrap();
    assert_eq!(printed(&sandbox, "fourth", "import lamps\nprint(lamps.price())"), "4\n");
    assert_eq!(fs::read(&note[0]).unwrap(), good);
    fs::remove_file(&note[0]).unwrap();
}

#[test]
fn an_execution_goes_on_the_same_whether_byte_code_is_there_or_not() {
    // Where an object lies tells what was done before, and each print is compared with what is on record.
    let code = "import lamps\nprint(id(object()), list({object, lamps, lamps.price}), id([]))\n\
                input('go on?')\n\
                import shades\nprint(sorted(shades.COLOURS), id(object()), id([]), lamps.price())";
    for sandbox in Sandbox::each() {
        let mark = modules(&sandbox);
        let forget = || kept(&mark).into_iter().for_each(|note| fs::remove_file(note).unwrap());
        let run = program(&sandbox, "x", code).without_waiting();
        let report = life(async { sandbox.host().unwrap().run(run).await.unwrap() });
        assert_eq!(report.state, everstep::store::State::Suspended, "{report:?}");
        sandbox.place().after_a_crash();
        forget();
        let report = life(async { go_on(&sandbox.host().unwrap()).await });
        result(&report);
        assert_eq!(kept(&mark).len(), 2);
        for is_kept in [true, false] {
            if !is_kept {
                forget();
            }
            let replay = life(async { sandbox.host().unwrap().replay(&id("x"), None, None).await.unwrap() });
            assert_eq!(replay.end, ReplayEnd::Repeated);
        }
        forget();
    }
}

#[test]
fn a_module_that_cannot_be_compiled_tells_its_line() {
    // One place: what an image holds is read alike over all stores.
    let sandbox = Sandbox::over(Place::memory()).unwrap();
    modules(&sandbox);
    let code = "import traceback\ntry:\n    import broken\nexcept SyntaxError:\n    print(traceback.format_exc())";
    let told = printed(&sandbox, "x", code);
    assert!(
        told.contains("File \"/deps/broken.py\", line 2") && told.contains("SyntaxError: invalid syntax"),
        "{told}"
    );
    assert!(!told.contains("importlib"), "{told}");
}
