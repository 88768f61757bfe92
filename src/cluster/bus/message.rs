//! The messages of the cluster bus, as bytes: the original's binary protocol, version 1.
//!
//! Every message begins with the same header, which tells about its sender; numbers are big-endian. Lengths come from outside:
//! a message that does not add up is refused as a whole, and nothing is allocated on its word.

use crate::cluster::node::{NAME_LEN, NodeId};
use crate::cluster::slot_set::{SLOT_BYTES, SlotSet};
use bytes::{BufMut, Bytes, BytesMut};

/// Bytes of the header, and so of the shortest message.
pub const HEADER_BYTES: usize = 2256;
/// The beginning that tells how long a message is.
pub const PREFIX_BYTES: usize = 8;

const SIGNATURE: &[u8; 4] = b"RCmb";
const VERSION: u16 = 1;
const GOSSIP_BYTES: usize = 104;
const IP_BYTES: usize = 46;
const EXTENSION_HEAD_BYTES: usize = 8;

/// What a message is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Ping,
    Pong,
    Meet,
    Fail,
    Publish,
    VoteRequest,
    Vote,
    Update,
    FailoverStart,
    Module,
    PublishShard,
}

impl Kind {
    /// In the order of their numbers, with the names that CLUSTER INFO uses.
    pub const ALL: [(Kind, &'static str); 11] = [
        (Kind::Ping, "ping"),
        (Kind::Pong, "pong"),
        (Kind::Meet, "meet"),
        (Kind::Fail, "fail"),
        (Kind::Publish, "publish"),
        (Kind::VoteRequest, "auth-req"),
        (Kind::Vote, "auth-ack"),
        (Kind::Update, "update"),
        (Kind::FailoverStart, "mfstart"),
        (Kind::Module, "module"),
        (Kind::PublishShard, "publishshard"),
    ];
}

/// Bits of the first byte of message flags.
pub const FLAG_PAUSED: u8 = 1 << 0;
pub const FLAG_FORCE_VOTE: u8 = 1 << 1;
pub const FLAG_EXTENSIONS: u8 = 1 << 2;

/// What every message tells about its sender.
#[derive(Clone)]
pub struct Header {
    pub kind: Kind,
    /// The port for clients, and that of the other kind (TLS or plain).
    pub port: u16,
    pub other_port: u16,
    pub bus_port: u16,
    pub current_epoch: u64,
    pub config_epoch: u64,
    pub offset: u64,
    /// None for a name that no node can have.
    pub sender: Option<NodeId>,
    pub slots: SlotSet,
    pub primary: Option<NodeId>,
    /// Empty if the receiver is to look at the connection.
    pub ip: String,
    /// See `NodeFlags`.
    pub flags: u16,
    pub is_down: bool,
    pub message_flags: u8,
}

/// What a node tells about another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gossip {
    pub id: NodeId,
    /// Seconds.
    pub ping_sent: u32,
    pub pong_received: u32,
    pub ip: String,
    pub port: u16,
    pub other_port: u16,
    pub bus_port: u16,
    pub flags: u16,
}

/// What newer nodes tell about themselves besides.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Extensions {
    pub hostname: String,
    pub nodename: String,
    pub shard: Option<NodeId>,
    /// Nodes that are to be forgotten, for how many seconds.
    pub forgotten: Vec<(NodeId, u64)>,
}

/// What a message says behind its header.
pub enum Body<'a> {
    /// Of a ping, its answer, or a meeting.
    Gossip(Vec<Gossip>, Extensions),
    Fail(Option<NodeId>),
    Publish {
        channel: &'a [u8],
        message: &'a [u8],
    },
    Update {
        epoch: u64,
        node: Option<NodeId>,
        slots: SlotSet,
    },
    /// Nothing, or nothing that this node knows.
    Nothing,
}

/// The length of the message that begins so, or why there cannot be one.
///
/// # Errors
/// It is no message of this protocol.
pub fn length(prefix: &[u8; PREFIX_BYTES]) -> Result<usize, &'static str> {
    let [s0, s1, s2, s3, length @ ..] = prefix;
    let length = u32::from_be_bytes(*length) as usize;
    if [*s0, *s1, *s2, *s3] != *SIGNATURE {
        return Err("no message of the cluster bus");
    }
    if length < HEADER_BYTES { Err("a message shorter than its header") } else { Ok(length) }
}

/// Reads a whole message; `None` for a version or a kind that this node does not know.
///
/// # Errors
/// The message does not add up.
pub fn parse(bytes: &[u8]) -> Result<Option<(Header, Body<'_>)>, &'static str> {
    const SHORT: &str = "a message shorter than what it holds";
    if bytes.len() < HEADER_BYTES {
        return Err(SHORT);
    }
    let mut rest = Reader(bytes);
    rest.skip(8);
    let (version, port, kind, count) = (rest.u16(), rest.u16(), rest.u16(), rest.u16());
    let Some((kind, _)) = Kind::ALL.get(kind as usize).filter(|_| version == VERSION) else { return Ok(None) };
    let (current_epoch, config_epoch, offset) = (rest.u64(), rest.u64(), rest.u64());
    let sender = NodeId::parse(rest.take(NAME_LEN));
    let slots = SlotSet::from_slice(rest.take(SLOT_BYTES));
    let primary = NodeId::parse(rest.take(NAME_LEN));
    let ip = text(rest.take(IP_BYTES));
    let extensions = rest.u16();
    rest.skip(30);
    let (other_port, bus_port, flags) = (rest.u16(), rest.u16(), rest.u16());
    let (is_down, message_flags) = (rest.u8() != 0, rest.u8());
    rest.skip(2);
    let kind = *kind;
    let header = Header {
        kind,
        port,
        other_port,
        bus_port,
        current_epoch,
        config_epoch,
        offset,
        sender,
        slots,
        primary,
        ip,
        flags,
        is_down,
        message_flags,
    };
    let body = match kind {
        Kind::Ping | Kind::Pong | Kind::Meet => {
            if rest.0.len() < count as usize * GOSSIP_BYTES {
                return Err(SHORT);
            }
            let entries: Vec<Option<Gossip>> = (0..count).map(|_| rest.gossip()).collect();
            let has_extensions = message_flags & FLAG_EXTENSIONS != 0;
            let extensions = rest.extensions(if has_extensions { extensions } else { 0 })?;
            // Names that no node can have show that the sender's memory is not in order.
            let entries: Option<Vec<Gossip>> = entries.into_iter().collect();
            Body::Gossip(entries.unwrap_or_default(), extensions)
        }
        Kind::Fail if rest.0.len() == NAME_LEN => Body::Fail(NodeId::parse(rest.take(NAME_LEN))),
        Kind::Publish | Kind::PublishShard if rest.0.len() >= 8 => {
            let (channel, message) = (rest.u32() as usize, rest.u32() as usize);
            if channel.checked_add(message) != Some(rest.0.len()) {
                return Err(SHORT);
            }
            Body::Publish { channel: rest.take(channel), message: rest.take(message) }
        }
        Kind::Update if rest.0.len() == 8 + NAME_LEN + SLOT_BYTES => Body::Update {
            epoch: rest.u64(),
            node: NodeId::parse(rest.take(NAME_LEN)),
            slots: SlotSet::from_slice(rest.take(SLOT_BYTES)),
        },
        Kind::Fail | Kind::Publish | Kind::PublishShard | Kind::Update => return Err(SHORT),
        Kind::VoteRequest | Kind::Vote | Kind::FailoverStart | Kind::Module => {
            rest.skip(rest.0.len());
            Body::Nothing
        }
    };
    if rest.0.is_empty() { Ok(Some((header, body))) } else { Err("a message longer than what it holds") }
}

/// A message as bytes.
pub fn encode(header: &Header, body: &Body<'_>) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER_BYTES + 512);
    out.put_slice(SIGNATURE);
    out.put_u32(0);
    out.put_u16(VERSION);
    out.put_u16(header.port);
    let kind = Kind::ALL.iter().position(|(kind, _)| *kind == header.kind).unwrap_or(0);
    out.put_u16(kind as u16);
    out.put_u16(if let Body::Gossip(entries, _) = body { entries.len() as u16 } else { 0 });
    out.put_u64(header.current_epoch);
    out.put_u64(header.config_epoch);
    out.put_u64(header.offset);
    put_name(&mut out, header.sender);
    out.put_slice(header.slots.as_bytes());
    put_name(&mut out, header.primary);
    put_text(&mut out, &header.ip, IP_BYTES);
    let extensions = if let Body::Gossip(_, extensions) = body { extensions.count() } else { 0 };
    out.put_u16(extensions);
    out.put_bytes(0, 30);
    out.put_u16(header.other_port);
    out.put_u16(header.bus_port);
    out.put_u16(header.flags);
    out.put_u8(header.is_down as u8);
    out.put_u8(header.message_flags);
    out.put_bytes(0, 2);
    debug_assert_eq!(out.len(), HEADER_BYTES);
    match body {
        Body::Gossip(entries, extensions) => {
            entries.iter().for_each(|entry| entry.put(&mut out));
            extensions.put(&mut out);
        }
        Body::Fail(node) => put_name(&mut out, *node),
        Body::Publish { channel, message } => {
            out.put_u32(channel.len() as u32);
            out.put_u32(message.len() as u32);
            out.put_slice(channel);
            out.put_slice(message);
        }
        Body::Update { epoch, node, slots } => {
            out.put_u64(*epoch);
            put_name(&mut out, *node);
            out.put_slice(slots.as_bytes());
        }
        Body::Nothing => {}
    }
    let length = (out.len() as u32).to_be_bytes();
    out[4..8].copy_from_slice(&length);
    out.freeze()
}

fn put_name(out: &mut BytesMut, name: Option<NodeId>) {
    out.put_slice(name.map_or([0; NAME_LEN], |name| *name.as_bytes()).as_slice());
}

/// A text that ends with a zero byte, in a field of so many bytes.
fn put_text(out: &mut BytesMut, text: &str, room: usize) {
    let bytes = &text.as_bytes()[..text.len().min(room - 1)];
    out.put_slice(bytes);
    out.put_bytes(0, room - bytes.len());
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

impl Gossip {
    fn put(&self, out: &mut BytesMut) {
        out.put_slice(self.id.as_bytes());
        out.put_u32(self.ping_sent);
        out.put_u32(self.pong_received);
        put_text(out, &self.ip, IP_BYTES);
        out.put_u16(self.port);
        out.put_u16(self.bus_port);
        out.put_u16(self.flags);
        out.put_u16(self.other_port);
        out.put_u16(0);
    }
}

/// Numbers of extensions.
const HOSTNAME: u16 = 0;
const NODENAME: u16 = 1;
const FORGOTTEN: u16 = 2;
const SHARD: u16 = 3;

impl Extensions {
    fn count(&self) -> u16 {
        let texts = [&self.hostname, &self.nodename].iter().filter(|text| !text.is_empty()).count();
        (texts + self.forgotten.len() + self.shard.is_some() as usize) as u16
    }

    fn put(&self, out: &mut BytesMut) {
        for (kind, text) in [(HOSTNAME, &self.hostname), (NODENAME, &self.nodename)] {
            if !text.is_empty() {
                let room = (text.len() + 1).next_multiple_of(8);
                Self::put_head(out, kind, room);
                put_text(out, text, room);
            }
        }
        for (node, seconds) in &self.forgotten {
            Self::put_head(out, FORGOTTEN, NAME_LEN + 8);
            out.put_slice(node.as_bytes());
            out.put_u64(*seconds);
        }
        if let Some(shard) = &self.shard {
            Self::put_head(out, SHARD, NAME_LEN);
            out.put_slice(shard.as_bytes());
        }
    }

    fn put_head(out: &mut BytesMut, kind: u16, bytes: usize) {
        out.put_u32((EXTENSION_HEAD_BYTES + bytes) as u32);
        out.put_u16(kind);
        out.put_u16(0);
    }
}

/// What is left of a message. Whoever takes from it has looked whether there is so much; what is missing reads as zero.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn skip(&mut self, n: usize) {
        self.take(n);
    }

    fn number<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).try_into().unwrap_or([0; N])
    }

    fn u8(&mut self) -> u8 {
        u8::from_be_bytes(self.number())
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.number())
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.number())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.number())
    }

    fn gossip(&mut self) -> Option<Gossip> {
        let mut entry = Reader(self.take(GOSSIP_BYTES));
        let id = NodeId::parse(entry.take(NAME_LEN));
        let (ping_sent, pong_received, ip) = (entry.u32(), entry.u32(), text(entry.take(IP_BYTES)));
        let (port, bus_port, flags, other_port) = (entry.u16(), entry.u16(), entry.u16(), entry.u16());
        Some(Gossip { id: id?, ping_sent, pong_received, ip, port, other_port, bus_port, flags })
    }

    fn extensions(&mut self, count: u16) -> Result<Extensions, &'static str> {
        let mut all = Extensions::default();
        for _ in 0..count {
            if self.0.len() < EXTENSION_HEAD_BYTES {
                return Err("an extension that is cut off");
            }
            let (length, kind) = (self.u32() as usize, self.u16());
            self.skip(2);
            if !length.is_multiple_of(8) || length < EXTENSION_HEAD_BYTES || length - EXTENSION_HEAD_BYTES > self.0.len() {
                return Err("an extension of a length that cannot be");
            }
            let mut data = Reader(self.take(length - EXTENSION_HEAD_BYTES));
            match kind {
                HOSTNAME => all.hostname = text(data.0),
                NODENAME => all.nodename = text(data.0),
                FORGOTTEN => {
                    let node = NodeId::parse(data.take(NAME_LEN));
                    all.forgotten.extend(node.map(|node| (node, data.u64())));
                }
                SHARD => all.shard = NodeId::parse(data.take(NAME_LEN)),
                // Of a newer version.
                _ => {}
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: Kind) -> Header {
        let mut slots = SlotSet::default();
        slots.insert(5);
        Header {
            kind,
            port: 7000,
            other_port: 7100,
            bus_port: 17000,
            current_epoch: 3,
            config_epoch: 2,
            offset: 99,
            sender: Some(NodeId::random()),
            slots,
            primary: None,
            ip: "10.0.0.1".into(),
            flags: 1,
            is_down: true,
            message_flags: FLAG_EXTENSIONS,
        }
    }

    fn gossip() -> Body<'static> {
        let entry = Gossip {
            id: NodeId::random(),
            ping_sent: 1,
            pong_received: 2,
            ip: "::1".into(),
            port: 1,
            other_port: 2,
            bus_port: 3,
            flags: 4,
        };
        let extensions = Extensions {
            hostname: "there.example".into(),
            nodename: "second".into(),
            shard: Some(NodeId::random()),
            forgotten: vec![(NodeId::random(), 60)],
        };
        Body::Gossip(vec![entry.clone(), entry], extensions)
    }

    #[test]
    fn messages_are_read_as_they_were_written() {
        let sent = header(Kind::Pong);
        let body = gossip();
        let bytes = encode(&sent, &body);
        assert_eq!(length(bytes[..8].try_into().unwrap()), Ok(bytes.len()));
        // The original's compiler checks these places.
        assert_eq!((&bytes[10..12], &bytes[2248..2250]), (&7000u16.to_be_bytes()[..], &17000u16.to_be_bytes()[..]));
        let Ok(Some((read, Body::Gossip(entries, extensions)))) = parse(&bytes) else { panic!() };
        let Body::Gossip(sent_entries, sent_extensions) = body else { panic!() };
        assert_eq!((entries, extensions), (sent_entries, sent_extensions));
        assert!(read.sender == sent.sender && read.slots == sent.slots && read.ip == sent.ip && read.is_down);
        let bytes = encode(&header(Kind::Publish), &Body::Publish { channel: b"c", message: b"hello" });
        assert!(matches!(parse(&bytes), Ok(Some((_, Body::Publish { channel: b"c", message: b"hello" })))));
        let bytes = encode(&header(Kind::Update), &Body::Update { epoch: 7, node: None, slots: SlotSet::default() });
        assert!(matches!(parse(&bytes), Ok(Some((_, Body::Update { epoch: 7, node: None, .. })))));
    }

    /// Cut anywhere or spoilt anywhere a message is refused or read, and nothing worse.
    #[test]
    fn what_does_not_add_up_is_refused() {
        assert!(length(b"GET / HT").is_err());
        assert!(length(b"RCmb\0\0\0\x09").is_err());
        for (kind, body) in [
            (Kind::Meet, gossip()),
            (Kind::Publish, Body::Publish { channel: b"channel", message: b"message" }),
            (Kind::Fail, Body::Fail(None)),
            (Kind::Update, Body::Update { epoch: 1, node: None, slots: SlotSet::default() }),
        ] {
            let bytes = encode(&header(kind), &body);
            for end in 0..bytes.len() {
                assert!(parse(&bytes[..end]).is_err(), "{kind:?} cut at {end}");
            }
            for at in 0..bytes.len() {
                for byte in [0, 1, 0x7f, 0xff] {
                    let mut spoilt = bytes.to_vec();
                    spoilt[at] = byte;
                    let _ = parse(&spoilt);
                }
            }
        }
    }
}
