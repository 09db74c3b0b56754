//! A program that uses files below the folder that it is given, through the standard library alone.

mod look;
mod shut;
mod work;

fn main() {
    let root = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let root = root.as_ref();
    let lines = match std::env::args().nth(2).as_deref() {
        Some("look") => look::look(root),
        Some("shut") => return shut::shut(root),
        _ => work::work(root),
    };
    for line in lines {
        println!("{line}");
    }
}
