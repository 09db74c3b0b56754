//! Reads and writes files as its arguments say, for benches; prints how many bytes that were.

use std::fs::{self, File};
use std::io::{self, Read, Write};

/// Bytes of one read or write of a large file.
const BLOCK: usize = 64 << 10;

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let bytes = match args[..] {
        ["read", file] => read(file)?,
        ["write", file, blocks] => write(file, number(blocks))?,
        ["read-each", folder, files] => (0..number(files))
            .try_fold(0, |sum, at| Ok::<_, io::Error>(sum + fs::read(format!("{folder}/{at}"))?.len()))?,
        ["write-each", folder, files, size] => {
            let content = vec![b'x'; number(size)];
            (0..number(files)).try_for_each(|at| fs::write(format!("{folder}/{at}"), &content))?;
            number(files) * content.len()
        }
        _ => panic!(
            "usage: transfer read FILE | write FILE BLOCKS | read-each FOLDER FILES | write-each FOLDER FILES SIZE"
        ),
    };
    println!("{bytes}");
    Ok(())
}

fn read(file: &str) -> io::Result<usize> {
    let (mut file, mut block, mut bytes) = (File::open(file)?, vec![0; BLOCK], 0);
    loop {
        match file.read(&mut block)? {
            0 => return Ok(bytes),
            more => bytes += more,
        }
    }
}

fn write(file: &str, blocks: usize) -> io::Result<usize> {
    let (mut file, block) = (File::create(file)?, vec![b'x'; BLOCK]);
    (0..blocks).try_for_each(|_| file.write_all(&block))?;
    Ok(blocks * BLOCK)
}
