//! The answers to set messages.

use std::sync::Arc;

use serde::Serialize;

use super::entry::Refusal;
use crate::meter::MeterName;

/// The answer to a set message: one answer for each entry, in the order of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetReport {
    pub(super) entries: Vec<Answer>,
}

/// The answer to one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    /// As written, if it is one; else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) device_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) manufacturer_key: Option<String>,
    pub(super) accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Refusal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) warning: Option<String>,
}

impl SetReport {
    /// How many entries are in use.
    pub fn accepted(&self) -> usize {
        self.entries.iter().filter(|answer| answer.accepted).count()
    }

    /// How many entries could not be used.
    pub fn refused(&self) -> usize {
        self.entries.len() - self.accepted()
    }

    /// A further answer to entries that were accepted before: what has turned out since to be doubtful about these meters.
    pub fn later(warnings: Vec<(Arc<MeterName>, String)>) -> Self {
        let entries = warnings.into_iter().map(|(name, warning)| Answer {
            device_id: Some(name.device_id.clone()),
            manufacturer_key: Some(name.manufacturer_key.clone()),
            accepted: true,
            reason: None,
            warning: Some(warning),
        });
        Self {
            entries: entries.collect(),
        }
    }

    /// Adds warnings to the entries that are in use, in their order.
    pub fn warn(&mut self, warnings: impl IntoIterator<Item = Option<String>>) {
        let in_use = self.entries.iter_mut().filter(|answer| answer.accepted);
        for (answer, warning) in in_use.zip(warnings) {
            if let Some(warning) = warning {
                answer.warning = Some(match answer.warning.take() {
                    Some(before) => format!("{before}; {warning}"),
                    None => warning,
                });
            }
        }
    }

    /// The payload of the topic `sensors/set/result`.
    pub fn to_json(&self) -> String {
        json(&Payload {
            accepted: self.accepted(),
            refused: self.refused(),
            error: None,
            entries: &self.entries,
        })
    }
}

/// A set message that cannot be used as a whole. The set of meters stays as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// No JSON.
    #[error("not JSON: mistake in line {line}, column {column}")]
    NotJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// JSON, but no list.
    #[error("not a JSON list")]
    NotAList,
    /// More bytes than the settings allow.
    #[error("{bytes} bytes, and the limit is {limit}")]
    TooLarge {
        /// How many.
        bytes: usize,
        /// How many there may be.
        limit: usize,
    },
    /// More entries than the settings allow.
    #[error("{meters} meters, and the limit is {limit}")]
    TooManyMeters {
        /// How many.
        meters: usize,
        /// How many there may be.
        limit: usize,
    },
    /// It had to wait, and a later one came.
    #[error("superseded by a later set message")]
    Superseded,
    /// The gateway could not answer it. It may or may not have been applied.
    #[error("the gateway had an internal error while applying it; please send it again")]
    Unanswered,
}

impl Unusable {
    /// The payload of the topic `sensors/set/result`.
    pub fn to_json(&self) -> String {
        json(&Payload {
            accepted: 0,
            refused: 0,
            error: Some(self.to_string()),
            entries: &[],
        })
    }
}

/// The payload of the topic `sensors/set/result`, for serde.
#[derive(Serialize)]
struct Payload<'a> {
    accepted: usize,
    refused: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    entries: &'a [Answer],
}

fn json(result: &Payload<'_>) -> String {
    // Numbers, texts and lists of them: there is nothing that could fail.
    serde_json::to_string(result).unwrap_or_default()
}
