//! `everstep:host/console`: output, and questions for a human.

use super::promises::check_schema;
use crate::bindings::everstep::host::console;
use crate::bridge::{About, Fault, NewPromise, Step};
use crate::guest_error::{ErrorCode, GuestError};
use crate::output::{Content, MimePart};
use crate::policy;
use crate::turns::Ctx;
use everstep_store::Asked;
use everstep_store::journal::Role;

impl console::Host for Ctx {
    fn print(&mut self, to: console::OutputStream, text: String) -> Result<(), Fault> {
        let stream: &[u8] = match to {
            console::OutputStream::Stdout => b"stdout",
            console::OutputStream::Stderr => b"stderr",
        };
        let args = [stream, text.as_bytes()];
        let grant = policy::Call::Capability { name: "print", bytes: 0 };
        let step = Step { kind: "console.print", subject: "", args: &args, grant };
        self.bridge.output(
            &step,
            match to {
                console::OutputStream::Stdout => Content::Stdout(text.clone()),
                console::OutputStream::Stderr => Content::Stderr(text.clone()),
            },
        )
    }

    fn display(&mut self, bundle: Vec<console::MimePart>) -> Result<(), Fault> {
        let args: Vec<&[u8]> = bundle.iter().flat_map(|part| [part.mime.as_bytes(), part.data.as_bytes()]).collect();
        let subject = bundle.iter().map(|part| part.mime.as_str()).collect::<Vec<_>>().join(" ");
        let grant = policy::Call::Capability { name: "display", bytes: 0 };
        let step = Step { kind: "console.display", subject: &subject, args: &args, grant };
        if bundle.is_empty() {
            let error = GuestError::new(ErrorCode::Invalid, "display needs at least one representation");
            return self.bridge.internal(&step, |_, _| Err(error));
        }
        let parts = bundle.iter().map(|part| MimePart { mime: part.mime.clone(), data: part.data.clone() });
        self.bridge.output(&step, Content::Display(parts.collect()))
    }

    fn input(&mut self, prompt: String, options: console::InputOptions) -> Result<u64, Fault> {
        let timeout = options.timeout_ms.map(u64::to_le_bytes).unwrap_or_default();
        let args = [prompt.as_bytes(), &timeout];
        let grant = policy::Call::Capability { name: "input", bytes: prompt.len() as u64 };
        let step = Step { kind: "console.input", subject: &prompt, args: &args, grant };
        if let Err(error) = check_schema(options.schema.as_deref()) {
            return self.bridge.internal(&step, |_, _| Err(error));
        }
        let timeout_ms = self.bridge.bounded_timeout("input", options.timeout_ms);
        let asked = Asked { kind: "input", subject: prompt.clone(), data: None, schema: options.schema };
        let about = About::Shown(asked);
        self.bridge.promise(&step, NewPromise { role: Role::External, timeout_ms, about })
    }
}
