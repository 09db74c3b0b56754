//! Answers that must fit, and the errors of those that do not.

use crate::support::{Place, eventually, id, life, result, run, soon};
use everstep::{Error, Scope};

#[test]
fn an_answer_that_does_not_fit_is_refused_and_the_question_stays_open() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().scope(Scope::Started).build().unwrap();
            let handle = host.start(run("awaits_order", "null")).await.unwrap();
            let asked = eventually("the promise", async || host.reader().promises().await.unwrap().pop()).await;
            let schema: serde_json::Value = serde_json::from_str(asked.schema.as_deref().unwrap()).unwrap();
            assert_eq!(schema["properties"]["count"]["maximum"], 255);
            for answer in ["null", "7", r#"{"item":"tea"}"#, r#"{"item":"tea","count":256}"#, r#"{"item":1,"count":2}"#]
            {
                let refused = host.settle(&asked.id, Ok(answer.into())).await.unwrap_err();
                assert!(matches!(refused, Error::InvalidOutcome { .. }), "{answer}: {refused}");
                assert!(refused.to_string().ends_with("; it stays pending"), "{refused}");
            }
            assert_eq!(host.reader().promises().await.unwrap(), std::slice::from_ref(&asked));
            host.settle(&asked.id, Ok(r#"{"item":"tea","count":2}"#.into())).await.unwrap();
            assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), r#"{"item":"tea","count":2}"#);
        });
    }
}

#[test]
fn whoever_settles_learns_what_is_wrong_with_an_id() {
    for place in Place::every_dialect() {
        life(async {
            let host = place.host().build().unwrap();
            host.run(run("asks_bool", "null").without_waiting()).await.unwrap();
            let settle = |execution: &str, number: u64, json: &str| {
                let (host, promise, json) = (host.clone(), id(execution).promise(number), json.to_owned());
                async move { host.settle(&promise, Ok(json)).await }
            };
            let errors =
                [settle("nobody", 0, "true").await, settle("x", 77, "true").await, settle("x", 0, r#""yes""#).await];
            let errors = errors.map(|outcome| outcome.unwrap_err().to_string());
            assert_eq!(errors[0], "there is no execution nobody in this store");
            assert_eq!(errors[1], "nobody waits for x.77: its execution has no such promise; nothing was changed");
            assert!(errors[2].starts_with("x.0 was not settled: "), "{}", errors[2]);
            settle("x", 0, "true").await.unwrap();
            settle("x", 0, "true").await.unwrap();
            let other = settle("x", 0, "false").await.unwrap_err();
            assert!(matches!(other, Error::AlreadySettled(_)), "{other}");
            host.resume(&id("x"), everstep::Patience::None).await.unwrap().wait().await.unwrap();
            let ended = settle("x", 0, "true").await.unwrap_err();
            assert!(matches!(ended, Error::Ended { state: "completed", .. }), "{ended}");
        });
    }
}
