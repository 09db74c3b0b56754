//! A thousand sequences of calls against a model that keeps whole files, each interrupted and repeated in the middle.

use super::*;
use crate::dice::Dice;

/// Files as a program sees them: a name leads to a file, which stays for as long as it is open.
#[derive(Default)]
struct Model {
    files: Vec<Vec<u8>>,
    names: BTreeMap<String, usize>,
    folders: std::collections::BTreeSet<String>,
    open: BTreeMap<u8, (usize, Flags)>,
}

#[derive(Clone, Debug)]
enum Call {
    Open { slot: u8, name: &'static str, how: Open, flags: Flags },
    Close(u8),
    Write { slot: u8, offset: u64, bytes: Vec<u8> },
    Append { slot: u8, bytes: Vec<u8> },
    Read { slot: u8, offset: u64, len: u64 },
    SetSize { slot: u8, size: u64 },
    Sync(u8),
    Unlink(&'static str),
    Rename(&'static str, &'static str),
    Mkdir(&'static str),
    Rmdir(&'static str),
    List(&'static str),
    Size(&'static str),
}

const NAMES: [&str; 5] = ["a", "b", "f/a", "f/b", "g/a"];
const FOLDERS: [&str; 2] = ["f", "g"];

fn call(dice: &mut Dice) -> Call {
    let slot = dice.below(5) as u8;
    let places = [0, 1, 90, 4096, PAGE - 3, PAGE, PAGE + 7, 2 * PAGE - 1];
    let bytes = |dice: &mut Dice| {
        let (len, first) = (dice.one(&[1, 3, 50, 5_000]), dice.below(256) as u8);
        (0..len).map(|at: u32| first.wrapping_add(at as u8)).collect()
    };
    match dice.below(20) {
        0..=4 => {
            let how = Open {
                create: dice.below(4) > 0,
                exclusive: dice.below(8) == 0,
                truncate: dice.below(8) == 0,
                directory: false,
            };
            let flags = if dice.below(4) == 0 { READ } else { BOTH };
            Call::Open { slot, name: dice.one(&NAMES), how, flags }
        }
        5..=6 => Call::Close(slot),
        7..=8 => Call::Write { slot, offset: dice.one(&places), bytes: bytes(dice) },
        9..=10 => Call::Append { slot, bytes: bytes(dice) },
        11..=12 => Call::Read { slot, offset: dice.one(&places), len: dice.one(&[1, 100, 9_000]) },
        13 => Call::SetSize { slot, size: dice.one(&places) },
        14 => Call::Sync(slot),
        15 => Call::Unlink(dice.one(&NAMES)),
        16 => match dice.below(4) {
            0 => Call::Rename(dice.one(&FOLDERS), dice.one(&FOLDERS)),
            _ => Call::Rename(dice.one(&NAMES), dice.one(&NAMES)),
        },
        17 => Call::Mkdir(dice.one(&FOLDERS)),
        18 => match dice.below(2) {
            0 => Call::Rmdir(dice.one(&FOLDERS)),
            _ => Call::List(dice.one(&[".", "f", "g"])),
        },
        _ => Call::Size(dice.one(&NAMES)),
    }
}

impl Model {
    fn has_folder(&self, name: &str) -> bool {
        name.rsplit_once('/').is_none_or(|(folder, _)| self.folders.contains(folder))
    }

    fn below(&self, folder: &str) -> bool {
        let lead = format!("{folder}/");
        self.names.keys().any(|name| name.starts_with(&lead))
    }

    fn slot(&mut self, slot: u8, writes: bool, reads: bool) -> std::result::Result<&mut Vec<u8>, Errno> {
        let (file, flags) = *self.open.get(&slot).ok_or(Errno::Busy)?;
        if writes && !flags.write || reads && !flags.read {
            return Err(Errno::BadDescriptor);
        }
        Ok(&mut self.files[file])
    }

    fn make(&mut self, call: &Call) -> std::result::Result<String, Errno> {
        let done = Ok(String::new());
        match call {
            Call::Open { slot, name, how, flags } => {
                if self.open.contains_key(slot) {
                    return Err(Errno::Busy);
                }
                let file = match self.names.get(*name) {
                    Some(_) if how.create && how.exclusive => return Err(Errno::Exist),
                    Some(file) => *file,
                    None if !how.create || !self.has_folder(name) => return Err(Errno::NoEntry),
                    None => {
                        self.files.push(Vec::new());
                        self.names.insert((*name).to_owned(), self.files.len() - 1);
                        self.files.len() - 1
                    }
                };
                if how.truncate {
                    self.files[file].clear();
                }
                self.open.insert(*slot, (file, *flags));
                done
            }
            Call::Close(slot) => self.open.remove(slot).map(|_| String::new()).ok_or(Errno::Busy),
            Call::Write { slot, offset, bytes } => {
                let file = self.slot(*slot, true, false)?;
                let end = *offset as usize + bytes.len();
                file.resize(file.len().max(end), 0);
                file[*offset as usize..end].copy_from_slice(bytes);
                done
            }
            Call::Append { slot, bytes } => {
                self.slot(*slot, true, false)?.extend_from_slice(bytes);
                done
            }
            Call::Read { slot, offset, len } => {
                let file = self.slot(*slot, false, true)?;
                let to_page = PAGE - offset % PAGE;
                let at = |at: u64| file.len().min(at as usize);
                Ok(format!("{:?}", &file[at(*offset)..at(offset + (*len).min(to_page))]))
            }
            Call::SetSize { slot, size } => {
                self.slot(*slot, true, false)?.resize(*size as usize, 0);
                done
            }
            Call::Sync(slot) => self.slot(*slot, false, false).map(|_| String::new()),
            Call::Unlink(name) => self.names.remove(*name).map(|_| String::new()).ok_or(Errno::NoEntry),
            Call::Rename(from, to) if FOLDERS.contains(from) => {
                if !self.folders.contains(*from) {
                    return Err(Errno::NoEntry);
                }
                if from == to {
                    return done;
                }
                if self.below(to) {
                    return Err(Errno::NotEmpty);
                }
                self.folders.remove(*from);
                self.folders.insert((*to).to_owned());
                let lead = format!("{from}/");
                let moved: Vec<String> = self.names.keys().filter(|name| name.starts_with(&lead)).cloned().collect();
                for old in moved {
                    let file = self.names.remove(&old).unwrap();
                    self.names.insert(format!("{to}/{}", &old[lead.len()..]), file);
                }
                done
            }
            Call::Rename(from, to) => {
                let file = *self.names.get(*from).ok_or(Errno::NoEntry)?;
                if !self.has_folder(to) {
                    return Err(Errno::NoEntry);
                }
                self.names.remove(*from);
                self.names.insert((*to).to_owned(), file);
                done
            }
            Call::Mkdir(name) => match self.folders.insert((*name).to_owned()) {
                true => done,
                false => Err(Errno::Exist),
            },
            Call::Rmdir(name) => match self.folders.contains(*name) {
                false => Err(Errno::NoEntry),
                true if self.below(name) => Err(Errno::NotEmpty),
                true => {
                    self.folders.remove(*name);
                    done
                }
            },
            Call::List(folder) => {
                if *folder != "." && !self.folders.contains(*folder) {
                    return Err(Errno::NoEntry);
                }
                let lead = if *folder == "." { String::new() } else { format!("{folder}/") };
                let mut names: Vec<&str> = self.names.keys().filter_map(|name| name.strip_prefix(&lead)).collect();
                names.retain(|name| !name.contains('/'));
                names.extend(self.folders.iter().filter(|_| *folder == ".").map(String::as_str));
                names.sort_unstable();
                Ok(names.join(" "))
            }
            Call::Size(name) => Ok(self.files[*self.names.get(*name).ok_or(Errno::NoEntry)?].len().to_string()),
        }
    }
}

/// A guest: the files, and what it has open.
struct Guest {
    files: Vfs,
    base: Handle,
    open: BTreeMap<u8, Handle>,
}

impl Guest {
    fn new(disk: &Fake) -> Self {
        let mut files = Vfs::new(disk.roots());
        let (base, _) = files.preopens().remove(0);
        Self { files, base, open: BTreeMap::new() }
    }

    async fn make(&mut self, disk: &mut Fake, call: &Call) -> Result<String> {
        let (files, base) = (&mut self.files, self.base);
        let done = Ok(String::new());
        let slot = |slot: &u8| self.open.get(slot).copied().ok_or(Errno::Busy);
        match call {
            Call::Open { slot, name, how, flags } => {
                if self.open.contains_key(slot) {
                    return Err(Errno::Busy.into());
                }
                let opened = files.open(disk, base, name, *how, *flags).await?;
                self.open.insert(*slot, opened);
                done
            }
            Call::Close(slot) => {
                let handle = self.open.remove(slot).ok_or(Errno::Busy)?;
                files.close(disk, handle).await.map(|()| String::new())
            }
            Call::Write { slot: at, offset, bytes } => {
                files.write(disk, slot(at)?, *offset, bytes).await.map(|()| String::new())
            }
            Call::Append { slot: at, bytes } => files.append(disk, slot(at)?, bytes).await.map(|()| String::new()),
            Call::Read { slot: at, offset, len } => {
                Ok(format!("{:?}", files.read(disk, slot(at)?, *offset, *len).await?.0))
            }
            Call::SetSize { slot: at, size } => files.set_size(disk, slot(at)?, *size).await.map(|()| String::new()),
            Call::Sync(at) => files.sync(disk, slot(at)?).await.map(|()| String::new()),
            Call::Unlink(name) => files.remove(disk, base, name, Kind::File).await.map(|()| String::new()),
            Call::Rename(from, to) => files.rename(disk, (base, from), (base, to)).await.map(|()| String::new()),
            Call::Mkdir(name) => files.make_folder(disk, base, name).await.map(|()| String::new()),
            Call::Rmdir(name) => files.remove(disk, base, name, Kind::Folder).await.map(|()| String::new()),
            Call::List(name) => {
                let folder = files.open(disk, base, name, Open { directory: true, ..OLD }, READ).await?;
                let list = files.list(disk, folder).await?;
                let mut names = Vec::new();
                while let Some((name, _)) = files.next_entry(list)? {
                    names.push(name);
                }
                files.close_list(list);
                files.close(disk, folder).await?;
                Ok(names.join(" "))
            }
            Call::Size(name) => Ok(files.stat_at(disk, base, name).await?.size.to_string()),
        }
    }

    async fn told(&mut self, disk: &mut Fake, call: &Call) -> std::result::Result<String, Errno> {
        match self.make(disk, call).await {
            Ok(told) => Ok(told),
            Err(fail) => Err(fail.errno().unwrap()),
        }
    }
}

#[test]
fn a_thousand_sequences_are_as_in_the_model_and_the_same_after_a_kill() {
    run(async {
        for seed in 0..1_000 {
            let mut dice = Dice(seed);
            let calls: Vec<Call> = (0..40).map(|_| call(&mut dice)).collect();
            let (mut model, mut disk) = (Model::default(), Fake::new());
            // Some have so little memory that pages come and go.
            disk.room = if seed % 4 == 0 { 14 * PAGE } else { 64 << 20 };
            let mut guest = Guest::new(&disk);
            let kill = dice.below(40) as usize;
            let mut said = Vec::new();
            for (number, call) in calls.iter().enumerate() {
                if number == kill {
                    // All that was in memory is gone; the guest repeats what it did.
                    guest = Guest::new(&disk);
                    let made = disk.made.len();
                    disk.at = 0;
                    for (call, before) in calls.iter().zip(&said) {
                        assert_eq!(guest.told(&mut disk, call).await, *before, "seed {seed}: {call:?}, repeated");
                    }
                    assert_eq!(disk.made.len(), made, "seed {seed}: nothing was made twice");
                }
                let told = guest.told(&mut disk, call).await;
                assert_eq!(told, model.make(call), "seed {seed}, call {number} of {calls:#?}");
                said.push(told);
                assert!(guest.files.held() <= disk.room, "seed {seed}");
            }
            guest.files.finish(&mut disk).await.unwrap();
            let found: BTreeMap<String, Option<Vec<u8>>> = disk.files;
            let files =
                model.names.iter().map(|(name, file)| (format!("/data/{name}"), Some(model.files[*file].clone())));
            let folders = model.folders.iter().map(|name| (format!("/data/{name}"), None));
            let expected = files.chain(folders).chain([("/data".to_owned(), None)]).collect();
            assert!(found == expected, "seed {seed}: {:?} and {:?}", found.keys(), model.names.keys());
        }
    });
}
