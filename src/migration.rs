//! Sending keys to another server: the client's side of MIGRATE. It waits for the network, so it runs on a thread that may
//! wait; it knows keys and payloads as bytes only. Connections are kept for the next time.

use crate::types::{ClientId, DbIndex};
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where keys go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    pub host: String,
    pub port: u16,
    pub db: i64,
    /// How long connecting, and each further wait, may take.
    pub timeout: Duration,
    /// The arguments of AUTH.
    pub auth: Vec<Vec<u8>>,
}

/// A key on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moving {
    pub key: Vec<u8>,
    /// Milliseconds to live; 0 without end.
    pub ttl: i64,
    /// As DUMP tells it.
    pub payload: Vec<u8>,
}

/// Keys to be sent for a client.
#[derive(Debug)]
pub struct Job {
    pub client: ClientId,
    /// The database that they are in.
    pub source: DbIndex,
    pub target: Target,
    /// The keys stay here, too.
    pub copy: bool,
    /// Keys of the same name there are overwritten.
    pub replace: bool,
    /// The other side is a node of a cluster.
    pub asking: bool,
    pub keys: Vec<Moving>,
    /// How often these keys were sent before, and changed meanwhile.
    pub attempts: u32,
    /// The other side speaks TLS.
    pub tls: Option<Arc<ClientConfig>>,
}

/// What came of a job.
#[derive(Debug)]
pub struct Outcome {
    pub job: Job,
    /// Places in `job.keys` of those that arrived.
    pub arrived: Vec<usize>,
    /// The error to be answered.
    pub failure: Option<String>,
}

/// Connections to other servers that nobody uses at the moment. They are looked at by all threads that send keys.
#[derive(Clone, Default)]
pub struct Connections(Arc<Mutex<HashMap<Place, Kept>>>);

/// Host, port, and whether TLS is spoken.
type Place = (String, u16, bool);

/// A connection, and what the other side believes.
struct Kept {
    stream: Stream,
    db: i64,
    since: Instant,
}

/// Connections kept, and for how long.
const KEPT_MAX: usize = 64;
const KEPT_FOR: Duration = Duration::from_secs(10);

impl Connections {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.with(|kept| kept.len())
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closes those that nobody has used for a while.
    pub fn trim(&self) {
        self.with(|kept| kept.retain(|_, connection| connection.since.elapsed() < KEPT_FOR));
    }

    fn take(&self, place: &Place) -> Option<Kept> {
        self.with(|kept| kept.remove(place))
    }

    fn keep(&self, place: Place, connection: Kept) {
        self.with(|kept| {
            if kept.len() < KEPT_MAX {
                kept.insert(place, connection);
            }
        });
    }

    fn with<R>(&self, f: impl FnOnce(&mut HashMap<Place, Kept>) -> R) -> R {
        // A thread that panicked left the map as it was between two of its calls.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Where a conversation broke off.
enum Broken {
    Connecting,
    Writing,
    Reading,
    /// The other side wants none of it, in its own words.
    Refused(String),
}

impl Broken {
    fn text(self) -> String {
        match self {
            Broken::Connecting => "IOERR error or timeout connecting to the client".into(),
            Broken::Writing => "IOERR error or timeout writing to target instance".into(),
            Broken::Reading => "IOERR error or timeout reading from target instance".into(),
            Broken::Refused(words) => format!("ERR Target instance replied with error: {words}"),
        }
    }
}

/// A conversation that broke off, and whether it did because time was up.
type Break = (Broken, bool);

impl Job {
    /// Sends the keys and waits for the replies. Not to be called where others wait, unless they are to wait.
    pub fn run(self, connections: &Connections) -> Outcome {
        let mut arrived = Vec::new();
        let place = (self.target.host.clone(), self.target.port, self.tls.is_some());
        let mut kept = connections.take(&place);
        let failure = loop {
            let is_fresh = kept.is_none();
            match kept.take().map_or_else(|| self.connect(), Ok).and_then(|kept| self.talk(kept, &mut arrived)) {
                Ok((connection, refusal)) => {
                    if let Some(connection) = connection {
                        connections.keep(place, connection);
                    }
                    break refusal;
                }
                // The other side may have closed a connection that lay idle, which says nothing yet.
                Err((_, timed_out)) if !is_fresh && !timed_out && arrived.is_empty() => {}
                Err((broken, _)) => break Some(broken),
            }
        };
        Outcome { job: self, arrived, failure: failure.map(Broken::text) }
    }

    /// Sends everything, then reads all replies. Returns the connection, if it is good for another time, and the first
    /// refusal.
    fn talk(&self, mut connection: Kept, arrived: &mut Vec<usize>) -> Result<(Option<Kept>, Option<Broken>), Break> {
        let mut greetings = 0;
        let mut request = Vec::new();
        if !self.target.auth.is_empty() {
            push(&mut request, [&b"AUTH"[..]].into_iter().chain(self.target.auth.iter().map(Vec::as_slice)));
            greetings += 1;
        }
        if connection.db != self.target.db {
            push(&mut request, [&b"SELECT"[..], self.target.db.to_string().as_bytes()]);
            greetings += 1;
        }
        let command: &[u8] = if self.asking { b"RESTORE-ASKING" } else { b"RESTORE" };
        for moving in &self.keys {
            let replace = self.replace.then_some(&b"REPLACE"[..]);
            let ttl = moving.ttl.to_string();
            push(&mut request, [command, &moving.key, ttl.as_bytes(), &moving.payload].into_iter().chain(replace));
        }
        let sent = connection.stream.write_all(&request).and_then(|()| connection.stream.flush());
        sent.map_err(|error| (Broken::Writing, is_timeout(&error)))?;
        let mut replies = Replies { stream: &mut connection.stream, buffer: Vec::new() };
        for _ in 0..greetings {
            if let Err(words) = replies.next()? {
                return Ok((None, Some(Broken::Refused(words))));
            }
        }
        let mut refusal = None;
        for at in 0..self.keys.len() {
            match replies.next()? {
                Ok(()) => arrived.push(at),
                Err(words) => refusal = refusal.or(Some(Broken::Refused(words))),
            }
        }
        connection.db = self.target.db;
        connection.since = Instant::now();
        Ok((Some(connection), refusal))
    }

    fn connect(&self) -> Result<Kept, Break> {
        let target = &self.target;
        let addresses = (&*target.host, target.port).to_socket_addrs().map_err(|_| (Broken::Connecting, false))?;
        let mut timed_out = false;
        for address in addresses {
            let ready = TcpStream::connect_timeout(&address, target.timeout).and_then(|stream| {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(target.timeout))?;
                stream.set_write_timeout(Some(target.timeout))?;
                self.wrap(stream, address)
            });
            match ready {
                // Nobody has selected a database there.
                Ok(stream) => return Ok(Kept { stream, db: -1, since: Instant::now() }),
                Err(error) => timed_out |= is_timeout(&error),
            }
        }
        Err((Broken::Writing, timed_out))
    }

    /// Speaks TLS over a connection, if the other side does. Its certificate is looked at here.
    fn wrap(&self, stream: TcpStream, address: SocketAddr) -> io::Result<Stream> {
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(stream)) };
        let name = ServerName::try_from(self.target.host.clone()).unwrap_or(ServerName::IpAddress(address.ip().into()));
        let session = ClientConnection::new(tls.clone(), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Stream::Tls(Box::new(stream)))
    }
}

/// A connection in the clear, or over TLS.
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

/// Appends a request.
fn push<'a>(out: &mut Vec<u8>, args: impl IntoIterator<Item = &'a [u8]>) {
    let args: Vec<&[u8]> = args.into_iter().collect();
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// The other side's replies, in order.
struct Replies<'a> {
    stream: &'a mut Stream,
    buffer: Vec<u8>,
}

impl Replies<'_> {
    /// The next reply: good, or an error in the other side's words.
    fn next(&mut self) -> Result<Result<(), String>, Break> {
        /// A status or an error is short.
        const REPLY_MAX: usize = 64 << 10;
        loop {
            match decode(&self.buffer) {
                Ok(Some((frame, length))) => {
                    self.buffer.drain(..length);
                    return Ok(match frame {
                        OwnedFrame::Error(words) => Err(words),
                        _ => Ok(()),
                    });
                }
                Ok(None) if self.buffer.len() < REPLY_MAX => {}
                _ => return Err((Broken::Reading, false)),
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err((Broken::Reading, false)),
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((Broken::Reading, is_timeout(&error))),
            }
        }
    }
}
