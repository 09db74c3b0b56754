//! A thousand sequences of calls, made by a guest and by this process on the system's own files: both see the same, and leave the same, also
//! when the host of the guest is another one from the middle on.
//!
//! One place: a thousand executions.

use super::*;
use crate::dice::Dice;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const SEQUENCES: u64 = 1_000;
const CALLS: u64 = 24;

const NAMES: [&str; 6] = ["a", "b", "f/a", "f/b", "g/a", "f"];
const FOLDERS: [&str; 3] = ["f", "g", "f/h"];

fn call(dice: &mut Dice) -> Value {
    let slot = dice.one(&["1", "2", "3", "4"]);
    let path = |name: &str| format!("/out/{name}");
    let (name, other) = (path(dice.one(&NAMES)), path(dice.one(&NAMES)));
    let (folder, elsewhere) = (path(dice.one(&FOLDERS)), path(dice.one(&FOLDERS)));
    let (offset, len, seed) = (dice.one(&[0, 1, 90, 5_000, 70_000]), dice.one(&[1, 10, 3_000]), dice.below(1_000));
    match dice.below(22) {
        0..=4 => open(slot, &name, dice.one(&["r", "w", "rw", "wc", "rwc", "rwc", "rwct", "wcx"])),
        5..=6 => close(slot),
        7..=8 => json!({ "write": { "name": slot, "offset": offset, "len": len, "seed": seed } }),
        9..=10 => json!({ "append": { "name": slot, "len": len, "seed": seed } }),
        11..=12 => json!({ "read": { "name": slot, "offset": offset, "len": len } }),
        13 => json!({ "set-size": { "name": slot, "size": offset } }),
        14 => json!({ "sync": slot }),
        15 => json!({ "unlink": name }),
        16 => json!({ "rename": { "from": name, "to": other } }),
        17 => json!({ "rename": { "from": folder, "to": elsewhere } }),
        18 => json!({ "mkdir": folder }),
        19 => json!({ "rmdir": folder }),
        20 => json!({ "list": folder }),
        _ => json!({ "stat": name }),
    }
}

/// The same calls on the system.
struct Native<'a> {
    root: &'a Path,
    open: BTreeMap<String, (File, bool, bool)>,
}

impl Native<'_> {
    fn path(&self, path: &Value) -> PathBuf {
        self.root.join(path.as_str().unwrap().strip_prefix("/out/").unwrap())
    }

    fn file(&self, name: &Value, reads: bool, writes: bool) -> io::Result<&File> {
        let no_handle = || io::Error::from_raw_os_error(rustix::io::Errno::BADF.raw_os_error());
        let (file, read, write) = self.open.get(name.as_str().unwrap()).ok_or_else(no_handle)?;
        if reads && !read || writes && !write { Err(no_handle()) } else { Ok(file) }
    }

    fn make(&mut self, call: &Value) -> io::Result<String> {
        let (kind, args) = call.as_object().unwrap().iter().next().unwrap();
        let done = String::new;
        match kind.as_str() {
            "open" => {
                let (how, path) = (args["how"].as_str().unwrap(), self.path(&args["path"]));
                let has = |letter| how.contains(letter);
                let mut options = OpenOptions::new();
                options.read(has('r')).write(has('w')).truncate(has('t'));
                if has('x') {
                    options.create_new(true)
                } else {
                    options.create(has('c'))
                };
                let file = options.open(path)?;
                if file.metadata()?.is_dir() {
                    return Ok("a folder".to_owned());
                }
                self.open.insert(args["name"].as_str().unwrap().to_owned(), (file, has('r'), has('w')));
                Ok(done())
            }
            "close" => {
                self.file(args, false, false)?;
                self.open.remove(args.as_str().unwrap());
                Ok(done())
            }
            "write" | "append" => {
                let file = self.file(&args["name"], false, true)?;
                let (len, seed) = (args["len"].as_u64().unwrap(), args["seed"].as_u64().unwrap());
                let byte = |at: u64| (at.wrapping_mul(31).wrapping_add(seed.wrapping_mul(7919)) >> 3) as u8;
                let at = args["offset"].as_u64().unwrap_or(file.metadata()?.len());
                file.write_all_at(&(0..len).map(byte).collect::<Vec<u8>>(), at).map(|()| done())
            }
            "read" => {
                let file = self.file(&args["name"], true, false)?;
                let mut bytes = vec![0; args["len"].as_u64().unwrap() as usize];
                let mut read = 0;
                loop {
                    match file.read_at(&mut bytes[read..], args["offset"].as_u64().unwrap() + read as u64)? {
                        0 => break,
                        more => read += more,
                    }
                }
                let digest = bytes[..read].iter().fold(0xcbf2_9ce4_8422_2325, |digest: u64, byte| {
                    (digest ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
                });
                Ok(format!("{read} {digest:x}"))
            }
            "set-size" => {
                self.file(&args["name"], false, true)?.set_len(args["size"].as_u64().unwrap()).map(|()| done())
            }
            "sync" => self.file(args, false, false)?.flush().map(|()| done()),
            "unlink" if self.path(args).is_dir() => Err(rustix::io::Errno::ISDIR.into()),
            "unlink" => fs::remove_file(self.path(args)).map(|()| done()),
            "rename" => fs::rename(self.path(&args["from"]), self.path(&args["to"])).map(|()| done()),
            "mkdir" => fs::create_dir(self.path(args)).map(|()| done()),
            "rmdir" => fs::remove_dir(self.path(args)).map(|()| done()),
            "list" => {
                let entries = fs::read_dir(self.path(args))?.map(Result::unwrap);
                let told = |entry: fs::DirEntry| {
                    let kind = if entry.file_type().unwrap().is_dir() { "folder" } else { "file" };
                    (entry.file_name().into_string().unwrap(), kind)
                };
                let mut names: Vec<_> = entries.map(told).collect();
                names.sort();
                Ok(names.iter().map(|(name, kind)| format!("{kind} {name}")).collect::<Vec<_>>().join(", "))
            }
            "stat" => {
                let found = fs::metadata(self.path(args))?;
                Ok(if found.is_dir() { "folder 0".to_owned() } else { format!("file {}", found.len()) })
            }
            kind => panic!("{kind}"),
        }
    }

    fn told(&mut self, call: &Value) -> String {
        use rustix::io::Errno;
        self.make(call).unwrap_or_else(|error| {
            let name = match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::NOENT) => "no-entry",
                Some(Errno::EXIST) => "exist",
                Some(Errno::BADF) => "bad-descriptor",
                Some(Errno::ISDIR) => "is-directory",
                Some(Errno::NOTDIR) => "not-directory",
                Some(Errno::NOTEMPTY) => "not-empty",
                Some(Errno::INVAL) => "invalid",
                _ => panic!("{error}: {call}"),
            };
            format!("error: {name}")
        })
    }
}

fn tree(root: &Path, at: &Path, found: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
    for entry in fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        let content = path.is_file().then(|| fs::read(&path).unwrap());
        if path.is_dir() {
            tree(root, &path, found);
        }
        found.insert(path.strip_prefix(root).unwrap().to_owned(), content);
    }
}

#[test]
fn a_thousand_sequences_of_calls_are_as_on_the_system_across_hosts() {
    let sandbox = Sandbox::over(Place::memory()).unwrap();
    let policy = granted(&sandbox, &FILES.replace("[audit]\n    file = \"audit.jsonl\"", ""));
    let (out, native) = (sandbox.path("out"), sandbox.path("native"));
    for seed in 0..SEQUENCES {
        for folder in [&out, &native] {
            let _ = fs::remove_dir_all(folder);
        }
        fs::create_dir(&native).unwrap();
        fs::create_dir(&out).unwrap();
        let mut dice = Dice(seed);
        let calls: Vec<Value> = (0..CALLS).map(|_| call(&mut dice)).collect();
        let mut system = Native { root: &native, open: BTreeMap::new() };
        let mut expected: Vec<String> = calls.iter().map(|call| system.told(call)).collect();
        let middle = dice.below(CALLS) as usize;
        let mut asked = calls.clone();
        asked.insert(middle, json!({ "ask": "go on?" }));
        expected.insert(middle, "answered".to_owned());
        let name = format!("x{seed}");
        let run = script(&policy, &json!(asked)).with_id(id(&name)).without_waiting();
        life(async { sandbox.host().unwrap().run(run).await.unwrap() });
        let report = life(async {
            let host = sandbox.host().unwrap();
            let asked = host.reader().promises().await.unwrap().remove(0);
            host.settle(&asked.id, Ok("1".to_owned())).await.unwrap();
            host.resume(&id(&name), Patience::None).await.unwrap().wait().await.unwrap()
        });
        let told = outcomes(&report);
        for (at, (told, expected)) in told.iter().zip(&expected).enumerate() {
            assert!(told == expected, "seed {seed}, {}: {told}, not {expected}; {asked:#?}", asked[at]);
        }
        let (mut here, mut there) = (BTreeMap::new(), BTreeMap::new());
        tree(&native, &native, &mut here);
        tree(&out, &out, &mut there);
        assert!(here == there, "seed {seed}: {:?} and {:?}: {asked:#?}", here.keys(), there.keys());
    }
}
