//! Sends heartbeats: one connection a master, kept while it works, made anew when it does not.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use crate::proto::v1::segment_registry_client::SegmentRegistryClient;
use crate::proto::{heartbeat_to_wire, record_from_wire};
use crate::runtime::RpcAuth;
use crate::types::{Epoch, Heartbeat};

use super::event::{Event, MasterAddress};

/// Bounds of the deadline of one heartbeat; within them it is the interval.
const DEADLINE_MIN: Duration = Duration::from_secs(1);
const DEADLINE_MAX: Duration = Duration::from_secs(5);

/// Connections that are kept; the machine speaks to fewer masters.
const CHANNELS_MAX: usize = 64;

#[derive(Debug, Clone)]
pub(super) struct Sender {
    auth: RpcAuth,
    deadline: Duration,
    channels: Arc<Mutex<BTreeMap<MasterAddress, Channel>>>,
}

impl Sender {
    pub(super) fn new(auth: RpcAuth, interval: Duration) -> Sender {
        let deadline = interval.clamp(DEADLINE_MIN, DEADLINE_MAX);
        Sender { auth, deadline, channels: Arc::default() }
    }

    /// Ends within the deadline with what came of it.
    pub(super) fn send(
        &self,
        to: MasterAddress,
        heartbeat: &Heartbeat,
    ) -> impl Future<Output = Event> + Send + 'static {
        let request = heartbeat_to_wire(heartbeat);
        let sender = self.clone();
        async move {
            let call = async {
                let channel = sender.channel(&to)?;
                let auth = sender.auth.clone();
                let mut client = SegmentRegistryClient::with_interceptor(channel, auth);
                let reply = client.im_alive(request).await.map_err(|status| {
                    let cause = std::error::Error::source(&status).map(|c| format!(": {c}"));
                    format!("{}{}", status.message(), cause.unwrap_or_default())
                })?;
                let reply = reply.into_inner();
                let record = reply.record.map(record_from_wire).transpose();
                Ok(Event::HeartbeatAnswered {
                    master: to.clone(),
                    epoch: Epoch(reply.epoch),
                    reigning: reply.reigning,
                    record: record.map_err(|error| error.to_string())?.map(Box::new),
                    interval: Duration::from_millis(u64::from(reply.heartbeat_interval_ms)),
                })
            };
            let result = match tokio::time::timeout(sender.deadline, call).await {
                Ok(result) => result,
                Err(_) => Err(format!("no answer within {:?}", sender.deadline)),
            };
            result.unwrap_or_else(|reason: String| {
                sender.drop_channel(&to);
                Event::HeartbeatFailed { master: to, reason }
            })
        }
    }

    fn channel(&self, to: &MasterAddress) -> Result<Channel, String> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(to) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{to}"))
            .map_err(|error| format!("bad address {to}: {error}"))?;
        let channel = endpoint.connect_timeout(self.deadline).connect_lazy();
        if channels.len() >= CHANNELS_MAX {
            channels.clear();
        }
        channels.insert(to.clone(), channel.clone());
        Ok(channel)
    }

    fn drop_channel(&self, to: &MasterAddress) {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).remove(to);
    }
}
