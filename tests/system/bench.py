"""Measurements of whole machines, for ./check bench and the README.

    bench.py --build FOLDER --folder FOLDER [NAME...]

prints lines `bench NAME VALUE UNIT`. Times are wall clock of an emulator, so only those of one run
compare, and only on a machine that does nothing else. Instructions are counted by Bochs, whose
processor's time-stamp counter counts them: they are the same in every run.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cases
from cases import ROOT, Context
from demo import HOST_UP, PASSPHRASE
from machine import Machine, Qemu

LOADER = r"BdsDxe: starting Boot"
GUEST_UP = r"postern-guest: user space after ([0-9.]+) s"
Value = tuple[str, float | int, str]


def seconds_between(machine: Machine, first: str, last: str) -> float:
    start, end = machine.first_line(first), machine.first_line(last)
    if not start or not end:
        raise cases.Failure(f"no line has {first if not start else last!r}")
    return round(end.time - start.time, 2)


def exits(machine: Machine) -> Iterator[Value]:
    """The counts of Postern's own line: `exits: TOTAL: KIND N KIND N ...`."""
    match = re.search(r"postern: exits: (\d+):((?: \w+ \d+)+)", machine.text())
    if not match:
        raise cases.Failure("Postern printed no exits")
    yield "exits", int(match[1]), "exits"
    for kind, count in re.findall(r"(\w+) (\d+)", match[2]):
        yield f"exits-{kind}", int(count), "exits"


def boot_with_postern(context: Context, bus: str) -> Iterator[Value]:
    image = cases.demo_image(context)
    with Qemu(context.folder / bus, image, bus=bus, accel=cases.accelerator()) as machine:
        machine.expect(r"Passphrase: ", 300)
        machine.send(PASSPHRASE + "\n")
        machine.expect(HOST_UP, 300)
        machine.wait(60)
        kernel = re.search(GUEST_UP, machine.text())
        typed = seconds_between(machine, r"Passphrase: ", r"postern-guest: volume unlocked")
        yield "first-line-to-guest", seconds_between(machine, r"postern: starting", GUEST_UP), "s"
        yield "guest-kernel", float(kernel[1]) if kernel else -1, "s"
        yield "unlock", typed, "s"
        yield "first-line-to-host", seconds_between(machine, r"postern: starting", HOST_UP), "s"
        yield "hand-back", seconds_between(machine, r"guest ended", r"postern: booting"), "s"
        yield from exits(machine)


def boot_bare(context: Context, bus: str) -> Iterator[Value]:
    """The host OS without Postern, on the same machine."""
    image = context.build / "image/bare.img"
    with Qemu(context.folder / f"{bus}-bare", image, bus=bus, accel=cases.accelerator()) as machine:
        machine.expect(HOST_UP, 300)
        machine.wait(60)
        yield "bare-loader-to-host", seconds_between(machine, LOADER, HOST_UP), "s"


def guest_bare(context: Context, bus: str) -> Iterator[Value]:
    """The guest's kernel and initramfs without Postern, as the firmware's own Linux loader starts them."""
    image = context.build / "image"
    line = re.search(r"^cmdline = (.*)$", (ROOT / "guest-image/postern.conf").read_text(), re.M)
    if not line:
        raise cases.Failure("the demo's configuration has no command line")
    options = ("-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initramfs.img"))
    options += ("-append", line[1])
    with Qemu(
        context.folder / f"{bus}-guest-bare",
        image / "bare.img",
        bus=bus,
        accel=cases.accelerator(),
        options=options,
    ) as machine:
        yield "bare-guest-kernel", float(machine.expect(GUEST_UP, 300)[1]), "s"


def boots(bus: str) -> Callable[[Context], Iterator[Value]]:
    def run(context: Context) -> Iterator[Value]:
        for part in (boot_with_postern, boot_bare, guest_bare):
            for name, value, unit in part(context, bus):
                yield f"boot-{bus}/{name}", value, unit

    return run


def exit_costs(context: Context) -> Iterator[Value]:
    """Instructions from an exit to the next entry, the exiting one included."""
    esp = cases.make_esp(context, cases.make_config(guest="tiny-bench"))
    with cases.bochs(context, esp) as machine:
        machine.expect(r"tiny-bench: done", 240)
        for name, ticks in re.findall(r"tiny-bench: ([\w-]+) (\d+) ticks", machine.text()):
            yield f"exit/{name}", int(ticks), "instructions"


def sizes(context: Context) -> Iterator[Value]:
    yield "size/postern.efi", (context.build / "postern.efi").stat().st_size, "bytes"
    rooms = sorted(path for path in (ROOT / "src").iterdir() if path.is_dir())
    total = 0
    for room in rooms:
        files = [path for path in room.rglob("*") if path.suffix in (".c", ".h", ".S")]
        lines = sum(len(path.read_text().splitlines()) for path in files)
        total += lines
        yield f"lines/{room.name}", lines, "lines"
    yield "lines/src", total, "lines"


BENCHES: dict[str, Callable[[Context], Iterator[Value]]] = {
    "size": sizes,
    "exit": exit_costs,
    "boot-nvme": boots("nvme"),
    "boot-ide": boots("ide"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="measures whole machines")
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    options = parser.parse_args()
    for name in options.names or BENCHES:
        folder = options.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for key, value, unit in BENCHES[name](Context(options.build.resolve(), folder.resolve())):
                print(f"bench {key} {value} {unit}", flush=True)
        except (cases.Failure, cases.MachineError, subprocess.CalledProcessError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        except cases.Skip as skip:
            print(f"{name}: skipped: {skip}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
