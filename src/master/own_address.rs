//! Refuses to start a node under an address that is not of this host: its peers would look for it
//! there and find another node, or nobody. It decides by asking the kernel to bind the address.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::runtime::config::MasterSettings;

/// Longer than the resolver's own attempts at two name servers.
const LOOKUP_MAX: Duration = Duration::from_secs(20);

#[derive(Debug, thiserror::Error)]
pub enum OwnAddressError {
    #[error(
        "{setting} says that node {node} (aerie_node) is at \"{host}\", which is {found}: not an \
         address of this host; set {setting} to a name or address of this host, or aerie_node to \
         the node that this host is"
    )]
    Elsewhere { setting: &'static str, node: u8, host: String, found: String },
    #[error(
        "{setting} says that node {node} (aerie_node) is at \"{host}\", a name that cannot be \
         resolved: {source}; correct it, or add the name to DNS or /etc/hosts"
    )]
    Unknown { setting: &'static str, node: u8, host: String, source: io::Error },
}

/// The host of this node's own entry among the masters.
pub(super) async fn check(settings: &MasterSettings) -> Result<(), OwnAddressError> {
    let (setting, node, host) = (setting(settings), settings.node.get(), settings.host.clone());
    let lookup = tokio::net::lookup_host((settings.host.as_str(), 0));
    let found = match tokio::time::timeout(LOOKUP_MAX, lookup).await {
        Ok(Ok(found)) => found.map(|address| address.ip()).collect::<Vec<_>>(),
        Ok(Err(source)) => return Err(OwnAddressError::Unknown { setting, node, host, source }),
        Err(_) => {
            let source = io::ErrorKind::TimedOut.into();
            return Err(OwnAddressError::Unknown { setting, node, host, source });
        }
    };
    if found.iter().any(|address| is_local(*address)) {
        return Ok(());
    }
    let found = found.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    Err(OwnAddressError::Elsewhere { setting, node, host, found })
}

/// Only a clear no counts: what the kernel refuses for another reason is not judged here.
fn is_local(address: IpAddr) -> bool {
    match UdpSocket::bind(SocketAddr::new(address, 0)) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::AddrNotAvailable,
    }
}

/// The setting that the host was taken from.
fn setting(settings: &MasterSettings) -> &'static str {
    let is_list = |name: &str, value: &str| name == "aerie_peers" && !value.is_empty();
    if settings.rows.iter().any(|row| is_list(&row.name, &row.setting)) {
        return "aerie_peers";
    }
    match settings.node.get() {
        1 => "hawq_master_address_host",
        _ => "hawq_standby_address_host",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> MasterSettings {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        MasterSettings::load(None, &pairs).unwrap()
    }

    #[tokio::test]
    async fn addresses_of_this_host_are_accepted() {
        for host in ["localhost", "127.0.0.1", "127.1.2.3", "0.0.0.0"] {
            check(&settings(&[("hawq_master_address_host", host)])).await.unwrap();
        }
    }

    #[tokio::test]
    async fn an_address_of_another_host_is_refused_with_setting_value_and_cure() {
        // Of the block that is for documentation, so of no host.
        let refused = check(&settings(&[("hawq_master_address_host", "203.0.113.7")])).await;
        assert_eq!(
            refused.unwrap_err().to_string(),
            "hawq_master_address_host says that node 1 (aerie_node) is at \"203.0.113.7\", which \
             is 203.0.113.7: not an address of this host; set hawq_master_address_host to a name \
             or address of this host, or aerie_node to the node that this host is"
        );
        let peers = "1@127.0.0.1:6001:5432,2@203.0.113.7:6002:5433";
        check(&settings(&[("aerie_peers", peers)])).await.unwrap();
        let refused = check(&settings(&[("aerie_peers", peers), ("aerie_node", "2")])).await;
        let text = refused.unwrap_err().to_string();
        assert!(text.starts_with("aerie_peers says that node 2 "), "{text}");
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_told_apart() {
        // Refused by the resolver itself, without asking anybody.
        let refused = check(&settings(&[("hawq_master_address_host", "mdw..example")])).await;
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("\"mdw..example\", a name that cannot be resolved: "), "{text}");
    }
}
