//! CLIENT about client-side caching: TRACKING, CACHING, TRACKINGINFO and GETREDIR.

use super::client::CLIENT;
use crate::command::context::SessionCtx;
use crate::command::error::{self, CommandError};
use crate::command::spec::*;
use crate::session::tracking::{Mode, Overlap, Wish};
use crate::types::ClientId;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "CLIENT|CACHING",
        arity: Arity::exactly(3),
        since: "6.0.0",
        summary: "Decides whether the keys that the next command reads are tracked.",
        syntax: "<YES|NO>",
        run: Handler::Session(caching),
        ..BASE
    },
    CommandSpec {
        name: "CLIENT|GETREDIR",
        arity: Arity::exactly(2),
        since: "6.0.0",
        summary: "Tells the client that gets this connection's invalidation messages.",
        run: Handler::Session(getredir),
        ..BASE
    },
    CommandSpec {
        name: "CLIENT|TRACKING",
        arity: Arity::at_least(3),
        since: "6.0.0",
        complexity: "O(N) where N is the number of prefixes",
        summary: "Begins or ends client-side caching: messages tell when keys that the connection has read change.",
        syntax: "<ON|OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
        run: Handler::Session(tracking),
        ..BASE
    },
    CommandSpec {
        name: "CLIENT|TRACKINGINFO",
        arity: Arity::exactly(2),
        since: "6.2.0",
        summary: "Tells how the connection uses client-side caching.",
        run: Handler::Session(trackinginfo),
        ..BASE
    },
];
const _: () = check(COMMANDS);

const BASE: CommandSpec =
    CommandSpec { group: Group::Connection, flags: CLIENT, acl: categories(&[Category::Connection]), ..CommandSpec::BASE };

fn caching(ctx: &mut SessionCtx<'_>) -> CommandResult {
    const NOT_TRACKING: CommandError = CommandError::new(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
    );
    let tracker = ctx.world.tracking.of_mut(ctx.session.id).ok_or(NOT_TRACKING)?;
    let (mode, refusal) = if ctx.args.is(2, "YES") {
        (Mode::OptIn, "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
    } else if ctx.args.is(2, "NO") {
        (Mode::OptOut, "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
    } else {
        return Err(error::SYNTAX);
    };
    if tracker.mode != mode {
        return Err(CommandError::new(refusal));
    }
    tracker.caching = true;
    ctx.reply.ok();
    Ok(Flow::Done)
}

/// The client that is told instead of this one: 0 if none is, -1 without tracking.
fn redirection(ctx: &SessionCtx<'_>) -> i64 {
    let tracker = ctx.world.tracking.of(ctx.session.id);
    tracker.map_or(-1, |tracker| tracker.redirect.map_or(0, |client| client.0 as i64))
}

fn getredir(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let redirection = redirection(ctx);
    ctx.reply.integer(redirection);
    Ok(Flow::Done)
}

fn tracking(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let request = Request::parse(ctx)?;
    if ctx.args.is(2, "ON") {
        let wish = request.check(ctx)?;
        ctx.world.tracking.begin(ctx.session, &wish);
    } else if ctx.args.is(2, "OFF") {
        ctx.world.tracking.end(ctx.session);
    } else {
        return Err(error::SYNTAX);
    }
    ctx.world.settle_changes();
    ctx.reply.ok();
    Ok(Flow::Done)
}

/// The options of CLIENT TRACKING as they were given.
#[derive(Default)]
struct Request<'a> {
    redirect: Option<ClientId>,
    broadcast: bool,
    opt_in: bool,
    opt_out: bool,
    no_loop: bool,
    prefixes: Vec<&'a [u8]>,
}

impl<'a> Request<'a> {
    fn parse(ctx: &SessionCtx<'a>) -> Result<Self, CommandError> {
        let args = ctx.args;
        let mut request = Request::default();
        let mut i = 3;
        while i < args.len() {
            let has_more = i + 1 < args.len();
            if args.is(i, "REDIRECT") && has_more {
                i += 1;
                if request.redirect.is_some() {
                    return Err(CommandError::new("ERR A client can only redirect to a single other client"));
                }
                let client = ClientId(args.i64(i)? as u64);
                if ctx.world.sessions.place_of(client).is_none() {
                    return Err(CommandError::new("ERR The client ID you want redirect to does not exist"));
                }
                request.redirect = Some(client);
            } else if args.is(i, "BCAST") {
                request.broadcast = true;
            } else if args.is(i, "OPTIN") {
                request.opt_in = true;
            } else if args.is(i, "OPTOUT") {
                request.opt_out = true;
            } else if args.is(i, "NOLOOP") {
                request.no_loop = true;
            } else if args.is(i, "PREFIX") && has_more {
                i += 1;
                request.prefixes.push(args.get(i));
            } else {
                return Err(error::SYNTAX);
            }
            i += 1;
        }
        Ok(request)
    }

    /// Refuses options that contradict each other, or the way in which the client tracks already.
    fn check(self, ctx: &SessionCtx<'_>) -> Result<Wish<'a>, CommandError> {
        let refuse = |text| Err(CommandError::new(text));
        if !self.broadcast && !self.prefixes.is_empty() {
            return refuse("ERR PREFIX option requires BCAST mode to be enabled");
        }
        let now = ctx.world.tracking.of(ctx.session.id).map(|tracker| tracker.mode);
        if now.is_some_and(|mode| (mode == Mode::Broadcast) != self.broadcast) {
            return refuse(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with \
                 a different mode.",
            );
        }
        if self.broadcast && (self.opt_in || self.opt_out) {
            return refuse("ERR OPTIN and OPTOUT are not compatible with BCAST");
        }
        if self.opt_in && self.opt_out {
            return refuse("ERR You can't specify both OPTIN mode and OPTOUT mode");
        }
        if (self.opt_in && now == Some(Mode::OptOut)) || (self.opt_out && now == Some(Mode::OptIn)) {
            return refuse(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with \
                 a different mode.",
            );
        }
        if let Some(overlap) = ctx.world.tracking.find_overlap(ctx.session.id, &self.prefixes) {
            return Err(overlap_error(&overlap));
        }
        let mode = match () {
            () if self.broadcast => Mode::Broadcast,
            () if self.opt_in => Mode::OptIn,
            () if self.opt_out => Mode::OptOut,
            () => Mode::Read,
        };
        Ok(Wish { redirect: self.redirect, mode, no_loop: self.no_loop, prefixes: self.prefixes })
    }
}

fn overlap_error(overlap: &Overlap<'_>) -> CommandError {
    let which: &[u8] =
        if overlap.is_old { b"' overlaps with an existing prefix '" } else { b"' overlaps with another provided prefix '" };
    let end: &[u8] = b"'. Prefixes for a single client must not overlap.";
    CommandError::bytes([&b"ERR Prefix '"[..], overlap.wanted, which, &overlap.other, end].concat())
}

fn trackinginfo(ctx: &mut SessionCtx<'_>) -> CommandResult {
    let redirection = redirection(ctx);
    let reply = &mut ctx.reply;
    let tracker = ctx.world.tracking.of(ctx.session.id);
    reply.map(3);
    reply.bulk(b"flags");
    let mut flags = vec![if tracker.is_some() { "on" } else { "off" }];
    if let Some(tracker) = tracker {
        let (mode, caching) = match tracker.mode {
            Mode::Read => (None, None),
            Mode::OptIn => (Some("optin"), Some("caching-yes")),
            Mode::OptOut => (Some("optout"), Some("caching-no")),
            Mode::Broadcast => (Some("bcast"), None),
        };
        flags.extend(mode);
        flags.extend(caching.filter(|_| tracker.caching));
        flags.extend(tracker.no_loop.then_some("noloop"));
        flags.extend(tracker.broken.then_some("broken_redirect"));
    }
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.integer(redirection);
    reply.bulk(b"prefixes");
    reply.array(tracker.map_or(0, |tracker| tracker.prefixes().len()));
    tracker.into_iter().flat_map(|tracker| tracker.prefixes()).for_each(|prefix| reply.bulk(prefix));
    Ok(Flow::Done)
}
