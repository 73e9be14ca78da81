//! Tries the broker: connects, and subscribes to the gateway's own status.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::Stream;
use omnigate_actors::counters::Counters;
use omnigate_actors::mqtt::{Config, Event, QoS, Session, Subscription, Turn};
use slog::{Discard, Logger, o};
use tokio::time::timeout;

use crate::settings::Settings;

/// Says whether the broker lets the gateway in, or why not.
pub async fn works(settings: &Settings) -> bool {
    println!("\nBroker {}", settings.mqtt.url);
    let topics = settings.gateway.id.topics();
    let config = Config {
        broker: settings.mqtt.broker().into(),
        // Of its own, so that a gateway that runs is not put out.
        client_id: topics.client_id("setup"),
        will: None,
        subscriptions: vec![Subscription {
            topic: topics.status(),
            qos: QoS::AtMostOnce,
        }],
        window: 1,
        largest_payload: 0,
        counters: Arc::new(Counters::new()),
    };
    let outcome = match Session::start(config, &Turn::default(), Logger::root(Discard, o!())) {
        Ok((session, mut events)) => {
            let outcome = async {
                while let Some(batch) = poll_fn(|cx| Pin::new(&mut events).poll_next(cx)).await {
                    for event in batch {
                        match event {
                            Event::Listening => return Ok(()),
                            Event::Disconnected { failure, .. } => return Err(failure.to_string()),
                            Event::SubscriptionRefused { topic, failure } => {
                                return Err(format!("it refuses the topic {topic}: {failure}"));
                            }
                            _ => {}
                        }
                    }
                }
                Err("the session ended".to_owned())
            };
            let outcome = timeout(PATIENCE, outcome).await;
            session.close();
            outcome.unwrap_or_else(|_| Err("it does not answer".to_owned()))
        }
        Err(error) => Err(error.to_string()),
    };
    match &outcome {
        Ok(()) => println!("  works: it lets this gateway in"),
        Err(reason) => println!("  does not work: {reason}"),
    }
    if settings.mqtt.password.is_some() && !settings.mqtt.url.is_private() {
        println!(
            "  careful: without TLS anybody on the way can read the password and the meters' keys; mqtts:// hides them"
        );
    }
    outcome.is_ok()
}

/// A broker that has said nothing by then is not going to.
const PATIENCE: Duration = Duration::from_secs(30);
