//! The answers to commands, until the broker has acknowledged them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::mqtt::{Outgoing, QoS};

/// Bounded: the oldest go first.
pub(super) struct Answers {
    topic: Arc<str>,
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

    /// What was sent and not acknowledged is to be sent again.
    pub(super) fn rewind(&mut self) {
        self.sent = 0;
    }

    pub(super) fn acknowledged(&mut self, count: usize) {
        let count = count.min(self.sent);
        self.answers.drain(..count);
        self.sent -= count;
    }

    /// What was not sent yet, and counts as sent from here on.
    pub(super) fn take_unsent(&mut self) -> Vec<Outgoing> {
        let messages = self
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
        messages
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
        answers.rewind();
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
