//! `everstep:host/console`: output, and questions for a human.

use super::promises::check_schema;
use crate::bindings::everstep::host::console;
use crate::bridge::{About, Arg, Fault, NewPromise, Step};
use crate::guest_error::{ErrorCode, GuestError};
use crate::output::{Content, MimePart};
use crate::policy::{Call, CapabilityCall};
use crate::turns::Ctx;
use everstep_store::{Asked, PromiseKind};

impl console::Host for Ctx {
    fn print(&mut self, to: console::OutputStream, text: String) -> Result<(), Fault> {
        let stream: &[u8] = match to {
            console::OutputStream::Stdout => b"stdout",
            console::OutputStream::Stderr => b"stderr",
        };
        let args = [Arg::of("stream", stream), Arg::of("text", text.as_bytes())];
        let step = Step::new("console.print", "", &args, call("print", 0));
        self.bridge.output(
            &step,
            match to {
                console::OutputStream::Stdout => Content::Stdout(text.clone()),
                console::OutputStream::Stderr => Content::Stderr(text.clone()),
            },
        )
    }

    fn display(&mut self, bundle: Vec<console::MimePart>) -> Result<(), Fault> {
        let parts = bundle.iter().map(|part| (part.mime.as_bytes(), part.data.as_bytes()));
        let args: Vec<_> = parts.flat_map(|(mime, data)| [Arg::of("mime", mime), Arg::of("data", data)]).collect();
        let subject = bundle.iter().map(|part| part.mime.as_str()).collect::<Vec<_>>().join(" ");
        let step = Step::new("console.display", &subject, &args, call("display", 0));
        if bundle.is_empty() {
            let error = GuestError::new(ErrorCode::Invalid, "display needs at least one representation");
            return self.bridge.internal(&step, |_| Err(error));
        }
        let parts = bundle.iter().map(|part| MimePart { mime: part.mime.clone(), data: part.data.clone() });
        self.bridge.output(&step, Content::Display(parts.collect()))
    }

    fn input(&mut self, prompt: String, options: console::InputOptions) -> Result<u64, Fault> {
        let timeout = options.timeout_ms.map(u64::to_le_bytes).unwrap_or_default();
        let args = [Arg::of("prompt", prompt.as_bytes()), Arg::of("timeout", &timeout)];
        let step = Step::new("console.input", &prompt, &args, call("input", prompt.len() as u64));
        if let Err(error) = check_schema(options.schema.as_deref()) {
            return self.bridge.internal(&step, |_| Err(error));
        }
        let timeout_ms = options.timeout_ms;
        let asked = Asked { kind: PromiseKind::Input, subject: prompt.clone(), data: None, schema: options.schema };
        let about = About::Shown(asked);
        self.bridge.promise(&step, NewPromise { timeout_ms, about })
    }
}

fn call(name: &str, bytes: u64) -> Call<'_> {
    Call::Capability(CapabilityCall { name, bytes })
}
