//! Requests: what may be asked of the gateway below `bridge/request/`, parsed and validated. Pure.
//!
//! A payload is empty or a JSON object. Every request may hold `transaction`, a text or number that comes back with the answer, and must hold
//! `token` where a stop token is set. Nothing of a payload is ever repeated but the transaction: it may hold keys.

use serde_json::{Map, Value};

use crate::meter::MeterId;
use crate::secrets::Secret;
use crate::set_message::{Limits, SetMessage, wipe};

/// What can be asked.
#[derive(Debug)]
pub(super) enum Request {
    /// Are you well?
    HealthCheck,
    /// Log what is at least so important from now on.
    LogLevel(LogLevel),
    /// Which meters are monitored?
    MetersGet,
    /// Monitor these meters and no others.
    MetersSet(SetMessage),
    /// Monitor these meters too.
    MetersAdd(SetMessage),
    /// Monitor these meters no longer.
    MetersRemove(Vec<MeterId>),
    /// Reset the dongle.
    DongleReset,
    /// Start this actor anew.
    ActorRestart(String),
    /// Stop the gateway.
    Stop,
}

/// The verbs, as the topics have them.
pub(super) const VERBS: [&str; 9] = [
    "health_check",
    "log_level",
    "meters/get",
    "meters/set",
    "meters/add",
    "meters/remove",
    "dongle/reset",
    "actor/restart",
    "stop",
];

/// How important messages are, in the words of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something does not work.
    Error,
    /// Something was lost, refused or restarted.
    Warning,
    /// Large steps.
    Info,
    /// Small steps.
    Debug,
}

/// A request that came.
#[derive(Debug)]
pub(super) struct Asked {
    /// Comes back with the answer.
    pub(super) transaction: Option<Value>,
    /// What is wanted, or why that cannot be done.
    pub(super) request: Result<Request, Refused>,
}

/// Why a request cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("{bytes} bytes, and the limit is {limit}")]
    TooLarge { bytes: usize, limit: usize },
    #[error("not a JSON object: mistake in line {line}, column {column}")]
    NotJson { line: usize, column: usize },
    #[error("not a JSON object")]
    NotAnObject,
    #[error("the token is missing or wrong")]
    Token,
    #[error("too many requests: ask again later")]
    TooMany,
    #[error("level is none of error, warning, info and debug")]
    Level,
    #[error("meters is not a JSON list")]
    NotAList,
    #[error("{0}")]
    Unusable(crate::set_message::Unusable),
    #[error(
        "meter {0} of the list has no id of one to eight digits or no manufacturer of three letters"
    )]
    Meter(usize),
    #[error("actor is missing")]
    NoActor,
    #[error("there is no such actor")]
    UnknownActor,
    #[error("there is no dongle: telegrams come from another source")]
    NoDongle,
    #[error("there is no such request")]
    UnknownVerb,
    #[error("the gateway had an internal error while doing it; please ask again")]
    Unanswered,
}

impl Asked {
    /// Reads the request for `verb`.
    pub(super) fn parse(
        verb: &str,
        payload: &[u8],
        token: Option<&Secret>,
        limits: &Limits,
    ) -> Self {
        let mut members = match members(payload) {
            Ok(members) => members,
            Err(refused) => {
                return Self {
                    transaction: None,
                    request: Err(refused),
                };
            }
        };
        let transaction = members.remove("transaction").filter(is_plain);
        let said = match members.remove("token") {
            Some(Value::String(said)) => Some(Secret::new(said)),
            _ => None,
        };
        let authorised = token
            .is_none_or(|token| said.is_some_and(|said| token.matches(said.expose().as_bytes())));
        let request = match authorised {
            true => Request::read(verb, &mut members, limits),
            false => Err(Refused::Token),
        };
        wipe(Value::Object(members));
        Self {
            transaction,
            request,
        }
    }

    /// One that is not even looked at.
    pub(super) fn refused(refused: Refused) -> Self {
        Self {
            transaction: None,
            request: Err(refused),
        }
    }
}

impl Request {
    fn read(
        verb: &str,
        members: &mut Map<String, Value>,
        limits: &Limits,
    ) -> Result<Self, Refused> {
        let mut set = || {
            let list = list(members)?;
            SetMessage::of_list(list, limits).map_err(Refused::Unusable)
        };
        Ok(match verb {
            "health_check" => Self::HealthCheck,
            "log_level" => Self::LogLevel(level(members.get("level"))?),
            "meters/get" => Self::MetersGet,
            "meters/set" => Self::MetersSet(set()?),
            "meters/add" => Self::MetersAdd(set()?),
            "meters/remove" => Self::MetersRemove(ids(&list(members)?)?),
            "dongle/reset" => Self::DongleReset,
            "actor/restart" => match members.get("actor") {
                Some(Value::String(actor)) => Self::ActorRestart(actor.clone()),
                _ => return Err(Refused::NoActor),
            },
            "stop" => Self::Stop,
            _ => return Err(Refused::UnknownVerb),
        })
    }
}

fn members(payload: &[u8]) -> Result<Map<String, Value>, Refused> {
    if payload.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(payload) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(other) => {
            wipe(other);
            Err(Refused::NotAnObject)
        }
        // The error's own text may quote the message.
        Err(error) => Err(Refused::NotJson {
            line: error.line(),
            column: error.column(),
        }),
    }
}

/// Short enough to be sent back, and not a place to hide anything in.
fn is_plain(transaction: &Value) -> bool {
    match transaction {
        Value::String(text) => text.len() <= LONGEST_TRANSACTION,
        Value::Number(number) => number.to_string().len() <= LONGEST_TRANSACTION,
        _ => false,
    }
}

const LONGEST_TRANSACTION: usize = 64;

fn level(level: Option<&Value>) -> Result<LogLevel, Refused> {
    match level.and_then(Value::as_str) {
        Some("error") => Ok(LogLevel::Error),
        Some("warning") => Ok(LogLevel::Warning),
        Some("info") => Ok(LogLevel::Info),
        Some("debug") => Ok(LogLevel::Debug),
        _ => Err(Refused::Level),
    }
}

fn list(members: &mut Map<String, Value>) -> Result<Vec<Value>, Refused> {
    match members.remove("meters") {
        Some(Value::Array(list)) => Ok(list),
        other => {
            wipe(other.unwrap_or_default());
            Err(Refused::NotAList)
        }
    }
}

/// Meters as set messages name them, or as `bridge/meters` does.
fn ids(list: &[Value]) -> Result<Vec<MeterId>, Refused> {
    let id = |meter: &Value| {
        let text = |names: [&str; 3]| names.iter().find_map(|name| meter.get(name)?.as_str());
        Some(MeterId {
            manufacturer: text(["manufacturer", "manufacturerKey", "ManufacturerKey"])?
                .parse()
                .ok()?,
            identification: text(["id", "deviceId", "DeviceId"])?.parse().ok()?,
        })
    };
    list.iter()
        .enumerate()
        .map(|(at, meter)| id(meter).ok_or(Refused::Meter(at + 1)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KEY: &str = "9A25139E3244CC2E391A8EF6B915B697";

    fn parse(verb: &str, payload: &str, token: Option<&str>) -> Asked {
        let token = token.map(|token| Secret::new(token.to_owned()));
        Asked::parse(verb, payload.as_bytes(), token.as_ref(), &Limits::default())
    }

    #[test]
    fn the_token_is_needed_where_one_is_set() {
        for (payload, allowed) in [
            (r#"{"token":"t"}"#, true),
            ("", false),
            (r#"{"token":"T"}"#, false),
            (r#"{"token":null}"#, false),
        ] {
            let asked = parse("stop", payload, Some("t"));
            assert_eq!(asked.request.is_ok(), allowed, "{payload}");
        }
        assert!(parse("stop", "", None).request.is_ok());
    }

    #[test]
    fn only_a_plain_transaction_comes_back() {
        for (payload, transaction) in [
            (r#"{"transaction":"a-1"}"#, Some(json!("a-1"))),
            (r#"{"transaction":7}"#, Some(json!(7))),
            (r#"{"transaction":{"a":1}}"#, None),
            ("", None),
        ] {
            assert_eq!(parse("meters/get", payload, None).transaction, transaction);
        }
        let long = format!(r#"{{"transaction":"{}"}}"#, "x".repeat(65));
        assert_eq!(parse("meters/get", &long, None).transaction, None);
    }

    #[test]
    fn what_cannot_be_done_is_named_and_not_repeated() {
        for (verb, payload, error) in [
            ("stop", "[]", "not a JSON object"),
            (
                "stop",
                "{",
                "not a JSON object: mistake in line 1, column 1",
            ),
            (
                "log_level",
                r#"{"level":"loud"}"#,
                "level is none of error, warning, info and debug",
            ),
            ("meters/set", "{}", "meters is not a JSON list"),
            (
                "meters/remove",
                r#"{"meters":[{"id":"1","manufacturer":"kam"},{"id":"9A25139E3244CC2E391A8EF6B915B697"}]}"#,
                "meter 2 of the list has no id of one to eight digits or no manufacturer of three letters",
            ),
            ("actor/restart", "{}", "actor is missing"),
            ("brew", "", "there is no such request"),
        ] {
            let error_found = parse(verb, payload, None).request.unwrap_err().to_string();
            assert_eq!(error_found, error);
            assert!(!error_found.contains(KEY));
        }
    }

    #[test]
    fn every_verb_is_understood() {
        let payload = format!(
            r#"{{"level":"debug","actor":"parser","meters":[{{"deviceId":"32666857","manufacturerKey":"kam","encryptionKey":"{KEY}"}}]}}"#
        );
        for verb in VERBS {
            assert!(parse(verb, &payload, None).request.is_ok(), "{verb}");
        }
    }
}
