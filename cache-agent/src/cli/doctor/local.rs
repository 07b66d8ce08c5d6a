//! What can be seen on this machine alone: the configuration, its files, the ports.

use crate::cli::doctor::finding::Finding;
use crate::config::{Config, Start};
use cache_core::advice;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What a process has open beside connections: logs, listeners, Redis, NATS.
const FILES_BESIDE: usize = 100;

/// What the settings say that is surely not meant.
pub fn settings(config: &Config) -> Vec<Finding> {
    const PART: &str = "configuration";
    let mut found = Vec::new();
    let given = config.domain.advice().into_iter();
    let given = given.map(|advice| (config.domain.name.as_str(), advice));
    let of_caches = config.caches.iter().flat_map(|policy| {
        let all = advice::of(policy).into_iter();
        all.map(|advice| (policy.name.as_str(), advice))
    });
    for (about, advice) in given.chain(of_caches) {
        let text = format!("{about}: {}: {}", advice.what, advice.why);
        found.push(Finding::warn(PART, text, advice.cure));
    }
    if config.start == Start::Refuse {
        let text = "start = \"refuse\": the agent ends where Redis or NATS is away at its start";
        found.push(Finding::ok(PART, text));
    }
    let tokens = config
        .identities
        .iter()
        .filter_map(|one| one.token.as_deref());
    found.extend(tokens.filter_map(open_to_all));
    found
}

/// Whether a file of secrets can be read by everybody.
fn open_to_all(file: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(file).ok()?.permissions().mode();
    (mode & 0o004 != 0).then(|| {
        let text = format!("{}: every user of this machine can read it", file.display());
        let mend = format!("chmod 0640 {}", file.display());
        Finding::warn("configuration", text, mend)
    })
}

/// Whether the agent could listen where it is told to. Not asked where one runs already.
pub fn doors(config: &Config) -> Vec<Finding> {
    const PART: &str = "doors";
    let listen = &config.listen;
    let ports = [
        ("listen.tcp", listen.tcp),
        ("listen.resp", listen.resp),
        ("admin.address", Some(config.admin)),
        ("admin.scrape", config.scrape),
    ];
    let ports = ports
        .into_iter()
        .filter_map(|(key, address)| Some((key, address?)));
    let mut found: Vec<_> = ports.map(|(key, address)| port(key, address)).collect();
    if let Some(path) = &listen.unix {
        let folder = path.parent().unwrap_or(Path::new("/"));
        found.push(match std::fs::metadata(folder) {
            Ok(meta) if meta.is_dir() => {
                Finding::ok(PART, format!("listen.unix: {} is there", folder.display()))
            }
            _ => Finding::bad(
                PART,
                format!("listen.unix: there is no folder {}", folder.display()),
                format!(
                    "mkdir -p {}; under systemd, RuntimeDirectory=",
                    folder.display()
                ),
            ),
        });
    }
    found
}

fn port(key: &str, address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok("doors", format!("{key}: {address} is free")),
        Err(error) => Finding::bad(
            "doors",
            format!("{key}: {address} cannot be listened on: {error}"),
            format!("free it (`ss -ltnp` names who has it), or choose another for `{key}`"),
        ),
    }
}

/// Whether this process may have as many files open as connections are taken.
pub fn files(config: &Config, limits: &str) -> Vec<Finding> {
    const PART: &str = "limits";
    let listen = &config.listen;
    let resp = listen
        .resp
        .map_or(0, |_| listen.limits.resp_connections_max);
    let doors = usize::from(listen.tcp.is_some()) + usize::from(listen.unix.is_some());
    let needed = doors * listen.accept.connections_max + resp + FILES_BESIDE;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3));
    let Some(allowed) = soft.and_then(|soft| soft.parse::<usize>().ok()) else {
        return Vec::new();
    };
    vec![match allowed >= needed {
        true => Finding::ok(
            PART,
            format!("{allowed} open files are allowed here, {needed} needed"),
        ),
        false => Finding::warn(
            PART,
            format!(
                "{allowed} open files are allowed here; with all connections taken, {needed} are \
                 needed"
            ),
            format!("ulimit -n {needed}; under systemd, LimitNOFILE={needed}"),
        ),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::State;

    const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units
Max processes             95904                95904                processes
Max open files            1024                 1048576              files
";

    fn config(listen: &str) -> Config {
        let text = format!(
            "[listen]\n{listen}\n[l2]\nkind = 'memory'\n[bus]\nkind = 'memory'\n[[cache]]\nname = 'a'\n"
        );
        crate::config::read("f", &text).expect("a configuration")
    }

    #[test]
    fn as_many_files_are_needed_as_there_are_connections_and_some() {
        let state = |most: usize| {
            let listen = format!("tcp = '127.0.0.1:0'\nconnections_max = {most}");
            files(&config(&listen), LIMITS)[0].state
        };
        assert_eq!(state(1024 - FILES_BESIDE), State::Ok);
        assert_eq!(state(1024 - FILES_BESIDE + 1), State::Warn);
        let unknown = files(&config("tcp = '127.0.0.1:0'"), "nothing");
        assert!(unknown.is_empty(), "what is not known is not told");
    }

    #[test]
    fn a_port_that_is_taken_and_a_folder_that_is_not_there_are_bad() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("its address");
        let listen = format!("tcp = '{address}'\nunix = '/nowhere/at/all.sock'");
        let bad = doors(&config(&listen));
        let bad: Vec<_> = bad.iter().filter(|one| one.state == State::Bad).collect();
        assert_eq!(bad.len(), 2, "{bad:?}");
        assert!(bad[0].found.contains(&address.to_string()));
        assert!(bad[1].found.contains("/nowhere/at"));
    }
}
