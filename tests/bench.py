"""Measurements: lines "bench NAME VALUE UNIT". Started by ./check bench.

Exits are measured where the guest's TSC counts instructions of the host, so that they repeat exactly:
inside Bochs (VMX), and inside QEMU with -icount (SVM). Times are those of this machine.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/system"))

import cases  # noqa: E402 (it lives in a folder of its own)
import demo  # noqa: E402
from machine import TSC_SHIFT, Bochs, Machine, MachineError, Qemu  # noqa: E402

Line = tuple[str, str, str]
"""Name, value, unit."""


def measure_size(build: Path) -> Iterator[Line]:
    yield "size/postern.efi", str((build / "postern.efi").stat().st_size), "bytes"


def measure_lines() -> Iterator[Line]:
    """Lines of code by room: neither blank nor comment only."""
    for room in sorted(path for path in (ROOT / "src").iterdir() if path.is_dir()):
        files = [path for path in room.rglob("*") if path.suffix in (".c", ".h", ".S")]
        text = "\n".join(path.read_text("utf-8") for path in files)
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        count = sum(1 for line in text.splitlines() if line.strip())
        yield f"lines/{room.name}", str(count), "lines"


def measure_decoder(build: Path) -> Iterator[Line]:
    """The decoder and the emulator on this machine, next to other decoders."""
    program = build / "tests/bench/bench_decode"
    output = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True).stdout
    for line in output.splitlines():
        _, name, value, unit = line.split()
        yield name, value, unit


DWORDS = re.compile(r"-movsl-(\d+)$")


def read_exits(machine: Machine, name: str, unit: str, shift: int = 0) -> Iterator[Line]:
    cases.expect_line(machine, "tiny-bench: done", 240)
    for line in machine.lines():
        if match := re.match(r"tiny-bench: (\S+) (\d+) ticks", line.text):
            count = int(match[2]) >> shift
            yield f"exit/{name}/{match[1]}", str(count), unit
            if dwords := DWORDS.search(match[1]):
                yield f"exit/{name}/{match[1]}-each", f"{count / int(dwords[1]):.0f}", unit


def measure_exits(build: Path, folder: Path) -> Iterator[Line]:
    context = cases.Context(build, folder)
    folder.mkdir(parents=True, exist_ok=True)
    esp = cases.make_esp(context, cases.make_config(guest="tiny-bench"))
    with cases.bochs(context, esp) as machine:
        yield from read_exits(machine, "bochs", "instructions")


def measure_exits_svm(build: Path, folder: Path) -> Iterator[Line]:
    context = cases.Context(build, folder)
    folder.mkdir(parents=True, exist_ok=True)
    esp = cases.make_esp(context, cases.make_config(guest="tiny-bench", devices=cases.RESTRICTED))
    options = [*cases.folder_drive(esp, "esp"), *cases.CONTROLLERS["nvme"]]
    machine = Qemu(folder, None, memory=512, display=None, options=options, counted=True)
    with machine:
        yield from read_exits(machine, "qemu-svm", "instructions", TSC_SHIFT)


def seconds_at(machine: Machine, pattern: str) -> float:
    line = machine.first_line(pattern)
    if line is None:
        raise MachineError(f"no line has {pattern!r}")
    return line.time


def boot_alone(machine: Machine, bare: bool) -> None:
    """The demo's boot; what it says goes to stderr."""
    with contextlib.redirect_stdout(sys.stderr):
        problems = demo.run_alone(machine, bare)
    if problems:
        raise MachineError("; ".join(problems))


def measure_boot(machine: Machine, name: str) -> Iterator[Line]:
    """The demo's boot: from Postern's first line to both user spaces, and what the guest cost."""
    boot_alone(machine, bare=False)
    start = seconds_at(machine, r"postern: starting")
    for point, pattern in (
        ("guest-user-space", r"postern-guest: user space"),
        ("hand-back", r"postern: handed back"),
        ("host-user-space", demo.HOST_UP),
    ):
        yield f"boot/{name}/{point}", f"{seconds_at(machine, pattern) - start:.2f}", "seconds"
    kernel = re.search(r"postern-guest: user space after ([0-9.]+) s", machine.text())
    if kernel:
        yield f"boot/{name}/guest-kernel", kernel[1], "seconds"
    exits = re.search(r"postern: exits: (\d+):(.*)", machine.text())
    if exits:
        yield f"boot/{name}/exits", exits[1], "exits"
        for kind, count in re.findall(r"(\w+) (\d+)", exits[2]):
            yield f"boot/{name}/exits-{kind}", count, "exits"


def measure_bare(build: Path, folder: Path) -> Iterator[Line]:
    """The same host OS started by the firmware at once, for comparison."""
    machine = Qemu(folder, build / "image/bare.img", accel=cases.accelerator())
    boot_alone(machine, bare=True)
    start = seconds_at(machine, r"BdsDxe: starting Boot")
    yield "boot/bare/host-user-space", f"{seconds_at(machine, demo.HOST_UP) - start:.2f}", "seconds"


def measure_bare_guest(build: Path, folder: Path) -> Iterator[Line]:
    """The guest's kernel and initramfs without Postern: its own clock at the first line of its init."""
    image = build / "image"
    text = (ROOT / "guest-image/postern.conf").read_text("ascii")
    cmdline = re.search(r"^cmdline = (.*)$", text, re.MULTILINE)
    options = ["-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initramfs.img")]
    options += ["-append", cmdline[1] if cmdline else ""]
    machine = Qemu(folder, image / "bare.img", accel=cases.accelerator(), options=options)
    with machine:
        up = machine.expect(r"postern-guest: user space after ([0-9.]+) s", 240)
        yield "boot/bare/guest-kernel", up[1], "seconds"


def measure_disk(build: Path, folder: Path) -> Iterator[Line]:
    """Reading a disk 64 KiB at a time: the firmware alone, and a guest through it."""
    context = cases.Context(build, folder)
    folder.mkdir(parents=True, exist_ok=True)
    options = ["-kernel", str(build / "readspeed.efi")]
    machine = Qemu(folder, build / "image/disk.img", bus="ahci", options=options)
    with machine:
        alone = machine.expect(r"readspeed: (\d+) KiB in (\d+) ms", 240)
    yield "disk/firmware", f"{int(alone[1]) / int(alone[2]):.1f}", "MB/s"
    image = cases.image_with(context, lambda text: cases.firmware_backed(text, test="read"))
    machine = Qemu(folder, image, bus="ahci")
    boot_alone(machine, bare=False)
    read = re.search(r"read: (\d+) KiB from ([0-9.]+) s to ([0-9.]+) s", machine.text())
    if read:
        seconds = float(read[3]) - float(read[2])
        yield "disk/virtio-blk", f"{int(read[1]) / seconds / 1000:.1f}", "MB/s"


def make(build: Path) -> None:
    targets = ["postern.efi", "marker.efi", "guests", "bench_decode", "readspeed.efi"]
    subprocess.run(["ninja", "-C", str(build), *targets], check=True, stdout=subprocess.DEVNULL)
    image = str(ROOT / "guest-image/build")
    for argument in (str(build / "postern.efi"), "--bare"):
        subprocess.run([image, argument], check=True, stdout=subprocess.DEVNULL)


def measure_drift(build: Path, folder: Path) -> Iterator[Line]:
    """A minute of the guest's local APIC timer, 4 ms each, by the TSC."""
    context = cases.Context(build, folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = cases.make_config(guest="tiny-apic", more_guest="cmdline = drift=60")
    with cases.qemu(context, cases.make_esp(context, config)) as machine:
        found = cases.expect(machine, r"tiny-apic: drift: \d+ ticks in (\d+) us, wanted (\d+) us", 240)
        drift = (int(found[1]) - int(found[2])) / int(found[2])
        yield "timer/qemu-svm/drift-60s", f"{drift * 1e6:.0f}", "ppm"


def measure_interrupts(build: Path, folder: Path) -> Iterator[Line]:
    """As many interrupts as a disk makes with small reads, and what that leaves of the firmware's ticks."""
    folder.mkdir(parents=True, exist_ok=True)
    context = cases.Context(build, folder)
    image = cases.image_with(
        context, lambda text: cases.with_apic(text).replace("cmdline = ", "cmdline = postern.test=requests ")
    )
    machine = Qemu(folder, image, accel=cases.accelerator(), keep=True)
    boot_alone(machine, bare=False)
    image.unlink()

    def number(pattern: str) -> float:
        found = next((m for line in machine.lines() if (m := re.search(pattern, line.text))), None)
        if not found:
            raise MachineError(f"no line has {pattern!r}")
        return float(found[1])

    start = number(r"requests: 40000 from (\S+) s")
    end = number(r"requests: 40000 from \S+ s to (\S+) s")
    yield "interrupts/qemu-nvme/rate", f"{40000 / (end - start):.0f}", "1/s"
    during = number(r"handed back: (\d+) ms") - number(r"handed back: \d+ ms after power-on, (\d+) ms")
    during -= number(r"entering the guest (\d+) ms")
    ticks = number(r"firmware ticks: \d+ before, (\d+) during")
    yield "interrupts/qemu-nvme/firmware-ticks", f"{ticks * 10 / during * 100:.0f}", "%"


def run(build: Path, logs: Path) -> int:
    """Prints every measurement that works; 1 if one doesn't."""
    result = 0
    folder = logs / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    image = build / "image/disk.img"
    make(build)
    for work in (
        lambda: measure_size(build),
        measure_lines,
        lambda: measure_decoder(build),
        lambda: measure_exits(build.resolve(), (folder / "exits").resolve()),
        lambda: measure_exits_svm(build.resolve(), (folder / "exits-svm").resolve()),
        lambda: measure_boot(Qemu(folder / "qemu-nvme", image, accel=cases.accelerator()), "qemu-nvme"),
        lambda: measure_boot(Qemu(folder / "qemu-ide", image, bus="ide", accel=cases.accelerator()), "qemu-ide"),
        lambda: measure_boot(Bochs(folder / "bochs-ide", image), "bochs-ide"),
        lambda: measure_drift(build, folder / "drift"),
        lambda: measure_interrupts(build.resolve(), (folder / "interrupts").resolve()),
        lambda: measure_disk(build.resolve(), (folder / "disk").resolve()),
        lambda: measure_bare(build, folder / "bare"),
        lambda: measure_bare_guest(build, folder / "bare-guest"),
    ):
        try:
            for name, value, unit in work():
                print("bench", name, value, unit, flush=True)
        except (MachineError, cases.Failure, cases.Skip) as problem:
            print(f"bench: {problem}", file=sys.stderr)
            result = 1
    return result
