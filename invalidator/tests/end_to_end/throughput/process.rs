//! What the kernel says of a process.

use std::fs::read_to_string;

/// What the kernel counts a process's time in: a hundredth of a second on every Linux.
const TICKS_A_SECOND: f64 = 100.0;
/// Where a process's time is among what follows its name: its own, and the kernel's.
const TIMES: [usize; 2] = [11, 12];

/// The seconds of a processor that a process has had.
pub(crate) fn cpu_seconds(id: u32) -> f64 {
    let stat = read_to_string(format!("/proc/{id}/stat")).expect("it runs");
    let (_, after) = stat.rsplit_once(") ").expect("a name in brackets");
    let fields: Vec<_> = after.split(' ').collect();
    let ticks = TIMES.map(|at| fields[at].parse::<u64>().expect("a number"));
    ticks.iter().sum::<u64>() as f64 / TICKS_A_SECOND
}

/// The most memory that a process ever had, in MiB.
pub(crate) fn peak_mib(id: u32) -> f64 {
    let status = read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|text| text.trim().strip_suffix(" kB"));
    kib.expect("it runs").parse::<f64>().expect("a number") / 1024.0
}
