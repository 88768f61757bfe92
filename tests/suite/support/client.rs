//! A blocking client that knows nothing but RESP: raw bytes out, replies as trees in, over TCP or a Unix socket.
//! Every read has a deadline, so a server that stays silent fails a test instead of hanging it.

use super::notation::{encode, show, split};
use super::reply::Reply;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where a server listens.
#[derive(Clone, Debug)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// How long a reply may take unless the test says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long several servers may take to agree.
pub const SETTLE_MAX: Duration = Duration::from_secs(20);

/// A connection.
pub struct Client {
    stream: Stream,
    patience: Duration,
    /// What has arrived and is not decoded yet.
    arrived: Vec<u8>,
    at: usize,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// What the system says.
    pub fn connect(address: &Address) -> io::Result<Client> {
        let stream = match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Stream::Tcp(stream)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Stream::Unix(stream)
            }
        };
        Ok(Client { stream, patience: PATIENCE, arrived: Vec::new(), at: 0 })
    }

    /// Sets how long `read` waits for a whole reply.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Sends a request and waits for one reply.
    ///
    /// # Errors
    /// As `read`.
    pub fn call(&mut self, args: &[impl AsRef<[u8]>]) -> io::Result<Reply> {
        self.send(args)?;
        self.read()
    }

    /// Sends a request in redis-cli notation and waits for one reply.
    ///
    /// # Panics
    /// If there is no reply, as nearly every test wants just that.
    pub fn run(&mut self, request: &str) -> Reply {
        let args = split(request).unwrap_or_else(|error| panic!("{error}"));
        self.call(&args).unwrap_or_else(|error| panic!("no reply to {request}: {error}"))
    }

    /// A field of INFO.
    ///
    /// # Panics
    /// If INFO does not tell it.
    pub fn info(&mut self, field: &str) -> String {
        let text = self.run("INFO everything").lossy();
        let found = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        found.unwrap_or_else(|| panic!("no {field} in {text}")).to_owned()
    }

    /// A figure of INFO.
    ///
    /// # Panics
    /// If INFO does not tell it, or what it tells is no figure.
    pub fn figure(&mut self, field: &str) -> u64 {
        let value = self.info(field);
        value.parse().unwrap_or_else(|_| panic!("{field} is {value}"))
    }

    /// Sends a request.
    ///
    /// # Errors
    /// What the system says.
    pub fn send(&mut self, args: &[impl AsRef<[u8]>]) -> io::Result<()> {
        let mut bytes = Vec::new();
        encode(args, &mut bytes);
        self.send_raw(&bytes)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// What the system says.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }

    /// Sends all requests at once, then reads a reply for each. The replies that came before an error are kept.
    pub fn pipeline(&mut self, requests: &[impl AsRef<[Vec<u8>]>]) -> (Vec<Reply>, io::Result<()>) {
        let mut bytes = Vec::new();
        requests.iter().for_each(|args| encode(args.as_ref(), &mut bytes));
        let mut replies = Vec::with_capacity(requests.len());
        if let Err(error) = self.send_raw(&bytes) {
            return (replies, Err(error));
        }
        for request in requests {
            match self.read() {
                Ok(reply) => replies.push(reply),
                Err(error) => {
                    let told = format!("no reply to {}: {error}", show(request.as_ref()));
                    return (replies, Err(io::Error::new(error.kind(), told)));
                }
            }
        }
        (replies, Ok(()))
    }

    /// Waits for the next reply.
    ///
    /// # Errors
    /// `TimedOut` if it does not come in time, `UnexpectedEof` if the server closed, `InvalidData` if it is not RESP.
    pub fn read(&mut self) -> io::Result<Reply> {
        self.read_within(self.patience)
    }

    /// Waits this long for the next reply.
    ///
    /// # Errors
    /// As `read`.
    pub fn read_within(&mut self, patience: Duration) -> io::Result<Reply> {
        let deadline = Instant::now() + patience;
        loop {
            match Reply::decode(&self.arrived[self.at..]) {
                Ok(Some((reply, length))) => {
                    self.at += length;
                    return Ok(reply);
                }
                Ok(None) => self.fill(deadline)?,
                Err(what) => return Err(io::Error::new(io::ErrorKind::InvalidData, what)),
            }
        }
    }

    /// True if the server closes the connection within this time; what arrives before is dropped.
    pub fn closes_within(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            match self.fill(deadline) {
                Ok(()) => {}
                Err(error) => return !matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock),
            }
        }
    }

    fn fill(&mut self, deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.arrived.drain(..self.at);
        self.at = 0;
        let mut chunk = [0; 1 << 16];
        let read = match &mut self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut chunk)),
            Stream::Unix(stream) => stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut chunk)),
        };
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                self.arrived.extend_from_slice(&chunk[..length]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
            Err(error) => Err(error),
        }
    }
}

/// Runs a request until its reply is as wanted; that reply.
///
/// # Panics
/// If it never is.
pub fn until(client: &mut Client, request: &str, wanted: impl Fn(&str) -> bool) -> String {
    let start = Instant::now();
    loop {
        let reply = client.run(request).lossy();
        if wanted(&reply) {
            return reply;
        }
        assert!(start.elapsed() < SETTLE_MAX, "{request} stays at {reply}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
