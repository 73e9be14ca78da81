//! A watcher at the broker: hears everything, and can say anything.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use paho_mqtt as mqtt;
use serde_json::Value;

use super::{PATIENCE, wait_for};

/// Connected until it is dropped.
pub struct Watcher {
    client: mqtt::AsyncClient,
    heard: Arc<Mutex<Vec<Heard>>>,
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub topic: String,
    pub payload: String,
    pub retained: bool,
}

impl Heard {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.payload).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

impl Watcher {
    pub fn at(url: &str) -> Self {
        Self::connect(url, mqtt::ConnectOptionsBuilder::new().finalize())
    }

    pub fn connect(url: &str, options: mqtt::ConnectOptions) -> Self {
        let client = mqtt::CreateOptionsBuilder::new()
            .server_uri(url)
            .client_id(format!("watcher-{}", super::free_port()))
            .persistence(None)
            .max_buffered_messages(1_000_000)
            .create_client()
            .unwrap();
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let list = Arc::clone(&heard);
        client.set_message_callback(move |_, message| {
            if let Some(message) = message {
                list.lock().unwrap().push(Heard {
                    topic: message.topic().to_owned(),
                    payload: message.payload_str().into_owned(),
                    retained: message.retained(),
                });
            }
        });
        client.connect(options).wait_for(PATIENCE).unwrap();
        client.subscribe("#", 1).wait_for(PATIENCE).unwrap();
        Self { client, heard }
    }

    /// Everything heard so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// What was heard on a topic so far.
    pub fn on(&self, topic: &str) -> Vec<Heard> {
        let heard = self.heard.lock().unwrap();
        heard
            .iter()
            .filter(|message| message.topic == topic)
            .cloned()
            .collect()
    }

    /// What was heard on a topic, as soon as there are so many messages.
    pub fn wait_on(&self, topic: &str, count: usize) -> Vec<Heard> {
        wait_for(&format!("{count} messages on {topic}"), || {
            Some(self.on(topic)).filter(|messages| messages.len() >= count)
        })
    }

    /// Waits until the last message on a topic holds this.
    pub fn wait_for_last(&self, topic: &str, text: &str) -> Heard {
        wait_for(&format!("{text} on {topic}"), || {
            self.on(topic)
                .pop()
                .filter(|message| message.payload.contains(text))
        })
    }

    pub fn forget(&self) {
        self.heard.lock().unwrap().clear();
    }

    /// Sends at QoS 1 and waits for the acknowledgement.
    pub fn say(&self, topic: &str, payload: &str) {
        self.client
            .publish(mqtt::Message::new(topic, payload, 1))
            .wait_for(PATIENCE)
            .unwrap();
    }

    /// Sends, retained, at QoS 1 and waits for the acknowledgement.
    pub fn say_for_ever(&self, topic: &str, payload: &str) {
        self.client
            .publish(mqtt::Message::new_retained(topic, payload, 1))
            .wait_for(PATIENCE)
            .unwrap();
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.client
            .disconnect(None)
            .wait_for(Duration::from_secs(2))
            .ok();
    }
}
