//! nodes.conf: the node's view of the cluster from one start to the next, in the original's form: a line for each node, as
//! CLUSTER NODES shows it with some more, and a line with the epochs.
//!
//! The file belongs to one server: it is locked. It is written whole, under a temporary name first, and a file that cannot be
//! understood is refused with its line, never written over.

use super::describe::Reader;
use super::{BUS_PORT_OFFSET, Cluster, Node, NodeFlags, NodeId};
use crate::ds::algo::hash_slot::SLOTS;
use crate::sys::file::try_lock;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Longest file that is read; a cluster of a thousand nodes takes a tenth of it.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The file, locked.
pub(super) struct ConfigFile {
    path: PathBuf,
    /// What the lock is on; open for as long as it is to last.
    locked: File,
    /// The epochs that are safe: the newest, that of the last vote, and this node's own.
    synced: Option<(u64, u64, u64)>,
}

/// Why a file cannot be used.
#[derive(Debug)]
pub enum Broken {
    /// Another server has it.
    Locked(PathBuf),
    Io(PathBuf, io::Error),
    /// A line (counted from 1) that is not as this server writes them; 0 stands for the file as a whole.
    Line(PathBuf, usize, &'static str),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Broken::Locked(path) => write!(
                f,
                "Sorry, the cluster configuration file {} is already used by a different Redis Cluster node. Please make sure \
                 that different nodes use different cluster configuration files.",
                path.display()
            ),
            Broken::Io(path, error) => write!(f, "Cannot use the cluster configuration file {}: {error}", path.display()),
            Broken::Line(path, 0, reason) => {
                write!(f, "Unrecoverable error: corrupted cluster config file {}: {reason}", path.display())
            }
            Broken::Line(path, line, reason) => {
                write!(f, "Unrecoverable error: corrupted cluster config file {}, line {line}: {reason}", path.display())
            }
        }
    }
}

impl Cluster {
    /// The view that a file holds, which is locked for as long as it is used; a fresh node with a fresh file if there is none.
    ///
    /// # Errors
    /// The file is another server's, cannot be read or written, or is not understood.
    pub fn open(path: &Path) -> Result<Self, Broken> {
        let failed = |error| Broken::Io(path.to_owned(), error);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match try_lock(&file) {
            Ok(true) => {}
            Ok(false) => return Err(Broken::Locked(path.to_owned())),
            Err(error) => return Err(failed(error)),
        }
        let mut text = String::new();
        (&file).take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        let mut cluster = if text.is_empty() {
            let cluster = Cluster::new();
            tracing::info!("No cluster configuration found, I'm {}", cluster.me());
            cluster
        } else {
            let cluster = parse(&text).map_err(|(line, reason)| Broken::Line(path.to_owned(), line, reason))?;
            tracing::info!("Node configuration loaded, I'm {}", cluster.me());
            cluster
        };
        cluster.file = Some(ConfigFile { path: path.to_owned(), locked: file, synced: None });
        Ok(cluster)
    }

    /// The view that a file's text holds. It has no file.
    ///
    /// # Errors
    /// The line that is not understood.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        parse(text)
    }

    /// Writes the file, if there is one. Waits until it is safe only if it must not be forgotten: that slots move, nodes tell one
    /// another again, but an epoch that was used twice would be two truths.
    ///
    /// # Errors
    /// The system's; then the file is as it was.
    pub fn save(&mut self) -> io::Result<()> {
        let text = self.file_text();
        let epochs = (self.current_epoch, self.last_vote_epoch, self.myself().epoch);
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut temporary = file.path.clone().into_os_string();
        temporary.push(format!(".tmp-{}", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let written = File::create(&temporary).and_then(|mut fresh| {
            try_lock(&fresh)?;
            fresh.write_all(text.as_bytes())?;
            let must_last = file.synced != Some(epochs);
            if must_last {
                fresh.sync_all()?;
            }
            std::fs::rename(&temporary, &file.path)?;
            // The lock is on the file, not on its name: from here on it is on the new one.
            file.locked = fresh;
            if !must_last {
                return Ok(());
            }
            file.synced = Some(epochs);
            let folder = file.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder)?.sync_all()
        });
        if let Err(error) = &written {
            tracing::warn!("Could not write the cluster configuration file {}: {error}", file.path.display());
            let _ = std::fs::remove_file(&temporary);
        }
        written
    }

    /// What the file holds.
    fn file_text(&self) -> String {
        let mut text = self.describe_all(Reader::File);
        text.push_str(&format!("vars currentEpoch {} lastVoteEpoch {}\n", self.current_epoch, self.last_vote_epoch));
        text
    }
}

/// A line, counted from 1, and what is wrong with it; 0 stands for the file as a whole.
pub type Refusal = (usize, &'static str);

fn parse(text: &str) -> Result<Cluster, Refusal> {
    let mut cluster = Cluster::new();
    // The node that a fresh view knows gives way to the one that the file calls so.
    cluster.nodes.clear();
    let mut me = None;
    for (at, line) in text.lines().enumerate() {
        let at = at + 1;
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match &words[..] {
            [] => {}
            ["vars", rest @ ..] => variables(&mut cluster, rest).map_err(|reason| (at, reason))?,
            _ => {
                let id = node_line(&mut cluster, &words).map_err(|reason| (at, reason))?;
                if cluster.nodes[&id].flags.has(NodeFlags::MYSELF) {
                    if me.replace(id).is_some_and(|other| other != id) {
                        return Err((at, "a second node is called 'myself'"));
                    }
                    cluster.me = id;
                }
            }
        }
    }
    let Some(me) = me.map(|me| &cluster.nodes[&me]) else { return Err((0, "no node is called 'myself'")) };
    if me.is_primary() == me.is_replica() {
        return Err((0, "'myself' is neither a master nor a slave"));
    }
    if me.is_replica() && me.primary.is_none() {
        return Err((0, "'myself' is a slave without a master"));
    }
    share_shards(&mut cluster);
    Ok(cluster)
}

fn variables(cluster: &mut Cluster, words: &[&str]) -> Result<(), &'static str> {
    for pair in words.chunks(2) {
        let [name, value] = pair else { return Err("a variable without a value") };
        let value = value.parse().map_err(|_| "an epoch that is no number");
        match *name {
            "currentEpoch" => cluster.current_epoch = value?,
            "lastVoteEpoch" => cluster.last_vote_epoch = value?,
            _ => tracing::info!("Skipping unknown cluster config variable '{name}'"),
        }
    }
    Ok(())
}

/// A node that a line names, which may come before or after the line about it.
fn mentioned(cluster: &mut Cluster, name: &str) -> Result<NodeId, &'static str> {
    let id = NodeId::parse(name.as_bytes()).ok_or("not a node's name")?;
    cluster.nodes.entry(id).or_insert_with(|| Node::new(id, 0));
    Ok(id)
}

fn node_line(cluster: &mut Cluster, words: &[&str]) -> Result<NodeId, &'static str> {
    let [name, place, flags, primary, ping, pong, epoch, _link, slots @ ..] = words else {
        return Err("a node's line has eight fields and more");
    };
    let id = mentioned(cluster, name)?;
    let mut node = cluster.nodes[&id].clone();
    address(&mut node, place)?;
    for flag in flags.split(',') {
        node.flags.set(NodeFlags::named(flag).ok_or("a flag that no node has")?);
    }
    let primary = if *primary != "-" { Some(mentioned(cluster, primary)?) } else { node.primary };
    let number = |word: &str| word.parse::<i64>().map_err(|_| "a time that is no number");
    (node.ping_sent, node.pong_received) = (number(ping)?, number(pong)?);
    let epoch = epoch.parse().map_err(|_| "an epoch that is no number")?;
    // A replica's line shows its primary's.
    node.epoch = if primary.is_some() { 0 } else { epoch };
    cluster.nodes.insert(id, node);
    cluster.set_primary(id, primary);
    for word in slots {
        slot_word(cluster, id, word)?;
    }
    Ok(id)
}

/// `ip:port@bus-port,hostname,name=value…`
fn address(node: &mut Node, text: &str) -> Result<(), &'static str> {
    const PORT: &str = "a port that is no number below 65536";
    let mut parts = text.split(',');
    let place = parts.next().unwrap_or_default();
    node.hostname = parts.next().unwrap_or_default().to_owned();
    let (mut tcp, mut tls) = (None, None);
    for part in parts {
        let (name, value) = part.split_once('=').ok_or("an attribute without a value")?;
        match name {
            "shard-id" => node.shard = NodeId::parse(value.as_bytes()).ok_or("a shard that has no name")?,
            "nodename" => node.nodename = value.to_owned(),
            "tcp-port" => tcp = Some(value.parse().map_err(|_| PORT)?),
            "tls-port" => tls = Some(value.parse().map_err(|_| PORT)?),
            _ => return Err("an attribute that no node has"),
        }
    }
    let (ip, ports) = place.rsplit_once(':').ok_or("an address without a port")?;
    let (port, bus) = ports.split_once('@').map_or((ports, None), |(port, bus)| (port, Some(bus)));
    let port: u16 = port.parse().map_err(|_| PORT)?;
    node.ip = ip.to_owned();
    (node.port, node.tls_port) = match (tcp, tls) {
        (Some(tcp), tls) => (tcp, tls.unwrap_or(port)),
        (None, tls) => (port, tls.unwrap_or(0)),
    };
    node.bus_port = match bus {
        Some(bus) => bus.parse().map_err(|_| PORT)?,
        None => port.saturating_add(BUS_PORT_OFFSET),
    };
    Ok(())
}

/// `7`, `7-9`, `[7->-node]` or `[7-<-node]`
fn slot_word(cluster: &mut Cluster, id: NodeId, word: &str) -> Result<(), &'static str> {
    let slot = |text: &str| text.parse().ok().filter(|slot| *slot < SLOTS).ok_or("a slot that is no number below 16384");
    if let Some(open) = word.strip_prefix('[') {
        let moving = open.strip_suffix(']').ok_or("a moving slot without its bracket")?;
        if let Some((number, to)) = moving.split_once("->-") {
            let (number, to) = (slot(number)?, mentioned(cluster, to)?);
            cluster.set_migrating(number, Some(to));
        } else if let Some((number, from)) = moving.split_once("-<-") {
            let (number, from) = (slot(number)?, mentioned(cluster, from)?);
            cluster.set_importing(number, Some(from));
        } else {
            return Err("a moving slot without its direction");
        }
        return Ok(());
    }
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    for slot in slot(first)?..=slot(last)? {
        if cluster.owner(slot).is_some_and(|owner| owner != id) {
            return Err("a slot that another node has already");
        }
        cluster.unassign(slot);
        cluster.assign(slot, id);
    }
    Ok(())
}

/// Replicas belong to the shard of their primary, whatever their own lines say.
fn share_shards(cluster: &mut Cluster) {
    let shards: Vec<(NodeId, NodeId)> =
        cluster.nodes().filter_map(|node| Some((node.id, cluster.node(node.primary?)?.shard))).collect();
    for (id, shard) in shards {
        if let Some(node) = cluster.nodes.get_mut(&id) {
            node.shard = shard;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn a_view_is_read_as_it_was_written() {
        let text = format!(
            "{A} 10.0.0.1:7000@17000,here.example,tls-port=7100,nodename=first,shard-id={B} myself,master - 0 0 3 connected \
             0-5 9 [7-<-{B}] [9->-{B}]\n\
             {B} :7001@17001,,tls-port=0,shard-id={B} master,fail? - 0 1 4 disconnected 7 100-200\n\
             vars currentEpoch 4 lastVoteEpoch 2\n"
        );
        let cluster = parse(&text).unwrap();
        assert_eq!(cluster.file_text(), text);
        assert_eq!(cluster.importing_from(7).unwrap().as_str(), B);
    }

    #[test]
    fn files_of_older_servers_are_read() {
        let cluster = parse(&format!(
            "{A} 127.0.0.1:7000 myself,slave {B} 0 0 3 connected\n\n{B} 127.0.0.1:7001@9 master - 0 0 5 connected 0"
        ))
        .unwrap();
        let me = cluster.myself();
        assert_eq!((me.port, me.bus_port, me.epoch, cluster.my_epoch()), (7000, 17000, 0, 5));
        assert_eq!(me.shard, cluster.find(B.as_bytes()).unwrap().shard);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        let good = format!("{A} :1@2,,shard-id={B} myself,master - 0 0 0 connected");
        assert!(parse(&good).is_ok());
        let spoilt: [(&str, usize); 19] = [
            ("", 0),
            ("vars currentEpoch", 1),
            ("vars currentEpoch x", 1),
            ("x :1@2 myself,master - 0 0 0 connected", 1),
            (&format!("{A} :1@2 myself,master - 0 0 0"), 1),
            (&format!("{A} 1 myself,master - 0 0 0 connected"), 1),
            (&format!("{A} :99999@2 myself,master - 0 0 0 connected"), 1),
            (&format!("{A} :1@2,,x=1 myself,master - 0 0 0 connected"), 1),
            (&format!("{A} :1@2,,shard-id=1 myself,master - 0 0 0 connected"), 1),
            (&format!("{A} :1@2 myself,lord - 0 0 0 connected"), 1),
            (&format!("{A} :1@2 myself - 0 0 0 connected"), 0),
            (&format!("{A} :1@2 myself,slave - 0 0 0 connected"), 0),
            (&format!("{A} :1@2 master - 0 0 0 connected"), 0),
            (&format!("{good} 16384"), 1),
            (&format!("{good} 1-x"), 1),
            (&format!("{good} [1->-x]"), 1),
            (&format!("{good} [1"), 1),
            (&format!("{good}\n{B} :1@2 myself,master - 0 0 0 connected"), 2),
            (&format!("{good} 1\n{B} :1@2 master - 0 0 0 connected 1"), 2),
        ];
        for (text, line) in spoilt {
            assert_eq!(parse(text).err().map(|(line, _)| line), Some(line), "{text}");
        }
        // Cut or changed anywhere it is refused or read, and nothing worse.
        for at in 0..good.len() {
            let _ = parse(&good[..at]);
            for byte in [' ', '-', '[', ',', '9'] {
                let mut text = good.clone();
                text.replace_range(at..at + 1, &byte.to_string());
                let _ = parse(&text);
            }
        }
    }
}
