//! The effect on real files, links, FIFOs and sockets.

mod withheld;

use super::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// A folder that is granted (`inside`), one that is not, and a file in it.
struct Fixture {
    folder: tempfile::TempDir,
    folders: Folders,
}

const SECRET: &str = "secret";

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inside")).unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        fs::write(folder.path().join("outside/file"), SECRET).unwrap();
        let folders = Folders::open(&[grant("data", "/data", folder.path().join("inside"), Access::Write)]).unwrap();
        Self { folder, folders }
    }

    fn inside(&self, path: &str) -> PathBuf {
        self.folder.path().join("inside").join(path)
    }

    fn outside(&self) -> PathBuf {
        self.folder.path().join("outside")
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, GuestError> {
        self.folders.read(0, path, 1 << 20)
    }

    fn write(&self, path: &str, content: &[u8]) -> Result<(), GuestError> {
        self.folders.write(0, path, content)
    }

    fn names(&self, path: &str) -> Vec<String> {
        self.folders.list(0, path, 1 << 20).unwrap().into_iter().map(|entry| entry.name).collect()
    }

    /// What every operation answers for a path.
    fn every(&self, path: &str) -> Vec<GuestError> {
        let answers = [
            self.read(path).map(drop),
            self.write(path, b"x"),
            self.folders.list(0, path, 1 << 20).map(drop),
            self.folders.stat(0, path).map(drop),
            self.folders.remove(0, path, false),
        ];
        answers.into_iter().filter_map(Result::err).collect()
    }
}

fn grant(id: &str, guest: &str, host: PathBuf, access: Access) -> FilesGrant {
    let (id, guest) = (id.to_owned(), guest.to_owned());
    FilesGrant { id, guest, host, access, max_file: 0, max_written: 0, max_files: 0, keep: false }
}

fn fifo(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

#[test]
fn what_is_written_reads_back() {
    let fixture = Fixture::new();
    for content in [&b""[..], b"one", &vec![7; 1 << 20]] {
        for _ in 0..2 {
            fixture.write("a/b/ü c", content).unwrap();
            assert_eq!(fixture.read("a/b/ü c").unwrap(), content);
        }
    }
    let stat = fixture.folders.stat(0, "a/b/ü c").unwrap();
    assert_eq!(stat, Entry { name: "ü c".to_owned(), kind: FileKind::File, size: 1 << 20 });
    let root = fixture.folders.stat(0, "").unwrap();
    assert_eq!(root, Entry { name: "data".to_owned(), kind: FileKind::Directory, size: 0 });
}

#[test]
fn a_list_is_sorted_by_bytes_and_bounded() {
    let fixture = Fixture::new();
    for name in ["b", "a", "Z", "ä", "a/"] {
        let path = if name == "a/" { "folder/x" } else { name };
        fixture.write(path, b"xy").unwrap();
    }
    symlink("b", fixture.inside("link")).unwrap();
    fifo(&fixture.inside("fifo"));
    fs::write(fixture.inside("ends."), "").unwrap();
    fs::write(fixture.inside(&temporary::name("a")), "left by a crash").unwrap();
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff");
    fs::write(fixture.folder.path().join("inside").join(name), "").unwrap();
    let entries = fixture.folders.list(0, "", 1 << 20).unwrap();
    let shown = entries.iter().map(|entry| format!("{} {:?} {}", entry.name, entry.kind, entry.size));
    let expected = [
        "Z File 2",
        "a File 2",
        "b File 2",
        "ends. Other 0",
        "fifo Other 0",
        "folder Directory 0",
        "link Other 0",
        "ä File 2",
        "\u{fffd} Other 0",
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
    let error = fixture.folders.list(0, "", 100).unwrap_err();
    assert_eq!(error.code, ErrorCode::LimitExceeded);
    assert_eq!(error.message, "files list \"/data\" (it is larger than the 100 bytes allowed)");
}

#[test]
fn what_is_missing_is_not_found() {
    let fixture = Fixture::new();
    for error in [
        fixture.read("x").unwrap_err(),
        fixture.read("x/y").unwrap_err(),
        fixture.folders.list(0, "x", 1000).unwrap_err(),
        fixture.folders.stat(0, "x").unwrap_err(),
        fixture.folders.remove(0, "x", false).unwrap_err(),
    ] {
        assert_eq!(error.code, ErrorCode::NotFound, "{error}");
    }
    assert_eq!(fixture.read("x").unwrap_err().message, "files read \"/data/x\" (it does not exist)");
    fixture.folders.remove(0, "x", true).unwrap();
    fixture.folders.remove(0, "x/y", true).unwrap();
}

#[test]
fn files_and_folders_are_not_mistaken_for_each_other() {
    let fixture = Fixture::new();
    fixture.write("folder/file", b"x").unwrap();
    let message = |error: GuestError| {
        assert_eq!(error.code, ErrorCode::Failed);
        error.message
    };
    assert_eq!(message(fixture.read("folder").unwrap_err()), "files read \"/data/folder\" (it is a folder)");
    assert_eq!(message(fixture.write("folder", b"x").unwrap_err()), "files write \"/data/folder\" (it is a folder)");
    assert_eq!(message(fixture.write("", b"x").unwrap_err()), "files write \"/data\" (it is a folder)");
    let below = "files write \"/data/folder/file/x\" (it is no folder, or lies below a file)";
    assert_eq!(message(fixture.write("folder/file/x", b"x").unwrap_err()), below);
    message(fixture.folders.list(0, "folder/file", 1000).unwrap_err());
    let full = fixture.folders.remove(0, "folder", false).unwrap_err();
    assert_eq!(message(full), "files remove \"/data/folder\" (the folder is not empty)");
    message(fixture.folders.remove(0, "", false).unwrap_err());
    assert_eq!(fixture.read("folder/file").unwrap(), b"x");
}

#[test]
fn links_are_refused_at_every_component() {
    let fixture = Fixture::new();
    fixture.write("real/file", b"x").unwrap();
    symlink(fixture.outside().join("file"), fixture.inside("out")).unwrap();
    symlink(fixture.outside(), fixture.inside("folder")).unwrap();
    symlink("../outside", fixture.inside("relative")).unwrap();
    symlink("real", fixture.inside("within")).unwrap();
    symlink("nowhere", fixture.inside("dangling")).unwrap();
    symlink("loop", fixture.inside("loop")).unwrap();
    symlink("/proc/self/environ", fixture.inside("environ")).unwrap();
    symlink(fixture.outside(), fixture.inside("real/deep")).unwrap();
    let paths = [
        "out",
        "folder",
        "folder/file",
        "relative/file",
        "within",
        "within/file",
        "dangling",
        "dangling/x",
        "loop",
        "environ",
        "real/deep/file",
        "real/deep/new/file",
    ];
    for path in paths {
        let errors = fixture.every(path);
        assert_eq!(errors.len(), 5, "{path}: {errors:?}");
        for error in errors {
            assert_eq!(error.code, ErrorCode::Denied, "{path}: {error}");
            assert!(error.message.ends_with(&format!("\"/data/{path}\" (symbolic links are refused)")), "{error}");
        }
    }
    assert_eq!(fs::read_to_string(fixture.outside().join("file")).unwrap(), SECRET);
    assert_eq!(fs::read_dir(fixture.outside()).unwrap().count(), 1);
    assert!(fs::symlink_metadata(fixture.inside("dangling")).unwrap().is_symlink());
}

#[test]
fn special_files_are_refused_without_blocking() {
    let fixture = Fixture::new();
    fifo(&fixture.inside("fifo"));
    let _listener = std::os::unix::net::UnixListener::bind(fixture.inside("socket")).unwrap();
    let device = rustix::fs::makedev(1, 3);
    let made = rustix::fs::mknodat(
        rustix::fs::CWD,
        fixture.inside("device"),
        FileType::CharacterDevice,
        Mode::RUSR | Mode::WUSR,
        device,
    );
    let names = ["fifo", "socket", "device"];
    // Making a device takes root.
    for name in &names[..if made.is_ok() { 3 } else { 2 }] {
        let errors = fixture.every(name);
        let (list, others): (Vec<_>, _) = errors.into_iter().partition(|error| error.message.starts_with("files list"));
        assert_eq!((list.len(), others.len()), (1, 4), "{name}");
        for error in others {
            assert_eq!(error.code, ErrorCode::Denied);
            assert!(error.message.ends_with("(it is neither a file nor a folder)"), "{error}");
        }
        assert!(fs::symlink_metadata(fixture.inside(name)).is_ok(), "{name} is still there");
    }
}

#[test]
fn no_path_leads_above_the_root() {
    let fixture = Fixture::new();
    for path in ["..", "../outside/file", "a/../../outside/file", ".", "./a", "/etc/passwd", "a\0b"] {
        for error in fixture.every(path) {
            assert!(!error.message.contains(fixture.folder.path().to_str().unwrap()), "{error}");
        }
        assert!(fixture.read(path).is_err(), "{path}");
    }
    assert_eq!(fs::read_to_string(fixture.outside().join("file")).unwrap(), SECRET);
}

#[test]
fn reading_is_capped() {
    let fixture = Fixture::new();
    fixture.write("ten", &[1; 10]).unwrap();
    assert_eq!(fixture.folders.read(0, "ten", 10).unwrap().len(), 10);
    let error = fixture.folders.read(0, "ten", 9).unwrap_err();
    assert_eq!(error.code, ErrorCode::LimitExceeded);
    assert_eq!(error.message, "files read \"/data/ten\" (it is larger than the 9 bytes allowed)");
    fs::File::create(fixture.inside("sparse")).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(fixture.read("sparse").unwrap_err().code, ErrorCode::LimitExceeded);
}

#[test]
fn a_file_that_grows_while_it_is_read_is_capped() {
    let fixture = Fixture::new();
    let stop = AtomicBool::new(false);
    let mut file = fs::File::create(fixture.inside("growing")).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                file.write_all(&[0; 4096]).unwrap();
                if file.metadata().unwrap().len() > 1 << 20 {
                    file.set_len(0).unwrap();
                }
            }
        });
        for _ in 0..2000 {
            match fixture.folders.read(0, "growing", 100_000) {
                Ok(content) => assert!(content.len() <= 100_000),
                Err(error) => assert_eq!(error.code, ErrorCode::LimitExceeded),
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_folder_swapped_for_a_link_never_leads_out() {
    let fixture = Fixture::new();
    fixture.write("a/file", b"inside").unwrap();
    symlink(fixture.outside(), fixture.inside("link")).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            while !stop.load(Ordering::Relaxed) {
                let (a, link) = (fixture.inside("a"), fixture.inside("link"));
                rustix::fs::renameat_with(rustix::fs::CWD, &a, rustix::fs::CWD, &link, exchange).unwrap();
            }
        });
        for n in 0..3000 {
            if let Ok(content) = fixture.read("a/file") {
                assert_eq!(content, b"inside");
            }
            if n % 10 == 0 {
                let _ = fixture.write("a/file", b"inside");
                let _ = fixture.folders.remove(0, "a/other", true);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(fs::read_to_string(fixture.outside().join("file")).unwrap(), SECRET);
    assert_eq!(fs::read_dir(fixture.outside()).unwrap().count(), 1);
}

#[test]
fn a_reader_sees_the_old_content_or_the_new_one() {
    let fixture = Fixture::new();
    fixture.write("file", &[0; 100_000]).unwrap();
    std::thread::scope(|scope| {
        let writers = (1..5_u8).map(|writer| {
            let fixture = &fixture;
            scope.spawn(move || (0..30).for_each(|_| fixture.write("file", &[writer; 100_000]).unwrap()))
        });
        let writers = writers.collect::<Vec<_>>();
        while writers.iter().any(|writer| !writer.is_finished()) {
            let content = fixture.read("file").unwrap();
            assert_eq!(content.len(), 100_000);
            assert!(content.iter().all(|byte| *byte == content[0]));
        }
    });
    assert_eq!(fs::read_dir(fixture.inside("")).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn what_a_crashed_write_left_is_invisible_and_reused() {
    let fixture = Fixture::new();
    let left = temporary::name("file");
    for broken in ["part", "fifo", "link", "hard link"] {
        let path = fixture.inside(&left);
        match broken {
            "fifo" => fifo(&path),
            "link" => symlink(fixture.outside().join("file"), &path).unwrap(),
            "hard link" => fs::hard_link(fixture.outside().join("file"), &path).unwrap(),
            _ => fs::write(&path, "a part that is longer than the content").unwrap(),
        }
        assert!(!fixture.names("").contains(&left));
        for error in fixture.every(&left) {
            let expected = "the host keeps this name for itself";
            assert!(error.code == ErrorCode::Denied && error.message.contains(expected), "{error}");
        }
        fixture.write("file", broken.as_bytes()).unwrap();
        assert_eq!(fixture.read("file").unwrap(), broken.as_bytes());
        assert!(fs::symlink_metadata(&path).is_err(), "{broken}");
    }
    assert_eq!(fs::read_to_string(fixture.outside().join("file")).unwrap(), SECRET);
}

#[test]
fn a_full_folder_is_read_no_further_than_its_first_entry() {
    let name = |name: &str| Ok(CString::new(name).unwrap());
    let leftovers = [".", "..", &temporary::name("x")].map(name);
    assert_eq!(holds_any(leftovers.clone(), |_| true), Ok(false));
    let more = std::iter::once_with(|| -> Result<CString, Errno> { panic!("read on") });
    assert_eq!(holds_any(leftovers.into_iter().chain([name("file")]).chain(more), |_| true), Ok(true));
}

#[test]
fn a_folder_with_leftovers_only_counts_as_empty() {
    let fixture = Fixture::new();
    fixture.write("folder/file", b"x").unwrap();
    fs::write(fixture.inside("folder").join(temporary::name("x")), "left").unwrap();
    assert!(fixture.folders.remove(0, "folder", false).is_err());
    fixture.folders.remove(0, "folder/file", false).unwrap();
    fixture.folders.remove(0, "folder", false).unwrap();
    assert!(fixture.names("").is_empty());
}

#[test]
fn a_file_is_replaced_only_while_it_is_what_the_guest_takes_it_for() {
    let fixture = Fixture::new();
    let replace = |before: Option<&[u8]>, content: &[u8]| fixture.folders.replace(0, "a/b", before, content, false);
    assert!(!replace(Some(b""), b"x").unwrap());
    assert!(replace(None, b"one").unwrap());
    assert!(!replace(None, b"two").unwrap());
    for before in [b"".as_slice(), b"on", b"one ", b"two"] {
        assert!(!replace(Some(before), b"two").unwrap());
    }
    assert_eq!(fixture.read("a/b").unwrap(), b"one");
    assert!(replace(Some(b"one"), b"").unwrap());
    assert!(replace(Some(b""), b"three").unwrap());
    assert_eq!((fixture.read("a/b").unwrap(), fixture.names("a")), (b"three".to_vec(), vec!["b".to_owned()]));
    symlink(fixture.outside().join("file"), fixture.inside("link")).unwrap();
    assert!(fixture.folders.replace(0, "link", Some(SECRET.as_bytes()), b"x", false).is_err());
    assert!(fixture.folders.replace(0, "a", None, b"x", false).is_err());
}

#[test]
fn a_replacement_that_is_repeated_after_a_crash_happens_once() {
    let fixture = Fixture::new();
    let again =
        |before: Option<&[u8]>, content: &[u8]| fixture.folders.replace(0, "file", before, content, true).unwrap();
    assert!(again(None, b"one"));
    assert!(again(None, b"one"));
    assert!(again(Some(b"one"), b"one, two"));
    assert!(again(Some(b"one"), b"one, two"));
    fixture.write("file", b"one, two, three").unwrap();
    assert!(!again(Some(b"one"), b"one, two"));
    assert_eq!(fixture.read("file").unwrap(), b"one, two, three");
}

#[test]
fn writers_that_add_to_one_file_at_once_lose_nothing() {
    const LINES: usize = 40;
    let fixture = Fixture::new();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let fixture = &fixture;
            scope.spawn(move || {
                for line in 0..LINES {
                    let more = format!("{writer} {line}\n");
                    loop {
                        let before = fixture.read("log").ok();
                        let content = [before.as_deref().unwrap_or_default(), more.as_bytes()].concat();
                        if fixture.folders.replace(0, "log", before.as_deref(), &content, false).unwrap() {
                            break;
                        }
                    }
                }
            });
        }
    });
    let text = String::from_utf8(fixture.read("log").unwrap()).unwrap();
    for writer in 0..4 {
        let own: Vec<_> = text.lines().filter(|line| line.starts_with(&format!("{writer} "))).collect();
        assert_eq!(own, (0..LINES).map(|line| format!("{writer} {line}")).collect::<Vec<_>>());
    }
}

#[test]
fn a_file_with_a_name_elsewhere_is_left_alone_where_the_guest_may_write() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.inside("folder")).unwrap();
    fs::hard_link(fixture.outside().join("file"), fixture.inside("hard")).unwrap();
    fs::hard_link(fixture.outside().join("file"), fixture.inside("folder/hard")).unwrap();
    for path in ["hard", "folder/hard"] {
        let answers = [
            fixture.read(path).map(drop),
            fixture.write(path, b"x"),
            fixture.folders.stat(0, path).map(drop),
            fixture.folders.remove(0, path, false),
            fixture.folders.floor(FileOperation::Read, 0, path),
        ];
        for answer in answers {
            let error = answer.unwrap_err();
            let expected = "it has another name outside of the folder, a hard link";
            assert!(error.code == ErrorCode::Denied && error.message.contains(expected), "{error}");
        }
    }
    assert_eq!(fs::read_to_string(fixture.outside().join("file")).unwrap(), SECRET);
    let read = Folders::open(&[grant("data", "/data", fixture.inside(""), Access::Read)]).unwrap();
    assert_eq!(read.read(0, "folder/hard", 100).unwrap(), SECRET.as_bytes());
    // When the other names are gone, or inside as well, the file is the folder's own.
    fs::remove_file(fixture.outside().join("file")).unwrap();
    assert_eq!(fixture.read("hard").unwrap(), SECRET.as_bytes());
    fixture.write("hard", b"new").unwrap();
    assert_eq!((fixture.read("hard").unwrap(), fixture.read("folder/hard").unwrap()), (b"new".to_vec(), SECRET.into()));
}

#[test]
fn names_that_cannot_all_be_found_are_taken_for_names_elsewhere() {
    let fixture = Fixture::new();
    fixture.write("file", b"x").unwrap();
    fs::hard_link(fixture.inside("file"), fixture.inside("name")).unwrap();
    assert_eq!(fixture.read("file").unwrap(), b"x");
    let deep = fixture.inside(&["deep"; 70].join("/"));
    fs::create_dir_all(&deep).unwrap();
    fs::rename(fixture.inside("name"), deep.join("name")).unwrap();
    assert_eq!(fixture.read("file").unwrap_err().code, ErrorCode::Denied);
}

#[test]
fn permissions_of_a_file_stay_as_they_are() {
    let fixture = Fixture::new();
    fixture.write("file", b"new").unwrap();
    fs::set_permissions(fixture.inside("file"), fs::Permissions::from_mode(0o640)).unwrap();
    fixture.write("file", b"newer").unwrap();
    assert_eq!(fs::metadata(fixture.inside("file")).unwrap().mode() & 0o777, 0o640);
}

#[test]
fn folders_that_cannot_be_opened_say_so() {
    let fixture = Fixture::new();
    for name in ["missing", "outside/file"] {
        let path = fixture.folder.path().join(name);
        let error = Folders::open(&[grant("x", "/x", path.clone(), Access::Read)]).unwrap_err().to_string();
        let remedy = "create it or correct `host`";
        assert_eq!(
            error,
            format!("cannot open the host folder {} of the [[files]] rule \"x\"; {remedy}", path.display())
        );
    }
}

#[test]
fn folders_that_overlap_are_refused_when_one_is_writable() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.inside("deep")).unwrap();
    symlink("inside/deep", fixture.folder.path().join("alias")).unwrap();
    let open = |access, other| {
        let inside = grant("a", "/a", fixture.inside(""), access);
        Folders::open(&[inside, grant("b", "/b", fixture.folder.path().join(other), Access::Read)])
    };
    for other in ["inside", "inside/deep", "alias", "outside/.."] {
        let error = open(Access::Write, other).unwrap_err();
        assert!(matches!(&error, Error::Overlap { rule, other } if rule == "b" && other == "a"), "{error}");
        assert!(open(Access::Read, other).is_ok());
    }
    assert!(open(Access::Write, "outside").is_ok());
}

#[test]
fn of_many_who_create_a_new_file_one_succeeds_and_knows_it_after_a_crash() {
    let fixture = Fixture::new();
    let create = |mark: u8, repeated: bool| fixture.folders.create(0, "lock", &[mark; 32], repeated);
    let winners: Vec<u8> = std::thread::scope(|scope| {
        let tries: Vec<_> =
            (0..16).map(|mark| scope.spawn(move || create(mark, false).is_ok().then_some(mark))).collect();
        tries.into_iter().filter_map(|one| one.join().unwrap()).collect()
    });
    let [winner] = winners[..] else { panic!("{winners:?} have created it") };
    assert_eq!(fixture.names(""), ["lock"]);
    assert_eq!(create(winner, true).unwrap().size, 0);
    for (mark, repeated) in [(winner, false), (winner ^ 1, true), (winner ^ 1, false)] {
        assert_eq!(create(mark, repeated), Err(Refusal::System(Errno::EXIST)), "{mark}");
    }
    // Another file of that name has not the mark.
    fixture.write("lock", b"").unwrap();
    assert_eq!(create(winner, true), Err(Refusal::System(Errno::EXIST)));
    fs::remove_file(fixture.inside("lock")).unwrap();
    assert_eq!(create(winner, true).unwrap().size, 0);
    fs::create_dir(fixture.inside("f")).unwrap();
    assert_eq!(fixture.folders.create(0, "f", &[0; 32], true), Err(Refusal::System(Errno::EXIST)));
    assert_eq!(fixture.folders.create(0, "none/f", &[0; 32], false), Err(Refusal::Missing));
    assert_eq!(fixture.names(""), ["f", "lock"]);
}
