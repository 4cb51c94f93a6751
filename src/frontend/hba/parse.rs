//! Lines of pg_hba.conf to rules, with a refusal for whatever this version cannot honour.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::lexer::{self, Field, Line, Token};
use super::{Address, Kind, Method, Name, Rule};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct HbaError {
    pub file: String,
    pub line: usize,
    pub reason: String,
}

/// The rules of the text, and what to warn of.
pub fn rules(text: &str, file: &str) -> Result<(Vec<Rule>, Vec<String>), HbaError> {
    let refuse = |line: usize, reason: String| HbaError { file: file.to_owned(), line, reason };
    let lines =
        lexer::lines(text).map_err(|line| refuse(line, "unterminated quoted string".to_owned()))?;
    let mut rules = Vec::new();
    let mut warnings = Vec::new();
    for line in lines {
        let rule = rule(&line).map_err(|reason| refuse(line.number, reason))?;
        if matches!(rule.kind, Kind::HostSsl | Kind::HostGssEnc) {
            let word = &line.fields[0][0].text;
            let number = line.number;
            warnings.push(format!(
                "{file}:{number}: {word} record cannot match: connections are not encrypted"
            ));
        }
        rules.push(rule);
    }
    Ok((rules, warnings))
}

fn rule(line: &Line) -> Result<Rule, String> {
    let mut fields = line.fields.iter();
    let kind = kind(single(fields.next(), "connection type")?)?;
    let databases = names(fields.next().ok_or("end-of-line before database specification")?)?;
    let databases: Result<Vec<Name>, String> = databases.map(database).collect();
    let users = names(fields.next().ok_or("end-of-line before role specification")?)?;
    let users: Result<Vec<Name>, String> = users.map(user).collect();
    let address = match kind {
        Kind::Local => Address::All,
        _ => {
            let word = single(fields.next(), "IP address specification")?;
            match address(word)? {
                Parsed::Whole(address) => address,
                Parsed::NeedsMask(ip) => {
                    let word = single(fields.next(), "netmask specification")?;
                    with_mask(ip, &word.text)?
                }
            }
        }
    };
    let method = method(single(fields.next(), "authentication method")?, kind)?;
    for option in fields {
        option_allowed(option, method)?;
    }
    Ok(Rule { line: line.number, kind, databases: databases?, users: users?, address, method })
}

fn single<'a>(field: Option<&'a Field>, what: &str) -> Result<&'a Token, String> {
    match field.map(Vec::as_slice) {
        Some([token]) => Ok(token),
        Some(_) => Err(format!("multiple values specified for {what}")),
        None => Err(format!("end-of-line before {what}")),
    }
}

fn kind(token: &Token) -> Result<Kind, String> {
    match token.text.as_str() {
        "local" => Ok(Kind::Local),
        "host" => Ok(Kind::Host),
        "hostssl" => Ok(Kind::HostSsl),
        "hostnossl" => Ok(Kind::HostNoSsl),
        "hostgssenc" => Ok(Kind::HostGssEnc),
        "hostnogssenc" => Ok(Kind::HostNoGssEnc),
        other => Err(format!("invalid connection type \"{other}\"")),
    }
}

/// Included files and regular expressions would widen or narrow a line unseen.
fn names(field: &Field) -> Result<impl Iterator<Item = &Token>, String> {
    for token in field.iter().filter(|token| !token.quoted) {
        if token.text.starts_with('@') {
            return Err(format!("files of names (\"{}\") are not available", token.text));
        }
        if token.text.starts_with('/') {
            return Err(format!("regular expressions (\"{}\") are not available", token.text));
        }
    }
    Ok(field.iter())
}

fn database(token: &Token) -> Result<Name, String> {
    let keyword = if token.quoted { "" } else { token.text.as_str() };
    match keyword {
        "all" => Ok(Name::All),
        "sameuser" => Ok(Name::SameUser),
        "replication" => Ok(Name::Replication),
        "samerole" | "samegroup" => {
            Err(format!("\"{keyword}\" is not available: roles have no members yet"))
        }
        _ => Ok(Name::Exactly(token.text.clone())),
    }
}

fn user(token: &Token) -> Result<Name, String> {
    match token.text.as_str() {
        "all" if !token.quoted => Ok(Name::All),
        text if !token.quoted && text.starts_with('+') => {
            Err(format!("\"{text}\" is not available: roles have no members yet"))
        }
        text => Ok(Name::Exactly(text.to_owned())),
    }
}

enum Parsed {
    Whole(Address),
    NeedsMask(IpAddr),
}

fn address(token: &Token) -> Result<Parsed, String> {
    let text = token.text.as_str();
    match text {
        "all" if !token.quoted => return Ok(Parsed::Whole(Address::All)),
        "samehost" if !token.quoted => return Ok(Parsed::Whole(Address::SameHost)),
        "samenet" if !token.quoted => return Ok(Parsed::Whole(Address::SameNet)),
        _ => {}
    }
    let (ip, bits) = match text.split_once('/') {
        Some((ip, bits)) => (ip, Some(bits)),
        None => (text, None),
    };
    let Ok(ip) = ip.parse::<IpAddr>() else {
        return Err(format!("invalid IP address \"{text}\": host names are not available"));
    };
    let Some(bits) = bits else { return Ok(Parsed::NeedsMask(ip)) };
    let width = if ip.is_ipv4() { 32 } else { 128 };
    let bits = bits.parse::<u32>().ok().filter(|bits| *bits <= width);
    let bits = bits.ok_or_else(|| format!("invalid CIDR mask in address \"{text}\""))?;
    let mask = match ip {
        IpAddr::V4(_) => {
            let bits = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(bits))
        }
        IpAddr::V6(_) => {
            let bits = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
    };
    Ok(Parsed::Whole(Address::Network { address: ip, mask }))
}

fn with_mask(address: IpAddr, mask: &str) -> Result<Address, String> {
    let Ok(parsed) = mask.parse::<IpAddr>() else {
        return Err(format!("invalid IP mask \"{mask}\""));
    };
    if parsed.is_ipv4() != address.is_ipv4() {
        return Err("IP address and mask do not match".to_owned());
    }
    Ok(Address::Network { address, mask: parsed })
}

fn method(token: &Token, kind: Kind) -> Result<Method, String> {
    let text = token.text.as_str();
    match (text, kind) {
        ("trust", _) => Ok(Method::Trust),
        ("reject", _) => Ok(Method::Reject),
        // On a Unix socket HAWQ's ident is what PostgreSQL calls peer.
        ("peer" | "ident", Kind::Local) => Ok(Method::Peer),
        ("peer", _) => Err("peer authentication is only supported on local sockets".to_owned()),
        ("ident", _) => Err("authentication method \"ident\" is available on local sockets only: \
                             this server asks no ident server"
            .to_owned()),
        (
            "md5" | "password" | "scram-sha-256" | "crypt" | "gss" | "sspi" | "krb5" | "ldap"
            | "radius" | "pam" | "bsd" | "cert",
            _,
        ) => Err(format!(
            "authentication method \"{text}\" is not available in this version; \
             available are trust, reject, and on local sockets peer and ident"
        )),
        (other, _) => Err(format!("invalid authentication method \"{other}\"")),
    }
}

/// HAWQ's `ident sameuser` says what `peer` does anyway; a map would say something else.
fn option_allowed(option: &Field, method: Method) -> Result<(), String> {
    let texts: Vec<&str> = option.iter().map(|token| token.text.as_str()).collect();
    if method == Method::Peer && texts == ["sameuser"] {
        return Ok(());
    }
    Err(format!("authentication option \"{}\" is not available", texts.join(",")))
}
