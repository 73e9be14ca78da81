//! The relay: carries the bytes between the MQTT library and the broker, so that the library never meets a broken connection.
//!
//! In the library (Paho C 1.3.16) a message whose write fails is freed twice, which aborts the whole program; its own reports of that are
//! open (paho.mqtt.c 1532, 1621, 1622). So the library talks to a socket on the loopback interface that never breaks, and the relay talks
//! to the broker. When that connection ends, the relay tells the session and goes on swallowing what the library writes, until the session
//! has let the library close its side in peace. Until the library is connected, and sends no messages yet, an end is passed on, so that
//! its connect fails at once.
//!
//! That the connection to the broker is ours has more to it. Names are resolved here, and not under the library's one lock; all addresses of a
//! host are tried; silence is seen; and a connection can be cut so that the broker publishes the last will, which the library cannot.
//!
//! With TLS the library must know the broker's name, so there it takes the relay for an HTTP proxy and asks it to `CONNECT`; what the
//! relay carries then is encrypted between library and broker.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::linux::net::TcpStreamExt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use super::config::BrokerUrl;
use super::failure::Failure;

/// A connection to the broker with a way in for the library. When it is dropped the connection is cut.
pub(super) struct Relay(Arc<Shared>);

/// How far it is.
pub(super) enum Stage {
    /// On the way to the broker.
    Dialling,
    /// The library may connect to this port.
    Ready(u16),
    /// There is no way to the broker.
    Failed(Failure),
}

struct Shared {
    state: Mutex<State>,
    waker: Waker,
    born: Instant,
    /// When the broker was last heard, in milliseconds after `born`.
    heard: AtomicU64,
}

struct State {
    stage: Stage,
    remote: Option<TcpStream>,
    local: Option<TcpStream>,
    end: End,
}

/// What becomes of the end of the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The library is to see it.
    Shown,
    /// The library must not see it.
    Hidden,
    /// It has come.
    Come,
}

impl Relay {
    /// Begins to connect. Returns at once; `waker` is called when the stage changes and when the connection ends.
    pub(super) fn dial(url: &BrokerUrl, within: Duration, waker: Waker) -> Result<Self, Failure> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                stage: Stage::Dialling,
                remote: None,
                local: None,
                end: End::Shown,
            }),
            waker,
            born: Instant::now(),
            heard: AtomicU64::new(0),
        });
        let relay = Self(Arc::clone(&shared));
        let url = url.clone();
        spawn("mqtt-up", move || shared.run(&url, within))?;
        Ok(relay)
    }

    /// How far it is. A failure is told once.
    pub(super) fn stage(&self) -> Stage {
        let mut state = self.0.state();
        match &state.stage {
            Stage::Dialling => Stage::Dialling,
            Stage::Ready(port) => Stage::Ready(*port),
            Stage::Failed(_) => std::mem::replace(&mut state.stage, Stage::Dialling),
        }
    }

    /// From now on the library does not see the connection end. If it has ended already, answers false.
    pub(super) fn hide_end(&self) -> bool {
        let mut state = self.0.state();
        if state.end == End::Shown {
            state.end = End::Hidden;
        }
        state.end == End::Hidden
    }

    /// Whether the connection has ended.
    pub(super) fn is_broken(&self) -> bool {
        self.0.state().end == End::Come
    }

    /// How long the broker has said nothing.
    pub(super) fn silence(&self) -> Duration {
        let heard = Duration::from_millis(self.0.heard.load(Relaxed));
        self.0.born.elapsed().saturating_sub(heard)
    }

    /// Ends the connection as if it broke.
    pub(super) fn cut(&self) {
        self.0.end();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
    }
}

impl Shared {
    /// The thread that carries what the library says.
    fn run(self: Arc<Self>, url: &BrokerUrl, within: Duration) {
        let (mut local, mut remote) = match self.open(url, within) {
            Ok(streams) => streams,
            Err(failure) => {
                self.state().stage = Stage::Failed(failure);
                self.waker.wake_by_ref();
                return;
            }
        };
        let mut buffer = vec![0; BUFFER];
        loop {
            match local.read(&mut buffer) {
                Ok(count @ 1..) => {
                    let said = buffer.get(..count).unwrap_or_default();
                    // After the end everything is swallowed.
                    if !self.has_ended() && remote.write_all(said).is_err() {
                        self.end();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The library has closed its side.
                Ok(0) | Err(_) => break,
            }
        }
        self.end();
    }

    /// Connects to the broker, then lets the library in.
    fn open(
        self: &Arc<Self>,
        url: &BrokerUrl,
        within: Duration,
    ) -> Result<(TcpStream, TcpStream), Failure> {
        let remote = connect(url, within)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        self.state().stage = Stage::Ready(port);
        self.waker.wake_by_ref();
        let mut local = accept(&listener)?;
        if url.is_tls() {
            answer_as_proxy(&mut local)?;
        }
        local.set_nodelay(true)?;
        let mut state = self.state();
        state.remote = Some(remote.try_clone()?);
        state.local = Some(local.try_clone()?);
        if state.end == End::Come {
            return Err(Failure::new("given up"));
        }
        drop(state);
        let (from, to) = (remote.try_clone()?, local.try_clone()?);
        let shared = Arc::clone(self);
        spawn("mqtt-down", move || shared.carry_down(from, to))?;
        Ok((local, remote))
    }

    /// The thread that carries what the broker says.
    fn carry_down(&self, mut remote: TcpStream, mut local: TcpStream) {
        let mut buffer = vec![0; BUFFER];
        loop {
            match remote.read(&mut buffer) {
                Ok(count @ 1..) => {
                    acknowledge_now(&remote);
                    self.heard
                        .store(self.born.elapsed().as_millis() as u64, Relaxed);
                    let said = buffer.get(..count).unwrap_or_default();
                    if local.write_all(said).is_err() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
        self.end();
    }

    /// The connection to the broker ends here.
    fn end(&self) {
        let mut state = self.state();
        let before = std::mem::replace(&mut state.end, End::Come);
        if let Some(remote) = state.remote.take() {
            // One that is closed already is as good.
            let _ = remote.shutdown(Shutdown::Both);
        }
        if let Some(local) = state.local.take()
            && before == End::Shown
        {
            let _ = local.shutdown(Shutdown::Both);
        }
        drop(state);
        self.waker.wake_by_ref();
    }

    fn has_ended(&self) -> bool {
        self.state().end == End::Come
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends the acknowledgement of what was read, which the system would keep for up to 40 ms to send it with other data. A broker that, like
/// mosquitto, follows Nagle's algorithm answers the first of several messages at once, and the others only when that answer is acknowledged.
/// To be called after every read; where it fails nothing is lost but time.
fn acknowledge_now(stream: &TcpStream) {
    let _ = stream.set_quickack(true);
}

/// Tries all addresses of the broker, each for its part of the time.
fn connect(url: &BrokerUrl, within: Duration) -> Result<TcpStream, Failure> {
    let deadline = Instant::now() + within;
    let addresses: Vec<SocketAddr> = (url.host(), url.port())
        .to_socket_addrs()
        .map_err(|error| Failure::new(format!("{} is not found: {error}", url.host())))?
        .collect();
    let mut failure = Failure::new(format!("{} has no address", url.host()));
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let part = left / u32::try_from(addresses.len() - tried).unwrap_or(1);
        match TcpStream::connect_timeout(address, part.max(SHORTEST_ATTEMPT)) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failure = Failure::of_dialling(*address, &error),
        }
    }
    Err(failure)
}

/// The library connects at once, or not at all.
fn accept(listener: &TcpListener) -> Result<TcpStream, Failure> {
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + LOCAL_PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        if Instant::now() >= deadline {
            return Err(Failure::new("the MQTT library did not connect"));
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Reads `CONNECT broker:port HTTP/1.1` and its headers, and says yes: the connection is there already.
fn answer_as_proxy(local: &mut TcpStream) -> Result<(), Failure> {
    local.set_read_timeout(Some(LOCAL_PATIENCE))?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if request.len() >= LONGEST_REQUEST {
            return Err(Failure::new("the MQTT library asks for too much"));
        }
        let mut byte = [0];
        local.read_exact(&mut byte)?;
        request.extend(byte);
    }
    local.set_read_timeout(None)?;
    local.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    Ok(())
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK)
        .spawn(work)?;
    Ok(())
}

/// What is read at once.
const BUFFER: usize = 64 * 1024;

/// Enough for copying, and for the resolver of host names.
const STACK: usize = 256 * 1024;

/// An address is not given up earlier.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(500);

/// How long the library may take for what it does at once.
const LOCAL_PATIENCE: Duration = Duration::from_secs(5);

/// The request that the library makes is far shorter.
const LONGEST_REQUEST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// A relay to a listener of ours, and both ends.
    fn relay() -> (Relay, TcpStream, TcpStream) {
        let broker = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("mqtt://127.0.0.1:{}", broker.local_addr().unwrap().port());
        let relay = Relay::dial(&url.parse().unwrap(), PATIENCE, Waker::noop().clone()).unwrap();
        let (remote, _) = broker.accept().unwrap();
        let local = TcpStream::connect((Ipv4Addr::LOCALHOST, port(&relay))).unwrap();
        for stream in [&local, &remote] {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        (relay, local, remote)
    }

    const PATIENCE: Duration = Duration::from_secs(30);

    fn port(relay: &Relay) -> u16 {
        wait_for(|| match relay.stage() {
            Stage::Ready(port) => Some(port),
            Stage::Dialling => None,
            Stage::Failed(failure) => panic!("{failure}"),
        })
    }

    fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn hear(from: &mut TcpStream, expected: &[u8]) {
        let mut heard = vec![0; expected.len()];
        from.read_exact(&mut heard).unwrap();
        assert_eq!(heard, expected);
    }

    #[test]
    fn carries_both_ways() {
        let (relay, mut local, mut remote) = relay();
        let long: Vec<_> = (0..300_000_u32).map(|number| number as u8).collect();
        local.write_all(b"up").unwrap();
        hear(&mut remote, b"up");
        remote.write_all(&long).unwrap();
        hear(&mut local, &long);
        assert!(!relay.is_broken());
        assert!(relay.silence() < Duration::from_secs(10));
    }

    #[test]
    fn before_the_library_is_connected_it_sees_the_end() {
        let (relay, mut local, remote) = relay();
        drop(remote);
        assert_eq!(local.read(&mut [0]).unwrap(), 0);
        wait_for(|| relay.is_broken().then_some(()));
        assert!(!relay.hide_end());
    }

    #[test]
    fn later_it_does_not_and_may_write_on() {
        let (relay, mut local, mut remote) = relay();
        local.write_all(b"x").unwrap();
        hear(&mut remote, b"x");
        assert!(relay.hide_end());
        drop(remote);
        wait_for(|| relay.is_broken().then_some(()));
        for _ in 0..100 {
            local.write_all(&[0; 100_000]).unwrap();
        }
        local
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        assert_eq!(
            local.read(&mut [0]).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }

    #[test]
    fn a_cut_ends_it_at_the_broker_only() {
        let (relay, mut local, mut remote) = relay();
        local.write_all(b"x").unwrap();
        hear(&mut remote, b"x");
        assert!(relay.hide_end());
        relay.cut();
        assert_eq!(remote.read(&mut [0]).unwrap(), 0);
        local.write_all(&[0; 1000]).unwrap();
    }

    #[test]
    fn a_closed_library_ends_it_at_the_broker() {
        let (_relay, local, mut remote) = relay();
        drop(local);
        assert_eq!(remote.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn failures_are_told() {
        let unused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = unused.local_addr().unwrap().port();
        drop(unused);
        for (url, expected) in [
            (format!("mqtt://127.0.0.1:{port}"), "(return code 111)"),
            ("mqtt://does-not-exist.invalid".to_owned(), "is not found"),
        ] {
            let relay =
                Relay::dial(&url.parse().unwrap(), PATIENCE, Waker::noop().clone()).unwrap();
            let failure = wait_for(|| match relay.stage() {
                Stage::Failed(failure) => Some(failure.to_string()),
                _ => None,
            });
            assert!(failure.contains(expected), "{failure}");
        }
    }
}
