//! A command's row. One row tells all: the dispatcher's guards, COMMAND INFO and DOCS, ACL categories, key extraction for
//! GETKEYS, ACL and Cluster, and the help are views of it.
//!
//! Rows are `const` tables at the head of each topic file; `check` refuses a bad one when the crate is compiled.

use super::context::{KeysCtx, ServerCtx, SessionCtx};
use super::error::CommandError;
use crate::resp::request::Args;

/// What a handler answers with: a reply already written and what happens next, or an error to be written.
pub type CommandResult = Result<Flow, CommandError>;

/// What happens to the client after a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// The reply is complete.
    Done,
    /// Nothing was written: wait until one of the keys named in `KeysCtx::block` is ready, then run the request again.
    Block,
    /// The reply is complete; close the connection when it is sent.
    Close,
    /// No reply at all, now or later (CLIENT REPLY, SHUTDOWN).
    Silent,
    /// Nothing was written: run the requests that the client's transaction has queued (EXEC).
    RunQueue,
    /// Nothing was written: run the script that the handler prepared (EVAL, FCALL).
    RunScript,
    /// What was written is part of the reply: run the request again for the rest, after others had their turn. The handler
    /// keeps in `Session::progress` how far it came. Only where it `may_block`.
    More,
}

/// The function behind a command. The kind states its reach.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Reads and writes keys; knows nothing of sessions or sockets, so scripts, EXEC, AOF replay and replicas run it too.
    Keys(fn(&mut KeysCtx<'_>) -> CommandResult),
    /// About this client.
    Session(fn(&mut SessionCtx<'_>) -> CommandResult),
    /// About the server.
    Server(fn(&mut ServerCtx<'_>) -> CommandResult),
    /// Has subcommands only.
    Container,
}

/// Number of arguments, the name included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arity(pub i16);

impl Arity {
    pub const fn exactly(n: i16) -> Self {
        Arity(n)
    }

    pub const fn at_least(n: i16) -> Self {
        Arity(-n)
    }

    /// True if `n` arguments are right.
    #[inline]
    pub fn allows(self, n: usize) -> bool {
        if self.0 >= 0 { n == self.0 as usize } else { n >= self.0.unsigned_abs() as usize }
    }
}

macro_rules! bits {
    ($(#[$doc:meta])* $type:ident($repr:ty) { $($(#[$item_doc:meta])* $name:ident = $wire:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $type { $($(#[$item_doc])* $name,)* }

        impl $type {
            pub const ALL: &'static [$type] = &[$($type::$name,)*];

            /// The bit in a set of these.
            pub const fn bit(self) -> $repr {
                1 << self as u32
            }

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $($type::$name => $wire,)* }
            }
        }
    };
}

bits! {
    /// A command's flags, as COMMAND INFO names them; those from `Internal` on are ours and are not shown.
    Flag(u32) {
        /// Changes keys.
        Write = "write",
        /// Reads keys.
        ReadOnly = "readonly",
        /// Refused when memory is short.
        DenyOom = "denyoom",
        Module = "module",
        Admin = "admin",
        PubSub = "pubsub",
        /// Not from scripts.
        NoScript = "noscript",
        /// May wait.
        Blocking = "blocking",
        /// Allowed while the data set is being loaded.
        Loading = "loading",
        /// Allowed on a replica whose data are stale.
        Stale = "stale",
        SkipMonitor = "skip_monitor",
        SkipSlowlog = "skip_slowlog",
        /// Followed through on a slot that is being imported.
        Asking = "asking",
        /// Constant or logarithmic time: never measured alone.
        Fast = "fast",
        /// Allowed before AUTH.
        NoAuth = "no_auth",
        MayReplicate = "may_replicate",
        NoAsyncLoading = "no_async_loading",
        NoMulti = "no_multi",
        /// Key positions depend on the arguments.
        MovableKeys = "movablekeys",
        /// Allowed while a script runs too long.
        AllowBusy = "allow_busy",
        /// Keys may be left out.
        NoMandatoryKeys = "no_mandatory_keys",
        /// The transaction's own commands run at once inside MULTI.
        Transaction = "transaction",
        /// Touches keys that it does not name.
        TouchesArbitraryKeys = "touches_arbitrary_keys",
    }
}

bits! {
    /// ACL categories.
    Category(u32) {
        Keyspace = "keyspace",
        Read = "read",
        Write = "write",
        Set = "set",
        SortedSet = "sortedset",
        List = "list",
        Hash = "hash",
        String = "string",
        Bitmap = "bitmap",
        HyperLogLog = "hyperloglog",
        Geo = "geo",
        Stream = "stream",
        PubSub = "pubsub",
        Admin = "admin",
        Fast = "fast",
        Slow = "slow",
        Blocking = "blocking",
        Dangerous = "dangerous",
        Connection = "connection",
        Transaction = "transaction",
        Scripting = "scripting",
    }
}

/// A set of flags, for rows.
pub const fn flags(list: &[Flag]) -> u32 {
    let (mut bits, mut i) = (0, 0);
    while i < list.len() {
        bits |= list[i].bit();
        i += 1;
    }
    bits
}

/// A set of categories, for rows. Read, write, fast, slow, admin, dangerous, pubsub and blocking follow from the flags.
pub const fn categories(list: &[Category]) -> u32 {
    let (mut bits, mut i) = (0, 0);
    while i < list.len() {
        bits |= list[i].bit();
        i += 1;
    }
    bits
}

/// The group under which documentation files a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    Generic,
    String,
    List,
    Hash,
    Set,
    SortedSet,
    Stream,
    Bitmap,
    HyperLogLog,
    Geo,
    PubSub,
    Transactions,
    Scripting,
    Connection,
    Server,
    Cluster,
    Sentinel,
}

impl Group {
    pub const fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Hash => "hash",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
            Group::HyperLogLog => "hyperloglog",
            Group::Geo => "geo",
            Group::PubSub => "pubsub",
            Group::Transactions => "transactions",
            Group::Scripting => "scripting",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Cluster => "cluster",
            Group::Sentinel => "sentinel",
        }
    }
}

/// What a command does to the keys that a key spec finds. Bits, so that rows can combine them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyFlags(pub u16);

impl KeyFlags {
    pub const RO: u16 = 1 << 0;
    pub const RW: u16 = 1 << 1;
    pub const OW: u16 = 1 << 2;
    pub const RM: u16 = 1 << 3;
    pub const ACCESS: u16 = 1 << 4;
    pub const UPDATE: u16 = 1 << 5;
    pub const INSERT: u16 = 1 << 6;
    pub const DELETE: u16 = 1 << 7;
    pub const NOT_KEY: u16 = 1 << 8;
    pub const INCOMPLETE: u16 = 1 << 9;
    pub const VARIABLE: u16 = 1 << 10;

    /// Names on the wire, in bit order.
    pub const NAMES: &'static [&'static str] =
        &["RO", "RW", "OW", "RM", "access", "update", "insert", "delete", "not_key", "incomplete", "variable_flags"];
}

/// Where the search for keys begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// At this argument.
    Index(usize),
    /// Behind this word, looked for from argument `from` (negative: backwards from the end).
    Keyword {
        word: &'static str,
        from: i32,
    },
    Unknown,
}

/// Which arguments from there are keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Find {
    /// Until `last` behind the first (negative: from the end of the request), every `step`; `limit` > 1 takes only that
    /// fraction of the arguments.
    Range {
        last: i32,
        step: usize,
        limit: usize,
    },
    /// The argument `count_at` behind the first says how many keys follow from `first` on.
    Count {
        count_at: usize,
        first: usize,
        step: usize,
    },
    Unknown,
}

/// A rule that finds keys among the arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeySpec {
    pub flags: u16,
    pub begin: Begin,
    pub find: Find,
}

impl KeySpec {
    /// One key at argument `i`, read-only unless `access` says otherwise.
    pub const fn at(i: usize) -> Self {
        KeySpec {
            flags: KeyFlags::RO | KeyFlags::ACCESS,
            begin: Begin::Index(i),
            find: Find::Range { last: 0, step: 1, limit: 0 },
        }
    }

    /// Keys from argument `i` to `last` (as counted from there; negative from the end), every `step`.
    pub const fn range(i: usize, last: i32, step: usize) -> Self {
        KeySpec { flags: KeyFlags::RO | KeyFlags::ACCESS, begin: Begin::Index(i), find: Find::Range { last, step, limit: 0 } }
    }

    /// A count at argument `i`, the keys behind it.
    pub const fn counted(i: usize) -> Self {
        KeySpec {
            flags: KeyFlags::RO | KeyFlags::ACCESS,
            begin: Begin::Index(i),
            find: Find::Count { count_at: 0, first: 1, step: 1 },
        }
    }

    /// Keys behind a word.
    pub const fn behind(word: &'static str, from: i32, find: Find) -> Self {
        KeySpec { flags: KeyFlags::RO | KeyFlags::ACCESS, begin: Begin::Keyword { word, from }, find }
    }

    /// With these `KeyFlags` bits.
    pub const fn access(mut self, flags: u16) -> Self {
        self.flags = flags;
        self
    }
}

/// Which argument is the first element (a member, a field) of a collection that a command looks up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ElementAt {
    Nowhere,
    At(u8),
    Last,
}

impl ElementAt {
    /// The element, if the request has one.
    #[inline]
    pub fn of(self, args: Args<'_>) -> Option<&[u8]> {
        match self {
            ElementAt::Nowhere => None,
            ElementAt::At(at) => args.opt(at as usize),
            ElementAt::Last => args.opt(args.len() - 1),
        }
    }
}

/// Reads a key.
pub const READ: u16 = KeyFlags::RO | KeyFlags::ACCESS;
/// Reads metadata of a key only.
pub const LOOK: u16 = KeyFlags::RO;
/// Reads and changes a key.
pub const READ_UPDATE: u16 = KeyFlags::RW | KeyFlags::ACCESS | KeyFlags::UPDATE;
/// Changes a key without telling what it held.
pub const UPDATE: u16 = KeyFlags::RW | KeyFlags::UPDATE;
/// Writes a key whatever it held.
pub const OVERWRITE: u16 = KeyFlags::OW | KeyFlags::UPDATE;
/// Adds to a key.
pub const INSERT: u16 = KeyFlags::RW | KeyFlags::INSERT;
/// Removes from a key, or the key.
pub const REMOVE: u16 = KeyFlags::RM | KeyFlags::DELETE;
/// Takes from a key what it tells.
pub const TAKE: u16 = KeyFlags::RW | KeyFlags::ACCESS | KeyFlags::DELETE;

/// A command's row.
#[derive(Clone, Copy)]
pub struct CommandSpec {
    /// Upper case; a subcommand is written `CONTAINER|SUB`.
    pub name: &'static str,
    pub arity: Arity,
    pub group: Group,
    pub since: &'static str,
    pub complexity: &'static str,
    pub summary: &'static str,
    /// The arguments in the notation of the documentation: `[x]` optional, `a|b` alternatives, `<a|b>` a choice,
    /// `x [x ...]` repeated. COMMAND DOCS' tree of arguments is read off this.
    pub syntax: &'static str,
    /// `flags(&[…])`
    pub flags: u32,
    /// `categories(&[…])` beyond those that follow from the flags.
    pub acl: u32,
    pub keys: &'static [KeySpec],
    /// Hints for clients and proxies.
    pub tips: &'static [&'static str],
    /// Since when it is deprecated and what replaces it.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// What changed in which version.
    pub history: &'static [(&'static str, &'static str)],
    /// The first element of a collection that it looks up by name, for reading ahead.
    pub element: ElementAt,
    pub run: Handler,
}

impl CommandSpec {
    /// What a row does not say.
    pub const BASE: CommandSpec = CommandSpec {
        name: "",
        arity: Arity(1),
        group: Group::Generic,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "",
        syntax: "",
        flags: 0,
        acl: 0,
        keys: &[],
        tips: &[],
        deprecated: None,
        history: &[],
        element: ElementAt::Nowhere,
        run: Handler::Container,
    };

    /// True if the row has this flag.
    #[inline]
    pub const fn has(&self, flag: Flag) -> bool {
        self.flags & flag.bit() != 0
    }

    /// All ACL categories: the row's own and those that follow from its flags.
    pub fn all_categories(&self) -> u32 {
        let mut all = self.acl;
        let mut add = |when: bool, category: Category| {
            if when {
                all |= category.bit();
            }
        };
        add(self.has(Flag::Write), Category::Write);
        let scripting = self.acl & Category::Scripting.bit() != 0;
        add(self.has(Flag::ReadOnly) && !scripting, Category::Read);
        add(self.has(Flag::Admin), Category::Admin);
        add(self.has(Flag::Admin), Category::Dangerous);
        add(self.has(Flag::PubSub), Category::PubSub);
        add(self.has(Flag::Fast), Category::Fast);
        add(self.has(Flag::Blocking), Category::Blocking);
        add(!self.has(Flag::Fast), Category::Slow);
        all
    }
}

/// Refuses a bad table when the crate is compiled.
pub const fn check(rows: &[CommandSpec]) {
    let mut i = 0;
    while i < rows.len() {
        let row = &rows[i];
        assert!(!row.name.is_empty() && !row.summary.is_empty(), "a row has a name and a summary");
        assert!(!(row.has(Flag::Write) && row.has(Flag::ReadOnly)), "a command writes or reads, not both");
        let name = row.name.as_bytes();
        let mut at = 0;
        while at < name.len() {
            assert!(!name[at].is_ascii_lowercase(), "names are upper case");
            at += 1;
        }
        let mut k = 0;
        while k < row.keys.len() {
            if let Begin::Index(first) = row.keys[k].begin {
                let arity = row.arity.0.unsigned_abs() as usize;
                // A further rule may begin where the mandatory arguments end: its keys are optional. So are names of channels.
                let unkeyed = row.keys[k].flags & KeyFlags::NOT_KEY != 0;
                let optional = (k > 0 || unkeyed) && row.arity.0 < 0 && first == arity;
                assert!(
                    first < arity || optional || row.has(Flag::NoMandatoryKeys) || row.has(Flag::MovableKeys),
                    "keys lie inside the arity"
                );
            }
            k += 1;
        }
        i += 1;
    }
}
