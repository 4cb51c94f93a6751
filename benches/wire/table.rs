//! The printed table: a line a measurement, with PostgreSQL's number and the ratio.

use std::time::Duration;

use crate::commits::Commits;
use crate::start::Memory;

pub fn head(version: &str, length: Duration) {
    println!("\n{version}; 3 turns of {} s each, medians\n", length.as_secs());
    println!("| what | Aerie | PostgreSQL | ratio |");
    println!("|---|---|---|---|");
}

fn line(what: &str, ours: &str, peer: &str, ratio: f64) {
    println!("| {what} | {ours} | {peer} | {ratio:.2}× |");
}

pub fn commits(clients: usize, ours: &Commits, peer: &Commits) {
    let plural = if clients == 1 { "" } else { "s" };
    let what = format!("COMMENT ON TABLE, {clients} client{plural}: commits/s");
    let ratio = ours.per_second / peer.per_second;
    line(&what, &format!("{:.0}", ours.per_second), &format!("{:.0}", peer.per_second), ratio);
    for (name, a, b) in [("p50", ours.p50, peer.p50), ("p99", ours.p99, peer.p99)] {
        let ratio = b.as_secs_f64() / a.as_secs_f64();
        line(&format!("… {name}"), &millis(a), &millis(b), ratio);
    }
}

pub fn reads(rows: usize, readers: usize, ours: f64, peer: f64) {
    let plural = if readers == 1 { "" } else { "s" };
    let what = format!(
        "select * from gp_segment_configuration, {rows} rows, {readers} client{plural}: /s"
    );
    line(&what, &format!("{ours:.0}"), &format!("{peer:.0}"), ours / peer);
}

pub fn memory(ours: Memory, peer: Memory) {
    let text = |memory: Memory| format!("{} MB ({} MB Pss)", memory.rss_mb, memory.pss_mb);
    let ratio = peer.pss_mb as f64 / ours.pss_mb.max(1) as f64;
    line("idle primary: memory, all its processes", &text(ours), &text(peer), ratio);
}

pub fn start(ours: Duration, peer: Duration) {
    let ratio = peer.as_secs_f64() / ours.as_secs_f64();
    line("start after kill -9, to the first answer", &millis(ours), &millis(peer), ratio);
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1_000.0)
}
