//! A Java program with a multi-host URL, kept running across a failover.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::cluster::{Cluster, Shape};
use crate::machine::clean;
use crate::wait::seconds;

const DRIVER: &str = "/usr/share/java/postgresql.jar";
const PROGRAM: &str = "tests/e2e/jdbc/Client.java";
/// The first one includes the start of the machine that compiles and runs the program.
const ANSWER: Duration = Duration::from_secs(300);

/// The program reads a statement a line and answers with a line.
struct Program {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Program {
    fn start(url: &str) -> Program {
        assert!(Path::new(DRIVER).exists(), "{DRIVER} is missing: make setup");
        let mut command = clean("java");
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(PROGRAM);
        command.args(["-XX:TieredStopAtLevel=1", "-cp", DRIVER]).arg(program).arg(url);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("java");
        let output = child.stdout.take().expect("output");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let input = child.stdin.take().expect("input");
        Program { child, input, lines }
    }

    /// One answer, without its first word when that is `ok`.
    fn ask(&mut self, statement: &str) -> Result<String, String> {
        writeln!(self.input, "{statement}").expect("write");
        let line = self.lines.recv_timeout(ANSWER).expect("an answer of the Java program");
        match line.strip_prefix("ok ") {
            Some(answer) => Ok(answer.to_string()),
            None => Err(line),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn url(cluster: &Cluster, options: &str) -> String {
    let hosts: Vec<String> =
        cluster.masters().iter().map(|node| format!("127.0.0.1:{}", node.pg_port)).collect();
    format!("jdbc:postgresql://{}/postgres?user=gpadmin&connectTimeout=5{options}", hosts.join(","))
}

#[test]
fn the_same_url_works_after_a_failover() {
    let cluster = Cluster::start(Shape::default());
    let old = cluster.synchronized();
    let mut plain = Program::start(&url(&cluster, ""));
    let mut typed = Program::start(&url(&cluster, "&targetServerType=primary"));
    let port = "select current_setting('port')";
    plain.ask("create table by_java (id int not null, what text)").expect("create");
    plain.ask("comment on table by_java is 'before'").expect("comment");
    for program in [&mut plain, &mut typed] {
        assert_eq!(program.ask(port), Ok(old.pg_port.to_string()));
    }

    cluster.kill(&old);
    cluster.activate();
    let new = cluster.primary();
    for program in [&mut plain, &mut typed] {
        // The connection that it holds is dead; it says so once, and the same URL finds the other.
        let first = program.ask(port);
        let answer = first.or_else(|_| program.ask(port));
        assert_eq!(answer, Ok(new.pg_port.to_string()));
    }
    let comment = "select obj_description('by_java'::regclass)";
    assert_eq!(typed.ask(comment), Ok("before".to_string()));
    plain.ask("comment on table by_java is 'after'").expect("comment");
    assert_eq!(typed.ask(comment), Ok("after".to_string()));
}

#[test]
fn metadata_and_prepared_statements_work() {
    let cluster = Cluster::start(Shape { standbys: 0, segments: 1 });
    let mut program = Program::start(&url(&cluster, ""));
    program.ask("create table described (id int not null, what text)").expect("create");
    assert_eq!(program.ask("!tables described"), Ok("described".to_string()));
    assert_eq!(program.ask("!columns described"), Ok("id:int4:no,what:text:yes".to_string()));
    // Prepared on the server after the fifth time; ten times the same answer.
    for _ in 0..10 {
        assert_eq!(program.ask("!prepared 0"), Ok("m".to_string()));
    }
    let failure = program.ask("select * from nowhere").expect_err("no such table");
    assert!(failure.starts_with("error 42P01"), "{failure}");
}

#[test]
fn libpq_moves_on_to_the_primary() {
    let cluster = Cluster::start(Shape { standbys: 1, segments: 0 });
    let primary = cluster.synchronized();
    let standby = cluster.other_masters(&primary).remove(0);
    for attributes in ["any", "read-write", "primary"] {
        let target = format!(
            "host=127.0.0.1,127.0.0.1 port={},{} user=gpadmin dbname=postgres \
             target_session_attrs={attributes}",
            standby.pg_port, primary.pg_port
        );
        let mut command = clean("psql");
        let sql = "select current_setting('port')";
        command.args(["-X", "-A", "-t", "-d", &target, "-c", sql]);
        let found = crate::run::run(&mut command, seconds(120)).expect(attributes);
        assert_eq!(found.trim(), primary.pg_port.to_string(), "{attributes}");
    }
}
