//! The geo commands: sorted sets whose scores are places on Earth.
//!
//! A place is cut to 52 bits, its score (see `ds::algo::geohash`); a search looks through a few ranges of scores and keeps
//! what lies in the shape. GEOADD propagates as the ZADD that it is.

use crate::command::CommandSpec;
use crate::command::context::{KeysCtx, Selected};
use crate::command::error::{self, CommandError, WRONGTYPE};
use crate::command::spec::*;
use crate::ds::algo::geohash::{Form, Position, Shape};
use crate::ds::algo::partial_sort::sort_first;
use crate::ds::object::Typed;
use crate::ds::parts::element::Element;
use crate::ds::sorted_set::{SortedSet, SortedSetBuilder};
use crate::keyspace::db::discard;
use crate::keyspace::value::type_of;
use crate::keyspace::{Entry, Event, Keyspace, ValueType};
use crate::raw::entry::Lent;
use crate::raw::zset::Added;
use crate::resp::reply::ReplyWriter;
use crate::resp::request::{Args, OwnedRequest};
use crate::types::DbIndex;
use std::cmp::Ordering;
use std::ops::Bound;

/// The topics of this family.
pub const TOPICS: &[&[CommandSpec]] = &[COMMANDS];

const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "GEOADD",
        arity: Arity::at_least(5),
        complexity: "O(log(N)) for each member, with N members in the sorted set",
        summary: "Adds members with their places; creates the key if it is missing.",
        syntax: "key [NX|XX] [CH] longitude latitude member [longitude latitude member ...]",
        flags: flags(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::at(1).access(UPDATE)],
        history: &[("6.2.0", "Takes `CH`, `NX` and `XX`.")],
        run: Handler::Keys(geoadd),
        ..GEO
    },
    CommandSpec {
        name: "GEODIST",
        arity: Arity::at_least(4),
        summary: "Tells the distance between two members.",
        syntax: "key member1 member2 [M|KM|FT|MI]",
        run: Handler::Keys(geodist),
        ..GEO
    },
    CommandSpec {
        name: "GEOHASH",
        arity: Arity::at_least(2),
        complexity: "O(1) for each member",
        summary: "Tells the places of members as geohashes.",
        syntax: "key [member [member ...]]",
        run: Handler::Keys(geohash),
        ..GEO
    },
    CommandSpec {
        name: "GEOPOS",
        arity: Arity::at_least(2),
        complexity: "O(1) for each member",
        summary: "Tells the places of members as longitude and latitude.",
        syntax: "key [member [member ...]]",
        run: Handler::Keys(geopos),
        ..GEO
    },
    CommandSpec {
        name: "GEORADIUS",
        arity: Arity::at_least(6),
        summary: "Finds the members around a place; stores them if asked.",
        syntax: "key longitude latitude radius <M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC] [STORE key|STOREDIST key]",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::MovableKeys]),
        keys: &[
            KeySpec::at(1),
            KeySpec::behind("STORE", 6, NEXT).access(OVERWRITE),
            KeySpec::behind("STOREDIST", 6, NEXT).access(OVERWRITE),
        ],
        deprecated: Some(("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument")),
        run: Handler::Keys(georadius),
        ..AROUND
    },
    CommandSpec {
        name: "GEORADIUSBYMEMBER",
        arity: Arity::at_least(5),
        summary: "Finds the members around a member; stores them if asked.",
        syntax: "key member radius <M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC] [STORE key|STOREDIST key]",
        flags: flags(&[Flag::Write, Flag::DenyOom, Flag::MovableKeys]),
        keys: &[
            KeySpec::at(1),
            KeySpec::behind("STORE", 5, NEXT).access(OVERWRITE),
            KeySpec::behind("STOREDIST", 5, NEXT).access(OVERWRITE),
        ],
        deprecated: Some(("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments")),
        run: Handler::Keys(georadiusbymember),
        ..AROUND
    },
    CommandSpec {
        name: "GEORADIUSBYMEMBER_RO",
        arity: Arity::at_least(5),
        since: "3.2.10",
        summary: "Finds the members around a member.",
        syntax: "key member radius <M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]",
        deprecated: Some(("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments")),
        run: Handler::Keys(georadiusbymember_ro),
        ..AROUND
    },
    CommandSpec {
        name: "GEORADIUS_RO",
        arity: Arity::at_least(6),
        since: "3.2.10",
        summary: "Finds the members around a place.",
        syntax: "key longitude latitude radius <M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]",
        deprecated: Some(("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument")),
        run: Handler::Keys(georadius_ro),
        ..AROUND
    },
    CommandSpec {
        name: "GEOSEARCH",
        arity: Arity::at_least(7),
        since: "6.2.0",
        complexity: IN_SHAPE,
        summary: "Finds the members in a circle or a box.",
        syntax: "key <FROMMEMBER member|FROMLONLAT longitude latitude> <BYRADIUS radius <M|KM|FT|MI>|BYBOX width height <M|KM|FT|MI>> [ASC|DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
        history: UPPER_CASE_UNITS,
        run: Handler::Keys(geosearch),
        ..GEO
    },
    CommandSpec {
        name: "GEOSEARCHSTORE",
        arity: Arity::at_least(8),
        since: "6.2.0",
        complexity: IN_SHAPE,
        summary: "Finds the members in a circle or a box and stores them.",
        syntax: "destination source <FROMMEMBER member|FROMLONLAT longitude latitude> <BYRADIUS radius <M|KM|FT|MI>|BYBOX width height <M|KM|FT|MI>> [ASC|DESC] [COUNT count [ANY]] [STOREDIST]",
        flags: flags(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::at(1).access(OVERWRITE), KeySpec::at(2)],
        history: UPPER_CASE_UNITS,
        run: Handler::Keys(geosearchstore),
        ..GEO
    },
];
const _: () = check(COMMANDS);

/// What all rows have in common.
const GEO: CommandSpec = CommandSpec {
    group: Group::Geo,
    since: "3.2.0",
    flags: flags(&[Flag::ReadOnly]),
    acl: categories(&[Category::Geo]),
    keys: &[KeySpec::at(1)],
    ..CommandSpec::BASE
};

/// What the rows of the older searches have in common.
const AROUND: CommandSpec = CommandSpec {
    complexity: "O(N+log(M)) for N members in the square around the circle and M in the sorted set",
    history: &[("6.2.0", "Takes `ANY` after `COUNT`."), ("7.0.0", "Takes units in upper case.")],
    ..GEO
};

const IN_SHAPE: &str = "O(N+log(M)) for N members in the cells around the shape and M in the sorted set";
const UPPER_CASE_UNITS: &[(&str, &str)] = &[("7.0.0", "Takes units in upper case.")];
const NEXT: Find = Find::Range { last: 0, step: 1, limit: 0 };

fn geoadd(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let (args, index) = (ctx.args, ctx.db.index);
    let (mut missing_only, mut present_only, mut count_changed) = (false, false, false);
    let mut first = 2;
    while first < args.len() {
        match () {
            () if args.is(first, "NX") => missing_only = true,
            () if args.is(first, "XX") => present_only = true,
            () if args.is(first, "CH") => count_changed = true,
            () => break,
        }
        first += 1;
    }
    let left = args.len() - first;
    if left == 0 || !left.is_multiple_of(3) || (missing_only && present_only) {
        return Err(error::SYNTAX);
    }
    let mut scores = Vec::with_capacity(left / 3);
    for i in (first..args.len()).step_by(3) {
        scores.push(place(args, i)?.score());
    }
    let (mut added, mut updated) = (0_u64, 0_u64);
    ctx.db.entry(args.get(1)).edit::<SortedSet, _>(|set, env| {
        let limits = &env.settings.limits;
        set.expect(scores.len(), args.get(first + 2).len(), limits);
        for (nth, &score) in scores.iter().enumerate() {
            let allowed = |old: Option<f64>| if old.is_some() { !missing_only } else { !present_only };
            match set.update(args.get(first + 2 + 3 * nth), limits, |old| allowed(old).then_some(score)) {
                Some(Added::New) => added += 1,
                Some(Added::Updated(_)) => updated += 1,
                _ => {}
            }
        }
        let changes = added + updated;
        env.effects.more(changes.saturating_sub(1));
        if changes > 0 {
            env.effects.propagate_as(index, || as_zadd(args, first, &scores));
        }
        ((), (changes > 0).then_some(Event::ZADD))
    })?;
    ctx.reply.integer((added + if count_changed { updated } else { 0 }) as i64);
    Ok(Flow::Done)
}

fn geodist(ctx: &mut KeysCtx<'_>) -> CommandResult {
    let args = ctx.args;
    let metres_per_unit = match args.len() {
        4 => 1.0,
        5 => unit(args, 4)?,
        _ => return Err(error::SYNTAX),
    };
    look_up(&mut ctx.db, args.get(1))?;
    let set = lend(ctx.db.keyspace, ctx.db.index, args.get(1));
    let of = |i| set.as_ref().and_then(|set| set.score(args.get(i))).map(Position::from_score);
    match (of(2), of(3)) {
        (Some(a), Some(b)) => write_distance(&mut ctx.reply, a.distance(b) / metres_per_unit),
        _ => ctx.reply.null(),
    }
    Ok(Flow::Done)
}

fn geohash(ctx: &mut KeysCtx<'_>) -> CommandResult {
    look_up(&mut ctx.db, ctx.args.get(1))?;
    let set = lend(ctx.db.keyspace, ctx.db.index, ctx.args.get(1));
    ctx.reply.array(ctx.args.len() - 2);
    for member in ctx.args.from(2) {
        match set.as_ref().and_then(|set| set.score(member)) {
            Some(score) => ctx.reply.bulk(&Position::from_score(score).geohash()),
            None => ctx.reply.null(),
        }
    }
    Ok(Flow::Done)
}

fn geopos(ctx: &mut KeysCtx<'_>) -> CommandResult {
    look_up(&mut ctx.db, ctx.args.get(1))?;
    let set = lend(ctx.db.keyspace, ctx.db.index, ctx.args.get(1));
    ctx.reply.array(ctx.args.len() - 2);
    for member in ctx.args.from(2) {
        match set.as_ref().and_then(|set| set.score(member)) {
            Some(score) => write_position(&mut ctx.reply, Position::from_score(score)),
            None => ctx.reply.null_array(),
        }
    }
    Ok(Flow::Done)
}

fn georadius(ctx: &mut KeysCtx<'_>) -> CommandResult {
    search(ctx, Kind { around: Around::Place, may_store: true })
}

fn georadiusbymember(ctx: &mut KeysCtx<'_>) -> CommandResult {
    search(ctx, Kind { around: Around::Member, may_store: true })
}

fn georadiusbymember_ro(ctx: &mut KeysCtx<'_>) -> CommandResult {
    search(ctx, Kind { around: Around::Member, may_store: false })
}

fn georadius_ro(ctx: &mut KeysCtx<'_>) -> CommandResult {
    search(ctx, Kind { around: Around::Place, may_store: false })
}

fn geosearch(ctx: &mut KeysCtx<'_>) -> CommandResult {
    search(ctx, Kind { around: Around::Named, may_store: false })
}

fn geosearchstore(ctx: &mut KeysCtx<'_>) -> CommandResult {
    search(ctx, Kind { around: Around::Named, may_store: true })
}

/// How a search command is spelled.
#[derive(Clone, Copy)]
struct Kind {
    around: Around,
    may_store: bool,
}

/// What a search is centred on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    /// A longitude and a latitude at fixed arguments.
    Place,
    /// A member at a fixed argument.
    Member,
    /// Whatever a keyword says (GEOSEARCH).
    Named,
}

/// A search as asked for.
struct Query<'a> {
    shape: Shape,
    with_distance: bool,
    with_hash: bool,
    with_place: bool,
    order: Option<Ordering>,
    /// Results at most; 0 means all.
    count: usize,
    /// The first results found will do.
    any: bool,
    store: Option<&'a [u8]>,
    store_distance: bool,
}

/// A member found.
struct Found<'a> {
    member: Element<'a>,
    position: Position,
    metres: f64,
    score: f64,
}

const UNDECODABLE: CommandError = CommandError::new("ERR could not decode requested zset member");

impl<'a> Query<'a> {
    /// Reads a request. Of a missing set no member can be looked up; the rest of the request must be right all the same.
    fn parse(args: Args<'a>, kind: Kind, set: Option<&SortedSet>) -> Result<Self, CommandError> {
        const COUNT_NOT_POSITIVE: CommandError = CommandError::new("ERR COUNT must be > 0");
        const ANY_WITHOUT_COUNT: CommandError = CommandError::new("ERR the ANY argument requires COUNT argument");
        let named = kind.around == Around::Named;
        let mut query = Query {
            shape: Shape {
                centre: Position { longitude: 0.0, latitude: 0.0 },
                form: Form::Circle { radius: 0.0 },
                metres_per_unit: 1.0,
            },
            with_distance: false,
            with_hash: false,
            with_place: false,
            order: None,
            count: 0,
            any: false,
            store: None,
            store_distance: false,
        };
        let member_place = |i: usize| match set {
            Some(set) => set.score(args.get(i)).map(Position::from_score).ok_or(UNDECODABLE),
            None => Ok(Position { longitude: 0.0, latitude: 0.0 }),
        };
        let mut i = match kind.around {
            Around::Place => {
                query.shape.centre = place(args, 2)?;
                query.set_circle(args, 4)?;
                6
            }
            Around::Member => {
                query.shape.centre = member_place(2)?;
                if set.is_some() {
                    query.set_circle(args, 3)?;
                }
                5
            }
            Around::Named if kind.may_store => {
                query.store = Some(args.get(1));
                3
            }
            Around::Named => 2,
        };
        let (mut from_member, mut from_place, mut by_radius, mut by_box) = (false, false, false, false);
        while i < args.len() {
            // Arguments left behind this one.
            let left = args.len() - i - 1;
            let takes = |word: &str, needed: usize| args.is(i, word) && left >= needed;
            let used = match () {
                () if takes("WITHDIST", 0) => {
                    query.with_distance = true;
                    0
                }
                () if takes("WITHHASH", 0) => {
                    query.with_hash = true;
                    0
                }
                () if takes("WITHCOORD", 0) => {
                    query.with_place = true;
                    0
                }
                () if takes("ANY", 0) => {
                    query.any = true;
                    0
                }
                () if takes("ASC", 0) => {
                    query.order = Some(Ordering::Less);
                    0
                }
                () if takes("DESC", 0) => {
                    query.order = Some(Ordering::Greater);
                    0
                }
                () if takes("COUNT", 1) => {
                    query.count = match args.i64(i + 1)? {
                        n if n > 0 => n as usize,
                        _ => return Err(COUNT_NOT_POSITIVE),
                    };
                    1
                }
                () if !named && kind.may_store && (takes("STORE", 1) || takes("STOREDIST", 1)) => {
                    query.store = Some(args.get(i + 1));
                    query.store_distance = args.is(i, "STOREDIST");
                    1
                }
                () if named && kind.may_store && takes("STOREDIST", 0) => {
                    query.store_distance = true;
                    0
                }
                () if named && !from_place && takes("FROMMEMBER", 1) => {
                    query.shape.centre = member_place(i + 1)?;
                    from_member = true;
                    1
                }
                () if named && !from_member && takes("FROMLONLAT", 2) => {
                    query.shape.centre = place(args, i + 1)?;
                    from_place = true;
                    2
                }
                () if named && !by_box && takes("BYRADIUS", 2) => {
                    query.set_circle(args, i + 1)?;
                    by_radius = true;
                    2
                }
                () if named && !by_radius && takes("BYBOX", 3) => {
                    query.set_box(args, i + 1)?;
                    by_box = true;
                    3
                }
                () => return Err(error::SYNTAX),
            };
            i += 1 + used;
        }
        if query.store.is_some() && (query.with_distance || query.with_hash || query.with_place) {
            let what = if named { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            let text = format!("ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options");
            return Err(CommandError::text(text));
        }
        let lacks = |what: &str| CommandError::bytes([what.as_bytes(), args.get(0)].concat());
        if named && !(from_member || from_place) {
            return Err(lacks("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for "));
        }
        if named && !(by_radius || by_box) {
            return Err(lacks("ERR exactly one of BYRADIUS and BYBOX can be specified for "));
        }
        if query.any && query.count == 0 {
            return Err(ANY_WITHOUT_COUNT);
        }
        // So many results make sense only as the nearest ones.
        if query.count > 0 && !query.any {
            query.order = query.order.or(Some(Ordering::Less));
        }
        Ok(query)
    }

    /// A circle by the radius and unit at argument `i`.
    fn set_circle(&mut self, args: Args<'_>, i: usize) -> Result<(), CommandError> {
        const NOT_NUMERIC: CommandError = CommandError::new("ERR need numeric radius");
        const NEGATIVE: CommandError = CommandError::new("ERR radius cannot be negative");
        let radius = args.f64(i).map_err(|_| NOT_NUMERIC)?;
        if radius < 0.0 {
            return Err(NEGATIVE);
        }
        self.shape.form = Form::Circle { radius };
        self.shape.metres_per_unit = unit(args, i + 1)?;
        Ok(())
    }

    /// A box by the width, height and unit at argument `i`.
    fn set_box(&mut self, args: Args<'_>, i: usize) -> Result<(), CommandError> {
        const WIDTH_NOT_NUMERIC: CommandError = CommandError::new("ERR need numeric width");
        const HEIGHT_NOT_NUMERIC: CommandError = CommandError::new("ERR need numeric height");
        const NEGATIVE: CommandError = CommandError::new("ERR height or width cannot be negative");
        let width = args.f64(i).map_err(|_| WIDTH_NOT_NUMERIC)?;
        let height = args.f64(i + 1).map_err(|_| HEIGHT_NOT_NUMERIC)?;
        if width < 0.0 || height < 0.0 {
            return Err(NEGATIVE);
        }
        self.shape.form = Form::Box { width, height };
        self.shape.metres_per_unit = unit(args, i + 2)?;
        Ok(())
    }

    /// The members that lie in the shape, sorted and cut as asked.
    fn find<'s>(&self, set: &'s SortedSet) -> Vec<Found<'s>> {
        let enough = if self.any { self.count } else { usize::MAX };
        let mut found = Vec::new();
        for (min, max) in self.shape.score_ranges() {
            let ranks = set.ranks_by_score(Bound::Included(min as f64), Bound::Excluded(max as f64));
            for pair in set.range(ranks, false) {
                if found.len() >= enough {
                    break;
                }
                let score = pair.score();
                let position = Position::from_score(score);
                if let Some(metres) = self.shape.distance_within(position) {
                    found.push(Found { member: pair.member, position, metres, score });
                }
            }
        }
        if let Some(order) = self.order {
            let nearer = |a: &Found<'_>, b: &Found<'_>| a.metres.partial_cmp(&b.metres).unwrap_or(Ordering::Equal);
            let earlier = |a: &Found<'_>, b: &Found<'_>| if order.is_lt() { nearer(a, b) } else { nearer(b, a) };
            if (1..found.len()).contains(&self.count) {
                sort_first(&mut found, self.count, &earlier);
            } else {
                found.sort_by(earlier);
            }
        }
        if self.count > 0 {
            found.truncate(self.count);
        }
        found
    }
}

fn search(ctx: &mut KeysCtx<'_>, kind: Kind) -> CommandResult {
    let args = ctx.args;
    let source = args.get(if kind.around == Around::Named && kind.may_store { 2 } else { 1 });
    look_up(&mut ctx.db, source)?;
    let set = lend(ctx.db.keyspace, ctx.db.index, source);
    let query = Query::parse(args, kind, set.as_deref())?;
    let found = set.as_ref().map_or_else(Vec::new, |set| query.find(set));
    let units = query.shape.metres_per_unit;
    if let Some(destination) = query.store {
        let limits = &ctx.db.keyspace.env.settings.limits;
        let mut made = SortedSetBuilder::new(limits, found.len());
        for one in &found {
            let score = if query.store_distance { one.metres / units } else { one.score };
            one.member.with_text(|member| made.push(member, score));
        }
        let (count, made) = (found.len(), made.finish(limits));
        let event = if kind.around == Around::Named { Event::GEOSEARCHSTORE } else { Event::GEORADIUSSTORE };
        store(&mut ctx.db, destination, made, event);
        ctx.reply.count(count);
        return Ok(Flow::Done);
    }
    let reply = &mut ctx.reply;
    let parts = 1 + query.with_distance as usize + query.with_hash as usize + query.with_place as usize;
    reply.array(found.len());
    for one in &found {
        if parts > 1 {
            reply.array(parts);
        }
        one.member.with_text(|member| reply.bulk(member));
        if query.with_distance {
            write_distance(reply, one.metres / units);
        }
        if query.with_hash {
            reply.integer(one.score as i64);
        }
        if query.with_place {
            write_position(reply, one.position);
        }
    }
    Ok(Flow::Done)
}

/// Puts a set in place of whatever the destination holds; an empty one deletes it.
fn store(db: &mut Selected<'_>, destination: &[u8], set: SortedSet, event: Event) {
    let count = set.len() as u64;
    if count == 0 {
        db.delete(destination, Event::DEL);
        return;
    }
    let mut entry = Entry::with_value(destination, None, set.into_value());
    entry.set_clock(db.keyspace.env.fresh_clock());
    if let Some(old) = db.entry(destination).put_entry(entry, event) {
        let lazily = db.keyspace.env.settings.lazyfree_server_del;
        discard(&mut db.keyspace.env, old, lazily);
    }
    db.keyspace.env.effects.more(count - 1);
}

/// Looks a key up as a read, with all that goes with it, and refuses what is no sorted set.
fn look_up(db: &mut Selected<'_>, key: &[u8]) -> Result<(), CommandError> {
    match db.read(key) {
        Some(entry) if type_of(&entry) != ValueType::SortedSet => Err(WRONGTYPE),
        _ => Ok(()),
    }
}

/// The sorted set under a key that `look_up` has seen; the rest of the keyspace stays readable.
fn lend<'a>(keyspace: &'a Keyspace, index: DbIndex, key: &[u8]) -> Option<Lent<'a, SortedSet>> {
    let table = &keyspace.db(index).table;
    table.get(table.hash(key), key)?.into_lent::<SortedSet>()
}

/// The place whose longitude is argument `i` and whose latitude follows.
fn place(args: Args<'_>, i: usize) -> Result<Position, CommandError> {
    let (longitude, latitude) = (args.f64(i)?, args.f64(i + 1)?);
    Position::new(longitude, latitude)
        .ok_or_else(|| CommandError::text(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}")))
}

/// How many metres the unit at argument `i` has.
fn unit(args: Args<'_>, i: usize) -> Result<f64, CommandError> {
    match () {
        () if args.is(i, "M") => Ok(1.0),
        () if args.is(i, "KM") => Ok(1000.0),
        () if args.is(i, "FT") => Ok(0.3048),
        () if args.is(i, "MI") => Ok(1609.34),
        () => Err(CommandError::new("ERR unsupported unit provided. please use M, KM, FT, MI")),
    }
}

/// GEOADD as the ZADD that does the same: the options, then scores and members.
fn as_zadd(args: Args<'_>, first: usize, scores: &[f64]) -> OwnedRequest {
    let mut request = OwnedRequest::build(std::iter::once(&b"ZADD"[..]).chain(args.from(1).take(first - 1)));
    for (nth, &score) in scores.iter().enumerate() {
        request.push(itoa::Buffer::new().format(score as u64).as_bytes());
        request.push(args.get(first + 2 + 3 * nth));
    }
    request
}

/// A distance with four decimals, the last one rounded half to even.
fn write_distance(reply: &mut ReplyWriter<'_>, distance: f64) {
    let units = (distance * 10_000.0).round_ties_even().abs();
    let sign = if distance < 0.0 && units > 0.0 { "-" } else { "" };
    // Distances on Earth fit by far; whatever else comes is cut to the largest number.
    let units = units as u64;
    reply.bulk(format!("{sign}{}.{:04}", units / 10_000, units % 10_000).as_bytes());
}

fn write_position(reply: &mut ReplyWriter<'_>, position: Position) {
    reply.array(2);
    reply.double(position.longitude);
    reply.double(position.latitude);
}
