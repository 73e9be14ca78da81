//! A connection that has to be done by a point in time, however slowly the other end reads or writes.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Every call fails once the time is over.
pub(super) struct Timed {
    stream: UnixStream,
    until: Instant,
}

impl Timed {
    pub(super) fn new(stream: UnixStream, within: Duration) -> Self {
        Self {
            stream,
            until: Instant::now() + within,
        }
    }

    /// Reads one line, without its end. `None` if the connection ended before.
    ///
    /// # Errors
    /// Those of the connection; [`io::ErrorKind::InvalidData`] for one longer than `limit` bytes or not UTF-8.
    pub(super) fn line(&mut self, limit: usize) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let count = self.read(&mut chunk)?;
            let new = chunk.get(..count).unwrap_or_default();
            let end = new.iter().position(|byte| *byte == b'\n');
            line.extend_from_slice(new.get(..end.unwrap_or(count)).unwrap_or_default());
            if line.len() > limit {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "line too long"));
            }
            if end.is_some() {
                let text = String::from_utf8(line);
                return text.map(Some).map_err(|_| {
                    io::Error::new(io::ErrorKind::InvalidData, "a line that is not text")
                });
            }
            if count == 0 {
                return Ok(None);
            }
        }
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        match self.until.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            _ => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
