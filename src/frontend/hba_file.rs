//! Reads pg_hba.conf from disk, with this host's interfaces for `samehost` and `samenet`.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

use super::hba::{Hba, HbaError, Interface};

#[derive(Debug, thiserror::Error)]
pub enum HbaFileError {
    #[error("read \"{path}\": {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Parse(#[from] HbaError),
}

/// Loads the file; what the operator should know about it is logged.
pub fn load_hba(path: &Path) -> Result<Hba, HbaFileError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| HbaFileError::Read { path: path.to_owned(), source })?;
    let hba = Hba::parse(&text, &path.display().to_string(), interfaces())?;
    for warning in hba.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(hba)
}

/// Without a list of interfaces `samehost` and `samenet` fit nobody, which is the safe side.
fn interfaces() -> Vec<Interface> {
    let ip = |storage: Option<SockaddrStorage>| -> Option<IpAddr> {
        let storage = storage?;
        let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    let Ok(found) = getifaddrs() else { return Vec::new() };
    found
        .filter_map(|interface| {
            let (address, mask) = (ip(interface.address)?, ip(interface.netmask)?);
            Some(Interface { address, mask })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_an_interface_of_this_host() {
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        assert!(interfaces().iter().any(|interface| interface.address == local));
    }

    #[test]
    fn a_missing_file_is_named() {
        let refused = load_hba(Path::new("/nonexistent/pg_hba.conf")).unwrap_err().to_string();
        assert!(refused.contains("/nonexistent/pg_hba.conf"), "{refused}");
    }
}
