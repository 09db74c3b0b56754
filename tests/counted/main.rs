//! How many instructions a step, a start and a denial take: counted, they are the same on a machine that is slow or has much else to do.
//!
//! A count above its figure by more than a twentieth fails. Who makes something dearer on purpose, or cheaper, writes the new figure here.
//! They are those of an optimised build on x86-64, whose processor valgrind describes alike on every machine.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use everstep_tests::guests::{path, project};
use std::process::Command;

/// What is done, the function of `counted` that does it and how often, and the instructions that each takes, on the thread that does it.
const FIGURES: [(&str, &str, u64, u64); 4] = [
    ("an internal step", "internal_steps", 2_000, 6_950),
    ("an external step", "external_steps", 200, 45_000),
    ("an execution of one step", "starts", 100, 231_000),
    ("a fetch that none of 1,000 rules allows", "denials", 1_000, 15_850),
];

#[test]
fn nothing_takes_more_instructions_than_its_figure() {
    let component = path(&project().join("tests/guests/workbench")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("profile");
    let work = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(env!("CARGO_BIN_EXE_counted"))
        .args([component, project().join("target/test-cache")])
        .output()
        .expect("valgrind counts the instructions: scripts/setup.sh test installs it");
    assert!(work.status.success(), "{}", String::from_utf8_lossy(&work.stderr));
    let profile = std::fs::read_to_string(profile).unwrap();
    let mut dearer = Vec::new();
    for (what, function, times, figure) in FIGURES {
        let each = inclusive(&profile, function) / times;
        println!("{what}: {each} instructions, {figure} is its figure");
        if each > figure + figure / 20 {
            dearer.push(format!("{what}: {each} instructions, {figure} before"));
        }
    }
    assert!(dearer.is_empty(), "{dearer:#?}");
}

/// The instructions of all calls of a function, with all that it calls.
fn inclusive(profile: &str, function: &str) -> u64 {
    let name = format!(") counted::{function}");
    // A name has a number where it comes first, and is the number alone after that.
    let number = profile.lines().find_map(|line| Some(line.strip_suffix(&name)?.rsplit_once('(')?.1));
    let called = format!("cfn=({})", number.unwrap_or_else(|| panic!("counted::{function} is not in the profile")));
    let mut lines = profile.lines();
    let mut sum = 0;
    while let Some(line) = lines.next() {
        if line.starts_with(&called) {
            // How often it is called there, then the place and the instructions.
            let cost = lines.nth(1).and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
            sum += cost.expect("the instructions of a call");
        }
    }
    sum
}
