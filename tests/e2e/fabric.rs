//! Hosts in network namespaces, wired by a switch in this process: each direction between two of
//! them can be cut or made slow. No kernel module, no packet filter, no `ip`: what a switch, a
//! firewall or a pulled cable would do happens to the packets here.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::namespace::Namespace;

/// Larger than any packet of a device with the usual 1500 bytes.
const PACKET_MAX: usize = 2048;
/// Packets under way on slow wires; more are lost, as on a real one.
const UNDER_WAY_MAX: usize = 20_000;
const PAUSE: Duration = Duration::from_millis(1);

/// One direction between two hosts, when it is not in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Packets vanish; nobody is told.
    Cut,
    Slow(Duration),
}

type Wires = BTreeMap<(usize, usize), Wire>;

pub struct Fabric {
    hosts: Arc<Vec<Arc<Namespace>>>,
    wires: Arc<Mutex<Wires>>,
    stop: Arc<AtomicBool>,
    switch: Option<JoinHandle<()>>,
}

impl Fabric {
    /// `None`, with a loud line, where namespaces may not be made (`AERIE_NAMESPACES=required`
    /// makes that a failure).
    pub fn new(count: u8) -> Option<Fabric> {
        let hosts = (1..=count).map(|number| Namespace::new(address(number)).map(Arc::new));
        let hosts = match hosts.collect::<std::io::Result<Vec<_>>>() {
            Ok(hosts) => Arc::new(hosts),
            Err(error) => {
                let required = std::env::var("AERIE_NAMESPACES").is_ok_and(|it| it == "required");
                assert!(!required, "network namespaces: {error}");
                eprintln!("NOT TESTED: network namespaces need root and /dev/net/tun: {error}");
                return None;
            }
        };
        let (wires, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let switch = Switch {
            hosts: Arc::clone(&hosts),
            wires: Arc::clone(&wires),
            under_way: BinaryHeap::new(),
            taken: 0,
        };
        let ended = Arc::clone(&stop);
        let switch = std::thread::spawn(move || switch.run(&ended));
        Some(Fabric { hosts, wires, stop, switch: Some(switch) })
    }

    /// Numbered from 1.
    pub fn host(&self, number: u8) -> &Arc<Namespace> {
        &self.hosts[usize::from(number) - 1]
    }

    /// What happens to packets from one host to another from now on; `None`: they arrive.
    pub fn wire(&self, from: u8, to: u8, wire: Option<Wire>) {
        let key = (usize::from(from) - 1, usize::from(to) - 1);
        let mut wires = self.wires.lock().expect("wires");
        match wire {
            Some(wire) => wires.insert(key, wire),
            None => wires.remove(&key),
        };
    }

    /// Both directions.
    pub fn between(&self, one: u8, other: u8, wire: Option<Wire>) {
        self.wire(one, other, wire);
        self.wire(other, one, wire);
    }

    /// Both directions between a host and every other: its cable is pulled.
    pub fn isolate(&self, host: u8) {
        for other in (1..=self.count()).filter(|other| *other != host) {
            self.between(host, other, Some(Wire::Cut));
        }
    }

    pub fn mend(&self) {
        self.wires.lock().expect("wires").clear();
    }

    pub fn count(&self) -> u8 {
        u8::try_from(self.hosts.len()).expect("few hosts")
    }
}

impl Drop for Fabric {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(switch) = self.switch.take() {
            let _ = switch.join();
        }
    }
}

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, number)
}

/// When it arrives, its number, for whom it is, its bytes.
type UnderWay = (Instant, u64, usize, Vec<u8>);

struct Switch {
    hosts: Arc<Vec<Arc<Namespace>>>,
    wires: Arc<Mutex<Wires>>,
    /// Ordered by arrival, then by the order in which they were sent.
    under_way: BinaryHeap<Reverse<UnderWay>>,
    taken: u64,
}

impl Switch {
    fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.wait_for_packets();
            for from in 0..self.hosts.len() {
                self.take(from);
            }
            self.deliver_due();
        }
    }

    fn wait_for_packets(&self) {
        let devices = self.hosts.iter().map(|host| host.device.as_raw_fd());
        let waiting = devices.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        let mut waiting: Vec<libc::pollfd> = waiting.collect();
        let milliseconds = if self.under_way.is_empty() { 50 } else { 1 };
        let count = waiting.len() as libc::nfds_t;
        // SAFETY: the array outlives the call and has `count` entries.
        let _ = unsafe { libc::poll(waiting.as_mut_ptr(), count, milliseconds) };
    }

    fn take(&mut self, from: usize) {
        let mut packet = [0; PACKET_MAX];
        while let Ok(length @ 20..) = (&self.hosts[from].device).read(&mut packet) {
            let packet = &packet[..length];
            let Some(to) = self.receiver(packet) else { continue };
            let wire = self.wires.lock().expect("wires").get(&(from, to)).copied();
            match wire {
                None => self.deliver(to, packet),
                Some(Wire::Cut) => {}
                Some(Wire::Slow(delay)) if self.under_way.len() < UNDER_WAY_MAX => {
                    self.taken += 1;
                    let arrival = Instant::now() + delay.max(PAUSE);
                    self.under_way.push(Reverse((arrival, self.taken, to, packet.to_vec())));
                }
                Some(Wire::Slow(_)) => {}
            }
        }
    }

    /// IPv4 names the receiver in bytes 16 to 19.
    fn receiver(&self, packet: &[u8]) -> Option<usize> {
        let named: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
        let to = Ipv4Addr::from(named);
        self.hosts.iter().position(|host| host.address == to && packet[0] >> 4 == 4)
    }

    fn deliver_due(&mut self) {
        let now = Instant::now();
        while self.under_way.peek().is_some_and(|Reverse((arrival, ..))| *arrival <= now) {
            if let Some(Reverse((_, _, to, packet))) = self.under_way.pop() {
                self.deliver(to, &packet);
            }
        }
    }

    fn deliver(&self, to: usize, packet: &[u8]) {
        // A full queue of the device loses the packet, as a real one does.
        let _ = (&self.hosts[to].device).write(packet);
    }
}

#[test]
fn wires_carry_until_they_are_cut_and_then_again() {
    use std::net::{TcpListener, TcpStream};
    let Some(fabric) = Fabric::new(2) else { return };
    let target = (fabric.host(2).address, 4000);
    let listener = fabric.host(2).run(|| TcpListener::bind(target)).expect("listen");
    let connect =
        |limit| fabric.host(1).run(|| TcpStream::connect_timeout(&target.into(), limit).map(drop));
    let (short, long) = (Duration::from_millis(300), Duration::from_secs(10));
    connect(long).expect("a sound wire");
    for (from, to) in [(1, 2), (2, 1)] {
        fabric.wire(from, to, Some(Wire::Cut));
        connect(short).expect_err("one direction is cut");
        fabric.mend();
        connect(long).expect("a mended wire");
    }
    fabric.wire(1, 2, Some(Wire::Slow(Duration::from_millis(200))));
    let asked = Instant::now();
    connect(long).expect("a slow wire");
    assert!(asked.elapsed() >= Duration::from_millis(200), "{:?}", asked.elapsed());
    drop(listener);
}
