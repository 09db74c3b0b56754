//! What the program does. The test of it does the same on the system's files.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// What an operation came to, as it is on every system.
fn told<T: Debug>(what: &str, done: io::Result<T>) -> String {
    match done {
        Ok(value) => format!("{what}: {value:?}"),
        Err(error) => format!("{what}: {:?}", error.kind()),
    }
}

fn names(folder: &Path) -> io::Result<Vec<(String, bool, u64)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        let size = if found.is_file() { found.len() } else { 0 };
        names.push((entry.file_name().to_string_lossy().into_owned(), found.is_dir(), size));
    }
    names.sort();
    Ok(names)
}

/// Two handles that append to one file, and one that reads it meanwhile.
fn log(path: &Path) -> io::Result<(String, String)> {
    let append = || OpenOptions::new().append(true).create(true).open(path);
    let (mut one, mut other) = (append()?, append()?);
    let mut reader = File::open(path)?;
    let mut seen = String::new();
    for round in 0..20 {
        writeln!(one, "one {round}")?;
        writeln!(other, "other {round}")?;
        if round == 10 {
            other.sync_all()?;
            reader.read_to_string(&mut seen)?;
        }
    }
    drop((one, other));
    Ok((seen, fs::read_to_string(path)?))
}

/// Writes in the middle, beyond the end, and cuts.
fn patch(path: &Path) -> io::Result<(u64, Vec<u8>, u64)> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    file.write_all(&[7; 10_000])?;
    file.seek(SeekFrom::Start(5))?;
    file.write_all(b"middle")?;
    file.seek(SeekFrom::End(100))?;
    file.write_all(b"end")?;
    let size = file.metadata()?.len();
    file.set_len(12)?;
    file.seek(SeekFrom::Current(-50))?;
    file.rewind()?;
    let mut all = Vec::new();
    file.read_to_end(&mut all)?;
    Ok((size, all, file.stream_position()?))
}

/// A file that is replaced as careful programs do it.
fn replace(folder: &Path) -> io::Result<String> {
    let (target, new) = (folder.join("settings"), folder.join("settings.new"));
    fs::write(&target, "old")?;
    for round in 0..5 {
        let mut file = File::create(&new)?;
        write!(file, "new {round}")?;
        file.sync_all()?;
        fs::rename(&new, &target)?;
    }
    fs::read_to_string(&target)
}

/// Counts the lines of a file that is written through a buffer.
fn lines(path: &Path) -> io::Result<(usize, u64)> {
    let mut file = io::BufWriter::new(File::create(path)?);
    (0..5_000).try_for_each(|line| writeln!(file, "line {line}"))?;
    file.flush()?;
    drop(file);
    let longest = BufReader::new(File::open(path)?).lines().map_while(Result::ok).map(|line| line.len()).max();
    Ok((longest.unwrap_or(0), fs::metadata(path)?.len()))
}

/// Does everything below `root`, and says what it came to.
pub(super) fn work(root: &Path) -> Vec<String> {
    let at = |name: &str| root.join(name);
    vec![
        told("deep", fs::create_dir_all(at("a/b/c"))),
        told("again", fs::create_dir(at("a"))),
        told("write", fs::write(at("a/b/file"), "content")),
        told("read", fs::read_to_string(at("a/b/file"))),
        told("log", log(&at("a/log"))),
        told("patch", patch(&at("a/patch"))),
        told("replace", replace(&at("a"))),
        told("lines", lines(&at("a/lines"))),
        told("copy", fs::copy(at("a/lines"), at("a/b/c/copy"))),
        told("rename", fs::rename(at("a/b"), at("moved"))),
        told("exclusive", File::create_new(at("moved/file")).map(drop)),
        told("exists", at("a/b").try_exists()),
        told("missing", fs::read(at("a/b/file"))),
        told("below a file", fs::read(at("a/log/x"))),
        told("a folder", fs::write(at("a"), "x")),
        // Not every target has a kind for this error.
        format!("not empty: {}", fs::remove_dir(at("moved")).is_err()),
        told("list", names(&at("moved"))),
        told("list", names(&at("a"))),
        told("no folder", names(&at("a/log"))),
        told("remove", fs::remove_file(at("a/lines"))),
        told("twice", fs::remove_file(at("a/lines"))),
        told("all", fs::remove_dir_all(at("moved/c"))),
        told("list", names(root)),
    ]
}
