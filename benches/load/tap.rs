//! A tap on the wire between the gateway and its broker: sees when readings are acknowledged.

use std::collections::HashSet;
use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

/// Carries every connection on to the broker.
pub struct Tap {
    port: u16,
    acknowledged: Receiver<Instant>,
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
    pub fn acknowledged(&self) -> &Receiver<Instant> {
        &self.acknowledged
    }
}

type Readings = Mutex<HashSet<[u8; 2]>>;

fn carry_up(from: TcpStream, mut to: TcpStream, readings: &Readings) {
    let mut from = BufReader::new(from);
    while let Ok((bytes, header)) = packet(&mut from) {
        if bytes[0] >> 4 == PUBLISH {
            let topic = header + 2;
            let end = topic + usize::from(u16::from_be_bytes([bytes[header], bytes[header + 1]]));
            if bytes[topic..end].ends_with(b"/data") {
                readings
                    .lock()
                    .unwrap()
                    .insert([bytes[end], bytes[end + 1]]);
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
    acknowledged: &Sender<Instant>,
) {
    let mut from = BufReader::new(from);
    while let Ok((bytes, header)) = packet(&mut from) {
        let now = Instant::now();
        if bytes[0] >> 4 == PUBACK
            && readings
                .lock()
                .unwrap()
                .remove(&[bytes[header], bytes[header + 1]])
        {
            acknowledged.send(now).ok();
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
