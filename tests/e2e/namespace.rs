//! A network namespace with one device, whose packets this process reads and writes, and with
//! mounts of its own, for disks of any size.
//!
//! It has no name in the file system: it ends with the last process or handle in it, so that a test
//! that dies leaves nothing behind.

use std::ffi::{CStr, CString};
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::zeroed;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;

const DEVICE: &str = "wire0";

pub struct Namespace {
    pub address: Ipv4Addr,
    network: File,
    mounts: File,
    /// What leaves the namespace is read here, what enters it is written here.
    pub device: File,
}

impl Namespace {
    /// With loopback and `address`/24 up. Fails where the process may not make namespaces.
    pub fn new(address: Ipv4Addr) -> io::Result<Namespace> {
        let made = thread::spawn(move || -> io::Result<Namespace> {
            // SAFETY: it moves this thread alone, which ends with this closure.
            check(unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS) })?;
            mount("none", c"/", None, libc::MS_REC | libc::MS_PRIVATE)?;
            let network = File::open("/proc/thread-self/ns/net")?;
            let mounts = File::open("/proc/thread-self/ns/mnt")?;
            let device = open_device()?;
            bring_up("lo", None)?;
            bring_up(DEVICE, Some(address))?;
            Ok(Namespace { address, network, mounts, device })
        });
        made.join().map_err(|_| io::Error::other("the thread that makes a namespace died"))?
    }

    /// A command that runs in the namespace, and what it starts too.
    pub fn place(&self, command: &mut Command) {
        let handles = self.handles();
        // SAFETY: only system calls between fork and exec; the handles live in the parent, which
        // waits for the exec.
        unsafe { command.pre_exec(move || enter(handles)) };
    }

    /// Puts a disk of that size over a directory, for whoever is in the namespace.
    pub fn mount_disk(&self, directory: &Path, megabytes: u32) {
        let target = CString::new(directory.as_os_str().as_bytes()).expect("a path");
        let size = CString::new(format!("size={megabytes}m")).expect("an option");
        self.run(|| mount("tmpfs", &target, Some(&size), 0)).expect("mount a tmpfs");
    }

    fn handles(&self) -> [(RawFd, libc::c_int); 2] {
        [
            (self.network.as_raw_fd(), libc::CLONE_NEWNET),
            (self.mounts.as_raw_fd(), libc::CLONE_NEWNS),
        ]
    }

    /// Moves the thread that calls it into the namespace, for ever.
    pub fn placer(&self) -> impl FnOnce() + Send + 'static {
        let handles = self.handles();
        move || enter(handles).expect("enter a namespace")
    }

    /// Runs `work` on a thread in the namespace: sockets that it makes belong there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let place = self.placer();
        thread::scope(|scope| {
            let ran = scope.spawn(move || {
                place();
                work()
            });
            ran.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

fn enter(handles: [(RawFd, libc::c_int); 2]) -> io::Result<()> {
    // SAFETY: system calls on open handles; they move the calling thread alone, which must share
    // neither its working directory nor its root to enter other mounts.
    unsafe {
        check(libc::unshare(libc::CLONE_FS))?;
        handles.into_iter().try_for_each(|(handle, kind)| check(libc::setns(handle, kind)))
    }
}

fn mount(
    kind: &str,
    target: &CStr,
    options: Option<&CStr>,
    flags: libc::c_ulong,
) -> io::Result<()> {
    let kind = CString::new(kind)?;
    let options = options.map_or(std::ptr::null(), |options| options.as_ptr().cast());
    // SAFETY: all strings end with zero and outlive the call.
    check(unsafe { libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, options) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn request(name: &str) -> libc::ifreq {
    // SAFETY: all zeros is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request
}

fn open_device() -> io::Result<File> {
    const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
    let mut options = OpenOptions::new();
    let device =
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    let mut wanted = request(DEVICE);
    wanted.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the kernel reads one `ifreq`, which outlives the call.
    check(unsafe { libc::ioctl(device.as_raw_fd(), TUNSETIFF, &wanted) })?;
    Ok(device)
}

fn bring_up(name: &str, address: Option<Ipv4Addr>) -> io::Result<()> {
    // SAFETY: a new socket, owned from here on.
    let socket = unsafe {
        let raw = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        check(raw)?;
        OwnedFd::from_raw_fd(raw)
    };
    let set = |operation: libc::c_ulong, wanted: &libc::ifreq| {
        // SAFETY: the kernel reads one `ifreq`, which outlives the call.
        check(unsafe { libc::ioctl(socket.as_raw_fd(), operation as libc::Ioctl, wanted) })
    };
    if let Some(address) = address {
        let netmask = Ipv4Addr::new(255, 255, 255, 0);
        for (operation, value) in [(libc::SIOCSIFADDR, address), (libc::SIOCSIFNETMASK, netmask)] {
            let mut wanted = request(name);
            wanted.ifr_ifru.ifru_addr = socket_address(value);
            set(operation, &wanted)?;
        }
    }
    let mut wanted = request(name);
    wanted.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    set(libc::SIOCSIFFLAGS, &wanted)
}

fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    // SAFETY: all zeros is valid for both, and they are of one size.
    unsafe {
        let mut inet: libc::sockaddr_in = zeroed();
        inet.sin_family = libc::AF_INET as libc::sa_family_t;
        inet.sin_addr.s_addr = u32::from(address).to_be();
        std::mem::transmute::<libc::sockaddr_in, libc::sockaddr>(inet)
    }
}
