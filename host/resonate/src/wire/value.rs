//! Values: base64 of a JSON text on the wire, the text itself in the store.
//!
//! Data that is not base64 of UTF-8 is kept as received, under a header that marks it and that other sides never see.

use super::Object;
use super::answer::{Rejection, bad};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use everstep_store::record::Value;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The header of a value whose data is kept as received.
pub(crate) const AS_IS: &str = "everstep:as-is";

/// A value on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireValue {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
}

impl WireValue {
    /// A value as it is sent.
    pub(crate) fn of(value: &Value) -> Self {
        let mut headers = value.headers.clone();
        let as_is = headers.remove(AS_IS).is_some();
        let data = value.data.as_ref().map(|data| if as_is { data.clone() } else { BASE64_STANDARD.encode(data) });
        Self { headers: Some(headers).filter(|headers| !headers.is_empty()), data }
    }

    /// A value that may be absent.
    pub(super) fn optional(value: Option<Object<Self>>) -> Self {
        value.map(|Object(value)| value).unwrap_or_default()
    }

    /// A value of a client, as the store keeps it.
    ///
    /// # Errors
    /// The client has set the header that belongs to the store.
    pub(super) fn stored(self) -> Result<Value, Rejection> {
        if self.headers.as_ref().is_some_and(|headers| headers.contains_key(AS_IS)) {
            return Err(bad(format!("the header {AS_IS:?} belongs to this server")));
        }
        Ok(self.received())
    }

    /// A value of a server. The header that marks data is ignored if the server sends it.
    pub(crate) fn received(self) -> Value {
        let Self { headers, data } = self;
        let mut headers = headers.unwrap_or_default();
        headers.remove(AS_IS);
        let data = data.map(|data| match text(&data) {
            Some(text) => text,
            None => {
                headers.insert(AS_IS.to_owned(), "true".to_owned());
                data
            }
        });
        Value { headers, data }
    }
}

/// The text that some base64 encodes, if encoding it again gives the same.
fn text(data: &str) -> Option<String> {
    let text = String::from_utf8(BASE64_STANDARD.decode(data).ok()?).ok()?;
    (BASE64_STANDARD.encode(&text) == data).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_value_comes_back_as_it_was_sent(data in proptest::option::of("[A-Za-z0-9+/=]{0,12}|\\PC{0,8}"), name in "[a-z]{1,3}") {
            let headers = BTreeMap::from([(name, "x".to_owned())]);
            let value = WireValue { headers: Some(headers), data };
            prop_assert_eq!(WireValue::of(&value.clone().stored().unwrap()), value);
        }
    }

    #[test]
    fn base64_is_a_text_in_the_store() {
        let value = |data: &str| WireValue { headers: None, data: Some(data.to_owned()) }.stored().unwrap();
        assert_eq!(value("eyJhIjoxfQ=="), Value { data: Some("{\"a\":1}".to_owned()), ..Value::default() });
        for kept in ["eyJhIjoxfQ", "/w==", "{\"a\":1}"] {
            assert_eq!(value(kept).data.as_deref(), Some(kept));
        }
        let headers = Some(BTreeMap::from([(AS_IS.to_owned(), String::new())]));
        assert_eq!(WireValue { headers, data: None }.stored().unwrap_err().status, 400);
    }
}
