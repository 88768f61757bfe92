//! Hash slots: what they hold (KEYSLOT, COUNTKEYSINSLOT, GETKEYSINSLOT), who owns them (ADDSLOTS, DELSLOTS and by ranges,
//! FLUSHSLOTS), and how they move (SETSLOT).

use super::{BASE, CHANGES, changed, unknown_node, view, view_mut};
use crate::cluster::{NodeId, SlotSet};
use crate::command::context::ServerCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::ds::algo::hash_slot::{self, SLOTS};
use crate::types::DbIndex;
use crate::world::World;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "CLUSTER|ADDSLOTS",
        arity: Arity::at_least(3),
        complexity: "O(N) where N is the number of slots",
        summary: "Makes this node the owner of slots.",
        syntax: "slot [slot ...]",
        flags: CHANGES,
        run: Handler::Server(addslots),
        ..BASE
    },
    CommandSpec {
        name: "CLUSTER|ADDSLOTSRANGE",
        arity: Arity::at_least(4),
        since: "7.0.0",
        complexity: "O(N) where N is the number of slots",
        summary: "Makes this node the owner of ranges of slots.",
        syntax: "start-slot end-slot [start-slot end-slot ...]",
        flags: CHANGES,
        run: Handler::Server(addslotsrange),
        ..BASE
    },
    CommandSpec {
        name: "CLUSTER|COUNTKEYSINSLOT",
        arity: Arity::exactly(3),
        summary: "Counts the keys in a slot.",
        syntax: "slot",
        run: Handler::Server(countkeysinslot),
        ..BASE
    },
    CommandSpec {
        name: "CLUSTER|DELSLOTS",
        arity: Arity::at_least(3),
        complexity: "O(N) where N is the number of slots",
        summary: "Forgets who owns slots.",
        syntax: "slot [slot ...]",
        flags: CHANGES,
        run: Handler::Server(delslots),
        ..BASE
    },
    CommandSpec {
        name: "CLUSTER|DELSLOTSRANGE",
        arity: Arity::at_least(4),
        since: "7.0.0",
        complexity: "O(N) where N is the number of slots",
        summary: "Forgets who owns ranges of slots.",
        syntax: "start-slot end-slot [start-slot end-slot ...]",
        flags: CHANGES,
        run: Handler::Server(delslotsrange),
        ..BASE
    },
    CommandSpec {
        name: "CLUSTER|FLUSHSLOTS",
        arity: Arity::exactly(2),
        summary: "Gives all slots of this node up.",
        flags: CHANGES,
        run: Handler::Server(flushslots),
        ..BASE
    },
    CommandSpec {
        name: "CLUSTER|GETKEYSINSLOT",
        arity: Arity::exactly(4),
        complexity: "O(N) where N is the number of keys told",
        summary: "Names keys of a slot.",
        syntax: "slot count",
        tips: &["nondeterministic_output"],
        run: Handler::Server(getkeysinslot),
        ..BASE
    },
    CommandSpec {
        name: "CLUSTER|KEYSLOT",
        arity: Arity::exactly(3),
        complexity: "O(N) where N is the number of bytes in the key",
        summary: "Tells the slot of a key.",
        syntax: "key",
        run: Handler::Server(keyslot),
        ..BASE
    },
    CommandSpec {
        name: "CLUSTER|SETSLOT",
        arity: Arity::at_least(4),
        summary: "Says where the keys of a slot move from or to, that they stay, or who owns the slot.",
        syntax: "slot <IMPORTING node-id|MIGRATING node-id|NODE node-id|STABLE>",
        flags: CHANGES,
        run: Handler::Server(setslot),
        ..BASE
    },
];
const _: () = check(COMMANDS);

const INVALID_SLOT: CommandError = CommandError::new("ERR Invalid or out of range slot");

fn keyslot(ctx: &mut ServerCtx<'_>) -> CommandResult {
    view(ctx)?;
    ctx.reply.integer(hash_slot::of_key(ctx.args.get(2)).into());
    Ok(Flow::Done)
}

fn countkeysinslot(ctx: &mut ServerCtx<'_>) -> CommandResult {
    view(ctx)?;
    let slot = ctx.args.i64(2)?;
    let slot = u16::try_from(slot).ok().filter(|slot| *slot < SLOTS).ok_or(CommandError::new("ERR Invalid slot"))?;
    ctx.reply.count(ctx.world.keyspace.keys_in_slot(slot));
    Ok(Flow::Done)
}

fn getkeysinslot(ctx: &mut ServerCtx<'_>) -> CommandResult {
    const INVALID: CommandError = CommandError::new("ERR Invalid slot or number of keys");
    view(ctx)?;
    let (slot, count) = (ctx.args.i64(2)?, ctx.args.i64(3)?);
    let slot = u16::try_from(slot).ok().filter(|slot| *slot < SLOTS).ok_or(INVALID)?;
    let count = usize::try_from(count).map_err(|_| INVALID)?;
    let db = ctx.world.keyspace.db(DbIndex(0));
    let list = ctx.reply.array_deferred();
    let mut named = 0;
    if let Some(slots) = &db.meta.slots {
        slots.first_keys(&db.table, slot, count, &mut |entry| {
            ctx.reply.bulk(entry.key());
            named += 1;
        });
    }
    ctx.reply.finish(list, named);
    Ok(Flow::Done)
}

fn addslots(ctx: &mut ServerCtx<'_>) -> CommandResult {
    change_owner(ctx, listed, true)
}

fn addslotsrange(ctx: &mut ServerCtx<'_>) -> CommandResult {
    change_owner(ctx, in_ranges, true)
}

fn delslots(ctx: &mut ServerCtx<'_>) -> CommandResult {
    change_owner(ctx, listed, false)
}

fn delslotsrange(ctx: &mut ServerCtx<'_>) -> CommandResult {
    change_owner(ctx, in_ranges, false)
}

/// The slots that a request lists.
fn listed(ctx: &ServerCtx<'_>, add: bool) -> Result<SlotSet, CommandError> {
    // All are looked at before the first is judged.
    let slots: Vec<u16> = (2..ctx.args.len()).map(|at| slot_at(ctx, at)).collect::<Result<_, _>>()?;
    let mut set = SlotSet::default();
    slots.into_iter().try_for_each(|slot| collect(ctx, &mut set, slot, add))?;
    Ok(set)
}

/// The slots between the pairs of a request.
fn in_ranges(ctx: &ServerCtx<'_>, add: bool) -> Result<SlotSet, CommandError> {
    if !ctx.args.len().is_multiple_of(2) {
        return Err(error::wrong_arity(ctx.spec.name));
    }
    let mut set = SlotSet::default();
    for at in (2..ctx.args.len()).step_by(2) {
        let (first, last) = (slot_at(ctx, at)?, slot_at(ctx, at + 1)?);
        if first > last {
            let text = format!("ERR start slot number {first} is greater than end slot number {last}");
            return Err(CommandError::text(text));
        }
        (first..=last).try_for_each(|slot| collect(ctx, &mut set, slot, add))?;
    }
    Ok(set)
}

fn slot_at(ctx: &ServerCtx<'_>, at: usize) -> Result<u16, CommandError> {
    let slot = ctx.args.i64(at).map_err(|_| INVALID_SLOT)?;
    u16::try_from(slot).ok().filter(|slot| *slot < SLOTS).ok_or(INVALID_SLOT)
}

/// Adds a slot to those that are to change, if it can.
fn collect(ctx: &ServerCtx<'_>, set: &mut SlotSet, slot: u16, add: bool) -> Result<(), CommandError> {
    let owned = view(ctx)?.owner(slot).is_some();
    if add == owned {
        let state = if add { "busy" } else { "unassigned" };
        return Err(CommandError::text(format!("ERR Slot {slot} is already {state}")));
    }
    if !set.insert(slot) {
        return Err(CommandError::text(format!("ERR Slot {slot} specified multiple times")));
    }
    Ok(())
}

type Slots = fn(&ServerCtx<'_>, bool) -> Result<SlotSet, CommandError>;

fn change_owner(ctx: &mut ServerCtx<'_>, slots: Slots, add: bool) -> CommandResult {
    view(ctx)?;
    let slots = slots(ctx, add)?;
    let cluster = view_mut(ctx)?;
    let me = cluster.me();
    for slot in slots.iter() {
        cluster.set_importing(slot, None);
        if add {
            cluster.assign(slot, me);
        } else {
            cluster.unassign(slot);
        }
    }
    if !add {
        ctx.world.end_shard_channels(ctx.session, |slot| slots.contains(slot));
    }
    changed(ctx)
}

fn flushslots(ctx: &mut ServerCtx<'_>) -> CommandResult {
    view(ctx)?;
    if ctx.world.keyspace.total_keys() != 0 {
        return Err(CommandError::new("ERR DB must be empty to perform CLUSTER FLUSHSLOTS."));
    }
    let cluster = view_mut(ctx)?;
    let mine = cluster.myself().slots.clone();
    mine.iter().for_each(|slot| cluster.unassign(slot));
    ctx.world.end_shard_channels(ctx.session, |slot| mine.contains(slot));
    changed(ctx)
}

fn setslot(ctx: &mut ServerCtx<'_>) -> CommandResult {
    if view(ctx)?.myself().is_replica() {
        return Err(CommandError::new("ERR Please use SETSLOT only with masters."));
    }
    let slot = slot_at(ctx, 2)?;
    match ctx.args.len() {
        5 if ctx.args.is(3, "MIGRATING") => {
            if !view(ctx)?.owns(slot) {
                return Err(CommandError::text(format!("ERR I'm not the owner of hash slot {slot}")));
            }
            let to = other_side(ctx)?;
            view_mut(ctx)?.set_migrating(slot, Some(to));
        }
        5 if ctx.args.is(3, "IMPORTING") => {
            if view(ctx)?.owns(slot) {
                return Err(CommandError::text(format!("ERR I'm already the owner of hash slot {slot}")));
            }
            let from = other_side(ctx)?;
            view_mut(ctx)?.set_importing(slot, Some(from));
        }
        4 if ctx.args.is(3, "STABLE") => {
            let cluster = view_mut(ctx)?;
            cluster.set_importing(slot, None);
            cluster.set_migrating(slot, None);
        }
        5 if ctx.args.is(3, "NODE") => set_owner(ctx, slot)?,
        _ => {
            let text = "ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP";
            return Err(CommandError::new(text));
        }
    }
    changed(ctx)
}

/// The node that keys move to or from.
fn other_side(ctx: &ServerCtx<'_>) -> Result<NodeId, CommandError> {
    let name = ctx.args.get(4);
    let unknown = || CommandError::bytes([b"ERR I don't know about node ", name].concat());
    primary(view(ctx)?.find(name).ok_or_else(unknown)?)
}

fn primary(node: &crate::cluster::Node) -> Result<NodeId, CommandError> {
    if node.is_replica() { Err(CommandError::new("ERR Target node is not a master")) } else { Ok(node.id) }
}

fn set_owner(ctx: &mut ServerCtx<'_>, slot: u16) -> Result<(), CommandError> {
    let name = ctx.args.get(4);
    let to = primary(view(ctx)?.find(name).ok_or_else(|| unknown_node(name))?)?;
    let keys = ctx.world.keyspace.keys_in_slot(slot);
    let may_follow = ctx.world.config.cluster_allow_replica_migration;
    let cluster = view_mut(ctx)?;
    let me = cluster.me();
    let gives_away = cluster.owns(slot) && to != me;
    if gives_away && keys != 0 {
        let text = format!("ERR Can't assign hashslot {slot} to a different node while I still hold keys for this hash slot.");
        return Err(CommandError::text(text));
    }
    if keys == 0 {
        cluster.set_migrating(slot, None);
    }
    cluster.unassign(slot);
    cluster.assign(slot, to);
    if gives_away && cluster.myself().slots.is_empty() && may_follow {
        tracing::info!("Configuration change detected. Reconfiguring myself as a replica of {to}");
        cluster.follow(to);
        ctx.world.settle_cluster_role();
    } else if to == me && cluster.importing_from(slot).is_some() {
        // Others are to see that the slot has moved, without being asked.
        if cluster.bump_epoch() {
            tracing::info!("configEpoch updated after importing slot {slot}");
        }
        cluster.set_importing(slot, None);
        let World { cluster: Some(cluster), keyspace, .. } = &mut *ctx.world else { return Err(error::NO_CLUSTER) };
        cluster.tell_all(keyspace.env.now(), &mut keyspace.env.rng);
    }
    ctx.world.end_shard_channels(ctx.session, |of| of == slot);
    Ok(())
}
