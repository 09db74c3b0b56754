//! A program that uses files below the folder that it is given, through the standard library alone.

mod look;
mod work;

fn main() {
    let root = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let looks = std::env::args().nth(2).is_some_and(|what| what == "look");
    for line in if looks { look::look(root.as_ref()) } else { work::work(root.as_ref()) } {
        println!("{line}");
    }
}
