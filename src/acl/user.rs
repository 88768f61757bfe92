//! A user: flags, passwords and selectors, and the modifiers of ACL SETUSER that make it.

use super::password::Password;
use super::selector::{Denial, Request, Selector, fits_any};
use super::{DEFAULT, RuleError, Rules};

/// A user. Never changed once it is in use, but replaced.
#[derive(Clone)]
pub struct User {
    pub name: Box<[u8]>,
    /// May log in.
    pub enabled: bool,
    /// Any password will do.
    pub nopass: bool,
    /// Payloads of RESTORE need not be looked at closely.
    pub skip_sanitize: bool,
    passwords: Vec<Password>,
    root: Selector,
    selectors: Vec<Selector>,
}

/// Why a list of modifiers is refused. `Display` is the text of ACL SETUSER's error.
#[derive(Debug)]
pub enum Refusal {
    /// A parenthesis is not closed; the word that opens it.
    Unmatched(Vec<u8>),
    /// A modifier, and what is wrong with it.
    Modifier(Vec<u8>, RuleError),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
        match self {
            Refusal::Unmatched(word) => write!(f, "Unmatched parenthesis in acl selector starting at '{}'.", text(word)),
            Refusal::Modifier(word, reason) => write!(f, "Error in ACL SETUSER modifier '{}': {reason}", text(word)),
        }
    }
}

impl User {
    /// A user who may do nothing, not even log in.
    pub fn new(name: &[u8], rules: Rules<'_>) -> Self {
        User {
            name: name.into(),
            enabled: false,
            nopass: false,
            skip_sanitize: false,
            passwords: Vec::new(),
            root: Selector::new(rules),
            selectors: Vec::new(),
        }
    }

    /// The default user as it is unless somebody says otherwise: all rights, no password.
    pub fn all_powerful(rules: Rules<'_>) -> Self {
        let mut user = User::new(DEFAULT, rules);
        for modifier in ["+@all", "~*", "&*", "on", "nopass"] {
            let applied = user.apply(modifier.as_bytes(), rules);
            debug_assert_eq!(applied, Ok(()));
        }
        user
    }

    /// The same user with one password, or with none if it is empty.
    pub fn with_only_password(mut self, password: &[u8]) -> Self {
        self.nopass = password.is_empty();
        self.passwords.clear();
        if !self.nopass {
            self.passwords.push(Password::of(password));
        }
        self
    }

    /// True if nothing is ever refused to this user.
    pub fn is_unlimited(&self) -> bool {
        self.root.is_unlimited()
    }

    /// True if connections need not log in to be this user.
    pub fn is_open(&self) -> bool {
        self.enabled && self.nopass
    }

    /// True if this is a password of the user.
    pub fn accepts(&self, password: &[u8]) -> bool {
        // All are compared, so that time does not tell which one it was.
        let given = Password::of(password);
        self.passwords.iter().fold(false, |found, known| known.is_same(&given) | found) | self.nopass
    }

    /// Changes the user by modifiers as ACL SETUSER takes them: selectors may be spread over several words.
    pub fn apply_all<'b>(&mut self, words: impl Iterator<Item = &'b [u8]>, rules: Rules<'_>) -> Result<(), Refusal> {
        for modifier in merge_selectors(words).map_err(Refusal::Unmatched)? {
            self.apply(&modifier, rules).map_err(|reason| Refusal::Modifier(modifier, reason))?;
        }
        Ok(())
    }

    /// Changes the user by one modifier.
    pub fn apply(&mut self, modifier: &[u8], rules: Rules<'_>) -> Result<(), RuleError> {
        let is = |word: &str| modifier.eq_ignore_ascii_case(word.as_bytes());
        match modifier {
            [] => {}
            _ if is("on") => self.enabled = true,
            _ if is("off") => self.enabled = false,
            _ if is("skip-sanitize-payload") => self.skip_sanitize = true,
            _ if is("sanitize-payload") => self.skip_sanitize = false,
            _ if is("nopass") || is("resetpass") => {
                self.nopass = is("nopass");
                self.passwords.clear();
            }
            [b'>' | b'#', ..] => {
                let password = password_of(modifier)?;
                if !self.passwords.iter().any(|known| known.is_same(&password)) {
                    self.passwords.push(password);
                }
                self.nopass = false;
            }
            [b'<' | b'!', ..] => {
                let password = password_of(modifier)?;
                let at = self.passwords.iter().position(|known| known.is_same(&password));
                self.passwords.remove(at.ok_or(RuleError::NoSuchPassword)?);
            }
            [b'(', inner @ .., b')'] => self.selectors.push(Selector::parse(inner, rules)?),
            _ if is("clearselectors") => self.selectors.clear(),
            _ if is("reset") => *self = User::new(&self.name, rules),
            _ => self.root.apply(modifier, rules)?,
        }
        Ok(())
    }

    /// Why a request is refused, if it is: what the selector says that allows most of it.
    pub fn check(&self, request: &Request<'_>) -> Result<(), Denial> {
        let Err(mut denial) = self.root.check(request) else { return Ok(()) };
        for selector in &self.selectors {
            match selector.check(request) {
                Ok(()) => return Ok(()),
                Err(other) => denial = denial.max(other),
            }
        }
        Err(denial)
    }

    /// True if a selector allows the request and the reading of every key besides.
    pub fn reads_every_key(&self, request: &Request<'_>) -> bool {
        self.all_selectors().any(|selector| selector.reads_every_key() && selector.check(request).is_ok())
    }

    /// True if a subscriber to a channel (or a pattern) may stay one when this user takes the place of `before`. Who loses no
    /// permission on the way loses no subscriber, whatever it is subscribed to.
    pub fn keeps_channels_of(&self, before: &User) -> bool {
        let all = |user: &User| user.all_selectors().any(Selector::allows_all_channels);
        let is_kept = |old: &[u8]| self.all_channel_patterns().any(|pattern| pattern == old);
        all(self) || (!all(before) && before.all_channel_patterns().all(is_kept))
    }

    /// True if the user may listen to a channel, or to a pattern.
    pub fn may_listen(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.all_selectors().any(Selector::allows_all_channels) || fits_any(self.all_channel_patterns(), channel, is_pattern)
    }

    fn all_channel_patterns(&self) -> impl Iterator<Item = &[u8]> {
        self.all_selectors().flat_map(Selector::channel_patterns)
    }

    fn all_selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.selectors)
    }

    /// The selector that is written without parentheses.
    pub fn root(&self) -> &Selector {
        &self.root
    }

    /// The selectors in parentheses.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// The digests of the passwords, in hexadecimal digits.
    pub fn password_hashes(&self) -> impl ExactSizeIterator<Item = String> {
        self.passwords.iter().map(Password::hex)
    }

    /// The flags that are set.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let sanitize = if self.skip_sanitize { "skip-sanitize-payload" } else { "sanitize-payload" };
        let all = [(if self.enabled { "on" } else { "off" }, true), ("nopass", self.nopass), (sanitize, true)];
        all.into_iter().filter(|(_, set)| *set).map(|(flag, _)| flag)
    }

    /// The modifiers that make this user from a new one. A selector is one word.
    pub fn describe(&self) -> Vec<Vec<u8>> {
        let mut words: Vec<Vec<u8>> = self.flags().map(|flag| flag.as_bytes().to_vec()).collect();
        words.extend(self.password_hashes().map(|hash| format!("#{hash}").into_bytes()));
        words.extend(self.root.describe().split(|byte| *byte == b' ').map(<[u8]>::to_vec));
        words.extend(self.selectors.iter().map(|selector| [b"(", &selector.describe()[..], b")"].concat()));
        words
    }

    /// The line that ACL LIST shows and an ACL file holds.
    pub fn line(&self) -> Vec<u8> {
        let mut words = vec![b"user".to_vec(), self.name.to_vec()];
        words.extend(self.describe());
        words.join(&b' ')
    }
}

/// The password that a modifier names, in clear or by its digest.
fn password_of(modifier: &[u8]) -> Result<Password, RuleError> {
    match modifier[0] {
        b'>' | b'<' => Ok(Password::of(&modifier[1..])),
        _ => Password::from_hex(&modifier[1..]).ok_or(RuleError::BadHash),
    }
}

/// Joins the words of selectors that are spread over several: `(+get`, `~k)`.
///
/// # Errors
/// The word that opens a parenthesis which nothing closes.
pub fn merge_selectors<'b>(words: impl Iterator<Item = &'b [u8]>) -> Result<Vec<Vec<u8>>, Vec<u8>> {
    let mut merged = Vec::new();
    let mut open: Option<(&[u8], Vec<u8>)> = None;
    for word in words {
        let closes = word.ends_with(b")");
        match &mut open {
            Some((_, selector)) => {
                selector.push(b' ');
                selector.extend_from_slice(word);
                if closes {
                    merged.extend(open.take().map(|(_, selector)| selector));
                }
            }
            None if word.starts_with(b"(") && !closes => open = Some((word, word.to_vec())),
            None => merged.push(word.to_vec()),
        }
    }
    open.map_or(Ok(merged), |(word, _)| Err(word.to_vec()))
}
