//! The guard of a cluster's node: whether the keys of a request are served here, and where the client is to go if not.
//!
//! All keys of a request, or of a whole transaction, belong to one slot. While the keys of a slot are on their way to another
//! node, those that are still here are served here, and for the others clients are sent after them.

use super::script;
use crate::cluster::{Cluster, NodeId};
use crate::command::error::{self, CommandError};
use crate::command::getkeys;
use crate::command::spec::{CommandSpec, Flag};
use crate::ds::algo::hash_slot;
use crate::resp::request::Args;
use crate::scripting::flags::Flags;
use crate::session::Session;
use crate::types::DbIndex;
use crate::world::World;

/// Why a request is not served here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Elsewhere {
    CrossSlot,
    /// Some of its keys are here, and others may be where the slot comes from or goes to.
    InMotion,
    Down,
    /// The cluster is down, and reads would be served.
    DownForWrites,
    /// Nobody owns the slot.
    NotServed,
    Moved(u16, NodeId),
    /// Only this time.
    Ask(u16, NodeId),
}

/// Refuses a request of a client whose keys are not served here.
pub(super) fn admit(world: &World, session: &Session, spec: &CommandSpec, args: Args<'_>) -> Result<(), CommandError> {
    let Some(cluster) = &world.cluster else { return Ok(()) };
    judge(world, cluster, session, spec, args).map(|_| ()).map_err(|elsewhere| match elsewhere {
        Elsewhere::CrossSlot => error::CROSS_SLOT,
        Elsewhere::InMotion => error::SLOT_IN_MOTION,
        Elsewhere::Down => error::CLUSTER_DOWN,
        Elsewhere::DownForWrites => error::CLUSTER_DOWN_FOR_WRITES,
        Elsewhere::NotServed => error::SLOT_NOT_SERVED,
        Elsewhere::Moved(slot, to) => world.redirection(session, "MOVED", slot, to),
        Elsewhere::Ask(slot, to) => world.redirection(session, "ASK", slot, to),
    })
}

/// Refuses a command of a script. `slot` is the one that the script keeps to, if it has to, as soon as it is known.
pub(super) fn admit_call(
    world: &World,
    session: &Session,
    spec: &CommandSpec,
    args: Args<'_>,
    slot: Option<&mut Option<u16>>,
) -> Result<(), CommandError> {
    // What the primary or the append-only file says was judged when it was said first.
    let Some(cluster) = world.cluster.as_ref().filter(|_| !world.keyspace.env.obeys) else { return Ok(()) };
    let used = judge(world, cluster, session, spec, args).map_err(|elsewhere| {
        let name = || spec.name.to_ascii_lowercase();
        match elsewhere {
            Elsewhere::CrossSlot => CommandError::text(format!(
                "ERR Command '{}' in script attempted to access keys that don't hash to the same slot",
                name()
            )),
            Elsewhere::InMotion => CommandError::text(format!(
                "ERR Unable to execute command '{}' in script because undeclared keys were accessed during rehashing of the slot",
                name()
            )),
            Elsewhere::Down => CommandError::new("ERR Script attempted to execute a command while the cluster is down"),
            Elsewhere::DownForWrites => {
                CommandError::new("ERR Script attempted to execute a write command while the cluster is down and readonly")
            }
            Elsewhere::NotServed => CommandError::new("ERR Script attempted to access a slot not served"),
            Elsewhere::Moved(..) | Elsewhere::Ask(..) => {
                CommandError::new("ERR Script attempted to access a non local key in a cluster node")
            }
        }
    })?;
    if let (Some(kept), Some(used)) = (slot, used)
        && *kept.get_or_insert(used) != used
    {
        return Err(CommandError::new("ERR Script attempted to access keys that do not hash to the same slot"));
    }
    Ok(())
}

/// The slot of a request's first key.
pub(super) fn slot_of(spec: &CommandSpec, args: Args<'_>) -> Option<u16> {
    let mut slot = None;
    getkeys::exact_keys_of(spec, args, |at, _| {
        slot.get_or_insert_with(|| hash_slot::of_key(args.get(at)));
    })
    .ok()?;
    slot
}

/// True for the errors that send a client elsewhere.
pub(super) fn is_redirection(refusal: &CommandError) -> bool {
    matches!(refusal.code(), b"MOVED" | b"ASK" | b"CROSSSLOT" | b"TRYAGAIN" | b"CLUSTERDOWN")
}

/// What the keys of a request have in common.
struct Keys<'a> {
    world: &'a World,
    cluster: &'a Cluster,
    /// The first key and what is known of its slot.
    first: Option<First<'a>>,
    several: bool,
    here: usize,
    missing: usize,
    /// The request is about channels.
    channels: bool,
}

struct First<'a> {
    key: &'a [u8],
    slot: u16,
    owner: NodeId,
    leaves_to: Option<NodeId>,
    arrives: bool,
}

impl<'a> Keys<'a> {
    fn add_all_of(&mut self, spec: &CommandSpec, args: Args<'a>) -> Result<(), Elsewhere> {
        self.channels |= getkeys::channels_of(spec, args).is_some();
        let mut outcome = Ok(());
        let found = getkeys::exact_keys_of(spec, args, |at, _| {
            if outcome.is_ok() {
                outcome = self.add(args.get(at));
            }
        });
        // A request that contradicts itself is refused by its own command.
        if found.is_err() { Ok(()) } else { outcome }
    }

    fn add(&mut self, key: &'a [u8]) -> Result<(), Elsewhere> {
        let slot = hash_slot::of_key(key);
        match &self.first {
            None => {
                let owner = self.cluster.owner(slot).ok_or(Elsewhere::NotServed)?;
                let leaves_to = if owner == self.cluster.me() { self.cluster.migrating_to(slot) } else { None };
                let arrives = leaves_to.is_none() && self.cluster.importing_from(slot).is_some();
                self.first = Some(First { key, slot, owner, leaves_to, arrives });
            }
            Some(first) if first.slot != slot => return Err(Elsewhere::CrossSlot),
            Some(first) => self.several |= first.arrives && first.key != key,
        }
        let moves = self.first.as_ref().is_some_and(|first| first.arrives || first.leaves_to.is_some());
        if moves && !self.channels {
            let keyspace = &self.world.keyspace;
            let is_here = keyspace.held(DbIndex(0), key).is_some() && !keyspace.is_past(DbIndex(0), key);
            if is_here { self.here += 1 } else { self.missing += 1 }
        }
        Ok(())
    }
}

/// Judges a request; the slot of its keys, if it has any.
fn judge(
    world: &World,
    cluster: &Cluster,
    session: &Session,
    spec: &CommandSpec,
    args: Args<'_>,
) -> Result<Option<u16>, Elsewhere> {
    let queue = session.transaction.as_ref().filter(|_| spec.name == "EXEC");
    if spec.keys.is_empty() && queue.is_none() {
        return Ok(None);
    }
    let mut keys = Keys { world, cluster, first: None, several: false, here: 0, missing: 0, channels: false };
    match queue {
        Some(transaction) => {
            for queued in &transaction.queue {
                keys.add_all_of(world.commands.get(queued.command).spec, queued.request.args())?;
            }
        }
        None => keys.add_all_of(spec, args)?,
    }
    let Some(first) = &keys.first else { return Ok(None) };
    let writes = (spec.flags | queue.map_or(0, |transaction| transaction.flags)) & Flag::Write.bit() != 0
        || script::flags_of(world, spec, args).is_some_and(|flags| !flags.has(Flags::NO_WRITES));
    if !cluster.is_healthy() {
        let config = &world.config;
        if keys.channels {
            if !config.cluster_allow_pubsubshard_when_down {
                return Err(Elsewhere::Down);
            }
        } else if !config.cluster_allow_reads_when_down {
            return Err(Elsewhere::Down);
        } else if writes {
            return Err(Elsewhere::DownForWrites);
        }
    }
    let slot = first.slot;
    // Keys of an open slot are freely moved.
    if (first.arrives || first.leaves_to.is_some()) && spec.name == "MIGRATE" {
        return Ok(Some(slot));
    }
    if let Some(to) = first.leaves_to
        && keys.missing > 0
    {
        return Err(if keys.here > 0 { Elsewhere::InMotion } else { Elsewhere::Ask(slot, to) });
    }
    if first.arrives && (session.asking || spec.has(Flag::Asking)) {
        return if keys.several && keys.missing > 0 { Err(Elsewhere::InMotion) } else { Ok(Some(slot)) };
    }
    let reads_here = (session.reads_replica || keys.channels) && !writes && cluster.myself().primary == Some(first.owner);
    if first.owner == cluster.me() || reads_here { Ok(Some(slot)) } else { Err(Elsewhere::Moved(slot, first.owner)) }
}
