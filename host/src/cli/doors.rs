//! Every door through which somebody else's text reaches a person: nothing of it acts, hides or makes a line of its own.

use super::approval::Call;
use super::report::{self, Summary};
use super::text::{self, Table};
use super::{console, json_line, promise, show, watch};
use everstep::output::MimePart;
use everstep::store::{Failure, FailureKind, PendingPromise, PromiseKind, State};
use everstep::visible::{Sight, is_seen, sights};
use everstep::{ErrorCode, ExecutionId, GuestError, Report, StepOutcome, StepView};
use proptest::prelude::*;
use serde_json::json;
use serde_json::value::RawValue;
use std::time::Duration;

#[path = "../../words/src/hostile_texts.rs"]
mod hostile;

fn id() -> ExecutionId {
    ExecutionId::random()
}

/// JSON that a guest, a server or another store has: half a surrogate pair and a depth that no reader takes among it.
fn data(text: &str) -> Vec<String> {
    let (quoted, deep) = (json!(text).to_string(), 20_000);
    let arguments =
        json!({ "method": text, "url": text, "path": text, "function": text, "body": text, "hex": { "hex": text } });
    vec![
        quoted.clone(),
        text.to_owned(),
        "\"\\ud83d\"".to_owned(),
        format!("{}{quoted}{}", "[".repeat(deep), "]".repeat(deep)),
        json!({ "capability": text, "arguments": arguments, "digest": text }).to_string(),
    ]
}

fn promise(text: &str, data: &str, kind: PromiseKind) -> PendingPromise {
    let subject = text.to_owned();
    let (data, schema) = (Some(data.to_owned()), Some(data.to_owned()));
    PendingPromise { id: id().promise(0), kind, subject, data, schema, created_ms: 1, deadline_ms: Some(2) }
}

fn report(text: &str, data: &str) -> Report {
    let error = Some(Failure { kind: FailureKind::Returned(ErrorCode::Failed), message: text.to_owned() });
    let (result, wall) = (Some(data.to_owned()), Duration::ZERO);
    Report { id: id(), state: State::Failed, result, error, exit_code: None, steps: 1, replayed: 0, wall }
}

fn step(text: &str) -> StepView {
    let outcome = StepOutcome::Error { error: GuestError::new(ErrorCode::Denied, text) };
    let (kind, subject, rule) = (text.to_owned(), text.to_owned(), text.to_owned());
    StepView { n: 0, kind, subject, decision: "deny", rule, outcome, at_ms: 0, settled_ms: None, retries: 0 }
}

/// What a person sees of a text, where it may have lines.
fn is_seen_in_lines(text: &str) -> bool {
    text.lines().all(is_seen)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_people_read_holds_nothing_that_acts_or_hides(text in hostile::texts()) {
        let one = [text::line(&text, usize::MAX), text::line(&text, 60), everstep::visible::path(&text)];
        for line in one {
            prop_assert!(is_seen(&line), "{line}");
        }
        for data in data(&text) {
            for kind in PromiseKind::ALL {
                let promise = promise(&text, &data, kind);
                let (subject, shown, _) = promise::brief(&promise);
                prop_assert!(is_seen(&subject) && is_seen(&shown));
                // What the host says itself is no more than these lines.
                let lines = watch::waiting(&promise, &super::place::Place::Memory).lines().count();
                prop_assert!(lines <= 12, "{lines}");
                prop_assert!(is_seen_in_lines(&watch::waiting(&promise, &super::place::Place::Memory)));
            }
            let call = Call::read(&text, &data);
            prop_assert!(is_seen(call.decides()) && is_seen_in_lines(&call.shown("")) && is_seen_in_lines(&call.all()));
            let ended = report::line(&Report { error: None, ..report(&text, &data) });
            prop_assert!(is_seen(&ended), "{}", ended);
        }
        for told in [report::line(&report(&text, "1")), show::cells(&step(&text)).join("\n")] {
            prop_assert!(is_seen_in_lines(&told), "{told}");
        }
        // Blanks and line ends are the host's own there.
        let said = text::said(&text).replace(['\t', '\n'], "");
        prop_assert!(sights(&said).all(|(_, sight)| sight != Sight::Hidden), "{said}");
        let mut table = Table::new(&["ID"]);
        table.row([text::line(&text, 40)]);
        prop_assert_eq!(table.render().lines().count(), 2);
    }

    #[test]
    fn what_scripts_read_is_one_line_that_means_the_same(text in hostile::texts()) {
        let parts = vec![MimePart { mime: text.clone(), data: text.clone() }];
        let objects = [json!({ "text": text }), json!({ "display": parts, "text": console::displayed(&parts) }), json!(step(&text))];
        for object in objects {
            let line = json_line(&object).unwrap();
            prop_assert!(is_seen(&line), "{line}");
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), object);
        }
        for data in data(&text) {
            let line = json_line(&Summary::failed(id(), &super::Failure::usage(&data))).unwrap();
            prop_assert!(is_seen(&line), "{line}");
            prop_assert!(serde_json::from_str::<&RawValue>(&line).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_a_guest_prints_keeps_its_colours_only(text in hostile::texts()) {
        let mut shown = text::printed(&text).into_owned();
        while let Some(start) = shown.find("\x1b[") {
            let end = shown[start..].find('m');
            prop_assert!(end.is_some(), "{shown}");
            shown.replace_range(start..=start + end.unwrap(), "m");
        }
        let hidden = sights(&shown).find(|&(one, sight)| sight == Sight::Hidden && one != '\n' && one != '\t');
        prop_assert!(hidden.is_none(), "{hidden:?}");
    }
}
