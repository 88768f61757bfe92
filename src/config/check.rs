//! Conditions on the texts of single directives. Each returns the reason for a refusal in the
//! words that CONFIG SET answers with.

type Verdict = Result<(), &'static str>;

/// `dbfilename`: a bare file name.
pub(super) fn is_db_filename(name: &str) -> Verdict {
    require(is_base_name(name), "dbfilename can't be a path, just a filename")
}

/// `appendfilename`: a bare file name.
pub(super) fn is_aof_filename(name: &str) -> Verdict {
    require(!name.is_empty(), "appendfilename can't be empty")?;
    require(is_base_name(name), "appendfilename can't be a path, just a filename")
}

/// `appenddirname`: a bare name.
pub(super) fn is_aof_dirname(name: &str) -> Verdict {
    require(!name.is_empty(), "appenddirname can't be empty")?;
    require(is_base_name(name), "appenddirname can't be a path, just a dirname")
}

/// `cluster-announce-hostname`: what may stand in a host name, up to 255 characters.
pub(super) fn is_hostname(name: &str) -> Verdict {
    require(name.len() < 256, "Hostnames must be less than 256 characters")?;
    let fits = name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'.');
    require(fits, "Hostnames may only contain alphanumeric characters, hyphens or dots")
}

/// `cluster-announce-human-nodename`: nothing that separates fields in nodes.conf.
pub(super) fn is_nodename(name: &str) -> Verdict {
    let fits = !name.bytes().any(|c| b"!#$%&()*+:;<>?@[]^{|}~".contains(&c));
    require(fits, "Announced human node name contained invalid character")
}

/// `cluster-announce-client-ipv4` of Valkey; may be empty.
pub(super) fn is_ipv4(address: &str) -> Verdict {
    let fits = address.is_empty() || address.parse::<std::net::Ipv4Addr>().is_ok();
    require(fits, "Invalid IPv4 address")
}

/// `cluster-announce-client-ipv6` of Valkey; may be empty.
pub(super) fn is_ipv6(address: &str) -> Verdict {
    let fits = address.is_empty() || address.parse::<std::net::Ipv6Addr>().is_ok();
    require(fits, "Invalid IPv6 address")
}

/// `locale-collate`: only locales that compare byte by byte, because text is compared so.
pub(super) fn is_locale(name: &str) -> Verdict {
    require(matches!(name, "" | "C" | "POSIX" | "C.UTF-8" | "C.utf8"), "Invalid locale name")
}

/// `rdma-bind` of Valkey: always refused.
pub(super) fn is_no_rdma(_: &str) -> Verdict {
    Err("No RDMA building support.")
}

/// `proc-title-template`: known variables in braces, `{{` for a brace, and not certainly empty.
pub(super) fn is_title_template(template: &str) -> Verdict {
    const INVALID: &str = "template format is invalid or contains unknown variables";
    let mut visible = false;
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        visible |= !rest[..open].trim().is_empty();
        rest = &rest[open + 1..];
        if let Some(literal) = rest.strip_prefix('{') {
            visible = true;
            rest = literal;
            continue;
        }
        let close = rest.find('}').ok_or(INVALID)?;
        match &rest[..close] {
            "title" | "unixsocket" => {}
            "listen-addr" | "server-mode" | "port" | "tls-port" | "config-file" => visible = true,
            _ => return Err(INVALID),
        }
        rest = &rest[close + 1..];
    }
    require(visible || !rest.trim().is_empty(), INVALID)
}

fn is_base_name(name: &str) -> bool {
    !name.contains(['/', '\\'])
}

fn require(fits: bool, reason: &'static str) -> Verdict {
    if fits { Ok(()) } else { Err(reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_templates() {
        for good in ["{title} {listen-addr} {server-mode}", "{{x", "x}", "{port}", "--a--b"] {
            assert_eq!(is_title_template(good), Ok(()), "{good}");
        }
        for bad in ["", "{title}", "{foo}", "{port", " ", "x{"] {
            assert!(is_title_template(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names() {
        assert!(is_db_filename("a/b").is_err());
        assert!(is_aof_filename("").is_err());
        assert!(is_aof_dirname("..\\x").is_err());
        assert!(is_hostname("a_b").is_err() && is_hostname("a-b.C9").is_ok());
        assert!(is_nodename("a b").is_ok() && is_nodename("a:b").is_err());
    }
}
