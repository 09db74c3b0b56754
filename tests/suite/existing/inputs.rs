//! What the programs find: drawn, and the same for the same dice.

use crate::dice::Dice;
use std::fmt::Write;
use std::fs;
use std::path::Path;

const WORDS: [&str; 16] = [
    "ash", "birch", "cedar", "elm", "fig", "hazel", "juniper", "larch", "maple", "oak", "pine", "rowan", "ashes",
    "spruce", "Grün", "yew",
];

fn words(dice: &mut Dice, count: u64) -> String {
    (0..count).map(|_| dice.one(&WORDS)).collect::<Vec<_>>().join(" ")
}

/// 330 files in 12 folders: text, two that are none, hidden ones, and rules in two of the folders for what is ignored.
pub(super) fn folders(root: &Path, mut dice: Dice) {
    for folder in ["a", "a/deep", "a/deep/er", "b", "b/skipped", "build", "c", "c/build", ".hidden", "d", "d/e", "node"]
    {
        fs::create_dir(root.join(folder)).unwrap();
        for number in 0..27 {
            let ending = dice.one(&["txt", "log", "md", "rs", "tmp"]);
            let lines: String = (0..40).map(|_| format!("{}\n", words(&mut dice, 6))).collect();
            fs::write(root.join(folder).join(format!("{number}.{ending}")), lines).unwrap();
        }
    }
    fs::write(root.join(".gitignore"), "*.log\n/build/\nnode\n!3.log\nd/**/1*.txt\n").unwrap();
    fs::write(root.join("b/.gitignore"), "skipped/\n*.md\n!1?.md\n").unwrap();
    fs::write(root.join("c/.ignore"), "*.rs\n").unwrap();
    fs::write(root.join("c/binary.txt"), b"elm one\nelm two\0\nelm three\n").unwrap();
    fs::write(root.join("c/latin.txt"), b"elm gr\xfcn\nash m\xfcde\n").unwrap();
}

/// 200 KiB and more of headings, lists, tables, code and links.
pub(super) fn markdown(folder: &Path, mut dice: Dice) {
    let mut text = String::new();
    while text.len() < 200 << 10 {
        let (one, two, more) = (words(&mut dice, 2), words(&mut dice, 3), words(&mut dice, 40));
        let block = match dice.below(8) {
            0 => format!("## {one}\n"),
            1 => format!("{more} **{one}** and *{two}*, `{one}`[^1]\n"),
            2 => format!("- {one}\n- [x] {two}\n  1. {more}\n"),
            3 => format!("| {one} | {two} |\n|---|:-:|\n| <{two}> | {more} |\n"),
            4 => format!("```rust\n{more}\n```\n"),
            5 => format!("> {more}\n> > {one}\n"),
            6 => format!("[{one}](https://example.com/{} \"{two}\") ![{one}][pic]\n", dice.below(100)),
            _ => format!("<div>\n{one} &amp; {two}\n</div>\n"),
        };
        text.push_str(&block);
        text.push('\n');
    }
    text.push_str("[^1]: A note.\n\n[pic]: /pic.png\n");
    fs::write(folder.join("text.md"), text).unwrap();
}

/// 20,000 objects on one line.
pub(super) fn json(folder: &Path, mut dice: Dice) {
    let row = |number| {
        let (name, tags) = (words(&mut dice, 2), words(&mut dice, 1));
        format!(r#"{{"id":{number},"name":"{name} \"{tags}\"","rank":{},"none":[null,{{}},[]]}}"#, dice.below(1_000))
    };
    let rows: Vec<String> = (0..20_000).map(row).collect();
    fs::write(folder.join("rows.json"), format!("[{}]", rows.join(","))).unwrap();
}

/// A script of SQLite's shell over 20,000 rows of CSV, with 1,000 changes in transactions, of which each seventh is taken back.
pub(super) fn sql(folder: &Path, mut dice: Dice) {
    let rows: String =
        (0..20_000).map(|row| format!("{row},\"{}\",{}\n", words(&mut dice, 2), dice.below(500))).collect();
    fs::write(folder.join("rows.csv"), format!("id,name,rank\n{rows}")).unwrap();
    let mut script = "pragma cache_size = 50;\n\
                      create table rows(id integer, name text, rank integer);\n\
                      .import --csv --skip 1 in/rows.csv rows\n\
                      create table trees(id integer primary key, name text unique, rank int);\n\
                      create index by_rank on trees(rank);\n"
        .to_owned();
    for number in 0..40 {
        script.push_str("begin;\n");
        for change in 0..25 {
            let (id, rank) = (number * 25 + change, dice.below(500));
            let line = match dice.below(4) {
                0 => format!("update trees set rank = rank + {rank} where id % 7 = {};", dice.below(7)),
                1 => format!("delete from trees where id = {};", dice.below(1_000)),
                _ => format!("insert into trees values({id}, '{} {id}', {rank});", words(&mut dice, 3)),
            };
            writeln!(script, "{line}").unwrap();
        }
        script.push_str(if number % 7 == 6 { "rollback;\n" } else { "commit;\n" });
    }
    script.push_str(
        ".mode list\nselect count(*), sum(rank) from trees;\nselect t.id, t.name, r.name from trees t join rows r on r.rank = t.rank % 500 order by t.id, r.id;\n\
         .mode json\nselect name, count(*) as times from rows group by name order by name;\n",
    );
    fs::write(folder.join("script.sql"), script).unwrap();
}
