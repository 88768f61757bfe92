//! ACL LOAD and SAVE: the users of the `aclfile`.

use super::{ADMIN, ALL_NODES};
use crate::acl;
use crate::command::context::ServerCtx;
use crate::command::error::CommandError;
use crate::command::spec::*;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ACL|LOAD",
        arity: Arity::exactly(2),
        complexity: "O(N) where N is the number of users in the file",
        summary: "Puts the users of the ACL file in the place of all users.",
        run: Handler::Server(load),
        ..ADMIN
    },
    CommandSpec {
        name: "ACL|SAVE",
        arity: Arity::exactly(2),
        complexity: "O(N) where N is the number of users",
        summary: "Writes all users to the ACL file.",
        tips: ALL_NODES,
        run: Handler::Server(save),
        ..ADMIN
    },
];
const _: () = check(COMMANDS);

const NO_FILE: CommandError = CommandError::new(
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command \
     and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis \
     configuration.",
);

fn load(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let config = &ctx.world.config;
    if config.aclfile.is_empty() {
        return Err(NO_FILE);
    }
    let (table, config) = (ctx.world.commands.clone(), config.clone());
    let rules = acl::Rules::new(&*table, &config);
    let users = acl::file::load(&config.path(&config.aclfile), &config.aclfile, rules)
        .map_err(|errors| CommandError::text(format!("ERR {errors}")))?;
    let expelled = ctx.world.change_users(ctx.session, |acl| acl.replace_all(users, rules));
    ctx.reply.ok();
    Ok(if expelled { Flow::Close } else { Flow::Done })
}

fn save(ctx: &mut ServerCtx<'_>) -> CommandResult {
    let config = &ctx.world.config;
    if config.aclfile.is_empty() {
        return Err(NO_FILE);
    }
    if let Err(error) = acl::file::save(&ctx.world.acl, &config.path(&config.aclfile)) {
        tracing::warn!("Writing the ACL file: {error}");
        return Err(CommandError::new(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
        ));
    }
    ctx.reply.ok();
    Ok(Flow::Done)
}
