//! The Bridge's answers to requests.

use std::time::{Duration, Instant};

use actix::fut::wrap_future;
use actix::prelude::*;
use serde_json::{Value, json};
use slog::{info, warn};

use super::Bridge;
use super::request::{Asked, Refused, Request, VERBS};
use crate::commander::{Pace, StopRequested};
use crate::counters::Count;
use crate::meters::{AddMeters, ApplySet, RemoveMeters};
use crate::mqtt::Incoming;
use crate::set_message::{SetMessage, SetReport, Unusable};

/// How often single actors may be restarted: never so often that one exceeds its budget.
pub(super) const RESTARTS: Pace = Pace {
    burst: 1,
    interval: Duration::from_secs(10),
};

/// A request that is being answered.
struct Caller {
    verb: &'static str,
    transaction: Option<Value>,
}

impl Bridge {
    pub(super) fn hear_request(&mut self, message: &Incoming, ctx: &mut Context<Self>) {
        let verb = VERBS
            .iter()
            .find(|verb| self.config.request(verb) == message.topic);
        let Some(&verb) = verb else {
            return;
        };
        if message.retained {
            self.config.counters.increment(Count::CommandsRefused);
            warn!(self.config.log, "retained request ignored: it would be carried out at every start; remove it from the broker";
                "topic" => &message.topic);
            return;
        }
        let limits = &self.config.limits;
        let asked = if message.size > limits.bytes {
            Asked::refused(Refused::TooLarge {
                bytes: message.size,
                limit: limits.bytes,
            })
        } else if self.paced.admit(Instant::now()).is_err() {
            Asked::refused(Refused::TooMany)
        } else {
            Asked::parse(
                verb,
                &message.payload,
                self.config.token.get().as_ref().as_ref(),
                limits,
            )
        };
        let caller = Caller {
            verb,
            transaction: asked.transaction,
        };
        match asked.request {
            Ok(request) => self.carry_out(request, caller, ctx),
            Err(refused) => self.answer(&caller, Err(refused)),
        }
    }

    fn carry_out(&mut self, request: Request, caller: Caller, ctx: &mut Context<Self>) {
        let answer = match request {
            Request::HealthCheck => Ok(self.health()),
            Request::MetersGet => Ok(self.meters()),
            Request::LogLevel(level) => {
                self.config.levers.set_log_level(level);
                self.info_due = true;
                self.tell();
                Ok(json!({"level": level}))
            }
            Request::DongleReset => match self.config.levers.reset_dongle() {
                true => Ok(json!({})),
                false => Err(Refused::NoDongle),
            },
            Request::ActorRestart(actor) => self.restart(&actor),
            Request::Stop => {
                self.answer(&caller, Ok(json!({})));
                self.stop_after = self.link.as_ref().map(|link| link.sent);
                return;
            }
            Request::MetersSet(set) => {
                self.warn_of_keys();
                let sent = self.config.apply.send(ApplySet(set));
                return self.answer_later(caller, sent, report, ctx);
            }
            Request::MetersAdd(set) => {
                self.warn_of_keys();
                match self.room_for(set) {
                    Ok(set) => {
                        let sent = self.config.add.send(AddMeters(set));
                        return self.answer_later(caller, sent, report, ctx);
                    }
                    Err(refused) => Err(refused),
                }
            }
            Request::MetersRemove(ids) => {
                let sent = self.config.remove.send(RemoveMeters(ids));
                let count = |removed: usize| json!({"removed": removed});
                return self.answer_later(caller, sent, count, ctx);
            }
        };
        self.answer(&caller, answer);
    }

    /// The monitored meters and how they fare, and the others on the air.
    fn meters(&self) -> Value {
        let others: Vec<_> = (self.config.listing)()
            .into_iter()
            .filter(|meter| meter.monitored.is_none())
            .collect();
        json!({"meters": self.survey.report(), "not_monitored": others})
    }

    /// Stops the gateway, if that was asked for and the answer has arrived or cannot any more.
    pub(super) fn stop_if_answered(&mut self) {
        let arrived = |sent| {
            self.link
                .as_ref()
                .is_none_or(|link| link.acknowledged >= sent)
        };
        if self.stop_after.is_some_and(arrived) {
            self.stop_after = None;
            // One that finds no room is not needed: another is on its way.
            let _ = self.config.stop.try_send(StopRequested {
                topic: self.config.request("stop"),
            });
        }
    }

    /// Whether the set stays within its limit.
    fn room_for(&self, set: SetMessage) -> Result<SetMessage, Refused> {
        let (meters, limit) = (
            self.config.table.len() + set.len(),
            self.config.limits.meters,
        );
        if meters > limit {
            return Err(Refused::Unusable(Unusable::TooManyMeters { meters, limit }));
        }
        Ok(set)
    }

    fn warn_of_keys(&self) {
        if !self.config.broker.get().url.is_private() {
            warn!(self.config.log, "meters set over a connection that is not encrypted: their keys can be read on the way; use mqtts://";
                "reason" => "keys in the clear");
        }
    }

    fn restart(&mut self, name: &str) -> Result<Value, Refused> {
        let children = self.config.root.children();
        let Some(child) = children.iter().find(|child| child.to_string() == name) else {
            return Err(Refused::UnknownActor);
        };
        if self.restarts.admit(Instant::now()).is_err() {
            return Err(Refused::TooMany);
        }
        child.restart();
        Ok(json!({"actor": child.to_string()}))
    }

    /// Answers when Meters has.
    fn answer_later<M, T>(
        &mut self,
        caller: Caller,
        request: RecipientRequest<M>,
        data: impl FnOnce(T) -> Value + 'static,
        ctx: &mut Context<Self>,
    ) where
        M: Message<Result = T> + Send + 'static,
        T: Send + 'static,
    {
        let waiting = self.monitor.waiting("Meters to carry out a request");
        let answered = wrap_future::<_, Self>(async move {
            let _waiting = waiting;
            request.await
        });
        ctx.spawn(answered.map(move |answered, bridge, _| {
            // It was in Meters' hand when that failed.
            let answer = answered.map(data).map_err(|_| Refused::Unanswered);
            bridge.answer(&caller, answer);
            bridge.look();
        }));
    }

    fn answer(&mut self, caller: &Caller, answer: Result<Value, Refused>) {
        let Caller { verb, transaction } = caller;
        let mut response = match &answer {
            Ok(data) => {
                self.config.counters.increment(Count::CommandsAccepted);
                info!(self.config.log, "request carried out"; "request" => verb);
                json!({"status": "ok", "data": data})
            }
            Err(error) => {
                self.config.counters.increment(Count::CommandsRefused);
                warn!(self.config.log, "request refused"; "request" => verb, "reason" => "request refused", "error" => %error);
                json!({"status": "error", "data": {}, "error": error.to_string()})
            }
        };
        if let (Value::Object(members), Some(transaction)) = (&mut response, transaction) {
            members.insert("transaction".to_owned(), transaction.clone());
        }
        let message = self.event(&format!("response/{verb}"), &response);
        self.send(vec![message]);
    }
}

/// The answer to every entry.
fn report(report: SetReport) -> Value {
    serde_json::from_str(&report.to_json()).unwrap_or_default()
}
