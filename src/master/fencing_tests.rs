//! Table: what a segment says -> what the node hears of it.

use std::sync::Arc;

use tokio::sync::watch;

use super::Fencing;
use crate::ha::manual_policy::tests::{member, node, record, taken_over};
use crate::master::Event;
use crate::master::fatal::Fatal;
use crate::master::inbox::{Inbox, Input};
use crate::master::mirroring::tests::view;
use crate::runtime::BootClock;
use crate::types::{ClusterState, Epoch, Message, RefuseCause};

/// What the node of epoch 3.1 hears.
fn heard(followed: Epoch, promised: Epoch, record: Option<&ClusterState>) -> Vec<Input> {
    let inbox = Arc::new(Inbox::new(Arc::new(BootClock), Fatal::process()));
    let (_sender, seen) = watch::channel(Arc::new(view(2, &[1], None)));
    let fencing = Fencing { me: member(1), node: seen, inbox: Arc::clone(&inbox) };
    fencing.heard(followed, promised, record);
    inbox.taken()
}

#[test]
fn a_higher_epoch_is_a_refusal_with_its_cause() {
    let mine = Epoch::new(3, node(1));
    let above = Epoch::new(4, node(2));
    let further = Epoch::new(5, node(3));
    let cases = [
        ((Epoch::ZERO, Epoch::ZERO), None),
        ((mine, mine), None),
        ((above, Epoch::ZERO), Some((above, RefuseCause::Recorded))),
        ((mine, above), Some((above, RefuseCause::Promised))),
        ((above, further), Some((above, RefuseCause::Recorded))),
    ];
    for ((followed, promised), expected) in cases {
        let found = match heard(followed, promised, None).pop() {
            None => None,
            Some(Input::Event(Event::Received {
                from,
                message: Message::Refuse { refused, higher, cause, record },
            })) => {
                assert_eq!((from, refused, record), (member(1), mine, None));
                Some((higher, cause))
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "followed {followed}, promised {promised}");
    }
}

#[test]
fn only_a_record_of_a_higher_epoch_comes_along() {
    let mine = record(6, 3, 2, &[1]);
    let newer = taken_over(&mine, 2);
    for (told, expected) in [(&mine, None), (&newer, Some(newer.clone()))] {
        let inputs = heard(newer.epoch, newer.epoch, Some(told));
        let [Input::Event(Event::Received { message: Message::Refuse { record, .. }, .. })] =
            inputs.as_slice()
        else {
            panic!("{inputs:?}");
        };
        assert_eq!(*record, expected);
    }
}
