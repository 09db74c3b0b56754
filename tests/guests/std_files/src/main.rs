//! A program that uses files below the folder that it is given, through the standard library alone.

mod work;

fn main() {
    let root = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    for line in work::work(root.as_ref()) {
        println!("{line}");
    }
}
