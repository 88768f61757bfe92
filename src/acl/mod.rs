//! Who may do what: users, their passwords and rules, the file that keeps them, and the log of refusals.
//!
//! - `user.rs` is a user: flags, passwords, the root selector and further ones. Modifiers of ACL SETUSER change a copy, so
//!   that either all of them take effect or none.
//! - `selector.rs` is a set of permissions: commands, keys, channels. A request is allowed if one selector allows all of it.
//! - `file.rs` reads and writes the `aclfile`; `log.rs` is what ACL LOG shows.
//!
//! A `User` never changes: changing one means putting another in its place and telling the sessions, which hold it by `Rc`
//! (`World::replace_user`). A session thus knows from one flag of its own whether it has to ask here at all. This room knows
//! neither sessions nor commands: what it must know of the command table comes through `Catalog`.

pub mod file;
pub mod log;
mod password;
mod selector;
mod user;

pub use log::{Log, Place};
pub use selector::{Access, Denial, Request, Selector, Visitor};
pub use user::User;

use crate::config::{AclPubsubDefault, Config};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

/// The user that every connection begins as.
pub const DEFAULT: &[u8] = b"default";

/// What rules need to know of the command table. Positions are those of the table; names are the declared ones, which
/// `rename-command` does not change.
pub trait Catalog {
    /// Number of commands, subcommands included.
    fn size(&self) -> usize;
    /// The command of this name (`get`, `config|set`), in any case.
    fn position(&self, name: &[u8]) -> Option<u16>;
    /// True for `config|set` and the like.
    fn is_subcommand(&self, command: u16) -> bool;
    /// A container's subcommands.
    fn subcommands(&self, command: u16) -> Range<usize>;
    /// The bits of a command's categories.
    fn categories(&self, command: u16) -> u32;
    /// The bit of the category of this name, in any case.
    fn category(&self, name: &[u8]) -> Option<u32>;
}

/// Why a rule is refused. `Display` is the reason as ACL SETUSER gives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleError {
    UnknownCommand,
    Syntax,
    KeysAfterAll,
    ChannelsAfterAll,
    NoSuchPassword,
    BadHash,
    FirstArgumentOfSubcommand,
}

impl std::fmt::Display for RuleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            RuleError::UnknownCommand => "Unknown command or category name in ACL",
            RuleError::Syntax => "Syntax error",
            RuleError::KeysAfterAll => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try \
                 'resetkeys' to start with an empty list of patterns"
            }
            RuleError::ChannelsAfterAll => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. \
                 Try 'resetchannels' to start with an empty list of channels"
            }
            RuleError::NoSuchPassword => "The password you are trying to remove from the user does not exist",
            RuleError::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            RuleError::FirstArgumentOfSubcommand => "Allowing first-arg of a subcommand is not supported",
        })
    }
}

/// What rules depend on besides themselves.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    pub catalog: &'a dyn Catalog,
    /// A new selector may use all channels (`acl-pubsub-default`).
    pub all_channels: bool,
}

impl<'a> Rules<'a> {
    /// The rules under a configuration.
    pub fn new(catalog: &'a dyn Catalog, config: &Config) -> Self {
        Rules { catalog, all_channels: config.acl_pubsub_default == AclPubsubDefault::Allchannels }
    }
}

/// All users, in the order of their names.
pub type Users = BTreeMap<Box<[u8]>, Rc<User>>;

/// The users of a server and what was refused to them.
pub struct Acl {
    users: Users,
    /// The one called `default`, which is always there.
    default: Rc<User>,
    pub log: Log,
}

impl Acl {
    /// The default user alone, with this password (none if it is empty).
    pub fn new(rules: Rules<'_>, password: &[u8]) -> Self {
        let default = Rc::new(User::all_powerful(rules).with_only_password(password));
        Acl { users: BTreeMap::from([(DEFAULT.into(), default.clone())]), default, log: Log::default() }
    }

    /// The user of this name.
    pub fn get(&self, name: &[u8]) -> Option<&Rc<User>> {
        self.users.get(name)
    }

    /// The user that connections begin as.
    #[inline]
    pub fn default_user(&self) -> &Rc<User> {
        &self.default
    }

    /// All users in the order of their names.
    pub fn users(&self) -> impl ExactSizeIterator<Item = &Rc<User>> {
        self.users.values()
    }

    /// Puts a user in the place of the one of its name.
    pub fn put(&mut self, user: Rc<User>) {
        if *user.name == *DEFAULT {
            self.default = user.clone();
        }
        self.users.insert(user.name.clone(), user);
    }

    /// Forgets a user. The default user stays.
    pub fn remove(&mut self, name: &[u8]) -> Option<Rc<User>> {
        if name == DEFAULT { None } else { self.users.remove(name) }
    }

    /// Puts these users in the place of all others. The default user is an all-powerful one if it is not among them.
    pub fn replace_all(&mut self, mut users: Users, rules: Rules<'_>) {
        let default = users.entry(DEFAULT.into()).or_insert_with(|| Rc::new(User::all_powerful(rules)));
        self.default = default.clone();
        self.users = users;
    }

    /// The user of this name, if the password is right and the user may log in. An unknown user takes as long as a known one
    /// with a wrong password: the answer's time does not tell which names exist.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<&Rc<User>> {
        let user = self.users.get(name);
        let fits = user.unwrap_or(&self.default).accepts(password);
        user.filter(|user| user.enabled && fits)
    }

    /// Each user's rules as words, for CONFIG REWRITE: the name, then what ACL LIST shows.
    pub fn lines(&self) -> Vec<Vec<Vec<u8>>> {
        self.users().map(|user| std::iter::once(user.name.to_vec()).chain(user.describe()).collect()).collect()
    }
}

/// True for text that could not stand in a line of rules: blanks and NUL.
pub fn has_blanks(text: &[u8]) -> bool {
    text.iter().any(|byte| byte.is_ascii_whitespace() || matches!(byte, 0 | 0x0b))
}
