//! What a sentinel tells: SENTINEL MASTERS, MASTER, REPLICAS, SENTINELS, GET-MASTER-ADDR-BY-NAME, CKQUORUM, INFO-CACHE, MYID,
//! PENDING-SCRIPTS, HELP, and its own ROLE.

use super::{BASE, primary, state, view};
use crate::command::context::ServerCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;
use crate::resp::reply::ReplyWriter;
use crate::sentinel::{Flags, Instance, InstanceId, Kind, Role, Sentinel};

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ROLE",
        arity: Arity::exactly(1),
        group: Group::Server,
        since: "2.8.12",
        complexity: "O(N) where N is the number of masters",
        summary: "Tells that this is a sentinel, and which masters it watches.",
        flags: flags(&[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::Fast]),
        acl: categories(&[Category::Admin, Category::Dangerous]),
        run: Handler::Server(role),
        ..BASE
    },
    CommandSpec {
        name: "SENTINEL",
        arity: Arity::at_least(2),
        complexity: "Depends on the subcommand.",
        summary: "Holds the commands of a sentinel.",
        ..BASE
    },
    CommandSpec {
        name: "SENTINEL|CKQUORUM",
        complexity: "O(N) where N is the number of sentinels",
        summary: "Tells whether enough sentinels are up to fail a master over.",
        run: Handler::Server(ckquorum),
        ..OF_PRIMARY
    },
    CommandSpec {
        name: "SENTINEL|GET-MASTER-ADDR-BY-NAME",
        summary: "Tells the address of a master.",
        run: Handler::Server(get_master_addr_by_name),
        ..OF_PRIMARY
    },
    CommandSpec {
        name: "SENTINEL|HELP",
        arity: Arity::exactly(2),
        since: "6.2.0",
        summary: "Lists the subcommands.",
        flags: flags(&[Flag::Loading, Flag::Stale]),
        run: Handler::Server(help),
        ..BASE
    },
    CommandSpec {
        name: "SENTINEL|INFO-CACHE",
        arity: Arity::at_least(3),
        since: "3.2.0",
        complexity: "O(N) where N is the number of instances",
        summary: "Shows the last INFO of masters and their replicas.",
        syntax: "nodename [nodename ...]",
        run: Handler::Server(info_cache),
        ..BASE
    },
    CommandSpec { name: "SENTINEL|MASTER", summary: "Describes a master.", run: Handler::Server(master), ..OF_PRIMARY },
    CommandSpec {
        name: "SENTINEL|MASTERS",
        arity: Arity::exactly(2),
        complexity: "O(N) where N is the number of masters",
        summary: "Describes all masters.",
        run: Handler::Server(masters),
        ..BASE
    },
    CommandSpec {
        name: "SENTINEL|MYID",
        arity: Arity::exactly(2),
        since: "6.2.0",
        summary: "Tells the id of this sentinel.",
        run: Handler::Server(myid),
        ..BASE
    },
    CommandSpec {
        name: "SENTINEL|PENDING-SCRIPTS",
        arity: Arity::exactly(2),
        complexity: "O(N) where N is the number of scripts",
        summary: "Lists the scripts that wait or run.",
        run: Handler::Server(pending_scripts),
        ..BASE
    },
    CommandSpec { name: "SENTINEL|REPLICAS", since: "5.0.0", ..REPLICAS },
    CommandSpec {
        name: "SENTINEL|SENTINELS",
        complexity: "O(N) where N is the number of sentinels",
        summary: "Describes the other sentinels that watch a master.",
        run: Handler::Server(sentinels),
        ..OF_PRIMARY
    },
    CommandSpec { name: "SENTINEL|SLAVES", since: "2.8.0", deprecated: Some(("5.0.0", "`SENTINEL REPLICAS`")), ..REPLICAS },
];
const _: () = check(COMMANDS);

const OF_PRIMARY: CommandSpec = CommandSpec { arity: Arity::exactly(3), syntax: "master-name", ..BASE };

const REPLICAS: CommandSpec = CommandSpec {
    complexity: "O(N) where N is the number of replicas",
    summary: "Describes the replicas of a master.",
    run: Handler::Server(replicas),
    ..OF_PRIMARY
};

fn role(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let names: Vec<String> = view(ctx)?.primaries().map(|primary| primary.name.clone()).collect();
    ctx.reply.array(2);
    ctx.reply.bulk(b"sentinel");
    ctx.reply.array(names.len());
    names.iter().for_each(|name| ctx.reply.bulk(name.as_bytes()));
    Ok(Flow::Done)
}

fn myid(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let id = view(ctx)?.id.clone();
    ctx.reply.bulk(id.as_bytes());
    Ok(Flow::Done)
}

fn get_master_addr_by_name(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let sentinel = view(ctx)?;
    let address = sentinel.find(ctx.args.get(2)).map(|primary| sentinel.current_address(primary));
    let Some((host, port)) = address.map(|address| (sentinel.announced(address).to_owned(), address.port)) else {
        ctx.reply.null_array();
        return Ok(Flow::Done);
    };
    ctx.reply.array(2);
    ctx.reply.bulk(host.as_bytes());
    ctx.reply.bulk_integer(port.into());
    Ok(Flow::Done)
}

fn ckquorum(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let quorum = view(ctx)?.quorum(primary(ctx)?);
    let usable = quorum.usable;
    if quorum.agree && quorum.elect {
        ctx.reply.simple(&format!("OK {usable} usable Sentinels. Quorum and failover authorization can be reached"));
        return Ok(Flow::Done);
    }
    let lacks = [
        (!quorum.agree, "Not enough available Sentinels to reach the specified quorum for this master"),
        (!quorum.elect, "Not enough available Sentinels to reach the majority and authorize a failover"),
    ];
    let lacks: Vec<&str> = lacks.iter().filter(|(holds, _)| *holds).map(|(_, text)| *text).collect();
    Err(CommandError::text(format!("NOQUORUM {usable} usable Sentinels. {}", lacks.join(". "))))
}

fn masters(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let now = ctx.world.keyspace.env.now();
    let sentinel = state(ctx.world)?;
    ctx.reply.array(sentinel.primaries().len());
    sentinel.primaries().for_each(|primary| describe(&mut ctx.reply, sentinel, primary, now));
    Ok(Flow::Done)
}

fn master(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let primary = primary(ctx)?;
    let now = ctx.world.keyspace.env.now();
    let sentinel = state(ctx.world)?;
    describe(&mut ctx.reply, sentinel, sentinel.at(primary), now);
    Ok(Flow::Done)
}

fn replicas(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let replicas = view(ctx)?.watched(primary(ctx)?).replicas.clone();
    describe_all(ctx, &replicas)
}

fn sentinels(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let sentinels = view(ctx)?.watched(primary(ctx)?).sentinels.clone();
    describe_all(ctx, &sentinels)
}

/// Describes instances; replicas that do not want to be announced are left out.
fn describe_all(ctx: &mut ServerCtx<'_>, ids: &[InstanceId]) -> CommandResult {
    let now = ctx.world.keyspace.env.now();
    let sentinel = state(ctx.world)?;
    let instances = ids.iter().map(|id| sentinel.at(*id));
    let shown: Vec<&Instance> =
        instances.filter(|instance| instance.kind != Kind::Replica || instance.replica.announced).collect();
    ctx.reply.array(shown.len());
    shown.into_iter().for_each(|instance| describe(&mut ctx.reply, sentinel, instance, now));
    Ok(Flow::Done)
}

/// Fields of an instance, all of them bulk strings.
struct Fields(Vec<(&'static str, Vec<u8>)>);

impl Fields {
    fn text(&mut self, name: &'static str, value: impl AsRef<[u8]>) {
        self.0.push((name, value.as_ref().to_vec()));
    }

    fn number(&mut self, name: &'static str, value: impl ToString) {
        self.0.push((name, value.to_string().into_bytes()));
    }
}

fn describe(reply: &mut ReplyWriter<'_>, sentinel: &Sentinel, instance: &Instance, now: i64) {
    let link = sentinel.link(instance);
    let mut fields = Fields(Vec::new());
    let age = |since: i64| if since == 0 { 0 } else { now - since };
    fields.text("name", &instance.name);
    fields.text("ip", sentinel.announced(&instance.address));
    fields.number("port", instance.address.port);
    fields.text("runid", instance.run_id.as_deref().unwrap_or_default());
    fields.text("flags", instance.flags.describe(instance.kind, link.disconnected));
    fields.number("link-pending-commands", link.pending());
    fields.number("link-refcount", link.users);
    if let Some(watched) = instance.watched.as_ref().filter(|_| instance.flags.has(Flags::FAILOVER)) {
        fields.text("failover-state", watched.failover.stage.name());
    }
    fields.number("last-ping-sent", age(link.unanswered_since));
    fields.number("last-ok-ping-reply", now - link.good_pong_at);
    fields.number("last-ping-reply", now - link.pong_at);
    if instance.flags.has(Flags::S_DOWN) {
        fields.number("s-down-time", now - instance.s_down_since);
    }
    if instance.flags.has(Flags::O_DOWN) {
        fields.number("o-down-time", now - instance.o_down_since);
    }
    fields.number("down-after-milliseconds", instance.down_after);
    if instance.kind != Kind::Sentinel {
        fields.number("info-refresh", age(instance.info_at));
        fields.text("role-reported", if instance.role == Some(Role::Primary) { "master" } else { "slave" });
        fields.number("role-reported-time", now - instance.role_since);
    }
    match instance.kind {
        Kind::Primary => about_primary(&mut fields, instance),
        Kind::Replica => about_replica(&mut fields, instance),
        Kind::Sentinel => {
            fields.number("last-hello-message", now - instance.hello_at);
            fields.text("voted-leader", instance.leader.as_deref().unwrap_or("?"));
            fields.number("voted-leader-epoch", instance.leader_epoch);
        }
    }
    reply.map(fields.0.len());
    for (name, value) in &fields.0 {
        reply.bulk(name.as_bytes());
        reply.bulk(value);
    }
}

fn about_primary(fields: &mut Fields, instance: &Instance) {
    let Some(watched) = &instance.watched else { return };
    fields.number("config-epoch", watched.config_epoch);
    fields.number("num-slaves", watched.replicas.len());
    fields.number("num-other-sentinels", watched.sentinels.len());
    fields.number("quorum", watched.quorum);
    fields.number("failover-timeout", watched.failover_timeout);
    fields.number("parallel-syncs", watched.parallel_syncs);
    if let Some(script) = &watched.notification_script {
        fields.text("notification-script", script);
    }
    if let Some(script) = &watched.reconfig_script {
        fields.text("client-reconfig-script", script);
    }
}

fn about_replica(fields: &mut Fields, instance: &Instance) {
    let replica = &instance.replica;
    fields.number("master-link-down-time", replica.link_down_ms);
    fields.text("master-link-status", if replica.link_up { "ok" } else { "err" });
    fields.text("master-host", replica.host.as_deref().unwrap_or("?"));
    fields.number("master-port", replica.port);
    fields.number("slave-priority", replica.priority);
    fields.number("slave-repl-offset", replica.offset);
    fields.number("replica-announced", replica.announced as u8);
}

fn info_cache(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let now = ctx.world.keyspace.env.now();
    let sentinel = state(ctx.world)?;
    let mut primaries: Vec<InstanceId> = Vec::new();
    // Names that nobody has are passed over, and each is told once.
    for primary in ctx.args.from(2).filter_map(|name| sentinel.find(name)) {
        if !primaries.contains(&primary) {
            primaries.push(primary);
        }
    }
    ctx.reply.array(primaries.len() * 2);
    for primary in primaries {
        let replicas = &sentinel.watched(primary).replicas;
        ctx.reply.bulk(sentinel.at(primary).name.as_bytes());
        ctx.reply.array(replicas.len() + 1);
        for instance in std::iter::once(&primary).chain(replicas).map(|id| sentinel.at(*id)) {
            ctx.reply.array(2);
            ctx.reply.integer(if instance.info_at == 0 { 0 } else { now - instance.info_at });
            match &instance.info {
                Some(info) => ctx.reply.bulk(info),
                None => ctx.reply.null(),
            }
        }
    }
    Ok(Flow::Done)
}

fn pending_scripts(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let now = ctx.world.keyspace.env.now();
    let sentinel = state(ctx.world)?;
    let reply = &mut ctx.reply;
    reply.array(sentinel.scripts.jobs().len());
    for job in sentinel.scripts.jobs() {
        reply.map(5);
        reply.bulk(b"argv");
        reply.array(job.words.len());
        job.words.iter().for_each(|word| reply.bulk(word));
        reply.bulk(b"flags");
        reply.bulk(if job.running { b"running" } else { b"scheduled" });
        reply.bulk(b"pid");
        reply.bulk_integer(job.pid.into());
        if job.running {
            reply.bulk(b"run-time");
            reply.bulk_integer(now - job.at);
        } else {
            reply.bulk(b"run-delay");
            reply.bulk_integer((job.at - now).max(0));
        }
        reply.bulk(b"retry-num");
        reply.bulk_integer(job.tries.into());
    }
    Ok(Flow::Done)
}

fn help(ctx: &mut ServerCtx<'_>) -> CommandResult {
    ctx.reply.help(&[
        "SENTINEL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CKQUORUM <master-name>",
        "    Tell whether enough sentinels are up to agree that a master is down, and",
        "    to elect one that fails it over.",
        "CONFIG SET <param> <value> [<param> <value> ...]",
        "    Change settings that hold for all masters.",
        "CONFIG GET <param> [<param> ...]",
        "    Tell those settings whose names fit.",
        "DEBUG [<param> <value> ...]",
        "    Tell how long things take, in milliseconds, or change it.",
        "FAILOVER <master-name>",
        "    Fail a master over without asking other sentinels.",
        "FLUSHCONFIG",
        "    Write settings and state into the configuration file.",
        "GET-MASTER-ADDR-BY-NAME <master-name>",
        "    Tell the address of a master.",
        "INFO-CACHE <master-name> [<master-name> ...]",
        "    Show the last INFO of masters and their replicas.",
        "IS-MASTER-DOWN-BY-ADDR <ip> <port> <current-epoch> <runid>",
        "    Tell another sentinel whether this one misses a master, and vote.",
        "MASTER <master-name>",
        "    Describe a master.",
        "MASTERS",
        "    Describe all masters.",
        "MONITOR <name> <ip> <port> <quorum>",
        "    Watch a master.",
        "MYID",
        "    Tell the id of this sentinel.",
        "PENDING-SCRIPTS",
        "    List the scripts that wait or run.",
        "REMOVE <master-name>",
        "    Watch a master no longer.",
        "REPLICAS <master-name>",
        "    Describe the replicas of a master.",
        "RESET <pattern>",
        "    Forget what is known of the masters whose names fit.",
        "SENTINELS <master-name>",
        "    Describe the other sentinels that watch a master.",
        "SET <master-name> <option> <value> [<option> <value> ...]",
        "    Change the settings of a master.",
        "SIMULATE-FAILURE [CRASH-AFTER-ELECTION] [CRASH-AFTER-PROMOTION] [HELP]",
        "    End at once in the middle of a failover, for tests.",
        "HELP",
        "    Print this help.",
    ]);
    Ok(Flow::Done)
}
