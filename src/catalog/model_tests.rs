//! Random transactions against a model that is a map, on every store.

use std::collections::BTreeMap;

use super::datum::{Datum, Row};
use super::layout::PG_DESCRIPTION;
use super::memory_store::MemoryStore;
use super::open_transaction::OpenTransaction;
use super::rocks_store::RocksStore;
use super::snapshot::ReadView;
use super::store::Store;
use super::test_node::TestNode;

/// Object and column to text: what `pg_description` holds beyond the first rows.
type Model = BTreeMap<(u32, i32), String>;

const OBJECTS: std::ops::Range<u32> = 20_000..20_004;
const SESSIONS: usize = 4;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A transaction and what the model says that it sees and wrote.
struct Session {
    transaction: OpenTransaction,
    sees: Model,
    wrote: BTreeMap<(u32, i32), ()>,
    guarded: BTreeMap<(u32, i32), ()>,
    begun: u64,
}

fn key(at: (u32, i32)) -> [Datum; 3] {
    [Datum::Oid(at.0), Datum::Oid(1259), Datum::Int4(at.1)]
}

fn row(at: (u32, i32), text: &str) -> Row {
    let mut row = key(at).to_vec();
    row.push(Datum::Text(text.to_owned()));
    row
}

fn rows(view: &dyn ReadView, object: u32) -> Vec<Row> {
    view.scan(PG_DESCRIPTION, &[Datum::Oid(object)]).unwrap()
}

fn expected(model: &Model, object: u32) -> Vec<Row> {
    model.range((object, i32::MIN)..=(object, i32::MAX)).map(|(at, text)| row(*at, text)).collect()
}

impl Session {
    fn begin(node: &TestNode, committed: &Model, clock: u64) -> Session {
        Session {
            transaction: node.catalog.begin(),
            sees: committed.clone(),
            wrote: BTreeMap::new(),
            guarded: BTreeMap::new(),
            begun: clock,
        }
    }

    fn act(&mut self, random: &mut Random) {
        let object = OBJECTS.start + u32::try_from(random.below(4)).unwrap();
        let at = (object, i32::try_from(random.below(4)).unwrap() - 1);
        match random.below(5) {
            0 | 1 => {
                let text = random.below(1000).to_string();
                self.transaction.put(PG_DESCRIPTION, row(at, &text)).unwrap();
                self.sees.insert(at, text);
                self.wrote.insert(at, ());
            }
            2 => {
                let there = self.transaction.delete(PG_DESCRIPTION, &key(at)).unwrap();
                assert_eq!(there, self.sees.remove(&at).is_some());
                if there {
                    self.wrote.insert(at, ());
                }
            }
            3 => {
                self.transaction.guard(PG_DESCRIPTION, &key(at));
                self.guarded.insert(at, ());
            }
            _ => {
                let inserted = self.transaction.insert(PG_DESCRIPTION, row(at, "new")).is_ok();
                assert_eq!(inserted, !self.sees.contains_key(&at));
                if inserted {
                    self.sees.insert(at, "new".to_owned());
                    self.wrote.insert(at, ());
                }
            }
        }
        assert_eq!(rows(&self.transaction, object), expected(&self.sees, object));
    }
}

/// Runs a seed; gives the node at its end.
fn run(seed: u64, store: impl Store) -> TestNode {
    let mut random = Random(seed);
    let mut node = TestNode::bootstrapped(store);
    let (mut committed, mut clock) = (Model::new(), 1);
    let mut written: BTreeMap<(u32, i32), u64> = BTreeMap::new();
    let mut guarded: BTreeMap<(u32, i32), u64> = BTreeMap::new();
    let mut sessions: Vec<Session> =
        (0..SESSIONS).map(|_| Session::begin(&node, &committed, clock)).collect();
    for _ in 0..400 {
        let which = usize::try_from(random.below(SESSIONS as u64)).unwrap();
        if random.below(4) > 0 {
            sessions[which].act(&mut random);
            continue;
        }
        let next = Session::begin(&node, &committed, clock);
        let Session { transaction, sees, wrote, guarded: guards, begun } =
            std::mem::replace(&mut sessions[which], next);
        let newer = |of: &BTreeMap<(u32, i32), u64>, at| of.get(at).is_some_and(|t| *t > begun);
        let conflict = wrote.keys().any(|at| newer(&written, at) || newer(&guarded, at))
            || guards.keys().any(|at| newer(&written, at));
        let done = node.commit(transaction);
        assert_eq!(done.is_err(), conflict, "seed {seed}");
        if !conflict {
            clock += 1;
            for at in wrote.keys() {
                written.insert(*at, clock);
                match sees.get(at) {
                    Some(text) => committed.insert(*at, text.clone()),
                    None => committed.remove(at),
                };
            }
            for at in guards.keys().filter(|at| !wrote.contains_key(at)) {
                guarded.insert(*at, clock);
            }
        }
        for object in OBJECTS {
            let found = rows(&node.catalog.snapshot(), object);
            assert_eq!(found, expected(&committed, object), "seed {seed}");
        }
        sessions[which] = Session::begin(&node, &committed, clock);
    }
    node
}

#[test]
fn random_transactions_do_what_the_model_says() {
    for seed in 1..=12 {
        let memory = run(seed, MemoryStore::new());
        let directory = tempfile::tempdir().unwrap();
        let disk = run(seed, RocksStore::open(&directory.path().join("catalog")).unwrap());
        assert_eq!(memory.log, disk.log, "seed {seed}");
        assert_eq!(memory.catalog.digest().unwrap(), disk.catalog.digest().unwrap());
        let replayed = TestNode::replayed(MemoryStore::new(), &memory.log);
        assert_eq!(memory.catalog.digest().unwrap(), replayed.catalog.digest().unwrap());
    }
}
