//! The answers to commands, until the broker has acknowledged them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::mqtt::{Connection, Outgoing, QoS, Session};

/// Bounded: the oldest go first.
pub(super) struct Answers {
    topic: Arc<str>,
    connection: Option<Connection>,
    /// Oldest first; the first `sent` of them are on their way.
    answers: VecDeque<String>,
    sent: usize,
}

/// Answers that are kept for a broker that is away.
const MOST: usize = 100;

impl Answers {
    pub(super) fn new(topic: Arc<str>) -> Self {
        Self {
            topic,
            connection: None,
            answers: VecDeque::new(),
            sent: 0,
        }
    }

    /// Tells whether the oldest that waited had to go for it.
    pub(super) fn push(&mut self, answer: String) -> bool {
        let full = self.answers.len() - self.sent >= MOST;
        if full {
            self.answers.remove(self.sent);
        }
        self.answers.push_back(answer);
        full
    }

    pub(super) fn connected(&mut self, connection: Connection) {
        self.connection = Some(connection);
        self.sent = 0;
    }

    pub(super) fn disconnected(&mut self) {
        self.connection = None;
        self.sent = 0;
    }

    pub(super) fn acknowledged(&mut self, count: usize) {
        let count = count.min(self.sent);
        self.answers.drain(..count);
        self.sent -= count;
    }

    /// Sends what was not sent yet.
    pub(super) fn send(&mut self, session: &Session) {
        let Some(connection) = self.connection else {
            return;
        };
        let mut messages: Vec<_> = self
            .answers
            .iter()
            .skip(self.sent)
            .map(|answer| Outgoing {
                topic: Arc::clone(&self.topic),
                payload: answer.clone().into_bytes(),
                qos: QoS::AtLeastOnce,
                retained: false,
            })
            .collect();
        self.sent = self.answers.len();
        if !messages.is_empty() {
            session.send(connection, &mut messages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(count: usize) -> Answers {
        let mut answers = Answers::new("result".into());
        for number in 0..count {
            assert!(!answers.push(number.to_string()));
        }
        answers
    }

    #[test]
    fn what_is_not_acknowledged_stays_in_order() {
        let mut answers = answers(3);
        answers.sent = 2;
        answers.acknowledged(1);
        assert_eq!((answers.answers.len(), answers.sent), (2, 1));
        answers.disconnected();
        assert_eq!(answers.answers, ["1", "2"]);
        assert_eq!(answers.sent, 0);
        answers.acknowledged(5);
        assert_eq!(answers.answers.len(), 2);
    }

    #[test]
    fn the_oldest_that_waits_goes_first() {
        let mut answers = answers(MOST);
        answers.sent = 1;
        assert!(!answers.push("x".to_owned()));
        assert!(answers.push("y".to_owned()));
        assert_eq!(answers.answers.len(), MOST + 1);
        assert_eq!(answers.answers[0], "0");
        assert_eq!(answers.answers[1], "2");
    }
}
