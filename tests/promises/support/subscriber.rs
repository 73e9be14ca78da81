//! A client of the broker that sees every message and can send some.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use paho_mqtt as mqtt;
use serde_json::Value;

use super::broker::Broker;
use super::{DEADLINE, wait_for};

/// A message as the broker passed it on.
#[derive(Debug, Clone)]
pub struct Received {
    pub topic: String,
    pub payload: String,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.payload)
            .unwrap_or_else(|error| panic!("{}: {error}: {}", self.topic, self.payload))
    }
}

/// Subscribed to everything until it is dropped; connects again by itself.
pub struct Subscriber {
    client: mqtt::AsyncClient,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Subscriber {
    pub fn connect(broker: &Broker) -> Self {
        Self::connect_as(broker, mqtt::ConnectOptionsBuilder::new())
    }

    /// Somebody who comes later, and is told what the broker has kept.
    pub fn late(broker: &Broker) -> Self {
        let uri = format!("tcp://127.0.0.1:{}", broker.port());
        Self::connect_to(&uri, mqtt::ConnectOptionsBuilder::new()).unwrap()
    }

    /// With the user name and password that the caller put into `options`.
    pub fn connect_as(broker: &Broker, options: mqtt::ConnectOptionsBuilder) -> Self {
        let uri = format!("tcp://127.0.0.1:{}", broker.port());
        let subscriber = Self::connect_to(&uri, options).unwrap();
        subscriber.wait_until_subscribed();
        subscriber
    }

    /// At this address, where the broker may grant less than everything.
    pub fn connect_to(uri: &str, mut options: mqtt::ConnectOptionsBuilder) -> mqtt::Result<Self> {
        let creation = mqtt::CreateOptionsBuilder::new()
            .server_uri(uri)
            .client_id(format!("observer-{}", super::free_port()))
            .persistence(None)
            .finalize();
        let client = mqtt::AsyncClient::new(creation).unwrap();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let sink = Arc::clone(&received);
        client.set_message_callback(move |_, message| {
            if let Some(message) = message {
                sink.lock().unwrap().push(Received {
                    topic: message.topic().to_owned(),
                    payload: message.payload_str().into_owned(),
                });
            }
        });
        client.set_connected_callback(|client| {
            client.subscribe("#", 1);
        });
        let options = options
            .automatic_reconnect(Duration::from_millis(50), Duration::from_millis(200))
            .clean_session(true)
            .finalize();
        let connected = client
            .connect(options)
            .wait_for(DEADLINE)
            .and_then(|_| client.subscribe("#", 1).wait_for(DEADLINE));
        if let Err(error) = connected {
            // The library hangs when the last handle of a client is dropped by its own callback, which may hold one yet.
            std::mem::forget(client);
            return Err(error);
        }
        Ok(Self { client, received })
    }

    /// Everything received so far.
    pub fn all(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Everything received so far on this topic.
    pub fn on(&self, topic: &str) -> Vec<Received> {
        self.all()
            .into_iter()
            .filter(|message| message.topic == topic)
            .collect()
    }

    /// Everything received so far, and forgets it.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut *self.received.lock().unwrap())
    }

    /// Forgets what was received.
    pub fn forget(&self) {
        self.received.lock().unwrap().clear();
    }

    /// The first `count` messages on a topic, as soon as there are so many.
    pub fn wait_on(&self, topic: &str, count: usize) -> Vec<Received> {
        wait_for(&format!("{count} messages on {topic}"), || {
            Some(self.on(topic)).filter(|messages| messages.len() >= count)
        })
    }

    /// Waits for the gateway to say `online` or `offline`, not counting what was retained before we came.
    pub fn wait_for_state(&self, gateway_id: &str, state: &str) {
        let topic = format!("v2/{gateway_id}/status");
        wait_for(&format!("{topic} to say {state}"), || {
            self.on(&topic)
                .last()
                .filter(|message| message.json()["state"] == state)
                .map(|_| ())
        });
    }

    /// Sends a message at QoS 1 and waits for the acknowledgement.
    pub fn publish(&self, topic: &str, payload: &str) {
        self.client
            .publish(mqtt::Message::new(topic, payload, 1))
            .wait()
            .unwrap();
    }

    /// Sends a message at QoS 1 if there is a connection.
    pub fn try_publish(&self, topic: &str, payload: &str) {
        self.client
            .publish(mqtt::Message::new(topic, payload, 1))
            .wait_for(Duration::from_secs(2))
            .ok();
    }

    /// Sends a retained message at QoS 1 and waits for the acknowledgement.
    pub fn publish_retained(&self, topic: &str, payload: &str) {
        self.client
            .publish(mqtt::Message::new_retained(topic, payload, 1))
            .wait()
            .unwrap();
    }

    /// Waits until everything that the broker has acknowledged by now has come, and if the broker is new, until we are subscribed there.
    pub fn catch_up(&self) {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let (topic, call) = ("observer/caught-up", CALLS.fetch_add(1, SeqCst).to_string());
        wait_for("the subscriber to catch up", || {
            self.try_publish(topic, &call);
            std::thread::sleep(Duration::from_millis(20));
            let received = self.received.lock().unwrap();
            received
                .iter()
                .any(|message| message.topic == topic && message.payload == call)
                .then_some(())
        });
    }

    fn wait_until_subscribed(&self) {
        let topic = "observer/ready";
        wait_for("the subscription", || {
            self.publish(topic, "");
            std::thread::sleep(Duration::from_millis(20));
            self.on(topic).first().map(|_| ())
        });
        self.forget();
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.client
            .disconnect(None)
            .wait_for(Duration::from_secs(2))
            .ok();
    }
}
