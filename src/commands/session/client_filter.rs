//! Choosing connections by their properties, for CLIENT LIST and CLIENT KILL: `ID 5 7 NOT-TYPE pubsub MAXAGE 60`.

use super::client_list::flag_letters;
use crate::acl::{Acl, User};
use crate::command::error::{self, CommandError};
use crate::resp::number;
use crate::resp::request::Args;
use crate::session::Session;
use crate::types::ClientId;
use crate::world::World;
use std::rc::Rc;

/// Which connections are meant: those that pass every test.
#[derive(Default)]
pub(super) struct Filter<'a> {
    tests: Vec<Test<'a>>,
    spare_me: bool,
}

/// A property, and whether the client is to have it.
struct Test<'a> {
    negated: bool,
    property: Property<'a>,
}

enum Property<'a> {
    Id(Vec<ClientId>),
    Kind(ClientType),
    User(Rc<User>),
    Address(&'a [u8]),
    LocalAddress(&'a [u8]),
    Ip(&'a [u8]),
    Name(&'a [u8]),
    LibName(&'a [u8]),
    LibVersion(&'a [u8]),
    Flags(&'a [u8]),
    Db(u32),
    /// Connected for at least so many seconds.
    AgeSeconds(i64),
    /// Without a request for at least so many seconds.
    IdleSeconds(i64),
}

/// The kinds of clients that TYPE tells apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientType {
    Normal,
    Primary,
    Replica,
    PubSub,
}

impl ClientType {
    fn parse(name: &[u8]) -> Result<Self, CommandError> {
        match &*name.to_ascii_lowercase() {
            b"normal" => Ok(ClientType::Normal),
            b"master" | b"primary" => Ok(ClientType::Primary),
            b"replica" | b"slave" => Ok(ClientType::Replica),
            b"pubsub" => Ok(ClientType::PubSub),
            _ => Err(CommandError::bytes([b"ERR Unknown client type '", name, b"'"].concat())),
        }
    }

    fn of(session: &Session) -> Self {
        match () {
            () if session.is_primary => ClientType::Primary,
            () if session.is_replica() => ClientType::Replica,
            () if session.subscriptions.is_some() => ClientType::PubSub,
            () => ClientType::Normal,
        }
    }
}

impl<'a> Filter<'a> {
    /// The filter of CLIENT LIST.
    pub(super) fn for_list(args: Args<'a>, acl: &Acl) -> Result<Self, CommandError> {
        Self::parse(args, acl, false, CommandError::new("ERR Invalid client ID"))
    }

    /// The filter of CLIENT KILL, which may be an address alone, and spares the client that asks unless told otherwise.
    pub(super) fn for_kill(args: Args<'a>, acl: &Acl) -> Result<Self, CommandError> {
        if args.len() == 3 {
            let property = Property::Address(args.get(2));
            return Ok(Filter { tests: vec![Test { negated: false, property }], spare_me: false });
        }
        Self::parse(args, acl, true, CommandError::new("ERR client-id should be greater than 0"))
    }

    fn parse(args: Args<'a>, acl: &Acl, spare_me: bool, bad_id: CommandError) -> Result<Self, CommandError> {
        let mut filter = Filter { tests: Vec::new(), spare_me };
        let mut i = 2;
        while i < args.len() {
            let Some(value) = args.opt(i + 1) else { return Err(error::SYNTAX) };
            let word = args.get(i).to_ascii_uppercase();
            let (negated, word) = match word.strip_prefix(b"NOT-") {
                Some(word) => (true, word),
                None => (false, &*word),
            };
            i += 2;
            let property = match word {
                b"ID" => {
                    let mut ids = vec![id(value).ok_or_else(|| bad_id.clone())?];
                    // More ids may follow; what does not begin like a number is the next property.
                    while let Some(next) = args.opt(i).filter(|next| next.first().is_some_and(|b| !b.is_ascii_alphabetic())) {
                        ids.push(id(next).ok_or_else(|| bad_id.clone())?);
                        i += 1;
                    }
                    Property::Id(ids)
                }
                b"SKIPME" if !negated => {
                    filter.spare_me = match () {
                        () if value.eq_ignore_ascii_case(b"yes") => true,
                        () if value.eq_ignore_ascii_case(b"no") => false,
                        () => return Err(error::SYNTAX),
                    };
                    continue;
                }
                b"TYPE" => Property::Kind(ClientType::parse(value)?),
                b"USER" => match acl.get(value) {
                    Some(user) => Property::User(user.clone()),
                    None => return Err(CommandError::bytes([b"ERR No such user '", value, b"'"].concat())),
                },
                b"ADDR" => Property::Address(value),
                b"LADDR" => Property::LocalAddress(value),
                b"IP" => Property::Ip(value),
                b"NAME" => Property::Name(value),
                b"LIB-NAME" => Property::LibName(value),
                b"LIB-VER" => Property::LibVersion(value),
                b"FLAGS" => Property::Flags(value),
                b"DB" => {
                    let db = number::parse_i64(value).and_then(|db| u32::try_from(db).ok());
                    Property::Db(db.ok_or(error::DB_OUT_OF_RANGE)?)
                }
                b"MAXAGE" if !negated => Property::AgeSeconds(seconds(value, "maxage")?),
                b"IDLE" if !negated => Property::IdleSeconds(seconds(value, "idle")?),
                _ => return Err(error::SYNTAX),
            };
            // Said twice, the last one counts.
            let same = |test: &Test<'_>| {
                test.negated == negated && std::mem::discriminant(&test.property) == std::mem::discriminant(&property)
            };
            filter.tests.retain(|test| !same(test));
            filter.tests.push(Test { negated, property });
        }
        Ok(filter)
    }

    /// The ids asked for, in the order asked for, if any were.
    pub(super) fn ids(&self) -> Option<&[ClientId]> {
        self.tests.iter().find_map(|test| match &test.property {
            Property::Id(ids) if !test.negated => Some(&**ids),
            _ => None,
        })
    }

    /// True if a client is meant. `now` is the real time in milliseconds.
    pub(super) fn fits(&self, world: &World, session: &Session, is_me: bool, now: i64) -> bool {
        !(self.spare_me && is_me) && self.tests.iter().all(|test| test.property.is_of(world, session, now) != test.negated)
    }
}

impl Property<'_> {
    fn is_of(&self, world: &World, session: &Session, now: i64) -> bool {
        match self {
            Property::Id(ids) => ids.contains(&session.id),
            Property::Kind(kind) => ClientType::of(session) == *kind,
            Property::User(user) => session.user.as_ref().is_some_and(|own| Rc::ptr_eq(own, user)),
            Property::Address(address) => session.peer.as_bytes() == *address,
            Property::LocalAddress(address) => session.local.as_bytes() == *address,
            Property::Ip(ip) => session.peer.rsplit_once(':').is_some_and(|(own, _)| own.as_bytes() == *ip),
            Property::Name(name) => *session.name == **name,
            Property::LibName(name) => *session.lib_name == **name,
            Property::LibVersion(version) => *session.lib_version == **version,
            Property::Flags(flags) => {
                let own = flag_letters(world, session);
                flags.iter().all(|flag| own.as_bytes().contains(flag))
            }
            Property::Db(db) => session.db.0 == *db,
            Property::AgeSeconds(age) => (now - session.connected_at) / 1000 >= *age,
            Property::IdleSeconds(idle) => (now - session.active_at) / 1000 >= *idle,
        }
    }
}

fn id(text: &[u8]) -> Option<ClientId> {
    number::parse_i64(text).filter(|id| *id > 0).map(|id| ClientId(id as u64))
}

/// A time in seconds, at least one.
fn seconds(text: &[u8], what: &str) -> Result<i64, CommandError> {
    match number::parse_i64(text) {
        None => Err(CommandError::text(format!("ERR {what} is not an integer or out of range"))),
        Some(seconds) if seconds <= 0 => Err(CommandError::text(format!("ERR {what} should be greater than 0"))),
        Some(seconds) => Ok(seconds),
    }
}
