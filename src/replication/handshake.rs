//! How a replica talks to its primary before the data come: who it is, what it knows of the history, and what the primary
//! makes of that.
//!
//! The primary's replies are read by the `redis-protocol` crate, under a limit of their own: what is on the other side need not
//! be a primary at all.

use super::NO_ID;
use crate::stream::encode;
use bytes::BufMut;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;
use std::io;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tracing::{info, warn};

/// A reply of a handshake is short.
const REPLY_MAX: usize = 64 << 10;
/// A line that announces a payload.
const LINE_MAX: usize = 1024;
/// Digits of a replication id, and bytes of the mark that ends a payload of unknown length.
pub const ID_LEN: usize = NO_ID.len();

/// What the replica says of itself.
#[derive(Clone, Debug, Default)]
pub struct Greeting {
    /// The arguments of AUTH; none if the primary needs no password.
    pub auth: Vec<Vec<u8>>,
    /// Where the replica can be reached.
    pub port: u16,
    pub address: Option<String>,
}

/// The history that the replica could go on with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    pub id: String,
    /// Bytes of it that the replica has.
    pub offset: u64,
}

/// What the primary has for the replica.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// All data come, as they are at this place of this history. An empty id: the primary does not say.
    Everything(Place),
    /// What is behind the place asked for comes; perhaps the history has another name now.
    Rest { id: Option<String> },
    /// Not now.
    Later,
    /// It is so old that it knows only SYNC, or it will not have us.
    Unknown,
}

/// A conversation broke off; the reason is in the log.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Broken;

/// One end of a conversation with a primary.
pub struct Conversation<S> {
    stream: S,
    /// What was read and not yet looked at.
    buffer: Vec<u8>,
    /// How long the handshake may take, and how long the other side may be silent when the data come. It may change meanwhile.
    patience: Patience,
    /// When the handshake began, or when the other side was last heard of since the data come.
    since: Instant,
    /// The data are on their way.
    transfers: bool,
}

/// Tells how long to wait.
pub type Patience = Box<dyn Fn() -> Duration>;

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    /// A conversation on a fresh connection.
    pub fn new(stream: S, patience: Patience) -> Self {
        Conversation { stream, buffer: Vec::new(), patience, since: Instant::now(), transfers: false }
    }

    /// The connection, and what was read of it and not yet used.
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.buffer)
    }

    /// Says who we are.
    ///
    /// # Errors
    /// The primary does not want us, is none, or went away.
    pub async fn greet(&mut self, greeting: &Greeting) -> Result<(), Broken> {
        self.say(&[b"PING"]).await?;
        match self.reply().await? {
            // Whoever wants a password is alive, too.
            Err(refusal) if !["NOAUTH", "NOPERM", "ERR operation not permitted"].iter().any(|no| refusal.starts_with(no)) => {
                warn!("Error reply to PING from master: '-{refusal}'");
                return Err(Broken);
            }
            _ => info!("Master replied to PING, replication can continue..."),
        }
        let port = greeting.port.to_string();
        let mut requests: Vec<Vec<&[u8]>> = Vec::new();
        if !greeting.auth.is_empty() {
            requests.push([&b"AUTH"[..]].into_iter().chain(greeting.auth.iter().map(Vec::as_slice)).collect());
        }
        requests.push(vec![b"REPLCONF", b"listening-port", port.as_bytes()]);
        if let Some(address) = &greeting.address {
            requests.push(vec![b"REPLCONF", b"ip-address", address.as_bytes()]);
        }
        requests.push(vec![b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"]);
        let mut bytes = Vec::new();
        requests.iter().for_each(|request| encode(&mut bytes, request.iter().copied()));
        self.send(&bytes).await?;
        for request in &requests {
            match (self.reply().await?, request[0]) {
                (Err(refusal), b"AUTH") => {
                    warn!("Unable to AUTH to MASTER: -{refusal}");
                    return Err(Broken);
                }
                // Old primaries do not know all of it.
                (Err(refusal), _) => {
                    let what = String::from_utf8_lossy(request[1]);
                    info!("(Non critical) Master does not understand REPLCONF {what}: -{refusal}");
                }
                (Ok(_), _) => {}
            }
        }
        Ok(())
    }

    /// Asks for what is behind a place, or for everything. `failover`: the other side is to become the primary.
    ///
    /// # Errors
    /// The primary went away.
    pub async fn ask(&mut self, place: Option<&Place>, failover: bool) -> Result<Answer, Broken> {
        let (id, next) = match place {
            Some(place) => {
                info!("Trying a partial resynchronization (request {}:{}).", place.id, place.offset + 1);
                (place.id.as_str(), (place.offset + 1).to_string())
            }
            None => {
                info!("Partial resynchronization not possible (no cached master)");
                ("?", "-1".to_owned())
            }
        };
        let mut request: Vec<&[u8]> = vec![b"PSYNC", id.as_bytes(), next.as_bytes()];
        if failover {
            request.push(b"FAILOVER");
        }
        self.say(&request).await?;
        Ok(match self.reply().await? {
            Ok(text) => self.understand(&text),
            Err(refusal) if refusal.starts_with("NOMASTERLINK") || refusal.starts_with("LOADING") => {
                info!("Master is currently unable to PSYNC but should be in the future: -{refusal}");
                Answer::Later
            }
            Err(refusal) => {
                info!("Master does not support PSYNC or is in error state (reply: -{refusal})");
                Answer::Unknown
            }
        })
    }

    fn understand(&self, text: &str) -> Answer {
        let mut words = text.split(' ');
        match words.next() {
            Some("FULLRESYNC") => {
                let (id, offset) = (words.next().filter(|id| id.len() == ID_LEN), words.next().and_then(|n| n.parse().ok()));
                let Some((id, offset)) = id.zip(offset) else {
                    warn!("Master replied with wrong +FULLRESYNC syntax.");
                    return Answer::Everything(Place { id: String::new(), offset: 0 });
                };
                info!("Full resync from master: {id}:{offset}");
                Answer::Everything(Place { id: id.to_owned(), offset })
            }
            Some("CONTINUE") => {
                info!("Successful partial resynchronization with master.");
                Answer::Rest { id: words.next().filter(|id| id.len() == ID_LEN).map(str::to_owned) }
            }
            _ => {
                warn!("Unexpected reply to PSYNC from master: +{text}");
                Answer::Unknown
            }
        }
    }

    /// Asks for everything as servers before 2.8 were asked.
    ///
    /// # Errors
    /// The primary went away.
    pub async fn ask_old(&mut self) -> Result<(), Broken> {
        info!("Retrying with SYNC...");
        self.send(b"SYNC\r\n").await
    }

    /// Reads the line that announces the data. Empty lines are signs of life: `heard` is called for each.
    ///
    /// # Errors
    /// There are no data to come.
    pub async fn payload(&mut self, mut heard: impl FnMut()) -> Result<Payload, Broken> {
        self.transfers = true;
        self.since = Instant::now();
        loop {
            let line = self.line().await?;
            heard();
            match line.first() {
                None => {}
                Some(b'-') => {
                    warn!("MASTER aborted replication with an error: {}", String::from_utf8_lossy(&line[1..]));
                    return Err(Broken);
                }
                Some(b'$') => {
                    return Payload::announced(&line[1..]).ok_or_else(|| {
                        warn!("Bad length of the data from MASTER: {}", String::from_utf8_lossy(&line));
                        Broken
                    });
                }
                Some(_) => {
                    warn!(
                        "Bad protocol from MASTER, the first byte is not '$' (we received '{}'), are you sure the host and port \
                         are right?",
                        String::from_utf8_lossy(&line)
                    );
                    return Err(Broken);
                }
            }
        }
    }

    /// Reads the next bytes of the payload into `chunk`, which is emptied first. True when that was all of it.
    ///
    /// # Errors
    /// The primary went away.
    pub async fn payload_chunk(&mut self, payload: &mut Payload, chunk: &mut Vec<u8>) -> Result<bool, Broken> {
        const CHUNK: usize = 256 << 10;
        chunk.clear();
        let wanted = payload.wanted(CHUNK);
        if self.buffer.is_empty() && wanted > 0 {
            self.read(chunk, wanted).await?;
        } else {
            chunk.extend(self.buffer.drain(..wanted.min(self.buffer.len())));
        }
        Ok(payload.pass(chunk))
    }

    async fn say(&mut self, request: &[&[u8]]) -> Result<(), Broken> {
        let mut bytes = Vec::new();
        encode(&mut bytes, request.iter().copied());
        self.send(&bytes).await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout((self.patience)(), sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                warn!("Sending command to master in replication handshake: {error}");
                Err(Broken)
            }
            Err(_) => Err(self.silence()),
        }
    }

    /// The next reply: a text, or an error in the primary's words.
    async fn reply(&mut self) -> Result<Result<String, String>, Broken> {
        loop {
            // Signs of life before a reply that takes long.
            let idle = self.buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.buffer.drain(..idle);
            match decode(&self.buffer) {
                Ok(Some((frame, length))) => {
                    self.buffer.drain(..length);
                    return Ok(match frame {
                        OwnedFrame::Error(words) => Err(words),
                        OwnedFrame::SimpleString(bytes) | OwnedFrame::BulkString(bytes) => {
                            Ok(String::from_utf8_lossy(&bytes).into_owned())
                        }
                        _ => Ok(String::new()),
                    });
                }
                Ok(None) if self.buffer.len() < REPLY_MAX => self.more().await?,
                _ => {
                    warn!("What the master replied during the SYNC handshake is no reply");
                    return Err(Broken);
                }
            }
        }
    }

    /// The next line, without its end.
    async fn line(&mut self) -> Result<Vec<u8>, Broken> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
                line.truncate(end - usize::from(line[..end].ends_with(b"\r")));
                return Ok(line);
            }
            if self.buffer.len() >= LINE_MAX {
                warn!("I/O error reading bulk count from MASTER: the line has no end");
                return Err(Broken);
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), Broken> {
        const CHUNK: usize = 4096;
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = self.read(&mut buffer, CHUNK).await;
        self.buffer = buffer;
        read
    }

    /// Reads up to `max` bytes behind those of `into`.
    async fn read(&mut self, into: &mut Vec<u8>, max: usize) -> Result<(), Broken> {
        /// From one look at the patience to the next.
        const LOOK: Duration = Duration::from_millis(500);
        into.reserve(max);
        loop {
            let left = (self.patience)().saturating_sub(self.since.elapsed());
            if left.is_zero() {
                return Err(self.silence());
            }
            let mut room = (&mut *into).limit(max);
            let Ok(read) = tokio::time::timeout(left.min(LOOK), self.stream.read_buf(&mut room)).await else { continue };
            if self.transfers {
                self.since = Instant::now();
            }
            match read {
                Ok(0) => {
                    warn!("I/O error trying to sync with MASTER: connection lost");
                    return Err(Broken);
                }
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    warn!("I/O error trying to sync with MASTER: {error}");
                    return Err(Broken);
                }
            }
        }
    }

    /// The primary said nothing for too long.
    fn silence(&self) -> Broken {
        match self.transfers {
            true => warn!(
                "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' parameter in \
                 redis.conf to a larger value."
            ),
            false => warn!("Timeout connecting to the MASTER..."),
        }
        Broken
    }
}

/// The data of a full sync on the wire: so many bytes, or bytes up to a mark.
#[derive(Debug)]
pub enum Payload {
    Counted {
        total: u64,
        left: u64,
    },
    Marked {
        mark: Vec<u8>,
        /// The last bytes, which may be the mark.
        held: Vec<u8>,
    },
}

impl Payload {
    /// What stands behind the dollar.
    fn announced(text: &[u8]) -> Option<Payload> {
        if let Some(mark) = text.strip_prefix(b"EOF:") {
            let mark = mark.get(..ID_LEN)?.to_vec();
            return Some(Payload::Marked { mark, held: Vec::new() });
        }
        let total = std::str::from_utf8(text).ok()?.parse().ok()?;
        Some(Payload::Counted { total, left: total })
    }

    /// Bytes of the data, if that is known.
    pub fn total(&self) -> Option<u64> {
        match self {
            Payload::Counted { total, .. } => Some(*total),
            Payload::Marked { .. } => None,
        }
    }

    /// How many bytes to read at once, `room` at the most.
    fn wanted(&self, room: usize) -> usize {
        match self {
            Payload::Counted { left, .. } => room.min(usize::try_from(*left).unwrap_or(usize::MAX)),
            Payload::Marked { .. } => room,
        }
    }

    /// Leaves in `chunk` what is data. True at the end of the data.
    fn pass(&mut self, chunk: &mut Vec<u8>) -> bool {
        match self {
            Payload::Counted { left, .. } => {
                *left = left.saturating_sub(chunk.len() as u64);
                *left == 0
            }
            // Nothing comes behind the mark until the replica has said that it is ready.
            Payload::Marked { mark, held } => {
                held.append(chunk);
                let rest = held.len().saturating_sub(mark.len());
                chunk.extend(held.drain(..rest));
                held == mark
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_end_where_they_say() {
        // The data hold the beginning of the mark more than once.
        let mark = format!("{}n", "m".repeat(ID_LEN - 1));
        let announced = format!("EOF:{mark}");
        for piece in [1, 7, 40, 1000] {
            let mut payload = Payload::announced(announced.as_bytes()).expect("a mark");
            let whole = [b"REDIS0011 data m mm".as_slice(), mark.as_bytes()].concat();
            let (mut data, mut done) = (Vec::new(), false);
            for part in whole.chunks(piece) {
                assert!(!done);
                let mut chunk = part.to_vec();
                done = payload.pass(&mut chunk);
                data.extend(chunk);
            }
            assert!(done);
            assert_eq!(data, b"REDIS0011 data m mm");
        }
        let mut counted = Payload::announced(b"5").expect("a number");
        assert_eq!((counted.total(), counted.wanted(3)), (Some(5), 3));
        assert!(!counted.pass(&mut b"abc".to_vec()));
        assert_eq!(counted.wanted(100), 2);
        assert!(counted.pass(&mut b"de".to_vec()));
        for wrong in ["", "EOF:short", "-1", "x"] {
            assert!(Payload::announced(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }
}
