//! A client of the C library, for one attempt to connect and the connection that comes of it. The only place that calls the library.

use std::fs::File;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use paho_mqtt::{
    AsyncClient, ConnectOptions, ConnectOptionsBuilder, CreateOptionsBuilder, Error,
    MQTT_VERSION_3_1_1, Message, SslOptions, SslOptionsBuilder, Token,
};
use zeroize::Zeroizing;

use super::config::{Broker, Config, Subscription};
use super::failure::Failure;
use super::inbox::{Inbox, Incoming};
use super::relay::Relay;
use super::session::{Outgoing, QoS};

/// See the [module documentation](self).
///
/// The fields are dropped in this order: the token holds a reference to the client too, and the last one must not be dropped by the
/// library's own thread; the relay must outlast both.
pub(super) struct Client {
    wires: Arc<Wires>,
    paho: AsyncClient,
    connecting: Token,
    relay: Relay,
    broker: Arc<Broker>,
}

/// What the library's callbacks reach.
struct Wires {
    inbox: Arc<Inbox>,
    waker: Waker,
    largest_payload: usize,
    /// Its messages are still wanted.
    active: AtomicBool,
    lost: AtomicBool,
}

impl Client {
    /// Begins to connect, through the relay, which listens at `port`. Returns at once.
    pub(super) fn connect(
        config: &Config,
        broker: &Arc<Broker>,
        relay: Relay,
        port: u16,
        inbox: &Arc<Inbox>,
        waker: &Waker,
    ) -> Result<Self, Failure> {
        keep_library_running();
        let options = connect_options(config, broker, port)?;
        let url = &broker.url;
        let uri = match url.is_tls() {
            true => url.to_string(),
            false => format!("mqtt://127.0.0.1:{port}"),
        };
        let paho = CreateOptionsBuilder::new()
            .server_uri(uri)
            .client_id(config.client_id.as_str())
            .mqtt_version(MQTT_VERSION_3_1_1)
            .persistence(None)
            .max_buffered_messages(clamped(config.window + config.subscriptions.len() + 1))
            .create_client()
            .map_err(Failure::from)?;
        let wires = Arc::new(Wires {
            inbox: Arc::clone(inbox),
            waker: waker.clone(),
            largest_payload: config.largest_payload,
            active: AtomicBool::new(true),
            lost: AtomicBool::new(false),
        });
        let to = Arc::clone(&wires);
        paho.set_connection_lost_callback(move |_| to.lose());
        let to = Arc::clone(&wires);
        paho.set_message_callback(move |_, message| {
            if let Some(message) = message {
                to.deliver(&message);
            }
        });
        let connecting = paho.connect(options);
        Ok(Self {
            wires,
            paho,
            connecting,
            relay,
            broker: Arc::clone(broker),
        })
    }

    /// Whom it connects to.
    pub(super) fn broker(&self) -> &Broker {
        &self.broker
    }

    /// How the connect ended, once.
    pub(super) fn poll_connect(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Pin::new(&mut self.connecting)
            .poll(cx)
            .map_ok(drop)
            .map_err(Failure::of_connect)
    }

    /// To be called before the first message. Answers false if the connection has ended already.
    pub(super) fn begin(&self) -> bool {
        self.relay.hide_end()
    }

    /// Whether the connection has ended, and why.
    pub(super) fn end(&self) -> Option<Failure> {
        let keep_alive = self.broker.keep_alive;
        if self.relay.is_broken() {
            return Some(Failure::new("the connection broke"));
        }
        if self.wires.lost.load(SeqCst) {
            return Some(Failure::new("the MQTT library gave the connection up"));
        }
        // The library asks for a sign of life after `keep_alive`, and would wait longer for it.
        (self.relay.silence() > keep_alive + keep_alive / 2)
            .then(|| Failure::new("the broker gives no sign of life"))
    }

    /// Whether nothing is carried any more.
    pub(super) fn has_ended(&self) -> bool {
        self.relay.is_broken()
    }

    /// Ends the connection as if it broke: the broker publishes the last will. The library does not notice.
    pub(super) fn cut(&self) {
        self.wires.active.store(false, SeqCst);
        self.relay.cut();
    }

    /// Asks for a subscription.
    pub(super) fn subscribe(&self, subscription: &Subscription) -> SubscribeToken {
        SubscribeToken(
            self.paho
                .subscribe(subscription.topic.as_str(), subscription.qos as i32),
        )
    }

    /// Hands a message to the library, which copies it.
    pub(super) fn publish(&self, message: Outgoing) -> Result<DeliveryToken, Failure> {
        let Outgoing {
            topic,
            payload,
            qos,
            retained,
        } = message;
        let message = match retained {
            true => Message::new_retained(&*topic, payload, qos as i32),
            false => Message::new(&*topic, payload, qos as i32),
        };
        let token = self.paho.try_publish(message)?;
        Ok(DeliveryToken(token.into()))
    }

    /// Begins to say goodbye, so that no last will is published. Nothing that happens on the connection from now on is told.
    pub(super) fn disconnect(&self) -> DisconnectToken {
        self.wires.active.store(false, SeqCst);
        DisconnectToken(self.paho.disconnect(None))
    }

    /// Leaves it to its fate. It lives on, because the library may still call back.
    pub(super) fn abandon(self) {
        self.cut();
        std::mem::forget(self);
    }
}

impl Wires {
    fn lose(&self) {
        self.lost.store(true, SeqCst);
        self.waker.wake_by_ref();
    }

    fn deliver(&self, message: &Message) {
        if !self.active.load(SeqCst) {
            return;
        }
        let payload = message.payload();
        let size = payload.len();
        let kept = if size > self.largest_payload {
            &[]
        } else {
            payload
        };
        self.inbox.push_message(Incoming {
            topic: message.topic().to_owned(),
            payload: Zeroizing::new(kept.to_vec()),
            size,
            retained: message.retained(),
        });
    }
}

/// A message on its way.
pub(super) struct DeliveryToken(Token);

impl DeliveryToken {
    /// Whether it is acknowledged.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map_ok(drop)
            .map_err(Failure::from)
    }
}

/// A goodbye on its way.
pub(super) struct DisconnectToken(Token);

impl DisconnectToken {
    /// Whether it is said, or can no longer be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

/// A subscription that was asked for.
pub(super) struct SubscribeToken(Token);

impl SubscribeToken {
    /// The broker's answer: what it grants, or a refusal.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Granted, Failure>> {
        Pin::new(&mut self.0).poll(cx).map(|answer| match answer {
            Ok(answer) => Ok(Granted::Up(answer.subscribe_response().unwrap_or(0))),
            // What the library makes of the return code 0x80.
            Err(Error::Failure) => Ok(Granted::Nothing),
            Err(error) => Err(error.into()),
        })
    }
}

/// A broker's answer to a subscription.
pub(super) enum Granted {
    /// Messages up to this quality of service.
    Up(i32),
    /// The broker refused (return code 0x80).
    Nothing,
}

impl Granted {
    pub(super) fn is_at_least(&self, qos: QoS) -> bool {
        matches!(self, Self::Up(granted) if *granted >= qos as i32)
    }
}

fn connect_options(
    config: &Config,
    broker: &Broker,
    relay: u16,
) -> Result<ConnectOptions, Failure> {
    let mut options = ConnectOptionsBuilder::with_mqtt_version(MQTT_VERSION_3_1_1);
    options
        .clean_session(true)
        .keep_alive_interval(broker.keep_alive)
        .connect_timeout(broker.connect_timeout)
        .max_inflight(clamped(config.window));
    if let Some(username) = &broker.username {
        options.user_name(username.as_str());
    }
    if let Some(password) = &broker.password {
        options.password(password.expose());
    }
    if let Some(will) = config.will.clone() {
        options.will_message(match will.retained {
            true => Message::new_retained(&*will.topic, will.payload, will.qos as i32),
            false => Message::new(&*will.topic, will.payload, will.qos as i32),
        });
    }
    if broker.url.is_tls() {
        options
            .ssl_options(tls_options(broker)?)
            .https_proxy(format!("http://127.0.0.1:{relay}"));
    }
    Ok(options.finalize())
}

fn tls_options(broker: &Broker) -> Result<SslOptions, Failure> {
    for path in broker.tls.files() {
        // The library would only say that there is no connection.
        File::open(path)
            .map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))?;
    }
    let mut options = SslOptionsBuilder::new();
    options.enable_server_cert_auth(true).verify(true);
    if let Some(path) = &broker.tls.ca_file {
        options.trust_store(path).map_err(Failure::from)?;
    }
    if let Some(path) = &broker.tls.certificate_file {
        options.key_store(path).map_err(Failure::from)?;
    }
    if let Some(path) = &broker.tls.private_key_file {
        options.private_key(path).map_err(Failure::from)?;
    }
    Ok(options.finalize())
}

fn clamped(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The library ends its threads with its last client, and a client that is made meanwhile may be left without any. So there is one that
/// never connects and is never destroyed.
fn keep_library_running() {
    static IDLE: OnceLock<Option<AsyncClient>> = OnceLock::new();
    IDLE.get_or_init(|| {
        CreateOptionsBuilder::new()
            .server_uri("mqtt://localhost")
            .client_id("idle")
            .persistence(None)
            .create_client()
            .ok()
    });
}
