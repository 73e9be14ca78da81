//! The MQTT library alone: as many messages of the same size, with as many on their way at once as the Publisher has.

use std::collections::VecDeque;

use paho_mqtt::{
    AsyncClient, ConnectOptionsBuilder, CreateOptionsBuilder, MQTT_VERSION_3_1_1, Message,
};

/// Sends the messages and waits until all are acknowledged.
pub fn publish(url: &str, messages: usize) {
    let options = CreateOptionsBuilder::new()
        .server_uri(url)
        .client_id("alone")
        .persistence(None)
        .max_buffered_messages(WINDOW as i32)
        .finalize();
    let client = AsyncClient::new(options).unwrap();
    let options = ConnectOptionsBuilder::with_mqtt_version(MQTT_VERSION_3_1_1)
        .max_inflight(WINDOW as i32)
        .finalize();
    client.connect(options).wait().unwrap();
    let mut on_their_way = VecDeque::with_capacity(WINDOW);
    for _ in 0..messages {
        if on_their_way.len() == WINDOW {
            let oldest: paho_mqtt::DeliveryToken = on_their_way.pop_front().unwrap();
            oldest.wait().unwrap();
        }
        on_their_way.push_back(client.publish(Message::new(TOPIC, PAYLOAD, 1)));
    }
    for token in on_their_way {
        token.wait().unwrap();
    }
    client.disconnect(None).wait().unwrap();
}

/// As [`omnigate_actors::publisher::Config::new`] has it.
const WINDOW: usize = 200;

const TOPIC: &str = "v2/load/kam-32666857/data";
const PAYLOAD: &str = r#"{"channelNumber":1,"aggregateType":"Raw","dataType":"accumulated-power","value":424788.78,"timestamp":"2026-11-24T03:55:08Z"}"#;
