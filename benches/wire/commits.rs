//! Commits per second: each client comments on its own table, one statement after the other.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio_postgres::{Client, NoTls};

use crate::Server;

const TURNS: usize = 3;
const WARM_UP: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct Commits {
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
}

/// The servers in turns, the median turn of each.
pub async fn measure(
    servers: &[Server; 2],
    clients: usize,
    length: Duration,
) -> anyhow::Result<[Commits; 2]> {
    let mut turns: [Vec<Commits>; 2] = [Vec::new(), Vec::new()];
    for server in servers {
        prepare(server, clients).await.with_context(|| format!("prepare {}", server.name))?;
        turn(server, clients, WARM_UP).await?;
    }
    for _ in 0..TURNS {
        for (server, done) in servers.iter().zip(&mut turns) {
            done.push(turn(server, clients, length).await?);
        }
    }
    Ok(turns.map(|mut done| {
        done.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        done.swap_remove(TURNS / 2)
    }))
}

async fn connect(server: &Server) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(&server.target(), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn prepare(server: &Server, clients: usize) -> anyhow::Result<()> {
    let client = connect(server).await?;
    for number in 0..clients {
        client.simple_query(&format!("drop table if exists bench_{clients}_{number}")).await?;
        client.simple_query(&format!("create table bench_{clients}_{number} (id int)")).await?;
    }
    Ok(())
}

async fn turn(server: &Server, clients: usize, length: Duration) -> anyhow::Result<Commits> {
    let mut tasks = Vec::new();
    for number in 0..clients {
        let client = connect(server).await?;
        let table = format!("bench_{clients}_{number}");
        tasks.push((client, table));
    }
    let start = Instant::now();
    let tasks = tasks.into_iter().map(|(client, table)| {
        tokio::spawn(async move {
            let mut times = Vec::new();
            while start.elapsed() < length {
                let before = Instant::now();
                let sql = format!("comment on table {table} is '{}'", times.len());
                client.simple_query(&sql).await?;
                times.push(before.elapsed());
            }
            Ok::<_, tokio_postgres::Error>(times)
        })
    });
    let mut times = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        times.extend(task.await?.with_context(|| format!("commit on {}", server.name))?);
    }
    let elapsed = start.elapsed();
    times.sort();
    let at = |part: f64| times.get((times.len() as f64 * part) as usize).copied();
    let (p50, p99) = (at(0.5).context("no commit")?, at(0.99).context("no commit")?);
    Ok(Commits { per_second: times.len() as f64 / elapsed.as_secs_f64(), p50, p99 })
}
