//! Carries out what functions of a statement left to be done (`Effect`), in its transaction.

use std::sync::Arc;

use crate::catalog::segments::{self, Mirroring, MirroringState, SegmentRow};
use crate::runtime::{BootClock, Clock};
use crate::types::RegistrationOrder;

use super::block::Shared;
use super::context::Effect;
use super::error::Error;
use super::session::Session;
use super::settings::Scope;

/// Rows of history removed by one statement; more need another call.
const HISTORY_ROUNDS_MAX: usize = 100;

pub(crate) fn carry_out(
    session: &mut Session,
    shared: &Arc<Shared>,
    left: Vec<Effect>,
) -> Result<(), Error> {
    for effect in left {
        if !matches!(effect, Effect::SetConfig { .. }) {
            session.writable("SELECT")?;
        }
        match effect {
            Effect::SetConfig { name, value, local } => {
                let scope = if local { Scope::Local } else { Scope::Session };
                session.set(&name, &value, scope)?;
            }
            Effect::AddMasterStandby { host, address } => {
                let port = session.setting("port").and_then(|port| port.parse().ok());
                let port = port.unwrap_or(5432);
                let standby = SegmentRow {
                    order: RegistrationOrder::Standby.to_column(),
                    role: 's',
                    up: true,
                    port,
                    hostname: host,
                    address,
                    description: None,
                };
                shared.write(|t| segments::put_segment(t, &standby))?;
            }
            Effect::RemoveMasterStandby => {
                let mirroring = Mirroring {
                    state: MirroringState::NotConfigured,
                    detail: None,
                    log_time: Some(BootClock.wall_micros()),
                    error: None,
                };
                shared.write(|t| {
                    segments::remove_segment(t, RegistrationOrder::Standby.to_column())?;
                    segments::set_mirroring(t, &mirroring)
                })?;
            }
            Effect::RemoveSegment { order } => {
                if order <= 0 {
                    return Err(Error::internal("segment without an order"));
                }
                shared.write(|t| segments::remove_segment(t, order))?;
            }
            Effect::RemoveSegmentHistory => {
                for _ in 0..HISTORY_ROUNDS_MAX {
                    if shared.write(|t| segments::purge_history(t, i64::MAX))? == 0 {
                        break;
                    }
                }
            }
        }
    }
    Ok(())
}
