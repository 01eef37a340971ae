//! `flagdit devices`.

use flagdit::device::{self, Abilities, DeviceInfo};
use flagdit::error::Result;
use serde_json::json;

use crate::terminal::Terminal;

pub fn run(terminal: &Terminal) -> Result<()> {
    let devices = pollster::block_on(device::list());
    if terminal.is_json() {
        return terminal.print(&json!({ "type": "devices", "devices": devices }).to_string());
    }
    devices.iter().try_for_each(|device| terminal.print(&describe(device)))
}

fn describe(device: &DeviceInfo) -> String {
    let DeviceInfo { name, backend, kind, select, abilities, chosen_by_auto, why, .. } = device;
    let auto = if *chosen_by_auto { "auto takes it" } else { "not taken by auto" };
    let can = abilities.as_ref().map(can).unwrap_or_default();
    format!("{select:<6} {name} ({kind}, {backend})\n       {auto}: {why}{can}")
}

fn can(abilities: &Abilities) -> String {
    let &Abilities { max_buffer, max_binding, f16, subgroups, timestamp } = abilities;
    let mib = |bytes: u64| bytes >> 20;
    let yes = |is: bool| if is { "yes" } else { "no" };
    format!(
        "\n       buffers up to {} MiB, {} MiB a binding; f16 {}, subgroups {}, timestamps {}",
        mib(max_buffer),
        mib(max_binding),
        yes(f16),
        yes(subgroups),
        yes(timestamp)
    )
}
