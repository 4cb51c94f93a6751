//! Free ports of loopback, below those that the system hands to outgoing connections: otherwise a
//! client could sit on the port of a node that is down.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};

const FIRST: u16 = 15_000;
const LAST_WITHOUT_PROC: u16 = 32_000;
const ATTEMPTS_MAX: usize = 10_000;

pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Distinct free ports, `taken` not among them: those that follow it where they are all free, so
/// that somebody who makes many clusters can keep them apart.
pub fn free(count: usize, taken: u16) -> anyhow::Result<Vec<u16>> {
    let next: Vec<u16> = (1..).map_while(|n| taken.checked_add(n)).take(count).collect();
    let last = last_port();
    let fits = |port: &u16| *port < last && is_free(*port);
    if taken > 0 && next.len() == count && next.iter().all(fits) {
        return Ok(next);
    }
    let span = u32::from(last.saturating_sub(FIRST)).max(1);
    let mut ports = BTreeSet::new();
    let mut order = Vec::new();
    for _ in 0..ATTEMPTS_MAX {
        if order.len() == count {
            return Ok(order);
        }
        let random = getrandom::u32().map_err(|error| anyhow::anyhow!("random: {error}"))?;
        let port = FIRST.saturating_add(u16::try_from(random % span).unwrap_or_default());
        if port != taken && is_free(port) && ports.insert(port) {
            order.push(port);
        }
    }
    anyhow::bail!("found no {count} free ports between {FIRST} and {last}")
}

fn last_port() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
    range
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .filter(|low| *low > FIRST + 1_000)
        .unwrap_or(LAST_WITHOUT_PROC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_distinct() {
        let ports = free(20, 0).unwrap();
        // Another test may sit on one of them.
        let after = |port: u16| free(2, port).unwrap() == [port + 1, port + 2];
        assert!(ports.iter().any(|port| after(*port)));
        assert!(!free(2, 65_000).unwrap().contains(&65_001), "which the system hands out");
        let distinct: BTreeSet<&u16> = ports.iter().collect();
        assert_eq!(distinct.len(), 20);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, ports[0])).unwrap();
        assert!(!is_free(ports[0]));
        drop(listener);
        assert!(is_free(ports[0]));
    }
}
