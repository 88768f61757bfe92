//! The process' title by `proc-title-template`.

use crate::config::Config;
use crate::sys;
use std::ffi::CString;

/// Shows the title that the configuration wants, if it wants one and the title is ours to set.
pub fn show(config: &Config) {
    if config.set_proc_title
        && let Ok(title) = CString::new(expand(config))
    {
        sys::title::set(&title);
    }
}

/// The template with its variables replaced.
fn expand(config: &Config) -> String {
    let mut title = String::new();
    let mut rest = config.proc_title_template.as_str();
    while let Some(open) = rest.find('{') {
        title.push_str(&rest[..open]);
        rest = &rest[open + 1..];
        if let Some(behind) = rest.strip_prefix('{') {
            title.push('{');
            rest = behind;
            continue;
        }
        // Templates are checked where they are set.
        let Some((name, behind)) = rest.split_once('}') else { break };
        title.push_str(&variable(config, name));
        rest = behind;
    }
    title.push_str(rest);
    title.trim().to_owned()
}

fn variable(config: &Config, name: &str) -> String {
    match name {
        "title" => sys::title::name().to_owned(),
        "listen-addr" if config.port == 0 && config.tls_port == 0 => config.unixsocket.clone(),
        "listen-addr" => {
            let port = if config.port != 0 { config.port } else { config.tls_port };
            format!("{}:{port}", config.bind.first().map_or("*", String::as_str))
        }
        "server-mode" if config.cluster_enabled => "[cluster]".into(),
        "server-mode" if config.sentinel_mode => "[sentinel]".into(),
        "port" => config.port.to_string(),
        "tls-port" => config.tls_port.to_string(),
        "unixsocket" => config.unixsocket.clone(),
        "config-file" => config.config_file.as_ref().map_or_else(|| "-".into(), |path| path.display().to_string()),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_in() {
        let mut config =
            Config { proc_title_template: "x {listen-addr} {server-mode}{{y} {port} {config-file} ".into(), ..Config::default() };
        assert_eq!(expand(&config), "x *:6379 {y} 6379 -");
        (config.port, config.unixsocket, config.cluster_enabled) = (0, "/run/r.sock".into(), true);
        assert_eq!(expand(&config), "x /run/r.sock [cluster]{y} 0 -");
    }
}
