//! A backend without SQL, whose statements are the first word of their text. For tests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::ScalarValue;

use super::backend::{
    Backend, BackendSession, Column, Description, Outcome, SessionOpening, TransactionStatus,
};
use super::failure::{Failure, Notice};
use super::sqlstate_table::SqlState;

/// What the sessions were told, in order.
pub(crate) type Log = Arc<Mutex<Vec<String>>>;

#[derive(Clone, Default)]
pub(crate) struct Fake {
    pub log: Log,
}

pub(crate) struct FakeSession {
    log: Log,
    opening: SessionOpening,
    status: TransactionStatus,
    implicit: bool,
    changes: Vec<(String, String)>,
    notices: Vec<Notice>,
    timeout: Option<Duration>,
}

pub(crate) struct Plan {
    words: Vec<String>,
    types: Vec<u32>,
}

impl Backend for Fake {
    type Session = FakeSession;

    fn open(&self, opening: SessionOpening) -> Result<FakeSession, Failure> {
        if opening.database == "missing" {
            let message = "database \"missing\" does not exist";
            return Err(Failure::error(SqlState::InvalidCatalogName, message));
        }
        Ok(FakeSession {
            log: Arc::clone(&self.log),
            opening,
            status: TransactionStatus::Idle,
            implicit: false,
            changes: Vec::new(),
            notices: Vec::new(),
            timeout: None,
        })
    }
}

impl FakeSession {
    fn note(&self, text: &str) {
        self.log.lock().unwrap().push(text.to_owned());
    }

    fn parameter(&self, name: &str) -> String {
        let found = self.opening.parameters.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    async fn hang(&self, committing: bool) -> Result<Outcome, Failure> {
        struct Flag(Arc<AtomicBool>);
        impl Drop for Flag {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Release);
            }
        }
        let _flag = Flag(Arc::clone(&self.opening.committing));
        self.opening.committing.store(committing, Ordering::Release);
        self.note("hangs");
        std::future::pending().await
    }
}

fn column(name: &str, type_oid: u32) -> Column {
    Column { name: name.to_owned(), type_oid, typlen: -1, typmod: -1 }
}

fn columns(words: &[String], types: &[u32]) -> Vec<Column> {
    match words.first().map(String::as_str) {
        Some("rows") => vec![column("number", 23), column("word", 25)],
        Some("show") => vec![column(&words[1], 25)],
        Some("echo") => vec![column("echo", types.first().copied().unwrap_or(25))],
        _ => Vec::new(),
    }
}

fn batch(columns: &[Column], arrays: Vec<ArrayRef>) -> Vec<RecordBatch> {
    let fields: Vec<Field> = columns
        .iter()
        .zip(&arrays)
        .map(|(column, array)| Field::new(&column.name, array.data_type().clone(), true))
        .collect();
    vec![RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()]
}

/// Two batches, so that a row limit may fall into either.
fn numbered(count: i32, columns: &[Column]) -> Vec<RecordBatch> {
    let half = count / 2;
    let part = |numbers: Vec<i32>| {
        let words: Vec<String> = numbers.iter().map(|number| format!("row {number}")).collect();
        let arrays: Vec<ArrayRef> =
            vec![Arc::new(Int32Array::from(numbers)), Arc::new(StringArray::from(words))];
        assert_eq!(columns.iter().map(|c| c.type_oid).collect::<Vec<_>>(), [23, 25]);
        let fields = vec![
            Field::new("number", DataType::Int32, true),
            Field::new("word", DataType::Utf8, true),
        ];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
    };
    vec![part((1..=half).collect()), part((half + 1..=count).collect())]
}

impl BackendSession for FakeSession {
    type Statement = Vec<String>;
    type Prepared = Plan;

    fn parse(&mut self, sql: &str) -> Result<Vec<Vec<String>>, Failure> {
        if sql.contains("syntax") {
            let failure = Failure::error(SqlState::SyntaxError, "syntax error");
            return Err(Failure { position: Some(1), ..failure });
        }
        let statements = sql
            .split(';')
            .map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<String>>());
        Ok(statements.filter(|words| !words.is_empty()).collect())
    }

    async fn prepare(
        &mut self,
        words: Vec<String>,
        types: &[Option<u32>],
    ) -> Result<Arc<Plan>, Failure> {
        let parameters = usize::from(words[0] == "echo");
        let types = (0..parameters).map(|at| types.get(at).copied().flatten().unwrap_or(25));
        Ok(Arc::new(Plan { types: types.collect(), words }))
    }

    fn describe(plan: &Plan) -> Description {
        Description {
            parameter_types: plan.types.clone(),
            columns: columns(&plan.words, &plan.types),
        }
    }

    async fn execute(
        &mut self,
        plan: &Plan,
        parameters: &[ScalarValue],
    ) -> Result<Outcome, Failure> {
        let word = plan.words[0].as_str();
        self.note(word);
        if self.status == TransactionStatus::Failed && word != "rollback" {
            let message = "current transaction is aborted";
            return Err(Failure::error(SqlState::InFailedSqlTransaction, message));
        }
        let columns = columns(&plan.words, &plan.types);
        let number = |at: usize| plan.words.get(at).and_then(|w| w.parse::<i32>().ok());
        match word {
            "rows" => {
                let count = number(1).unwrap_or(0);
                let batches = numbered(count, &columns);
                return Ok(Outcome::Rows { columns, batches, tag: format!("SELECT {count}") });
            }
            "copy" => {
                let columns = vec![column("number", 23), column("word", 25)];
                let batches = numbered(number(1).unwrap_or(0), &columns);
                return Ok(Outcome::CopyOut { columns, batches });
            }
            "show" => {
                let array: ArrayRef =
                    Arc::new(StringArray::from(vec![self.parameter(&plan.words[1])]));
                let batches = batch(&columns, vec![array]);
                return Ok(Outcome::Rows { columns, batches, tag: "SHOW".to_owned() });
            }
            "echo" => {
                let batches = batch(&columns, vec![parameters[0].to_array().unwrap()]);
                return Ok(Outcome::Rows { columns, batches, tag: "SELECT 1".to_owned() });
            }
            "begin" => self.status = TransactionStatus::Open,
            "commit" | "rollback" => {
                self.status = TransactionStatus::Idle;
                self.implicit = false;
            }
            "set" => self.changes.push((plan.words[1].clone(), plan.words[2].clone())),
            "limit" => {
                let millis = number(1).unwrap_or(0).unsigned_abs();
                self.timeout = Some(Duration::from_millis(millis.into()));
            }
            "notice" => self.notices.push(Notice {
                severity: "NOTICE".to_owned(),
                code: "00000".to_owned(),
                message: "hello".to_owned(),
                detail: None,
                hint: None,
            }),
            "fail" => return Err(Failure::error(SqlState::DivisionByZero, "division by zero")),
            "panic" => panic!("asked to"),
            "hang" => return self.hang(false).await,
            "replicate" => return self.hang(true).await,
            _ => {}
        }
        Ok(Outcome::Command { tag: word.to_uppercase() })
    }

    fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    fn begin_implicit(&mut self) {
        if !self.implicit {
            self.implicit = true;
            self.note("(begin)");
        }
    }

    async fn end_implicit(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.implicit) && self.status == TransactionStatus::Idle {
            self.note("(commit)");
        }
        Ok(())
    }

    fn abandon(&mut self) {
        self.note("(abandon)");
        self.implicit = false;
        if self.status == TransactionStatus::Open {
            self.status = TransactionStatus::Failed;
        }
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.changes)
    }

    fn initial_parameters(&self) -> Vec<(String, String)> {
        let on = |flag: bool| if flag { "on" } else { "off" }.to_owned();
        vec![
            ("server_version".to_owned(), "15.0".to_owned()),
            ("client_encoding".to_owned(), "UTF8".to_owned()),
            ("in_hot_standby".to_owned(), on(self.opening.read_only)),
            ("is_superuser".to_owned(), on(self.opening.user == "gpadmin")),
            ("application_name".to_owned(), self.parameter("application_name")),
        ]
    }

    fn statement_timeout(&self) -> Option<Duration> {
        self.timeout
    }
}
