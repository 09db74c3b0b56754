//! A component that exports functions with types of their own, and knows the host by its WIT alone.

use bindings::everstep::host::{console, promises, random, timers};
use bindings::exports::test::typed::{durable, hostile, other, shapes};

#[allow(missing_docs, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({
        path: ["../../../wit", "wit"],
        world: "test:typed/typed",
        generate_all,
    });
}

struct Typed;

impl bindings::Guest for Typed {
    fn greet(name: String) -> String {
        format!("hello {name}")
    }
}

impl shapes::Guest for Typed {
    fn same(value: shapes::Everything) -> shapes::Everything {
        value
    }

    fn area(shape: shapes::Shape) -> Result<f64, String> {
        match shape {
            shapes::Shape::Circle(radius) => Ok(radius * radius * std::f64::consts::PI),
            shapes::Shape::Nothing => Ok(0.0),
            shapes::Shape::Polygon(points) if points.len() < 3 => {
                Err(format!("a polygon has at least 3 points, and this has {}", points.len()))
            }
            shapes::Shape::Polygon(points) => {
                let next = points.iter().cycle().skip(1);
                let twice: f64 = points.iter().zip(next).map(|(a, b)| a.x * b.y - b.x * a.y).sum();
                Ok(twice.abs() / 2.0)
            }
        }
    }

    fn add(a: i64, b: i64) -> i64 {
        a + b
    }

    fn nothing() {}
}

impl other::Guest for Typed {
    fn add(text: String, more: Option<String>) -> String {
        text + &more.unwrap_or_default()
    }

    fn refuse() -> Result<(), other::Error> {
        Err(other::Error { code: other::ErrorCode::Denied, message: "not for you".to_owned() })
    }
}

struct Handle;

impl hostile::GuestHandle for Handle {
    fn new() -> Self {
        Self
    }
}

impl hostile::Guest for Typed {
    type Handle = Handle;

    fn flood(count: u32) -> Vec<String> {
        vec!["flood".to_owned(); count as usize]
    }

    fn wide(count: u32) -> Vec<u8> {
        vec![7; count as usize]
    }

    fn spin() -> u32 {
        let mut count = 0u32;
        loop {
            count = std::hint::black_box(count.wrapping_add(1));
        }
    }

    fn trap() -> u32 {
        core::arch::wasm32::unreachable()
    }

    fn take(_handle: hostile::Handle) {}
}

impl durable::Guest for Typed {
    fn ask(prompt: String) -> Result<String, String> {
        let options = console::InputOptions { timeout_ms: None, schema: None };
        let question = console::input(&prompt, &options).map_err(|error| error.message)?;
        promises::wait_any(&[question]).map_err(|error| error.message)?;
        promises::outcome(question).ok_or("no outcome")?.map_err(|error| error.message)
    }

    fn draw() -> Result<(Vec<u8>, u64), String> {
        let bytes = random::bytes(4).map_err(|error| error.message)?;
        Ok((bytes, timers::now().map_err(|error| error.message)?))
    }
}

bindings::export!(Typed with_types_in bindings);
