//! How this node reaches ZooKeeper, and as whom. Only the form is checked here: whether there are
//! such servers, and whether they let us in, shows when they are asked.

use std::fmt;
use std::time::Duration;

use super::settings::{ConfigError, Settings};

/// ZooKeeper writes its log to disk and may first choose who leads it, so it is given time.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// Everything that the coordinator needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZooKeeperSettings {
    /// `ha_zookeeper_quorum`: `host:port,host:port`.
    pub quorum: String,
    /// `ha_zookeeper_path`, without a slash at its end; the root is empty.
    pub path: String,
    pub auth: Vec<ZooKeeperAuth>,
    /// Empty: what follows from `auth`.
    pub acl: Vec<ZooKeeperAcl>,
    pub session_timeout: Duration,
    /// `ha_coordinator_timeout`: bound of one attempt.
    pub attempt_timeout: Duration,
}

/// An identity that this node proves to ZooKeeper. Its `Debug` keeps the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct ZooKeeperAuth {
    pub scheme: String,
    pub identity: String,
}

impl fmt::Debug for ZooKeeperAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_string())
    }
}

impl fmt::Display for ZooKeeperAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.identity.split(':').next().unwrap_or_default();
        write!(f, "{}:{name}", self.scheme)
    }
}

/// What an identity may do: `permissions` are letters of `cdrwa`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZooKeeperAcl {
    pub scheme: String,
    pub identity: String,
    pub permissions: String,
}

impl ZooKeeperSettings {
    /// `None` where no servers were set: the table's default is HAWQ's and stands for nothing.
    pub fn new(settings: &Settings) -> Result<Option<ZooKeeperSettings>, ConfigError> {
        if !settings.is_set("ha_zookeeper_quorum") {
            return Ok(None);
        }
        let auth = entries(settings, "ha_zookeeper_auth", auth)?;
        let acl = entries(settings, "ha_zookeeper_acl", acl)?;
        Ok(Some(ZooKeeperSettings {
            quorum: quorum(settings)?,
            path: path(settings)?,
            auth,
            acl,
            session_timeout: settings.duration("ha_zookeeper_session_timeout").unwrap_or_default(),
            attempt_timeout: settings.duration("ha_coordinator_timeout").unwrap_or(ATTEMPT_TIMEOUT),
        }))
    }
}

fn quorum(settings: &Settings) -> Result<String, ConfigError> {
    let name = "ha_zookeeper_quorum";
    let servers = settings.list(name);
    if servers.is_empty() {
        return Err(settings.misfit(name, "expected host:port,host:port,…".to_owned()));
    }
    for (i, server) in servers.iter().enumerate() {
        if !is_address(server) {
            let problem = format!("\"{server}\" is not of the form host:port");
            return Err(settings.misfit(name, problem));
        }
        if servers.iter().take(i).any(|other| other == server) {
            return Err(settings.misfit(name, format!("{server} is there twice")));
        }
    }
    Ok(servers.join(","))
}

fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let bare = !host.contains([':', '/', ' ', '[', ']']);
    let port = port.parse::<u16>().is_ok_and(|port| port > 0);
    port && !host.is_empty() && (bare || bracketed)
}

fn path(settings: &Settings) -> Result<String, ConfigError> {
    let name = "ha_zookeeper_path";
    let text = settings.text(name);
    let problem = |what: &str| Err(settings.misfit(name, what.to_owned()));
    if !text.starts_with('/') {
        return problem("expected a path from the root, such as /aerie");
    }
    let path = text.trim_end_matches('/');
    let mut parts = path.split('/').skip(1);
    if parts.any(|part| ["", ".", ".."].contains(&part)) {
        return problem("a part of the path is empty, \".\" or \"..\"");
    }
    if path == "/zookeeper" || path.starts_with("/zookeeper/") {
        return problem("/zookeeper is ZooKeeper's own");
    }
    Ok(path.to_owned())
}

/// The entries of a list that may stand in a file (`@path`).
fn entries<T>(
    settings: &Settings,
    name: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, ConfigError> {
    let text = match settings.text(name).strip_prefix('@') {
        None => settings.text(name).to_owned(),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| settings.misfit(name, format!("cannot read {path}: {error}")))?,
    };
    let parts = text.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty());
    let parsed = parts.enumerate().map(|(i, part)| {
        parse(part).ok_or_else(|| {
            let form = if name == "ha_zookeeper_acl" {
                "scheme:identity:permissions with permissions of the letters cdrwa"
            } else {
                "scheme:identity, such as digest:user:password"
            };
            // Without the text: it may be a password.
            settings.misfit(name, format!("entry {} is not of the form {form}", i + 1))
        })
    });
    parsed.collect()
}

fn auth(text: &str) -> Option<ZooKeeperAuth> {
    let (scheme, identity) = text.split_once(':')?;
    let complete = scheme != "digest" || identity.contains(':');
    (!scheme.is_empty() && !identity.is_empty() && complete)
        .then(|| ZooKeeperAuth { scheme: scheme.to_owned(), identity: identity.to_owned() })
}

fn acl(text: &str) -> Option<ZooKeeperAcl> {
    let (scheme, rest) = text.split_once(':')?;
    let (identity, permissions) = rest.rsplit_once(':')?;
    let known = !permissions.is_empty() && permissions.chars().all(|c| "cdrwa".contains(c));
    (known && !scheme.is_empty()).then(|| ZooKeeperAcl {
        scheme: scheme.to_owned(),
        identity: identity.to_owned(),
        permissions: permissions.to_owned(),
    })
}
