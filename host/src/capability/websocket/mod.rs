//! `everstep:host/websocket`: `effect` opens a connection and keeps it, `effects` are a guest's operations on it as durable effects,
//! `stored` a message in the journal; the adapter is here.

mod effect;
mod effects;
mod stored;

pub use effect::{
    Bounds, Client, Closed, ClosedBy, Connection, Event, Message, Opening, Unsent, check_close, check_subprotocols,
};

use crate::bindings::everstep::host::{types, websocket};
use crate::bridge::{About, Arg, Bridge, Fault, NewPromise, Step};
use crate::capability::http::check_headers;
use crate::grants::Opened;
use crate::guest_error::{ErrorCode, GuestError};
use crate::network;
use crate::policy::url::{self, Target};
use crate::policy::{self, Policy, quoted};
use crate::turns::Ctx;
use effects::{CONNECT_KIND, Connect, Open, RECEIVE_KIND, Receive};
use std::sync::Arc;
use stored::Stored;

/// Opens the client of a policy that reaches the network: connections are not shared with other policies.
pub(crate) fn open(
    policy: &Policy,
    _: Option<&Policy>,
    options: &network::Options,
    opened: &mut Opened,
) -> Result<(), policy::Error> {
    if policy.reaches_the_network() {
        opened.insert(Client::new(options, policy.network.clone()));
    }
    Ok(())
}

impl websocket::Host for Ctx {
    fn connect(&mut self, url: String, options: websocket::ConnectOptions) -> Result<u64, Fault> {
        let websocket::ConnectOptions { protocols, headers } = options;
        let target = Target::parse(&url);
        let canonical = target.as_ref().map_or(url.as_str(), Target::as_str);
        let listed: String = headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        let offered = protocols.join("\n");
        let args = [
            Arg::deciding("url", canonical.as_bytes()),
            Arg::of("protocols", offered.as_bytes()),
            Arg::of("headers", listed.as_bytes()),
        ];
        let step = |grant| Step::new(CONNECT_KIND, canonical, &args, grant);
        let invalid =
            |fault: &url::Fault| GuestError::new(ErrorCode::Invalid, format!("websocket {} ({fault})", quoted(&url)));
        let checked = check_headers(&headers).and_then(|()| check_subprotocols(&protocols));
        let target = match checked.and_then(|()| target.as_ref().map_err(invalid)) {
            Ok(target) => target,
            Err(error) => return self.bridge.internal(&step(policy::Call::Ungranted), |_| Err(error)),
        };
        let grants = Arc::clone(&self.bridge.facts.grants);
        let (headers, subprotocols) = (headers.clone(), protocols.clone());
        let connect = Connect { grants, opening: Opening { url: target.clone(), headers, subprotocols } };
        let about = About::Effect(Arc::new(connect));
        let new = NewPromise { timeout_ms: None, about };
        self.bridge.promise(&step(policy::Call::Connect(policy::ConnectCall { url: target })), new)
    }

    async fn send(&mut self, connection: u64, data: websocket::Data) -> Result<(), Fault> {
        let bridge = Arc::clone(&self.bridge);
        let (kind, content, message) = match data {
            websocket::Data::Text(text) => ("text", text.clone().into_bytes(), Message::Text(text)),
            websocket::Data::Binary(bytes) => ("binary", bytes.clone(), Message::Binary(bytes)),
        };
        let number = connection.to_le_bytes();
        let args = [Arg::of("connection", &number), Arg::of("kind", kind.as_bytes()), Arg::of("content", &content)];
        let (subject, bytes) = (connection.to_string(), content.len() as u64);
        let step = |grant| Step::new("websocket.send", &subject, &args, grant);
        let rule = match rule_of(&bridge, connection) {
            Ok(rule) => rule,
            Err(error) => return bridge.internal(&step(policy::Call::Ungranted), |_| Err(error)),
        };
        let open = bridge.kept_for_run::<Open>(connection);
        let effect = |repeated: bool| async move {
            match open {
                Some(open) if !repeated => open.send(message).await,
                _ => Err(effects::lost()),
            }
        };
        bridge.external(&step(policy::Call::Message(policy::MessageCall { rule: &rule, bytes })), effect).await
    }

    fn receive(&mut self, connection: u64) -> Result<u64, Fault> {
        let (number, subject) = (connection.to_le_bytes(), connection.to_string());
        let args = [Arg::of("connection", &number)];
        let step = |grant| Step::new(RECEIVE_KIND, &subject, &args, grant);
        let rule = match rule_of(&self.bridge, connection) {
            Ok(rule) => rule,
            Err(error) => return self.bridge.internal(&step(policy::Call::Ungranted), |_| Err(error)),
        };
        let about = About::Effect(Arc::new(Receive { connection }));
        let new = NewPromise { timeout_ms: None, about };
        self.bridge.promise(&step(policy::Call::Message(policy::MessageCall { rule: &rule, bytes: 0 })), new)
    }

    fn message(&mut self, promise: u64) -> wasmtime::Result<Option<Result<websocket::Event, types::Error>>> {
        let not_a_message = || {
            let message = format!("promise {promise} is no promise of websocket.receive");
            GuestError::new(ErrorCode::Invalid, message)
        };
        let read = |json: String| Stored::read(&json).ok_or_else(not_a_message);
        Ok(self.bridge.promise_of_guest(promise).outcome().map(|outcome| outcome.and_then(read).map_err(Into::into)))
    }

    async fn close(&mut self, connection: u64, code: u16, reason: String) -> Result<(), Fault> {
        let bridge = Arc::clone(&self.bridge);
        let (number, status, subject) = (connection.to_le_bytes(), code.to_le_bytes(), connection.to_string());
        let args = [Arg::of("connection", &number), Arg::of("code", &status), Arg::of("reason", reason.as_bytes())];
        let step = Step::ungranted("websocket.close", &subject, &args);
        let checked = rule_of(&bridge, connection).and_then(|_| check_close(code, &reason));
        if let Err(error) = checked {
            return bridge.internal(&step, |_| Err(error));
        }
        let (open, reason) = (bridge.kept_for_run::<Open>(connection), reason.clone());
        let effect = |_| async move {
            if let Some(open) = open {
                open.close(code, &reason).await;
            }
            Ok(())
        };
        bridge.external(&step, effect).await
    }
}

/// The rule that a connection was made under.
fn rule_of(bridge: &Bridge, connection: u64) -> Result<String, GuestError> {
    match bridge.promise_of_guest(connection).granted_by() {
        Some((rule, true)) if bridge.facts.grants.policy.websocket_terms(&rule).is_some() => Ok(rule),
        _ => Err(GuestError::new(ErrorCode::Invalid, format!("{connection} is no connection of this execution"))),
    }
}
