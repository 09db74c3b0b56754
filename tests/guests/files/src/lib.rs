//! A guest that uses the file system of WASI as it is told: its argument is a script of calls, its result what each of them returned.

use everstep_sdk::{Context, Error};
use serde::Deserialize;
use std::collections::BTreeMap;
use wasip2::cli::stdout::get_stdout;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorType, ErrorCode, NewTimestamp, OpenFlags, PathFlags, filesystem_error_code,
};
use wasip2::io::streams::StreamError;

/// One call. A path is absolute; the call is relative to the folder of the host that covers it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Call {
    /// Opens a path under a name. The letters of `how`: `r`ead, `w`rite, `c`reate, e`x`clusive, `t`runcate, `d`irectory.
    Open { name: String, path: String, how: String },
    /// Drops what is open under a name.
    Close(String),
    /// Writes `len` bytes that follow from `seed`.
    Write { name: String, offset: u64, len: u64, seed: u64 },
    Append { name: String, len: u64, seed: u64 },
    /// Appends a text.
    Say { name: String, text: String },
    Read { name: String, offset: u64, len: u64 },
    /// Reads a text.
    Text(String),
    /// Reads all of it by a stream, and returns its size and digest.
    Sum(String),
    SetSize { name: String, size: u64 },
    Sync(String),
    Size(String),
    Stat(String),
    /// The time of the last change, in milliseconds.
    Modified(String),
    List(String),
    Mkdir(String),
    Rmdir(String),
    Unlink(String),
    Rename { from: String, to: String },
    Symlink { to: String, path: String },
    Link { from: String, to: String },
    Readlink(String),
    Touch { path: String, seconds: u64 },
    Same { a: String, b: String },
    /// Gets that many handles of the standard output, writes a text to each, and drops them.
    Print { text: String, handles: u32 },
    /// Waits for the answer to a question.
    Ask(String),
    /// Opens a path in that many handles, which stay open.
    Flood { path: String, handles: u32 },
    /// Takes that much memory.
    Grow(usize),
}

#[derive(Default)]
struct World {
    roots: Vec<(String, Descriptor)>,
    open: BTreeMap<String, Descriptor>,
    flood: Vec<Descriptor>,
    memory: Vec<Vec<u8>>,
}

/// Makes the calls of a script.
#[everstep_sdk::function]
async fn script(ctx: Context, calls: Vec<Call>) -> Result<Vec<String>, Error> {
    let roots = get_directories().into_iter().map(|(folder, path)| (path, folder)).collect();
    let mut world = World { roots, ..World::default() };
    let mut told = Vec::new();
    for call in calls {
        if let Call::Ask(question) = &call {
            let _: serde_json::Value = ctx.input(question).await?;
            told.push("answered".to_owned());
            continue;
        }
        told.push(match world.make(call) {
            Ok(value) => value,
            Err(error) => format!("error: {}", error.name()),
        });
    }
    Ok(told)
}

/// The folders that the guest finds.
#[everstep_sdk::function]
async fn folders(_ctx: Context) -> Result<Vec<String>, Error> {
    Ok(get_directories().into_iter().map(|(_, path)| path).collect())
}

impl World {
    fn place<'a>(&self, path: &'a str) -> Result<(&Descriptor, &'a str), ErrorCode> {
        for (root, folder) in &self.roots {
            let root = root.trim_end_matches('/');
            if let Some(rest) = path.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                let rest = rest.strip_prefix('/').unwrap_or(rest);
                return Ok((folder, if rest.is_empty() { "." } else { rest }));
            }
        }
        Err(ErrorCode::NoEntry)
    }

    fn named(&self, name: &str) -> Result<&Descriptor, ErrorCode> {
        self.open.get(name).ok_or(ErrorCode::BadDescriptor)
    }

    fn make(&mut self, call: Call) -> Result<String, ErrorCode> {
        let done = || Ok(String::new());
        match call {
            Call::Open { name, path, how } => {
                let has = |letter| how.contains(letter);
                let mut flags = DescriptorFlags::empty();
                let mut open = OpenFlags::empty();
                flags.set(DescriptorFlags::READ, has('r'));
                flags.set(DescriptorFlags::WRITE, has('w'));
                open.set(OpenFlags::CREATE, has('c'));
                open.set(OpenFlags::EXCLUSIVE, has('x'));
                open.set(OpenFlags::TRUNCATE, has('t'));
                open.set(OpenFlags::DIRECTORY, has('d'));
                let (folder, path) = self.place(&path)?;
                let opened = folder.open_at(PathFlags::empty(), path, open, flags)?;
                if opened.get_type()? == DescriptorType::Directory {
                    return Ok("a folder".to_owned());
                }
                self.open.insert(name, opened);
                done()
            }
            Call::Print { text, handles } => {
                let streams: Vec<_> = (0..handles).map(|_| get_stdout()).collect();
                for stream in &streams {
                    stream.blocking_write_and_flush(text.as_bytes()).map_err(reason)?;
                }
                done()
            }
            Call::Close(name) => {
                self.open.remove(&name).ok_or(ErrorCode::BadDescriptor)?;
                done()
            }
            Call::Write { name, offset, len, seed } => {
                let bytes = bytes(len, seed);
                let mut at = offset;
                for part in bytes.chunks(700_000) {
                    at += self.named(&name)?.write(part, at)?;
                }
                done()
            }
            Call::Append { name, len, seed } => {
                let stream = self.named(&name)?.append_via_stream()?;
                for part in bytes(len, seed).chunks(4096) {
                    stream.blocking_write_and_flush(part).map_err(reason)?;
                }
                done()
            }
            Call::Say { name, text } => {
                let stream = self.named(&name)?.append_via_stream()?;
                stream.write(text.as_bytes()).map_err(reason)?;
                done()
            }
            Call::Read { name, offset, len } => {
                let mut read = Vec::new();
                while (read.len() as u64) < len {
                    let (part, _) = self.named(&name)?.read(len - read.len() as u64, offset + read.len() as u64)?;
                    if part.is_empty() {
                        break;
                    }
                    read.extend(part);
                }
                Ok(sum(&read))
            }
            Call::Text(name) => {
                let (bytes, _) = self.named(&name)?.read(10_000, 0)?;
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
            Call::Sum(name) => {
                let stream = self.named(&name)?.read_via_stream(0)?;
                let (mut size, mut digest) = (0, FNV);
                loop {
                    match stream.read(1 << 20) {
                        Ok(part) => {
                            size += part.len();
                            digest = fnv(digest, &part);
                        }
                        Err(StreamError::Closed) => return Ok(format!("{size} {digest:x}")),
                        Err(error) => return Err(reason(error)),
                    }
                }
            }
            Call::SetSize { name, size } => self.named(&name)?.set_size(size).and_then(|()| done()),
            Call::Sync(name) => self.named(&name)?.sync().and_then(|()| done()),
            Call::Size(name) => Ok(self.named(&name)?.stat()?.size.to_string()),
            Call::Stat(path) => {
                let (folder, path) = self.place(&path)?;
                let stat = folder.stat_at(PathFlags::empty(), path)?;
                Ok(format!("{} {}", kind(stat.type_), stat.size))
            }
            Call::Modified(path) => {
                let (folder, path) = self.place(&path)?;
                let time = folder.stat_at(PathFlags::empty(), path)?.data_modification_timestamp;
                let millis = |seconds: u64, nanoseconds: u32| seconds * 1000 + u64::from(nanoseconds / 1_000_000);
                Ok(time.map_or("unknown".to_owned(), |time| millis(time.seconds, time.nanoseconds).to_string()))
            }
            Call::List(path) => {
                let (folder, path) = self.place(&path)?;
                let opened = folder.open_at(PathFlags::empty(), path, OpenFlags::DIRECTORY, DescriptorFlags::READ)?;
                let list = opened.read_directory()?;
                let mut names = Vec::new();
                while let Some(entry) = list.read_directory_entry()? {
                    names.push(format!("{} {}", kind(entry.type_), entry.name));
                }
                Ok(names.join(", "))
            }
            Call::Mkdir(path) => {
                let (folder, path) = self.place(&path)?;
                folder.create_directory_at(path).and_then(|()| done())
            }
            Call::Rmdir(path) => {
                let (folder, path) = self.place(&path)?;
                folder.remove_directory_at(path).and_then(|()| done())
            }
            Call::Unlink(path) => {
                let (folder, path) = self.place(&path)?;
                folder.unlink_file_at(path).and_then(|()| done())
            }
            Call::Rename { from, to } => {
                let ((folder, from), (target, to)) = (self.place(&from)?, self.place(&to)?);
                folder.rename_at(from, target, to).and_then(|()| done())
            }
            Call::Symlink { to, path } => {
                let (folder, path) = self.place(&path)?;
                folder.symlink_at(&to, path).and_then(|()| done())
            }
            Call::Link { from, to } => {
                let ((folder, from), (target, to)) = (self.place(&from)?, self.place(&to)?);
                folder.link_at(PathFlags::empty(), from, target, to).and_then(|()| done())
            }
            Call::Readlink(path) => {
                let (folder, path) = self.place(&path)?;
                folder.readlink_at(path)
            }
            Call::Touch { path, seconds } => {
                let (folder, path) = self.place(&path)?;
                let time = NewTimestamp::Timestamp(wasip2::clocks::wall_clock::Datetime { seconds, nanoseconds: 0 });
                folder.set_times_at(PathFlags::empty(), path, NewTimestamp::NoChange, time).and_then(|()| done())
            }
            Call::Same { a, b } => Ok(self.named(&a)?.is_same_object(self.named(&b)?).to_string()),
            Call::Flood { path, handles } => {
                for _ in 0..handles {
                    let (folder, path) = self.place(&path)?;
                    let flags = (PathFlags::empty(), OpenFlags::empty(), DescriptorFlags::READ);
                    let opened = folder.open_at(flags.0, path, flags.1, flags.2)?;
                    self.flood.push(opened);
                }
                done()
            }
            Call::Grow(bytes) => {
                let mut memory = Vec::new();
                memory.try_reserve_exact(bytes).map_err(|_| ErrorCode::InsufficientMemory)?;
                memory.resize(bytes, 1);
                self.memory.push(memory);
                done()
            }
            Call::Ask(_) => done(),
        }
    }
}

fn reason(error: StreamError) -> ErrorCode {
    match error {
        StreamError::Closed => ErrorCode::Pipe,
        StreamError::LastOperationFailed(error) => filesystem_error_code(&error).unwrap_or(ErrorCode::Io),
    }
}

fn kind(kind: DescriptorType) -> &'static str {
    match kind {
        DescriptorType::RegularFile => "file",
        DescriptorType::Directory => "folder",
        DescriptorType::SymbolicLink => "link",
        _ => "other",
    }
}

fn bytes(len: u64, seed: u64) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(31).wrapping_add(seed.wrapping_mul(7919)) >> 3) as u8).collect()
}

const FNV: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(digest: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(digest, |digest, byte| (digest ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

fn sum(bytes: &[u8]) -> String {
    format!("{} {:x}", bytes.len(), fnv(FNV, bytes))
}
