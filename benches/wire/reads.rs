//! Reads by pgbench, which is the same program for both servers.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::Server;

const SCRIPT: &str = "select * from gp_segment_configuration order by registration_order;\n";

/// Transactions per second of each server. They are read in turns; the better of two each.
pub fn measure(
    servers: &[Server; 2],
    rows: usize,
    readers: usize,
    length: Duration,
) -> anyhow::Result<[f64; 2]> {
    let mut script = tempfile::NamedTempFile::new()?;
    script.write_all(SCRIPT.as_bytes())?;
    let mut best = [0.0_f64; 2];
    for _ in 0..2 {
        for (server, best) in servers.iter().zip(&mut best) {
            check_rows(server, rows)?;
            *best = best.max(pgbench(server, script.path(), readers, length)?);
        }
    }
    Ok(best)
}

fn check_rows(server: &Server, rows: usize) -> anyhow::Result<()> {
    let sql = "select count(*) from gp_segment_configuration";
    let mut command = Command::new("psql");
    command.args(["-X", "-A", "-t", "-d", &server.target(), "-c", sql]);
    let output = ended(command.output().context("psql")?)?;
    let found: usize = output.trim().parse().context(output)?;
    anyhow::ensure!(found == rows, "{}: {found} rows, wanted {rows}", server.name);
    Ok(())
}

fn pgbench(
    server: &Server,
    script: &std::path::Path,
    readers: usize,
    length: Duration,
) -> anyhow::Result<f64> {
    let mut command = Command::new("pgbench");
    command.args(["-n", "-M", "simple", "-h", "127.0.0.1", "-U", server.user]);
    command.args(["-p", &server.port.to_string(), "-T", &length.as_secs().to_string()]);
    command.args(["-c", &readers.to_string(), "-j", "2", "-f"]).arg(script);
    let output = ended(command.arg(server.database).output().context("pgbench")?)?;
    let tps = output.lines().find_map(|line| line.strip_prefix("tps = "));
    let number = tps.and_then(|rest| rest.split_whitespace().next());
    number.context(output.clone())?.parse().context(output)
}

pub fn ended(output: std::process::Output) -> anyhow::Result<String> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{}: {stderr}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
