//! The bytes of a whole file on their way into a sink, with a checksum over them. Where the sink can change the header
//! afterwards, the header tells the version that turned out to be needed, and the checksum is put together at the end.

use super::encode::Out;
use super::format::{HEADER_LEN, opcode};
use crate::ds::algo::crc64::{Crc64, checksum, combine};
use crate::persist::snapshot::sink::Sink;
use std::io;

/// Bytes written at once.
const CHUNK: usize = 256 << 10;

/// A file being written.
pub struct Output<S: Sink + ?Sized> {
    buffer: Vec<u8>,
    crc: Option<Crc64>,
    /// Bytes behind the header that are in the checksum.
    summed: u64,
    error: Option<io::Error>,
    sink: Box<S>,
}

impl<S: Sink + ?Sized> Output<S> {
    /// Begins a file; `with_checksum` is `rdbchecksum`.
    pub fn new(sink: Box<S>, with_checksum: bool) -> Self {
        let crc = with_checksum.then(Crc64::new);
        let version = sink.announces();
        let mut out = Output { buffer: Vec::with_capacity(CHUNK), crc, summed: 0, error: None, sink };
        out.write(&header(version));
        out
    }

    /// True if something could not be written: all that follows is in vain.
    pub fn failed(&self) -> bool {
        self.error.is_some()
    }

    /// Ends the file: `version` is the lowest that knows all of its content. Returns its length.
    ///
    /// # Errors
    /// The first error of the sink; it has left nothing behind then.
    pub fn finish(mut self, version: u16) -> io::Result<u64> {
        self.put(&[opcode::EOF]);
        self.flush();
        let header = header(if self.sink.patches_header() { version } else { self.sink.announces() });
        let sum = self.crc.as_ref().map_or(0, |crc| combine(checksum(&header), crc.value(), self.summed));
        self.write(&sum.to_le_bytes());
        let result = match self.error.take() {
            Some(error) => Err(error),
            None => self.sink.finish(&header),
        };
        if result.is_err() {
            self.sink.abandon();
        }
        result.map(|()| HEADER_LEN as u64 + self.summed + 8)
    }

    /// Gives the file up. Returns the error that the sink met, if it met one.
    pub fn abandon(mut self) -> Option<io::Error> {
        self.sink.abandon();
        self.error.take()
    }

    /// Passes on what is gathered.
    pub fn flush(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.sum(&buffer);
        self.write(&buffer);
        buffer.clear();
        self.buffer = buffer;
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.error.is_none()
            && let Err(error) = self.sink.write(bytes)
        {
            self.error = Some(error);
        }
    }

    fn sum(&mut self, bytes: &[u8]) {
        if let Some(crc) = &mut self.crc {
            crc.update(bytes);
        }
        self.summed += bytes.len() as u64;
    }
}

impl<S: Sink + ?Sized> Out for Output<S> {
    fn put(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() > CHUNK {
            self.flush();
        }
        if bytes.len() >= CHUNK {
            self.sum(bytes);
            return self.write(bytes);
        }
        self.buffer.extend_from_slice(bytes);
    }
}

fn header(version: u16) -> [u8; HEADER_LEN] {
    let mut header = *b"REDIS0000";
    for (place, power) in header[5..].iter_mut().zip([1000, 100, 10, 1]) {
        *place += (version / power % 10) as u8;
    }
    header
}
