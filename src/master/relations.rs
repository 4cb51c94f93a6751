//! Relations of settings that show only in operation (protocol, section 3): whoever reigns says
//! once a reign what does not fit, and how to mend it. Nothing is decided by it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::runtime::Clock;
use crate::runtime::config::MasterSettings;
use crate::types::{Epoch, Instant, Message, Mode, NodeId};

use super::parts::Parts;

/// `ha_lease` is to be so many round trips: one may be lost, another late.
const LEASE_ROUND_TRIPS: u32 = 4;

/// The shortest way of so many acks counts: an ack may wait for a flush, or answer an old message.
const ACKS: u32 = 16;

/// What acks tell of the way to each standby and back.
pub(super) struct RoundTrips {
    clock: Arc<dyn Clock>,
    lease: Duration,
    epoch: Epoch,
    gathered: BTreeMap<NodeId, (u32, Duration)>,
    told: BTreeSet<NodeId>,
}

impl RoundTrips {
    pub(super) fn new(clock: Arc<dyn Clock>, lease: Duration) -> RoundTrips {
        let (gathered, told) = (BTreeMap::new(), BTreeSet::new());
        RoundTrips { clock, lease, epoch: Epoch::ZERO, gathered, told }
    }

    /// An ack names the moment at which what it answers was sent here.
    pub(super) fn heard(&mut self, from: NodeId, message: &Message) {
        if let Message::Ack { epoch, echo, .. } = message
            && let Some(text) = self.acked(from, *epoch, (*echo, self.clock.now()))
        {
            tracing::warn!("{text}");
        }
    }

    fn acked(
        &mut self,
        from: NodeId,
        epoch: Epoch,
        (sent, now): (Instant, Instant),
    ) -> Option<String> {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.gathered.clear();
            self.told.clear();
        }
        let way = now.since(sent);
        let (count, shortest) = self.gathered.entry(from).or_insert((0, way));
        (*count, *shortest) = (*count + 1, way.min(*shortest));
        if *count < ACKS {
            return None;
        }
        let shortest = *shortest;
        self.gathered.remove(&from);
        let needed = shortest * LEASE_ROUND_TRIPS;
        (self.lease < needed && self.told.insert(from)).then(|| {
            format!(
                "ha_lease ({} ms) is less than {LEASE_ROUND_TRIPS} times the round trip to node \
                 {from} ({} ms): reads wait, and a slow moment moves the primary; set ha_lease to \
                 at least {} ms in hawq-site.xml of every master, and restart them",
                self.lease.as_millis(),
                shortest.as_millis(),
                needed.as_millis() + 1
            )
        })
    }
}

/// Why a cut link may move the primary instead of shrinking the set.
pub(super) fn shrinks_late(settings: &MasterSettings, mode: Mode) -> Option<String> {
    if mode == Mode::Manual || settings.shrinks_in_time(mode) {
        return None;
    }
    let (standby, coordinator) =
        (settings.standby_timeout(mode), settings.coordinator_timeout(mode));
    Some(format!(
        "ha_standby_timeout ({} ms) and ha_coordinator_timeout ({} ms) together are not less than \
         ha_lease ({} ms), so that a cut link may move the primary; lower them, or raise ha_lease, \
         in hawq-site.xml of every master, and restart them",
        standby.as_millis(),
        coordinator.as_millis(),
        settings.lease.as_millis()
    ))
}

/// Says so at the beginning of each reign, for as long as the process lives.
pub(super) async fn watch(parts: Arc<Parts>) {
    let mut node = parts.node.clone();
    let mut told = None;
    loop {
        let view = Arc::clone(&node.borrow_and_update());
        let mode = view.record.as_ref().map_or(Mode::Manual, |record| record.mode);
        if view.is_open_primary()
            && told.replace(view.epoch) != Some(view.epoch)
            && let Some(text) = shrinks_late(&parts.settings, mode)
        {
            tracing::warn!("{text}");
        }
        if node.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::BootClock;

    const MS: u64 = 1_000_000;

    /// Sixteen acks that took so long; what is said of them.
    fn acks(trips: &mut RoundTrips, epoch: u64, ways: impl Fn(u64) -> u64) -> Vec<String> {
        let node = NodeId::new(2).unwrap();
        let told = (0..16).filter_map(|n| {
            let sent = Instant(n * 1000 * MS);
            trips.acked(node, Epoch(epoch), (sent, Instant(sent.0 + ways(n) * MS)))
        });
        told.collect()
    }

    #[test]
    fn a_lease_below_four_round_trips_is_told_once_a_reign() {
        let lease = Duration::from_millis(500);
        let mut trips = RoundTrips::new(Arc::new(BootClock), lease);
        let slow_flushes = |n| if n == 7 { 20 } else { 400 };
        assert_eq!(acks(&mut trips, 257, slow_flushes), Vec::<String>::new());
        assert_eq!(acks(&mut trips, 257, |_| 125), Vec::<String>::new(), "just enough");
        let said = acks(&mut trips, 257, |n| 150 + n);
        assert_eq!(said.len(), 1);
        for part in ["ha_lease (500 ms)", "node 2 (150 ms)", "at least 601 ms"] {
            assert!(said[0].contains(part), "{said:?}");
        }
        assert_eq!(acks(&mut trips, 257, |_| 200), Vec::<String>::new(), "once a reign");
        assert_eq!(acks(&mut trips, 513, |_| 200).len(), 1, "and again in the next");
    }

    #[test]
    fn timeouts_above_the_lease_are_told_where_the_rules_decide() {
        let said = |values: &[(&str, &str)], mode| {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let pairs: Vec<(String, String)> = values.iter().map(own).collect();
            shrinks_late(&MasterSettings::load(None, &pairs).unwrap(), mode)
        };
        assert_eq!(said(&[], Mode::Embedded), None);
        assert_eq!(said(&[], Mode::Manual), None);
        let text = said(&[], Mode::ZooKeeper).expect("two seconds for ZooKeeper are more");
        assert!(text.contains("(250 ms)") && text.contains("(2000 ms)"), "{text}");
        let short = [("ha_coordinator_timeout", "200ms")];
        assert_eq!(said(&short, Mode::ZooKeeper), None);
        let long = [("ha_standby_timeout", "400ms")];
        assert!(said(&long, Mode::Embedded).unwrap().contains("(400 ms)"));
        assert_eq!(said(&long, Mode::Manual), None);
    }
}
