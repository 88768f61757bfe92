//! The wire text of errors, code first, written once: clients and test suites match these bytes.
//!
//! `CommandError` is text and not an enum, because scripts may invent codes. The code is the first word, as RESP says.

use std::borrow::Cow;

/// What a command answers instead of a reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommandError(Cow<'static, [u8]>);

impl CommandError {
    /// A text known at compile time.
    pub const fn new(text: &'static str) -> Self {
        CommandError(Cow::Borrowed(text.as_bytes()))
    }

    /// A text made for the occasion.
    pub fn text(text: String) -> Self {
        CommandError(Cow::Owned(text.into_bytes()))
    }

    /// A text that may hold arguments in any encoding.
    pub fn bytes(text: Vec<u8>) -> Self {
        CommandError(Cow::Owned(text))
    }

    /// The whole text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first word.
    pub fn code(&self) -> &[u8] {
        self.0.split(|b| *b == b' ').next().unwrap_or_default()
    }
}

macro_rules! errors {
    ($($name:ident = $text:literal;)*) => { $(pub const $name: CommandError = CommandError::new($text);)* };
}

errors! {
    MISCONF_RDB = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";
    NOREPLICAS = "NOREPLICAS Not enough good replicas to write.";
    REPLICA_BESIDE_HISTORY = "ERR Replica can't interact with the keyspace";
    WRONGTYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
    SYNTAX = "ERR syntax error";
    NOT_AN_INTEGER = "ERR value is not an integer or out of range";
    NOT_A_FLOAT = "ERR value is not a valid float";
    OUT_OF_RANGE = "ERR value is out of range";
    MUST_BE_POSITIVE = "ERR value is out of range, must be positive";
    INCR_OVERFLOW = "ERR increment or decrement would overflow";
    DECR_OVERFLOW = "ERR decrement would overflow";
    INCR_NAN_OR_INFINITY = "ERR increment would produce NaN or Infinity";
    NO_SUCH_KEY = "ERR no such key";
    INDEX_OUT_OF_RANGE = "ERR index out of range";
    OFFSET_OUT_OF_RANGE = "ERR offset is out of range";
    STRING_TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    SAME_OBJECT = "ERR source and destination objects are the same";
    DB_OUT_OF_RANGE = "ERR DB index is out of range";
    INVALID_DB = "ERR invalid DB index";
    INVALID_CURSOR = "ERR invalid cursor";
    UNBLOCKED = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
    UNBLOCKED_BY_ROLE = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
    READONLY = "READONLY You can't write against a read only replica.";
    MASTERDOWN = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    NOAUTH = "NOAUTH Authentication required.";
    NOT_IN_MULTI = "ERR Command not allowed inside a transaction";
    WRONGPASS = "WRONGPASS invalid username-password pair or user is disabled.";
    AUTH_NOT_CONFIGURED = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?";
    NOPROTO = "NOPROTO unsupported protocol version";
    OOM = "OOM command not allowed when used memory > 'maxmemory'.";
    EXECABORT = "EXECABORT Transaction discarded because of previous errors.";
    LOADING = "LOADING Redis is loading the dataset in memory";
    CROSS_SLOT = "CROSSSLOT Keys in request don't hash to the same slot";
    SLOT_IN_MOTION = "TRYAGAIN Multiple keys request during rehashing of slot";
    CLUSTER_DOWN = "CLUSTERDOWN The cluster is down";
    CLUSTER_DOWN_FOR_WRITES = "CLUSTERDOWN The cluster is down and only accepts read commands";
    SLOT_NOT_SERVED = "CLUSTERDOWN Hash slot not served";
    NO_CLUSTER = "ERR This instance has cluster support disabled";
    BUSYKEY = "BUSYKEY Target key name already exists.";
    NOT_HLL = "WRONGTYPE Key is not a valid HyperLogLog string value.";
    CORRUPT_HLL = "INVALIDOBJ Corrupted HLL object detected";
    TIMEOUT_NOT_A_FLOAT = "ERR timeout is not a float or out of range";
    TIMEOUT_NEGATIVE = "ERR timeout is negative";
    TIMEOUT_OUT_OF_RANGE = "ERR timeout is out of range";
    NOSCRIPT = "NOSCRIPT No matching script. Please use EVAL.";
    BUSY_SCRIPT = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
    BUSY_FUNCTION = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";
    MAX_CLIENTS = "ERR max number of clients reached";
}

/// "wrong number of arguments" for a command as the client spelled it, in lower case; `name` may be `config|set`.
pub fn wrong_arity(name: &str) -> CommandError {
    CommandError::text(format!("ERR wrong number of arguments for '{}' command", name.to_ascii_lowercase()))
}

/// "unknown subcommand" of a container command.
pub fn unknown_subcommand(container: &str, given: &[u8]) -> CommandError {
    let mut text = b"ERR unknown subcommand '".to_vec();
    text.extend_from_slice(&given[..given.len().min(128)]);
    text.extend_from_slice(format!("'. Try {} HELP.", container.to_ascii_uppercase()).as_bytes());
    CommandError::bytes(text)
}

/// "invalid expire time" in the name of a command.
pub fn invalid_expire(name: &str) -> CommandError {
    CommandError::text(format!("ERR invalid expire time in '{}' command", name.to_ascii_lowercase()))
}

/// Domain errors of the keyspace become wire text here.
impl From<crate::keyspace::WrongType> for CommandError {
    fn from(_: crate::keyspace::WrongType) -> Self {
        WRONGTYPE
    }
}
