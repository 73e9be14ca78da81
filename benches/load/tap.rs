//! A tap on the wire between the gateway and its broker: sees when readings are acknowledged.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::TcpStreamExt;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

/// Carries every connection on to the broker.
pub struct Tap {
    port: u16,
    acknowledged: Receiver<Acknowledged>,
}

/// One of a reading's messages was acknowledged.
pub struct Acknowledged {
    pub topic: String,
    pub at: Instant,
}

impl Tap {
    pub fn before(broker: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, acknowledged) = mpsc::channel();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let far = TcpStream::connect(("127.0.0.1", broker)).unwrap();
                let readings = Arc::default();
                for stream in [&near, &far] {
                    stream.set_nodelay(true).unwrap();
                }
                let (from, to, on_their_way) = (
                    near.try_clone().unwrap(),
                    far.try_clone().unwrap(),
                    Arc::clone(&readings),
                );
                thread::spawn(move || carry_up(from, to, &on_their_way));
                let sender = sender.clone();
                thread::spawn(move || carry_down(far, near, &readings, &sender));
            }
        });
        Self { port, acknowledged }
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// When each reading's message was acknowledged.
    pub fn acknowledged(&self) -> &Receiver<Acknowledged> {
        &self.acknowledged
    }
}

/// The topics of the messages on their way, by packet identifier.
type Readings = Mutex<HashMap<[u8; 2], String>>;

fn carry_up(from: TcpStream, mut to: TcpStream, readings: &Readings) {
    let mut from = BufReader::new(from);
    while let Ok((bytes, header)) = packet(&mut from) {
        if bytes[0] >> 4 == PUBLISH {
            let topic = header + 2;
            let end = topic + usize::from(u16::from_be_bytes([bytes[header], bytes[header + 1]]));
            if bytes[topic..end].ends_with(b"/data") {
                let topic = String::from_utf8_lossy(&bytes[topic..end]).into_owned();
                let packet = [bytes[end], bytes[end + 1]];
                readings.lock().unwrap().insert(packet, topic);
            }
        }
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    to.shutdown(std::net::Shutdown::Both).ok();
}

fn carry_down(
    from: TcpStream,
    mut to: TcpStream,
    readings: &Readings,
    acknowledged: &Sender<Acknowledged>,
) {
    let mut from = BufReader::new(from);
    while let Ok((bytes, header)) = packet(&mut from) {
        // As the gateway does where there is no tap.
        from.get_ref().set_quickack(true).ok();
        let now = Instant::now();
        if bytes[0] >> 4 == PUBACK {
            let packet = [bytes[header], bytes[header + 1]];
            if let Some(topic) = readings.lock().unwrap().remove(&packet) {
                acknowledged.send(Acknowledged { topic, at: now }).ok();
            }
        }
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    to.shutdown(std::net::Shutdown::Both).ok();
}

/// The next packet's bytes, and how long its fixed header is (MQTT 3.1.1, 2.2).
fn packet(from: &mut impl Read) -> io::Result<(Vec<u8>, usize)> {
    let mut bytes = vec![0; 2];
    from.read_exact(&mut bytes)?;
    let mut length = usize::from(bytes[1] & 0x7F);
    while bytes[bytes.len() - 1] & 0x80 != 0 {
        let mut more = [0];
        from.read_exact(&mut more)?;
        length |= usize::from(more[0] & 0x7F) << (7 * (bytes.len() - 1));
        bytes.extend(more);
    }
    let header = bytes.len();
    bytes.resize(header + length, 0);
    from.read_exact(&mut bytes[header..])?;
    Ok((bytes, header))
}

const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
