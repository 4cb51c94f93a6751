//! pg_hba.conf: who may connect from where, and how they prove who they are.
//!
//! The first line that fits decides; with none the client is refused. A line that this version
//! cannot honour is refused when the file is loaded, with its file and line: to skip it would let
//! somebody in, or keep somebody out, whom the operator meant otherwise. Pure: no IO, no clock.

mod lexer;
mod parse;

#[cfg(test)]
mod hba_tests;

use std::net::IpAddr;

pub use parse::HbaError;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Local,
    Host(IpAddr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Local,
    /// With or without encryption.
    Host,
    /// With TLS only; nothing fits it yet.
    HostSsl,
    HostNoSsl,
    /// With GSSAPI encryption only; nothing fits it.
    HostGssEnc,
    HostNoGssEnc,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    All,
    /// An address of this host.
    SameHost,
    /// An address in a network that this host is on.
    SameNet,
    Network {
        address: IpAddr,
        mask: IpAddr,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    All,
    /// The database that has the user's name.
    SameUser,
    /// A keyword that fits replication connections alone, which are refused before.
    Replication,
    Exactly(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Trust,
    Reject,
    /// The operating system's user at the other end of the Unix socket has the role's name.
    Peer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub line: usize,
    pub kind: Kind,
    pub databases: Vec<Name>,
    pub users: Vec<Name>,
    pub address: Address,
    pub method: Method,
}

/// A network interface of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    pub address: IpAddr,
    pub mask: IpAddr,
}

/// The file's rules in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hba {
    rules: Vec<Rule>,
    interfaces: Vec<Interface>,
    warnings: Vec<String>,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    pub origin: Origin,
    pub user: &'a str,
    pub database: &'a str,
}

impl Hba {
    /// Reads the text of the file; `file` is its name in messages.
    pub fn parse(text: &str, file: &str, interfaces: Vec<Interface>) -> Result<Hba, HbaError> {
        let (rules, warnings) = parse::rules(text, file)?;
        Ok(Hba { rules, interfaces, warnings })
    }

    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What the operator should know about the file although it is accepted.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The first rule that fits.
    #[must_use]
    pub fn find(&self, asking: &Asking<'_>) -> Option<&Rule> {
        self.rules.iter().find(|rule| self.fits(rule, asking))
    }

    fn fits(&self, rule: &Rule, asking: &Asking<'_>) -> bool {
        let from_here = match (rule.kind, asking.origin) {
            (Kind::Local, Origin::Local) => true,
            (Kind::Host | Kind::HostNoSsl | Kind::HostNoGssEnc, Origin::Host(ip)) => {
                self.holds(&rule.address, ip)
            }
            _ => false,
        };
        from_here
            && rule.databases.iter().any(|name| fits_database(name, asking))
            && rule.users.iter().any(|name| match name {
                Name::All => true,
                Name::Exactly(user) => user == asking.user,
                Name::SameUser | Name::Replication => false,
            })
    }

    fn holds(&self, address: &Address, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        match address {
            Address::All => true,
            Address::Network { address, mask } => in_network(ip, *address, *mask),
            Address::SameHost => self.interfaces.iter().any(|here| here.address == ip),
            Address::SameNet => {
                self.interfaces.iter().any(|here| in_network(ip, here.address, here.mask))
            }
        }
    }
}

fn fits_database(name: &Name, asking: &Asking<'_>) -> bool {
    match name {
        Name::All => true,
        Name::SameUser => asking.database == asking.user,
        Name::Replication => false,
        Name::Exactly(database) => database == asking.database,
    }
}

fn in_network(ip: IpAddr, address: IpAddr, mask: IpAddr) -> bool {
    match (ip, address, mask) {
        (IpAddr::V4(ip), IpAddr::V4(address), IpAddr::V4(mask)) => {
            ip.to_bits() & mask.to_bits() == address.to_bits() & mask.to_bits()
        }
        (IpAddr::V6(ip), IpAddr::V6(address), IpAddr::V6(mask)) => {
            ip.to_bits() & mask.to_bits() == address.to_bits() & mask.to_bits()
        }
        _ => false,
    }
}
