//! A program as it is written for any machine: it knows nothing of the runtime that it runs in.

use std::collections::HashMap;
use std::env;
use std::io::{self, BufRead, Read, Write};
use std::process::{ExitCode, exit};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("report") => report(&args[2..]),
        Some("exit") => exit(args[2].parse().expect("a number")),
        Some("fail") => return ExitCode::FAILURE,
        Some("panic") => panic!("it was asked to"),
        Some("copy") => drop(io::copy(&mut io::stdin(), &mut io::stdout()).expect("standard input")),
        Some("read") => read(),
        Some("look") => look(),
        _ => {
            eprintln!("usage: {} report|exit|fail|panic|copy|read|look", args[0]);
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Numbers its input, one line every few milliseconds, and ends with the exit code that it is given.
fn report(args: &[String]) {
    let (started, day) = (Instant::now(), SystemTime::now());
    let (code, nap): (i32, u64) = (args[0].parse().expect("a code"), args[1].parse().expect("milliseconds"));
    println!("{:?} in {}", &args[2..], env::var("LANG").unwrap_or_else(|_| "no language".to_owned()));
    let mut words: HashMap<String, usize> = HashMap::new();
    for (number, line) in io::stdin().lock().lines().enumerate() {
        let line = line.expect("a line");
        line.split_whitespace().for_each(|word| *words.entry(word.to_owned()).or_default() += 1);
        println!("{}: {line}", number + 1);
        sleep(Duration::from_millis(nap));
    }
    // In the order of the map, which random numbers determine.
    eprintln!("{words:?}");
    let times = (started.elapsed().as_millis() >= u128::from(nap), day.elapsed().is_ok());
    print!("{times:?} grün");
    io::stdout().flush().expect("standard output");
    exit(code);
}

fn read() {
    let mut text = String::new();
    match io::stdin().read_to_string(&mut text) {
        Ok(bytes) => println!("{bytes} bytes: {text:?}"),
        Err(error) => println!("not read: {:?}", error.kind()),
    }
}

/// What there is of a machine.
fn look() {
    println!("{:?}", env::vars().collect::<Vec<_>>());
    println!("{:?}", std::fs::read_to_string("/etc/passwd").map_err(|_| "no file"));
}
