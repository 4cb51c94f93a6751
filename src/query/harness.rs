//! A session over a bootstrapped catalog in memory, with a commit that applies at once.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::ScalarValue;

use crate::catalog::{
    Bootstrap, Catalog, Commit, CommitError, CommitFuture, Committed, MemoryStore, Transaction,
};
use crate::runtime::config::SettingRow;
use crate::types::{Epoch, Lsn, NodeId};

use super::{
    Engine, Error, Live, Output, OutputColumn, ReplicationRow, ServerState, Session, SessionRow,
    SessionStart,
};

pub(super) const NOW: i64 = 1_700_000_000_000_000;

/// Admits, "logs" and applies in one go.
pub(crate) struct DirectCommit {
    catalog: Catalog,
    end: Mutex<Lsn>,
}

impl DirectCommit {
    /// The log of a bootstrapped catalog ends at 64.
    pub(crate) fn new(catalog: Catalog) -> DirectCommit {
        DirectCommit { catalog, end: Mutex::new(Lsn(64)) }
    }

    pub(crate) fn apply(&self, transaction: &Transaction) -> Result<Committed, CommitError> {
        let payload = self.catalog.admit(transaction)?;
        let mut end = self.end.lock().unwrap();
        *end = end.advance(u64::try_from(payload.len()).unwrap() + 40);
        self.catalog.admitted_at(transaction.xid, *end);
        self.catalog.apply(&[(*end, payload.as_slice())]).unwrap();
        Ok(Committed { lsn: *end })
    }
}

impl Commit for DirectCommit {
    fn commit(&self, transaction: Transaction) -> CommitFuture<'_> {
        Box::pin(async move { self.apply(&transaction) })
    }

    fn read_permit(
        &self,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), CommitError>> + Send + '_>> {
        Box::pin(async { Ok(()) })
    }
}

pub(super) struct StillLive {
    pub in_recovery: bool,
}

impl Live for StillLive {
    fn sessions(&self) -> Vec<SessionRow> {
        let row = |pid: i32, state: &str| SessionRow {
            pid,
            session_id: pid,
            user: "gpadmin".to_owned(),
            database: "postgres".to_owned(),
            application_name: "psql".to_owned(),
            client_addr: (pid == 8).then(|| "192.0.2.9".to_owned()),
            client_port: (pid == 8).then_some(40_001),
            backend_start: NOW,
            xact_start: None,
            query_start: Some(NOW),
            state_change: Some(NOW),
            state: state.to_owned(),
            query: "select 1".to_owned(),
            waiting: false,
        };
        vec![row(7, "active"), row(8, "idle")]
    }

    fn replication(&self) -> Vec<ReplicationRow> {
        vec![ReplicationRow {
            pid: 99,
            name: "standby".to_owned(),
            client_addr: "192.0.2.2".to_owned(),
            backend_start: NOW,
            state: "streaming".to_owned(),
            sent: Lsn(0x1_0000_0010),
            write: Lsn(0x1_0000_0010),
            flush: Lsn(0x1_0000_0008),
            replay: Lsn(0x1_0000_0000),
            sync_state: "sync".to_owned(),
            reply_time: Some(NOW),
            priority: 1,
            flush_lag: Some(std::time::Duration::from_millis(250)),
            replay_lag: None,
        }]
    }

    fn settings(&self) -> Vec<SettingRow> {
        let row = |name: &str, setting: &str, context: &str, kind: &str| SettingRow {
            name: name.to_owned(),
            setting: setting.to_owned(),
            unit: None,
            category: "Server".to_owned(),
            description: "of the server".to_owned(),
            context: context.to_owned(),
            kind: kind.to_owned(),
            source: "configuration file".to_owned(),
            min: None,
            max: None,
            choices: None,
            boot_value: setting.to_owned(),
        };
        vec![
            row("port", "5432", "postmaster", "integer"),
            row("hawq_acl_type", "standalone", "postmaster", "string"),
            row("ha_lease", "500", "sighup", "integer"),
        ]
    }

    fn server(&self) -> ServerState {
        ServerState {
            in_recovery: self.in_recovery,
            write_lsn: Lsn(0x1_0000_0010),
            flush_lsn: Lsn(0x1_0000_0010),
            apply_lsn: Lsn(0x1_0000_0010),
            epoch: "1.1".to_owned(),
            started_at: NOW,
            primary: Some("mdw:5432".to_owned()),
        }
    }

    fn reload(&self) -> bool {
        true
    }

    fn terminate(&self, pid: i32) -> bool {
        pid == 8
    }

    fn cancel(&self, pid: i32) -> bool {
        pid == 8
    }

    fn checkpoint(&self) -> Result<(), String> {
        Ok(())
    }

    fn in_progress(&self, _: u64) -> bool {
        false
    }
}

pub(super) fn engine(in_recovery: bool) -> Arc<Engine> {
    let catalog = Catalog::open(Arc::new(MemoryStore::new())).unwrap();
    catalog.reign(Epoch::new(1, NodeId::new(1).unwrap()));
    let commit = DirectCommit::new(catalog.clone());
    catalog.apply(&[(Lsn(64), &[])]).unwrap();
    let bootstrap = Bootstrap {
        master_host: "mdw".to_owned(),
        master_address: "192.0.2.1".to_owned(),
        master_port: 5432,
        superuser: "gpadmin".to_owned(),
        now_micros: NOW,
    };
    commit.apply(&Catalog::bootstrap(&bootstrap).unwrap()).unwrap();
    Arc::new(Engine::new(catalog, Arc::new(commit), Arc::new(StillLive { in_recovery })))
}

pub(super) fn session(engine: &Arc<Engine>, options: &[(&str, &str)]) -> Session {
    open(engine, options).unwrap()
}

pub(super) fn open(engine: &Arc<Engine>, options: &[(&str, &str)]) -> Result<Session, Error> {
    let parameters = options.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    engine.open_session(SessionStart {
        user: "gpadmin".to_owned(),
        database: "postgres".to_owned(),
        pid: 7,
        read_only: engine.live.server().in_recovery,
        parameters,
        committing: Arc::new(AtomicBool::new(false)),
    })
}

/// One statement's columns as `name:oid` and its rows as `a|b`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub columns: String,
    pub rows: Vec<String>,
    pub tag: String,
}

pub(super) async fn run(session: &mut Session, sql: &str) -> Result<Shown, Error> {
    let mut shown = Shown { columns: String::new(), rows: Vec::new(), tag: String::new() };
    for statement in session.parse(sql)? {
        let prepared = session.prepare(statement, &[]).await?;
        let output = session.execute(&prepared, &[]).await?;
        if let Output::Rows { columns, .. } = &output {
            assert_eq!(columns, &prepared.columns, "described and executed columns of {sql}");
        }
        shown = show(output);
    }
    Ok(shown)
}

pub(super) async fn run_with(
    session: &mut Session,
    sql: &str,
    types: &[Option<u32>],
    values: &[ScalarValue],
) -> Result<Shown, Error> {
    let statement = session.parse(sql)?.remove(0);
    let prepared = session.prepare(statement, types).await?;
    Ok(show(session.execute(&prepared, values).await?))
}

pub(super) fn show(output: Output) -> Shown {
    let header = |columns: &[OutputColumn]| {
        let columns = columns.iter().map(|c| format!("{}:{}", c.name, c.type_oid));
        columns.collect::<Vec<_>>().join(" ")
    };
    match output {
        Output::Rows { columns, batches, tag } => {
            Shown { columns: header(&columns), rows: lines(&batches), tag }
        }
        Output::CopyOut { columns, batches } => {
            Shown { columns: header(&columns), rows: lines(&batches), tag: "COPY".to_owned() }
        }
        Output::Command { tag } => Shown { columns: String::new(), rows: Vec::new(), tag },
        Output::Empty => Shown { columns: String::new(), rows: Vec::new(), tag: String::new() },
    }
}

fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::new().with_null("NULL");
    let mut lines = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| {
                if column.is_null(row) {
                    return "NULL".to_owned();
                }
                let shown = ArrayFormatter::try_new(column.as_ref(), &options).unwrap();
                shown.value(row).to_string()
            });
            lines.push(cells.collect::<Vec<_>>().join("|"));
        }
    }
    lines
}
