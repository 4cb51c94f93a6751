//! The cluster as its nodes tell it: all of them are asked at once, each within a short deadline.

use std::collections::BTreeSet;
use std::time::Duration;

use aerie::proto::v1::{ClusterState, StatusReply};
use aerie::runtime::config::Peer;
use futures::future::join_all;

use crate::environment::Environment;
use crate::rpc::{self, Access};

/// A master node and what it said.
#[derive(Debug, Clone)]
pub struct NodeView {
    pub node: u32,
    pub host: String,
    pub rpc_port: u32,
    pub pg_port: u32,
    /// The reply, or why there is none.
    pub answer: Result<Box<StatusReply>, String>,
}

impl NodeView {
    pub fn rpc_address(&self) -> String {
        if self.host.contains(':') {
            return format!("[{}]:{}", self.host, self.rpc_port);
        }
        format!("{}:{}", self.host, self.rpc_port)
    }

    pub fn reply(&self) -> Option<&StatusReply> {
        self.answer.as_ref().ok().map(AsRef::as_ref)
    }

    pub fn is_open_primary(&self) -> bool {
        self.reply().is_some_and(|reply| reply.role == "primary" && reply.open)
    }

    fn of(peer: &Peer) -> NodeView {
        NodeView {
            node: u32::from(peer.node.get()),
            host: peer.host.clone(),
            rpc_port: u32::from(peer.rpc_port),
            pg_port: u32::from(peer.pg_port),
            answer: Err("not asked".to_owned()),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Cluster {
    /// By node number.
    pub nodes: Vec<NodeView>,
}

impl Cluster {
    /// Asks the nodes of the settings, then those that the answers name besides.
    pub async fn ask(environment: &Environment) -> Cluster {
        Cluster::ask_nodes(Cluster::known(environment), &environment.access()).await
    }

    /// The nodes that the settings name.
    pub fn known(environment: &Environment) -> Vec<NodeView> {
        environment.master.peers.iter().map(NodeView::of).collect()
    }

    pub async fn ask_nodes(known: Vec<NodeView>, access: &Access) -> Cluster {
        let mut nodes = ask_all(known, access).await;
        let asked: BTreeSet<u32> = nodes.iter().map(|view| view.node).collect();
        let mut learned: Vec<NodeView> = Vec::new();
        for entry in nodes
            .iter()
            .filter_map(|view| view.reply()?.record.as_ref())
            .flat_map(|record| &record.members)
        {
            let known = asked.contains(&entry.node);
            if !known && !learned.iter().any(|view| view.node == entry.node) {
                learned.push(NodeView {
                    node: entry.node,
                    host: entry.host.clone(),
                    rpc_port: entry.rpc_port,
                    pg_port: entry.pg_port,
                    answer: Err("not asked".to_owned()),
                });
            }
        }
        nodes.extend(ask_all(learned, access).await);
        nodes.sort_by_key(|view| view.node);
        Cluster { nodes }
    }

    /// Adds the digests of the catalogs, which are read whole for that: a node that takes longer
    /// than `bound` stays without, and counts as no less alive.
    pub async fn add_digests(&mut self, access: &Access, bound: Duration) {
        let answering = self.nodes.iter_mut().filter(|view| view.answer.is_ok());
        join_all(answering.map(|view| async move {
            let reply = rpc::status_with_digest(&view.rpc_address(), access, bound).await;
            if let Some(reply) = reply {
                view.answer = Ok(Box::new(reply));
            }
        }))
        .await;
    }

    /// The open primary; of two, which only a cut network shows, the one of the higher epoch.
    pub fn primary(&self) -> Option<&NodeView> {
        let open = self.nodes.iter().filter(|view| view.is_open_primary());
        open.max_by_key(|view| view.reply().map_or(0, |reply| reply.epoch))
    }

    pub fn node(&self, number: u32) -> Option<&NodeView> {
        self.nodes.iter().find(|view| view.node == number)
    }

    /// The newest cluster state that any node has.
    pub fn record(&self) -> Option<&ClusterState> {
        let records = self.nodes.iter().filter_map(|view| view.reply()?.record.as_ref());
        records.max_by_key(|record| (record.epoch, record.version))
    }
}

async fn ask_all(nodes: Vec<NodeView>, access: &Access) -> Vec<NodeView> {
    join_all(nodes.into_iter().map(|mut view| async move {
        view.answer = rpc::status(&view.rpc_address(), access).await.map(Box::new);
        view
    }))
    .await
}
