//! Tables for the nouns: positions, epochs, histories, reasons.

use super::{
    ClusterId, Epoch, Incarnation, Lsn, NodeId, Reason, Reasons, RegistrationOrder, SegmentStatus,
    TimelineHistory,
};

fn epoch(counter: u64, node: u8) -> Epoch {
    Epoch::new(counter, NodeId::new(node).unwrap())
}

fn history(entries: &[(u64, u64)]) -> TimelineHistory {
    let entries = entries.iter().map(|(counter, lsn)| (epoch(*counter, 1), Lsn(*lsn)));
    TimelineHistory::from_entries(entries.collect()).unwrap()
}

#[test]
fn lsn_reads_as_it_prints() {
    for (lsn, text) in [(0, "0/0"), (0x1_0000_00AB, "1/AB"), (u64::MAX, "FFFFFFFF/FFFFFFFF")] {
        assert_eq!(Lsn(lsn).to_string(), text);
        assert_eq!(text.parse::<Lsn>(), Ok(Lsn(lsn)));
    }
    for bad in ["", "0", "/", "1/", "/1", "1/2/3", "g/0", "123456789/0", "0/-1", " 0/0"] {
        assert!(bad.parse::<Lsn>().is_err(), "{bad:?} is no LSN");
    }
}

#[test]
fn epochs_of_two_nodes_never_meet() {
    let low = epoch(3, 200);
    assert_eq!(low.to_string(), "3.200");
    assert_eq!((low.counter(), low.node()), (3, NodeId::new(200)));
    let next = low.next_for(NodeId::new(1).unwrap());
    assert!(next > low && next.to_string() == "4.1");
    assert_eq!(Epoch::ZERO.node(), None);
}

#[test]
fn identities_read_as_they_print() {
    let id = ClusterId(0x0123_4567_89AB_CDEF_0011_2233_4455_6677);
    assert_eq!(id.to_string(), "01234567-89ab-cdef-0011-223344556677");
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(Incarnation(10).to_string().parse(), Ok(Incarnation(10)));
    assert!("01234567".parse::<ClusterId>().is_err());
    assert!("zz".parse::<Incarnation>().is_err());
}

#[test]
fn histories_agree_up_to_where_the_first_leaves_the_last_common_epoch() {
    type Entries = &'static [(u64, u64)];
    let rows: [(Entries, u64, Entries, u64, u64); 8] = [
        (&[], 0, &[(1, 0)], 50, 0),
        (&[(1, 0)], 50, &[(1, 0)], 80, 50),
        (&[(1, 0)], 50, &[(1, 0), (2, 40)], 90, 40),
        (&[(1, 0)], 30, &[(1, 0), (2, 40)], 90, 30),
        (&[(1, 0), (3, 50)], 90, &[(1, 0), (2, 40)], 80, 40),
        (&[(1, 0), (2, 40)], 70, &[(1, 0), (2, 40), (3, 60)], 90, 60),
        (&[(1, 0)], 50, &[(2, 0)], 50, 0),
        (&[(1, 0), (2, 40)], 70, &[(1, 0), (2, 40)], 70, 70),
    ];
    for (mine, my_end, theirs, their_end, expected) in rows {
        let (a, b) = (history(mine), history(theirs));
        let found = a.common_point(Lsn(my_end), &b, Lsn(their_end));
        assert_eq!(found, Lsn(expected), "{a} to {my_end} and {b} to {their_end}");
        assert_eq!(b.common_point(Lsn(their_end), &a, Lsn(my_end)), found, "either way round");
    }
}

#[test]
fn a_history_only_goes_up_and_is_cut_at_a_position() {
    let mut log = history(&[(1, 0), (2, 40)]);
    log.note(epoch(2, 1), Lsn(60));
    assert_eq!(log.entries().len(), 2, "the same epoch goes on");
    log.note(epoch(4, 1), Lsn(80));
    log.cut(Lsn(80));
    assert_eq!(log, history(&[(1, 0), (2, 40)]));
    log.cut(Lsn(40));
    assert_eq!(log.last_epoch(), epoch(1, 1));
    let unordered = vec![(epoch(2, 1), Lsn(0)), (epoch(1, 1), Lsn(5))];
    assert_eq!(TimelineHistory::from_entries(unordered), None);
}

#[test]
fn reasons_are_worded_and_ordered_as_hawq_does() {
    let mut reasons = Reasons::default();
    assert_eq!(SegmentStatus::of(reasons.clone()).description(), "");
    reasons.insert(Reason::ResourceManagerReset);
    reasons.set_failed_directories(vec!["/d1/tmp".to_owned(), "/d2/tmp".to_owned()]);
    reasons.insert(Reason::HeartbeatTimeout);
    let text = "heartbeat timeout;failed temporary directory:/d1/tmp,/d2/tmp;\
                resource manager process was reset";
    assert_eq!(reasons.to_string(), text);
    assert_eq!(Reasons::parse(text), Some(reasons.clone()));
    assert_eq!(SegmentStatus::of(reasons).column(), 'd');
    for bad in ["asleep", "heartbeat timeout:/x", "failed temporary directory"] {
        assert_eq!(Reasons::parse(bad), None, "{bad:?}");
    }
}

#[test]
fn registration_order_has_one_codec() {
    for value in [-1, 0, 1, 7] {
        let order = RegistrationOrder::from_column(value).unwrap();
        assert_eq!(order.to_column(), value);
    }
    assert_eq!(RegistrationOrder::from_column(-2), None);
}
