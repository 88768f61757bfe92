//! Sessions and their users: who a connection is, and what becomes of connections when users change.

use super::{Order, World};
use crate::acl::log::Note;
use crate::acl::{self, Acl, Place, Rules, User};
use crate::config::Config;
use crate::resp::decode::Limits;
use crate::session::{Session, Topic};
use crate::types::ClientId;
use std::rc::Rc;

impl World {
    /// What rules about users depend on.
    pub fn rules(&self) -> Rules<'_> {
        Rules::new(&*self.commands, &self.config)
    }

    /// Makes a session that of a new connection.
    pub fn welcome(&self, session: &mut Session) {
        let user = self.acl.default_user();
        session.authenticated = user.is_open();
        session.user = Some(user.clone());
        self.settle(session);
    }

    /// True if the client must log in before it may do anything else.
    pub fn must_log_in(&self, session: &Session) -> bool {
        must_log_in(&self.acl, session)
    }

    /// How much one request of a client may hold.
    pub fn limits(&self, session: &Session) -> Limits {
        limits(&self.acl, &self.config, session)
    }

    /// Draws the consequences of who the client is now.
    pub fn settle(&self, session: &mut Session) {
        settle(&self.acl, &self.config, session);
    }

    /// The same for all clients.
    pub fn settle_all(&mut self) {
        let (acl, config) = (&self.acl, &self.config);
        self.sessions.iter_mut().for_each(|session| settle(acl, config, session));
    }

    /// Logs the client in. False if the password is wrong, there is no such user, or it is switched off.
    pub fn log_in(&self, session: &mut Session, name: &[u8], password: &[u8]) -> bool {
        let Some(user) = self.acl.authenticate(name, password) else { return false };
        session.user = Some(user.clone());
        session.authenticated = true;
        self.settle(session);
        true
    }

    /// Changes users, and tells all sessions. Clients whose user is gone are closed, and so are subscribers that listen to
    /// what their user may not listen to any more. True if `me`, which is not in the registry, is one of them; it has to
    /// close itself when it has its reply.
    pub fn change_users(&mut self, me: &mut Session, change: impl FnOnce(&mut Acl)) -> bool {
        change(&mut self.acl);
        let (acl, config) = (&self.acl, &self.config);
        let mut expelled: Vec<ClientId> = Vec::new();
        for session in self.sessions.iter_mut() {
            if !follow(acl, session) {
                expel(acl, session);
                session.closing = true;
                expelled.push(session.id);
            }
            settle(acl, config, session);
        }
        let stays = follow(acl, me);
        if !stays {
            expel(acl, me);
        }
        settle(acl, config, me);
        let disconnect = |client| Order::Disconnect { client, after_replies: false };
        self.orders.extend(expelled.into_iter().map(disconnect));
        !stays
    }

    /// Puts a user in the place of the one of its name.
    pub fn put_user(&mut self, me: &mut Session, user: User) -> bool {
        self.change_users(me, |acl| acl.put(Rc::new(user)))
    }

    /// Notes that something was refused to a client, or that it failed to log in as `user`.
    pub fn note_refusal(&mut self, note: Note<'_>, client: impl FnOnce() -> Vec<u8>) {
        let now = self.keyspace.env.now();
        self.acl.log.note(note, now, self.config.acllog_max_len as usize, client);
    }

    /// Loads the users of the configuration or of its `aclfile`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load_users(&mut self) -> Result<(), String> {
        let lines = std::mem::take(&mut self.config.users);
        if lines.is_empty() {
            return match &*self.config.aclfile {
                "" => Ok(()),
                _ => self.read_acl_file().map_err(|errors| format!("Aborting Redis startup because of ACL errors: {errors}")),
            };
        }
        if !self.config.aclfile.is_empty() {
            return Err("Users are defined in the configuration and there is an aclfile as well: that is very likely a mistake \
                        which opens the server. Define users in one of the two places."
                .into());
        }
        for line in &lines {
            let [name, words @ ..] = &line[..] else { continue };
            let shown = String::from_utf8_lossy(name).into_owned();
            if acl::has_blanks(name) {
                return Err("Spaces not allowed in ACL usernames".into());
            }
            let mut user = User::new(name, self.rules());
            user.apply_all(words.iter().map(Vec::as_slice), self.rules())
                .map_err(|refusal| format!("Error loading ACL rules of the user '{shown}': {refusal}"))?;
            if !user.enabled {
                tracing::info!("The user '{shown}' is disabled: its rules do not say 'on'. Make sure that this is meant.");
            }
            self.acl.put(Rc::new(user));
        }
        Ok(())
    }

    /// Puts the users of the `aclfile` in the place of all others, at the start.
    fn read_acl_file(&mut self) -> Result<(), String> {
        let rules = Rules::new(&*self.commands, &self.config);
        let users = acl::file::load(&self.config.path(&self.config.aclfile), &self.config.aclfile, rules)?;
        self.acl.replace_all(users, rules);
        Ok(())
    }
}

impl Note<'_> {
    /// Where a client's request comes from.
    pub fn place_of(session: &Session) -> Place {
        if session.transaction.is_some() { Place::Multi } else { Place::TopLevel }
    }
}

fn must_log_in(acl: &Acl, session: &Session) -> bool {
    !session.authenticated && session.user.is_some() && !acl.default_user().is_open()
}

fn limits(acl: &Acl, config: &Config, session: &Session) -> Limits {
    if must_log_in(acl, session) {
        return Limits::unauthenticated();
    }
    let max_query = config.client_query_buffer_limit as usize;
    Limits { max_query, ..Limits::authenticated(config.proto_max_bulk_len as usize) }
}

fn settle(acl: &Acl, config: &Config, session: &mut Session) {
    let limited = session.user.as_ref().is_some_and(|user| !user.is_unlimited() || user.skip_sanitize);
    session.guarded = limited || must_log_in(acl, session);
    if let Some(link) = &session.link {
        link.set_limits(limits(acl, config, session));
    }
}

/// Gives a session its user as it is now. False if the client may not stay.
fn follow(acl: &Acl, session: &mut Session) -> bool {
    let Some(before) = session.user.clone() else { return true };
    let Some(now) = acl.get(&before.name) else { return false };
    if !Rc::ptr_eq(&before, now) {
        session.user = Some(now.clone());
        return now.keeps_channels_of(&before) || may_listen_on(now, session);
    }
    true
}

/// True if the client's user allows all of its subscriptions.
fn may_listen_on(user: &User, session: &Session) -> bool {
    let kinds = [(Topic::Pattern, true), (Topic::Channel, false), (Topic::Shard, false)];
    session
        .subscriptions
        .iter()
        .all(|mine| kinds.iter().all(|(topic, is_pattern)| mine.names(*topic).all(|name| user.may_listen(name, *is_pattern))))
}

/// Takes all rights from a client that is about to be closed.
fn expel(acl: &Acl, session: &mut Session) {
    session.user = Some(acl.default_user().clone());
    session.authenticated = false;
}
