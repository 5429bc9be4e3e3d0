"""The system tests: whole machines from power-on, one table of cases.

    cases.py NAME --build FOLDER --folder FOLDER

runs one and says why it failed; exit code 0: passed, 1: failed, 77: skipped. ./check runs them all.
Those with a tiny guest (tests/guest) put Postern onto a small ESP of their own, and a marker where a
host OS would be; the others take the demo's disk.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import demo
from machine import Bochs, Ending, Machine, MachineError, Qemu, kvm_problem

ROOT = Path(__file__).resolve().parent.parent.parent
SKIPPED = 77

CONFIG_FILE = r"\EFI\postern\postern.conf"
HOST = r"\EFI\Linux\host.efi"
REMOVABLE = r"\EFI\BOOT\BOOTX64.EFI"

# Seconds that firmware may take to its first boot option, with another test beside it.
FIRMWARE = 60
STEP = 60


class Failure(Exception):
    """What was expected and didn't come."""


class Skip(Exception):
    """Why a case can't run here."""


@dataclasses.dataclass(frozen=True)
class Context:
    """Where a case finds what was built, and where it leaves what it writes."""

    build: Path
    folder: Path


@dataclasses.dataclass(frozen=True)
class Case:
    run: Callable[[Context], None]
    needs: tuple[str, ...]
    """Targets of the build, and "image" for the demo's disk."""
    timeout: int = 150


# ---- what lies on an ESP ----


def make_config(
    *,
    postern: str = "",
    guest: str = "tiny-next",
    more_guest: str = "",
    boot: str = HOST,
    devices: str = "",
) -> str:
    """A postern.conf; its kernel key is always in line 4."""
    lines = ["[postern]", "log = serial", "[guest]", f"kernel = \\EFI\\postern\\{guest}"]
    lines += ["memory = 64M", "display = none"] if "memory" not in more_guest else []
    lines += more_guest.splitlines()
    lines += ["[postern]", *postern.splitlines()]
    lines += ["[boot]", f"path = {boot}"] if boot else []
    return "\n".join([*lines, devices, ""])


RESTRICTED = "[device nvme]\nmatch = class:0108\nmode = restricted\n[device ide]\nmatch = class:0101\nmode = restricted"

FIRMWARE_DISK = "[device disk]\nmatch = disk:boot\nmode = firmware"


def make_esp(
    context: Context,
    config: str | bytes | None,
    *,
    name: str = "esp",
    loader: str = "postern.efi",
    marker: bool = True,
) -> Path:
    """An ESP as a folder: the loader for the firmware, Postern, all tiny guests, the marker."""
    esp = context.folder / name
    shutil.rmtree(esp, ignore_errors=True)
    (esp / "EFI/BOOT").mkdir(parents=True)
    (esp / "EFI/postern").mkdir()
    (esp / "EFI/Linux").mkdir()
    shutil.copyfile(context.build / loader, esp / "EFI/BOOT/BOOTX64.EFI")
    shutil.copyfile(context.build / "postern.efi", esp / "EFI/postern/postern.efi")
    for guest in (context.build / "guests").glob("tiny-*"):
        shutil.copyfile(guest, esp / "EFI/postern" / guest.name)
    if marker:
        shutil.copyfile(context.build / "marker.efi", esp / "EFI/Linux/host.efi")
    if config is not None:
        data = config if isinstance(config, bytes) else config.encode("ascii")
        (esp / "EFI/postern/postern.conf").write_bytes(data)
    return esp


def make_next_esp(context: Context) -> Path:
    """A second disk: what the firmware starts when Postern's entry is through."""
    esp = context.folder / "next"
    shutil.rmtree(esp, ignore_errors=True)
    (esp / "EFI/BOOT").mkdir(parents=True)
    shutil.copyfile(context.build / "marker.efi", esp / "EFI/BOOT/BOOTX64.EFI")
    return esp


# ---- machines ----

CONTROLLERS = {
    "ahci": ("-device", "ide-hd,drive=esp,bus=ide.0,bootindex=0"),
    "nvme": ("-device", "nvme,drive=esp,serial=postern,bootindex=0"),
    "ide": ("-device", "piix3-ide,id=pata,addr=4", "-device", "ide-hd,drive=esp,bus=pata.0,bootindex=0"),
}


def accelerator() -> str:
    accel = os.environ.get("ACCEL", "tcg")
    if accel == "kvm" and (problem := kvm_problem()):
        raise Skip(f"ACCEL=kvm: {problem}")
    return accel


def folder_drive(folder: Path, name: str) -> tuple[str, str]:
    return ("-drive", f"file=fat:rw:{folder.resolve()},format=raw,if=none,id={name}")


def qemu(
    context: Context,
    esp: Path,
    *,
    bus: str = "ahci",
    second: Path | None = None,
    memory: int = 512,
    cpu: str | None = None,
    iommu: str | None = "intremap=on",
    counted: bool = False,
) -> Qemu:
    options = [*folder_drive(esp, "esp"), *CONTROLLERS[bus]]
    if second:
        options += [*folder_drive(second, "second"), "-device", "ide-hd,drive=second,bus=ide.1,bootindex=1"]
    return Qemu(
        context.folder,
        None,
        memory=memory,
        accel="tcg" if counted else accelerator(),
        cpu=cpu,
        display=None,
        iommu=iommu,
        options=options,
        counted=counted,
    )


def bochs(context: Context, esp: Path, **options: Any) -> Bochs:
    """Bochs takes no folder for a disk, so that this makes an image."""
    if not shutil.which("bochs-bin"):
        raise Skip("Bochs isn't installed")
    empty = context.folder / "empty"
    empty.write_bytes(bytes(1 << 20))
    image = context.folder / "disk.img"
    command = [ROOT / "guest-image/build-disk", "--esp", esp, "--root", empty, "--out", image]
    subprocess.run(command, check=True)
    return Bochs(context.folder, image, **options)


# ---- what machines have to say ----


def expect(machine: Machine, pattern: str, timeout: float = STEP) -> re.Match[str]:
    """Waits for a line, but not longer than until Postern or the marker is through."""
    return machine.expect(pattern, timeout)


def expect_line(machine: Machine, text: str, timeout: float = STEP) -> None:
    expect(machine, re.escape(text) + r"\r?\n", timeout)


def expect_marker(machine: Machine, path: str) -> None:
    expect_line(machine, f"marker: started from {path}")
    expect_end(machine, Ending.OFF)


def expect_end(machine: Machine, ending: Ending) -> None:
    got = machine.wait(timeout=30)
    if got is not ending:
        raise Failure(f"{got.value}, and not: {ending.value}")


def expect_start(machine: Machine) -> None:
    expect(machine, r"postern: starting, version \d", FIRMWARE)


def expect_ended(machine: Machine, reason: str, timeout: float = STEP) -> None:
    """Postern's line about the guest's end: vm_stop_name(), and when."""
    expect(machine, rf"postern: guest ended: {reason}(, \d+ ms after power-on)?\r?\n", timeout)


def check_once(machine: Machine, pattern: str) -> None:
    found = [line.text for line in machine.lines() if re.search(pattern, line.text)]
    if len(found) != 1:
        raise Failure(f"{len(found)} lines have {pattern!r}, and not one: {found}")


# ---- failures before the guest ----


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A machine on which Postern can't start its guest, what it has to say, and what it has to do."""

    config: str | bytes | None
    line: str
    """The whole of the one line, behind "postern: ", as a regular expression."""
    after: str = "continue"
    """continue, next, shutdown or menu: what has to happen then."""
    spoil: Callable[[Path], None] | None = None
    """Breaks something on the ESP."""
    cpu: str | None = None
    memory: int = 512
    bus: str = "ahci"


def at_key(line: int, key: str, reason: str) -> str:
    return re.escape(f"{CONFIG_FILE}:{line}: {key}: ") + reason


def expect_after(machine: Machine, after: str) -> None:
    if after == "continue":
        expect_line(machine, f"postern: booting {HOST}")
        expect_marker(machine, HOST)
    elif after == "next":
        expect_marker(machine, REMOVABLE)
    elif after == "shutdown":
        expect_end(machine, Ending.OFF)
        if machine.first_line("marker:"):
            raise Failure("something was started before the machine went off")
    else:
        # The boot manager's menu is a program of the firmware's own.
        expect(machine, r'BdsDxe: starting Boot\d+ "UiApp"')


def refuse(refusal: Refusal) -> Callable[[Context], None]:
    def run(context: Context) -> None:
        esp = make_esp(context, refusal.config)
        if refusal.spoil:
            refusal.spoil(esp)
        second = make_next_esp(context) if refusal.after == "next" else None
        with qemu(
            context,
            esp,
            bus=refusal.bus,
            second=second,
            memory=refusal.memory,
            cpu=refusal.cpu,
        ) as machine:
            expect_start(machine)
            expect(machine, rf"postern: {refusal.line}\r?\n")
            expect_after(machine, refusal.after)
            check_once(machine, rf"postern: {refusal.line}$")

    return run


def remove(name: str) -> Callable[[Path], None]:
    return lambda esp: (esp / name).unlink()


def truncate(name: str, size: int) -> Callable[[Path], None]:
    return lambda esp: os.truncate(esp / name, size)


def write_garbage(name: str) -> Callable[[Path], None]:
    return lambda esp: (esp / name).write_bytes(b"MZ" + bytes(range(256)) * 64) and None


NOT_FOUND = r".+: not found"

REFUSALS: dict[str, Refusal] = {
    "config-missing": Refusal(None, re.escape(CONFIG_FILE) + r": .+", "next"),
    "config-unknown-key": Refusal(
        make_config(more_guest="kernle = x"),
        at_key(7, "kernle", "unknown key in this section"),
    ),
    "config-unknown-section": Refusal(
        make_config(postern="on_failure = shutdown", devices="[devices]"),
        re.escape(f"{CONFIG_FILE}:11: [devices]: unknown section"),
        "shutdown",
    ),
    "config-bad-value": Refusal(
        make_config(postern="time_limit = soon\non_failure = next"),
        at_key(8, "time_limit", '"soon" isn\'t a number of seconds'),
        "next",
    ),
    "config-truncated": Refusal(
        b"[boot]\npath = " + HOST.encode() + b"\n[guest]\nker",
        re.escape(f"{CONFIG_FILE}:4: ") + r"neither .*",
    ),
    "config-not-text": Refusal(
        b"[boot]\npath = " + HOST.encode() + b"\n\0\xff\n",
        re.escape(f"{CONFIG_FILE}:3: ") + r"byte 0x00 in column 1 isn't ASCII text",
    ),
    "kernel-missing": Refusal(
        make_config(), at_key(4, "kernel", NOT_FOUND), spoil=remove("EFI/postern/tiny-next")
    ),
    "kernel-truncated": Refusal(
        make_config(postern="on_failure = next"),
        at_key(4, "kernel", "truncated: 1500 bytes .*"),
        "next",
        spoil=truncate("EFI/postern/tiny-next", 1500),
    ),
    "kernel-garbage": Refusal(
        make_config(postern="on_failure = shutdown"),
        at_key(4, "kernel", r"not a Linux kernel \(bzImage\)"),
        "shutdown",
        spoil=write_garbage("EFI/postern/tiny-next"),
    ),
    "initramfs-missing": Refusal(
        make_config(more_guest="initramfs = \\EFI\\nowhere", postern="on_failure = menu"),
        at_key(7, "initramfs", NOT_FOUND),
        "menu",
    ),
    "memory-too-much": Refusal(
        make_config(more_guest="memory = 1G"), at_key(5, "memory", r".+")
    ),
    "memory-too-little": Refusal(
        make_config(more_guest="memory = 32M\ninitramfs = \\EFI\\postern\\big"),
        at_key(5, "memory", r"kernel and initramfs need \d+ MiB, and there are 32"),
        spoil=lambda esp: (esp / "EFI/postern/big").write_bytes(bytes(20 << 20)) and None,
    ),
    "disk-twice": Refusal(
        make_config(devices=f"{RESTRICTED}\n{FIRMWARE_DISK}"),
        at_key(
            17,
            "[device disk]: match",
            r"the guest has this disk's controller, [0-9a-f:.]+, as restricted device: .*",
        ),
        bus="nvme",
    ),
    "disk-missing": Refusal(
        make_config(devices="[device disk]\nmode = firmware\nmatch = id:dead:beef"),
        at_key(12, "[device disk]: match", "the firmware has no such disk"),
    ),
    "disk-window": Refusal(
        make_config(devices=f"{FIRMWARE_DISK}\nwindow = 0-99999999999"),
        at_key(13, "[device disk]: window", "not inside the disk"),
    ),
    "no-virtualization": Refusal(
        make_config(), r"processor: .+", cpu="EPYC,-svm"
    ),
}


# ---- ends of the guest ----


@dataclasses.dataclass(frozen=True)
class GuestEnd:
    guest: str
    reason: str
    """vm_stop_name()."""
    postern: str = ""
    after: str = "continue"
    timeout: float = STEP


ENDS: dict[str, GuestEnd] = {
    "guest-boot": GuestEnd("tiny-boot", "asked to boot"),
    "guest-path": GuestEnd("tiny-path", "asked to boot"),
    "guest-next": GuestEnd("tiny-next", "asked to boot", after="next"),
    "guest-fail": GuestEnd("tiny-fail", "reported a failure", "on_failure = next", "next"),
    "guest-poweroff": GuestEnd("tiny-poweroff", "power off", "on_poweroff = shutdown", "shutdown"),
    "guest-reset": GuestEnd("tiny-reset", "reset", "on_reset = next", "next"),
    "guest-reset-8042": GuestEnd("tiny-reset-8042", "reset"),
    "guest-triple-fault": GuestEnd("tiny-triple", "triple fault", "on_triple_fault = menu", "menu"),
    "guest-walk": GuestEnd("tiny-walk", "triple fault"),
    "guest-hang": GuestEnd("tiny-hang", "time limit", "time_limit = 5"),
    "guest-halt": GuestEnd("tiny-halt", "power off"),
}


def check_ticks(machine: Machine) -> None:
    """The firmware's timer has to have ticked while the guest ran, unless that was too short."""
    line = expect(machine, r"postern: firmware ticks: (\d+) before, (\d+) during, (\d+) after")
    if not int(line[1]) or not int(line[3]):
        raise Failure(f"the firmware's timer stood still: {line[0]}")


def expect_guest_end(machine: Machine, end: GuestEnd) -> None:
    expect_start(machine)
    expect_line(machine, f"{end.guest}: started")
    expect_ended(machine, end.reason, end.timeout)
    expect(machine, r"postern: exits: .+")
    check_ticks(machine)
    expect(machine, r"postern: handed back: .+")
    expect_after(machine, end.after)
    if stray := machine.first_line("still here"):
        raise Failure(stray.text)


def end_guest(end: GuestEnd) -> Callable[[Context], None]:
    def run(context: Context) -> None:
        esp = make_esp(context, make_config(guest=end.guest, postern=end.postern))
        second = make_next_esp(context) if end.after == "next" else None
        with qemu(context, esp, second=second) as machine:
            expect_guest_end(machine, end)

    return run


def run_no_device(context: Context) -> None:
    """A device section that nothing matches is said, and the guest runs without."""
    config = make_config(guest="tiny-boot", devices="[device x]\nmatch = id:dead:beef\nmode = restricted")
    with qemu(context, make_esp(context, config)) as machine:
        expect_start(machine)
        expect(machine, r"postern: device.*(no|none).*\r?\n")
        expect_line(machine, "tiny-boot: started")
        expect_after(machine, "continue")


def run_iommu(context: Context) -> None:
    """What the firmware says of DMA remapping, for three shapes of it and none."""
    unit = r"postern: iommu: unit at 0xfed90000: \d+ devices of its own"
    shapes: tuple[tuple[str | None, tuple[str, ...]], ...] = (
        ("intremap=on", (r"iommu: 1 units, 0 reserved ranges, 39 address bits, interrupts\r?\n", unit)),
        ("intremap=on,aw-bits=48", (r"iommu: 1 units, 0 reserved ranges, 48 address bits, interrupts\r?\n", unit)),
        ("intremap=off", (r"iommu: 1 units, 0 reserved ranges, 39 address bits\r?\n", unit)),
        (None, ("iommu: none, for the firmware has no DMAR table",)),
    )
    for shape, lines in shapes:
        with qemu(context, make_esp(context, make_config(guest="tiny-boot")), iommu=shape) as machine:
            for line in lines:
                expect(machine, line, FIRMWARE)
            expect_after(machine, "continue")


def run_hang_ticks(context: Context) -> None:
    """Five seconds of a guest that never exits by itself: the firmware ticks all the while."""
    config = make_config(guest="tiny-hang", postern="time_limit = 5")
    with qemu(context, make_esp(context, config)) as machine:
        expect_line(machine, "tiny-hang: started", FIRMWARE + STEP)
        line = expect(machine, r"postern: firmware ticks: (\d+) before, (\d+) during, (\d+) after")
        # 10 ms each; a busy machine may lose some.
        if int(line[2]) < 250:
            raise Failure(f"too few ticks in 5 s: {line[0]}")
        expect_after(machine, "continue")


def run_starve(context: Context) -> None:
    """A guest that does what costs Postern the most, for ever: the tick and the limit get in between."""
    config = make_config(guest="tiny-starve", postern="time_limit = 5", devices=RESTRICTED)
    with qemu(context, make_esp(context, config), bus="ide") as machine:
        expect_line(machine, "tiny-starve: started", FIRMWARE + STEP)
        expect_ended(machine, "time limit")
        line = expect(machine, r"postern: firmware ticks: (\d+) before, (\d+) during, (\d+) after")
        if int(line[2]) < 100:
            raise Failure(f"too few ticks in 5 s: {line[0]}")
        expect_after(machine, "continue")


def check_vector(machine: Machine) -> None:
    expect_line(machine, "tiny-vector: started", FIRMWARE + STEP)
    said = expect(machine, r"tiny-vector: (\d+) wrong")
    if int(said[1]):
        raise Failure("; ".join(line.text for line in machine.lines() if "WRONG" in line.text))
    if machine.first_line("tiny-vector: no AVX"):
        raise Failure("this processor has AVX, and the guest doesn't see it")
    expect_ended(machine, "asked to boot")


def run_vector(context: Context) -> None:
    """The guest's own vector registers in trapped memory. Both emulated processors have AVX."""
    with qemu(context, make_esp(context, make_config(guest="tiny-vector"))) as machine:
        check_vector(machine)


def run_bochs_vector(context: Context) -> None:
    with bochs(context, make_esp(context, make_config(guest="tiny-vector"))) as machine:
        check_vector(machine)


def check_apic(machine: Machine, timeout: float = STEP) -> None:
    expect_line(machine, "tiny-apic: started", FIRMWARE + STEP)
    said = expect(machine, r"tiny-apic: (\d+) wrong", timeout)
    if int(said[1]):
        raise Failure("; ".join(line.text for line in machine.lines() if "WRONG" in line.text))
    expect_ended(machine, "asked to boot")
    expect_line(machine, "postern: inventory: as found (0 differences)")
    check_ticks(machine)


def run_apic(context: Context) -> None:
    """Local APIC and IOAPIC, all timer modes against the TSC, and drift; in the emulator's own time,
    so that a busy machine can't make a timer late."""
    config = make_config(guest="tiny-apic", more_guest="cmdline = drift=60")
    with qemu(context, make_esp(context, config), counted=True) as machine:
        check_apic(machine)


def run_bochs_apic(context: Context) -> None:
    config = make_config(guest="tiny-apic", more_guest="cmdline = drift=1")
    with bochs(context, make_esp(context, config)) as machine:
        check_apic(machine, 240)


def expect_alive(machine: Machine) -> None:
    expect_line(machine, "tiny-hostile: started", FIRMWARE + STEP)
    expect_line(machine, "tiny-hostile: alive", 300)
    expect_ended(machine, "asked to boot")
    expect(machine, r"postern: handed back: .+")
    if wrong := [line.text for line in machine.lines() if "WRONG" in line.text]:
        raise Failure("; ".join(wrong))


def run_hostile(bus: str) -> Callable[[Context], None]:
    def run(context: Context) -> None:
        esp = make_esp(context, make_config(guest="tiny-hostile", devices=RESTRICTED))
        with qemu(context, esp, bus=bus, second=make_next_esp(context)) as machine:
            expect_alive(machine)
            expect_marker(machine, REMOVABLE)

    return run


def run_bochs_hostile(context: Context) -> None:
    esp = make_esp(context, make_config(guest="tiny-hostile", devices=RESTRICTED))
    with bochs(context, esp) as machine:
        expect_alive(machine)


def run_bochs_without(line: str, loader: str, **options: Any) -> Callable[[Context], None]:
    """A Bochs where VMX is missing or locked: one line, and the host OS."""

    def run(context: Context) -> None:
        esp = make_esp(context, make_config(), loader=loader)
        with bochs(context, esp, **options) as machine:
            expect_start(machine)
            expect(machine, rf"postern: {line}\r?\n")
            expect_after(machine, "continue")

    return run


def run_bochs_end(end: GuestEnd) -> Callable[[Context], None]:
    def run(context: Context) -> None:
        esp = make_esp(context, make_config(guest=end.guest, postern=end.postern))
        with bochs(context, esp) as machine:
            expect_guest_end(machine, end)

    return run


# ---- guests that are EFI programs ----


def efi_services_esp(context: Context) -> Path:
    config = make_config(
        guest="efi-services.efi",
        more_guest="initramfs = \\EFI\\postern\\initrd\ncmdline = one two",
        postern="on_poweroff = next",
    )
    esp = make_esp(context, config)
    shutil.copyfile(context.build / "efi-services.efi", esp / "EFI/postern/efi-services.efi")
    (esp / "EFI/postern/initrd").write_bytes(bytes(i * 7 & 0xFF for i in range(5000)))
    return esp


def check_efi_services(machine: Machine) -> None:
    expect_line(machine, "efi-services: started", FIRMWARE + STEP)
    expect_line(machine, "child: 0 bytes of options, a parent")
    expect_line(machine, "efi-services: ConOut")
    expect_line(machine, "postern: guest: boot services ended")
    said = expect(machine, r"efi-services: (\d+) wrong")
    if int(said[1]):
        raise Failure("; ".join(line.text for line in machine.lines() if "WRONG" in line.text))
    expect_ended(machine, "power off")
    expect(machine, r"postern: inventory: as found \(0 differences\)")
    check_once(machine, r"postern: guest: its firmware has no RegisterProtocolNotify$")


def run_efi_services(context: Context) -> None:
    """Every service of the guest's firmware, before and after ExitBootServices."""
    with qemu(context, efi_services_esp(context), second=make_next_esp(context)) as machine:
        check_efi_services(machine)
        expect_marker(machine, REMOVABLE)


def run_bochs_efi_services(context: Context) -> None:
    with bochs(context, efi_services_esp(context)) as machine:
        check_efi_services(machine)


# What the demo's kernel is told: as in guest-image/postern.conf.
def demo_cmdline() -> str:
    text = (ROOT / "guest-image/postern.conf").read_text()
    found = re.search(r"^cmdline = (.*)$", text, re.MULTILINE)
    assert found
    return found[1]


def efi_image(context: Context, replace: dict[str, str], uki: bool) -> Path:
    """A copy of the demo's disk whose guest is an EFI program."""
    image = context.folder / "disk.img"
    subprocess.run(["cp", "--sparse=always", demo_image(context), image], check=True)
    shutil.copyfile(f"{demo_image(context)}.geometry", f"{image}.geometry")
    text = (ROOT / "guest-image/postern.conf").read_text()
    for old, new in replace.items():
        text = re.sub(rf"^{old} = .*$", new.replace("\\", r"\\"), text, flags=re.MULTILINE)
    config = context.folder / "postern.conf"
    config.write_text(text)
    esp = f"{image}@@1M"
    subprocess.run(["mcopy", "-o", "-i", esp, config, "::/EFI/postern/postern.conf"], check=True)
    if uki:
        program = context.folder / "uki.efi"
        parts = [context.build / "image" / name for name in ("vmlinuz", "initramfs.img")]
        command = [ROOT / "guest-image/build-host", *parts, program, demo_cmdline()]
        subprocess.run(command, check=True)
        subprocess.run(["mdel", "-i", esp, "::/EFI/postern/vmlinuz"], check=True)
        subprocess.run(["mdel", "-i", esp, "::/EFI/postern/initramfs.img"], check=True)
        subprocess.run(["mcopy", "-o", "-i", esp, program, "::/EFI/postern/uki.efi"], check=True)
    return image


STUB = {
    "kernel": "kernel = \\EFI\\postern\\vmlinuz\nboot = efi",
    "cmdline": f"cmdline = {demo_cmdline()} postern.test=efivars",
}
# What the filter lets through by default, as far as OVMF has it, in efivarfs.
EFIVARS = (
    r"postern-guest: efivars: .*\bBootCurrent\b.*\bSecureBoot\b.*\bSetupMode\b",
    r"postern-guest: efivars: own kept$",
)
UKI = {"kernel": "kernel = \\EFI\\postern\\uki.efi", "initramfs": "", "cmdline": ""}


def run_efi_boot(replace: dict[str, str], uki: bool, patterns: Sequence[str] = ()) -> Callable[[Context], None]:
    """The demo's kernel, started by the guest's firmware; the rest of the way as ever."""

    def run(context: Context) -> None:
        image = efi_image(context, replace, uki)
        machine = Qemu(context.folder, image, accel=accelerator())
        check_boot(machine)
        for pattern in (r"postern: guest: boot services ended$", *patterns):
            check_once(machine, pattern)

    return run


def run_bochs_efi_boot(replace: dict[str, str], uki: bool) -> Callable[[Context], None]:
    def run(context: Context) -> None:
        if not shutil.which("bochs-bin"):
            raise Skip("Bochs isn't installed")
        machine = Bochs(context.folder, efi_image(context, replace, uki))
        check_boot(machine)
        check_once(machine, r"postern: guest: boot services ended$")

    return run


# ---- the inventory ----


def check_inventory(machine: Machine) -> None:
    expect(machine, r"inventory: \d+ items", FIRMWARE + STEP)
    line = expect(machine, r"inventory: (\d+) passed, (\d+) failed", 240)
    if line[2] != "0":
        said = [line.text for line in machine.lines() if re.match(r"inventory: run \d+: .* was ", line.text)]
        raise Failure(f"{line[0]}: " + "; ".join(said[:4]))
    expect_end(machine, Ending.OFF)


def run_inventory(bus: str) -> Callable[[Context], None]:
    def run(context: Context) -> None:
        esp = make_esp(context, make_config(devices=RESTRICTED), loader="inventory.efi")
        with qemu(context, esp, bus=bus) as machine:
            check_inventory(machine)

    return run


def run_inventory_bochs(context: Context) -> None:
    esp = make_esp(context, make_config(devices=RESTRICTED), loader="inventory.efi")
    with bochs(context, esp) as machine:
        check_inventory(machine)


# ---- the whole way, with the demo's disk ----


def demo_image(context: Context) -> Path:
    return context.build / "image/disk.img"


def check_boot(machine: Machine) -> None:
    if problems := demo.run_alone(machine, bare=False):
        raise Failure("; ".join(problems))


def run_boot(bus: str) -> Callable[[Context], None]:
    def run(context: Context) -> None:
        check_boot(Qemu(context.folder, demo_image(context), bus=bus, accel=accelerator()))

    return run


def run_boot_bochs(context: Context) -> None:
    if not shutil.which("bochs-bin"):
        raise Skip("Bochs isn't installed")
    check_boot(Bochs(context.folder, demo_image(context)))


def run_wrong_passphrase(context: Context) -> None:
    """Three wrong answers: the guest gives up, and on_failure, continue, starts the host all the same."""
    with Qemu(context.folder, demo_image(context), accel=accelerator()) as machine:
        for _ in range(3):
            machine.expect(r"Passphrase: ", 180)
            machine.send("wrong\n")
        expect_line(machine, "postern-guest: authentication failed", 120)
        expect_ended(machine, "reported a failure")
        expect(machine, demo.HOST_UP, 120)
        expect_end(machine, Ending.OFF)


def image_with(context: Context, change: Callable[[str], str]) -> Path:
    """A copy of the demo's disk with another configuration."""
    image = context.folder / "disk.img"
    subprocess.run(["cp", "--sparse=always", demo_image(context), image], check=True)
    config = context.folder / "postern.conf"
    config.write_text(change((ROOT / "guest-image/postern.conf").read_text()))
    esp = f"{image}@@1M"
    subprocess.run(["mcopy", "-o", "-i", esp, config, "::/EFI/postern/postern.conf"], check=True)
    return image


# ---- a guest with ACPI and APIC ----


def with_apic(text: str) -> str:
    """The demo's configuration for a guest that uses the whole machine."""
    return text.replace(" noapic nolapic acpi=off pci=nomsi", "")


def run_msix(context: Context) -> None:
    """The restricted disk's interrupts are messages, and all is handed back as it was."""
    image = image_with(context, with_apic)
    machine = Qemu(context.folder, image, bus="nvme", accel=accelerator(), keep=True)
    check_boot(machine)
    sent = machine.first_line(r"postern: nvme .*: \d+ interrupt messages")
    if not sent:
        raise Failure("the guest's disk has sent no interrupt message")
    if not machine.first_line(r"postern: inventory: as found \(0 differences\)"):
        raise Failure("the inventory isn't as found")
    image.unlink()


def run_button(context: Context) -> None:
    """Before its time is over, the guest's power button is pressed, and it ends in order."""

    def change(text: str) -> str:
        text = re.sub("time_limit = .*", "time_limit = 40\ntime_limit_grace = 30", with_apic(text))
        return text.replace("cmdline = ", "cmdline = postern.test=button,boot ")

    image = image_with(context, change)
    with Qemu(context.folder, image, bus="nvme", accel=accelerator()) as machine:
        machine.expect("postern-guest: waiting for the power button", 180)
        machine.expect("postern-guest: the power button was pressed", 60)
        machine.expect("postern: guest ended: asked to boot", 60)
        machine.expect("postern-host: user space", 180)
    image.unlink()


# ---- Debian's unmodified kernel ----


def output_of(command: Sequence[str | Path]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def stock_image(context: Context, cmdline: str) -> Path:
    """The demo's disk with Debian's kernel and its modules for the guest, which uses the whole machine."""

    def change(text: str) -> str:
        return re.sub("cmdline = .*", f"cmdline = console=ttyS0 quiet panic=-1 {cmdline}", text)

    image = image_with(context, change)
    stock = Path(output_of([ROOT / "guest-image/build-stock"]))
    kernel = Path(output_of([ROOT / "guest-image/build-kernel"]))
    initramfs = context.folder / "initramfs.img"
    output_of([ROOT / "guest-image/build-initramfs", "guest", kernel / "gen_init_cpio", initramfs, stock])
    for source, target in ((stock / "vmlinuz", "vmlinuz"), (initramfs, "initramfs.img")):
        command = ["mcopy", "-o", "-i", f"{image}@@1M", source, f"::/EFI/postern/{target}"]
        subprocess.run(command, check=True)
    initramfs.unlink()
    return image


# What it prints about each machine of ours, and bare too but for mce, which is about what CPUID hides.
STOCK_COMPLAINTS = (
    r"Speculative Return Stack Overflow: ",
    r"Spectre V2 ?: |RETBleed: |MDS: |TAA: |MMIO Stale Data: |L1TF |ITS: |VMSCAPE: ",
    r"i8042: PNP: PS/2 appears to have AUX port disabled",
    r"i8042: Warning: Keylock active",
    r"mce: Unable to init MCE device",
    r"acpi PNP0A03:00: fail to add MMCONFIG information",  # Bochs' chipset has no such window
    r"device-mapper: core: CONFIG_IMA_DISABLE_HTABLE is disabled",
)


def check_stock(machine: Machine, disk: str, interrupts: str) -> None:
    """It found what there is, complained of nothing, and rests when it has nothing to do."""
    if problems := demo.run_alone(machine, bare=False, patience=3):
        raise Failure("; ".join(problems))
    check_once(machine, f"postern-guest: disk: {disk}")
    check_once(machine, "postern-guest: clock: tsc, timer: lapic")
    if not machine.first_line(interrupts):
        raise Failure(f"no line has {interrupts!r}")
    texts = [line.text for line in machine.lines()]
    for text in texts:
        if "postern-guest: dmesg: [" in text and not any(re.search(p, text) for p in STOCK_COMPLAINTS):
            raise Failure(f"the kernel complains: {text}")
    idle = [int(m[1]) for text in texts if (m := re.search(r"idle (\d+) ms", text))]
    if len(idle) < 2 or idle[1] - idle[0] < 3000:
        raise Failure(f"it doesn't rest while it waits for 10 s: {idle[:2]} ms")


def run_stock_nvme(context: Context) -> None:
    image = stock_image(context, "postern.test=report,idle")
    machine = Qemu(context.folder, image, bus="nvme", accel=accelerator(), keep=True)
    check_stock(machine, "QEMU NVMe Ctrl", r"^ *\d+: +[1-9]\d* +PCI-MSI .*nvme0q1")
    image.unlink()


def run_stock_ide(context: Context) -> None:
    if not shutil.which("bochs-bin"):
        raise Skip("Bochs isn't installed")
    image = stock_image(context, "postern.test=report,idle")
    shutil.copyfile(f"{demo_image(context)}.geometry", f"{image}.geometry")
    machine = Bochs(context.folder, image)
    check_stock(machine, "Generic 1234", r"^ *14: +[1-9]\d* +IO-APIC .*ata_piix")
    image.unlink()


# ---- disks and console of the firmware's ----


def firmware_backed(
    text: str, *, test: str = "", more: str = "", console: bool = False
) -> str:
    """The demo's configuration with the firmware's disk instead of the restricted ones."""
    text = text[: text.index("; Whatever")] + FIRMWARE_DISK + "\n" + more
    text = text.replace("cmdline = ", f"cmdline = postern.test={test} ") if test else text
    if console:
        text = text.replace("display = framebuffer", "console = firmware")
        text = text.replace("console=ttyS0", "console=hvc0")
    return text


def run_firmware_disk(context: Context) -> None:
    """AHCI has no mediator: the guest reads all of the disk through the firmware, and can't write."""
    image = image_with(context, lambda text: firmware_backed(text, test="read,write"))
    machine = Qemu(context.folder, image, bus="ahci", accel=accelerator())
    check_boot(machine)
    expected = hashlib.md5(image.read_bytes()).hexdigest()
    for line in (f"hash: {expected}", "write: refused", "read after write: same"):
        check_once(machine, f"postern-guest: {line}")
    image.unlink()


def run_firmware_disk_bochs(context: Context) -> None:
    """The same under VMX, with disk and console of the firmware and no device of the guest's own."""
    if not shutil.which("bochs-bin"):
        raise Skip("Bochs isn't installed")
    image = image_with(context, lambda text: firmware_backed(text, console=True))
    shutil.copyfile(f"{demo_image(context)}.geometry", f"{image}.geometry")
    machine = Bochs(context.folder, image)
    check_boot(machine)
    check_once(machine, r"postern: virtio-blk disk: \d+ requests: \d+ reads, 0 writes, 0 denied, 0 failed")
    image.unlink()


def check_scribble(context: Context, bus: str, change: Callable[[str], str]) -> Machine:
    """A guest that may write the blocks up to number 2047 and no others, to the end."""
    image = image_with(context, change)
    machine = Qemu(context.folder, image, bus=bus, accel=accelerator(), keep=True)
    with image.open("rb") as disk:
        disk.seek(256 * 4096)
        before = disk.read(4096)
    check_boot(machine)
    check_once(machine, "postern-guest: write to 255: done")
    check_once(machine, "postern-guest: write to 256: refused")
    with image.open("rb") as disk:
        disk.seek(255 * 4096)
        if not disk.read(4096).startswith(b"scribbled\n"):
            raise Failure("what the guest wrote isn't on the disk")
        if disk.read(4096) != before:
            raise Failure("the guest changed a block outside of its window")
    image.unlink()
    return machine


def run_firmware_disk_write(context: Context) -> None:
    """Inside its windows, and nowhere else; the firmware's drivers start anew on the disk afterwards."""
    more = "write = yes\nwindow = 0-2047, 165888-221759\n"
    check_scribble(context, "ahci", lambda text: firmware_backed(text, test="scribble", more=more))


def run_policy(context: Context) -> None:
    """A restricted disk with a policy: a window by blocks to write, one by partition only to read."""
    policy = "policy = full\nwindow = 0-2047, partition:2:r\n"

    def change(text: str) -> str:
        text = text.replace("match = class:0108\n", f"match = class:0108\n{policy}")
        return text.replace("cmdline = ", "cmdline = postern.test=scribble ")

    machine = check_scribble(context, "nvme", change)
    check_once(machine, "postern: device nvme: blocks 0 to 2047")
    check_once(machine, r"postern: device nvme: blocks \d+ to \d+, read-only")


def run_policy_refused(context: Context) -> None:
    """A policy that can't be enforced, or a partition that isn't there: no guest, but the host OS."""

    def change(text: str) -> str:
        text = text.replace("match = class:0101\n", "match = class:0101\nwindow = 0-99\n")
        return text.replace("match = class:0108\n", "match = class:0108\nwindow = partition:9\n")

    for bus, line in (("ide", "has no policies and no windows here"), ("nvme", "has no such partition")):
        image = image_with(context, change)
        machine = Qemu(context.folder, image, bus=bus, accel=accelerator())
        with machine:
            machine.expect(line, 120)
            machine.expect("postern-host: user space", 300)
        if machine.first_line("postern-guest:"):
            raise Failure("a guest ran")
        image.unlink()


def run_firmware_acpi(*, messages: bool) -> Callable[[Context], None]:
    """A guest with ACPI and APIC finds disk and console too, and gets their interrupts."""

    def change(text: str) -> str:
        text = firmware_backed(text, test="info", console=True)
        return text.replace("noapic nolapic acpi=off pci=nomsi", "" if messages else "pci=nomsi")

    def run(context: Context) -> None:
        image = image_with(context, change)
        machine = Qemu(context.folder, image, bus="ahci", accel=accelerator())
        check_boot(machine)
        if messages:
            check_once(machine, r"^ *\d+: +[1-9]\d* .*PCI-MSI .*virtio\d-req")
            check_once(machine, r"^ *\d+: +[1-9]\d* .*PCI-MSI .*virtio\d-(virtqueues|output)")
        else:
            # One line of the IOAPIC, a level, for both.
            check_once(machine, r"^ *10: +[1-9]\d* .*fasteoi +virtio[01], virtio[01]")
        image.unlink()

    return run


def run_firmware_console(context: Context) -> None:
    """The guest's only console is the firmware's, which shows it on its screen and its serial port."""
    image = image_with(context, lambda text: firmware_backed(text, console=True))
    machine = Qemu(context.folder, image, bus="ahci", accel=accelerator())
    with machine:
        machine.expect("postern: entering the guest", 180)
        before = screen_pixels(machine, context.folder)
        machine.expect("Passphrase: ", 180)
        if screen_pixels(machine, context.folder) == before:
            raise Failure("the screen doesn't show what the guest prints")
        machine.send(demo.PASSPHRASE + "\n")
        expect(machine, "postern: virtio-console: [1-9][0-9]* bytes out, 8 in", 120)
        machine.expect(demo.HOST_UP, 180)
        expect_end(machine, Ending.OFF)
    image.unlink()


def screen_pixels(machine: Qemu, folder: Path) -> bytes:
    """The display's content, as a picture."""
    picture = folder / "screen.ppm"
    machine.screendump(picture, "ppm")
    return picture.read_bytes()


# ---- a recorded boot ----


def traced_image(context: Context, to: str) -> Path:
    """A copy of the demo's disk, with its configuration changed so that the disk is traced."""

    def change(text: str) -> str:
        text = text.replace("mode = restricted", "mode = restricted\ntrace = on")
        return text.replace("[postern]\n", f"[postern]\ntrace_to = {to}\n")

    return image_with(context, change)


def check_replay(context: Context, trace: Path) -> None:
    tool = context.build / "postern-trace"
    done = subprocess.run([tool, "replay", trace], capture_output=True, text=True)
    same = re.search(r"^(\d+) the same, 0 different, 0 not replayed$", done.stdout, re.MULTILINE)
    if done.returncode or not same or int(same[1]) < 100:
        raise Failure(f"the replay of {trace}: {done.stderr}{done.stdout[-2000:]}")


def run_trace(bus: str, to: str) -> Callable[[Context], None]:
    def run(context: Context) -> None:
        image = traced_image(context, to)
        machine = Qemu(context.folder, image, bus=bus, accel=accelerator(), keep=True)
        check_boot(machine)
        trace = machine.log
        if to == "file":
            trace = context.folder / "trace.bin"
            esp = f"{image}@@1M"
            subprocess.run(["mcopy", "-n", "-i", esp, "::/EFI/postern/trace.bin", trace], check=True)
        image.unlink()
        check_replay(context, trace)

    return run


# ---- the table ----

SMALL = ("postern.efi", "marker.efi", "guests")

CASES: dict[str, Case] = {
    **{f"system/{name}": Case(refuse(refusal), SMALL) for name, refusal in REFUSALS.items()},
    **{f"system/{name}": Case(end_guest(end), SMALL) for name, end in ENDS.items()},
    "system/no-device": Case(run_no_device, SMALL),
    "system/hang-ticks": Case(run_hang_ticks, SMALL),
    "system/iommu": Case(run_iommu, SMALL),
    "system/starve": Case(run_starve, SMALL),
    "system/vector": Case(run_vector, SMALL),
    "system/bochs-vector": Case(run_bochs_vector, SMALL, 240),
    "system/apic": Case(run_apic, SMALL),
    "system/bochs-apic": Case(run_bochs_apic, SMALL, 360),
    "system/hostile": Case(run_hostile("ahci"), SMALL, 360),
    "system/hostile-nvme": Case(run_hostile("nvme"), SMALL, 360),
    "system/hostile-ide": Case(run_hostile("ide"), SMALL, 360),
    "system/bochs-guest-boot": Case(run_bochs_end(ENDS["guest-boot"]), SMALL, 240),
    "system/bochs-guest-hang": Case(run_bochs_end(ENDS["guest-hang"]), SMALL, 300),
    "system/bochs-hostile": Case(run_bochs_hostile, SMALL, 420),
    "system/bochs-no-vmx": Case(
        run_bochs_without(r"processor: .+", "postern.efi", cpu="athlon64_clawhammer"), SMALL, 240
    ),
    "system/bochs-vmx-locked": Case(
        run_bochs_without(r"processor: .*(firmware|locked|BIOS).*", "lockvmx.efi"),
        (*SMALL, "lockvmx.efi"),
        240,
    ),
    "system/inventory-nvme": Case(run_inventory("nvme"), (*SMALL, "inventory.efi"), 360),
    "system/inventory-ide": Case(run_inventory("ide"), (*SMALL, "inventory.efi"), 360),
    "system/inventory-bochs": Case(run_inventory_bochs, (*SMALL, "inventory.efi"), 480),
    "system/qemu-nvme": Case(run_boot("nvme"), ("postern.efi", "image"), 400),
    "system/qemu-msix": Case(run_msix, ("postern.efi", "image"), 400),
    "system/qemu-ide": Case(run_boot("ide"), ("postern.efi", "image"), 400),
    "system/bochs-ide": Case(run_boot_bochs, ("postern.efi", "image"), 600),
    "system/virtio-blk": Case(run_firmware_disk, ("postern.efi", "image"), 500),
    "system/virtio-blk-write": Case(run_firmware_disk_write, ("postern.efi", "image"), 400),
    "system/bochs-virtio": Case(run_firmware_disk_bochs, ("postern.efi", "image"), 600),
    "system/virtio-acpi": Case(run_firmware_acpi(messages=False), ("postern.efi", "image"), 500),
    "system/button": Case(run_button, ("postern.efi", "image"), 500),
    "system/stock-nvme": Case(run_stock_nvme, ("postern.efi", "image"), 700),
    "system/stock-ide": Case(run_stock_ide, ("postern.efi", "image"), 1200),
    "system/policy": Case(run_policy, ("postern.efi", "image"), 500),
    "system/policy-refused": Case(run_policy_refused, ("postern.efi", "image"), 500),
    "system/virtio-msix": Case(run_firmware_acpi(messages=True), ("postern.efi", "image"), 500),
    "system/virtio-console": Case(run_firmware_console, ("postern.efi", "image"), 400),
    "system/trace": Case(run_trace("nvme", "file"), ("postern.efi", "postern-trace", "image"), 400),
    "system/trace-serial": Case(run_trace("ide", "serial"), ("postern.efi", "postern-trace", "image"), 400),
    "system/efi-services": Case(run_efi_services, (*SMALL, "efi-services.efi"), 240),
    "system/bochs-efi-services": Case(run_bochs_efi_services, (*SMALL, "efi-services.efi"), 300),
    "system/efi-stub": Case(run_efi_boot(STUB, False, EFIVARS), ("postern.efi", "image"), 400),
    "system/uki": Case(run_efi_boot(UKI, True), ("postern.efi", "image"), 400),
    "system/bochs-uki": Case(run_bochs_efi_boot(UKI, True), ("postern.efi", "image"), 600),
    "system/wrong-passphrase": Case(run_wrong_passphrase, ("postern.efi", "image"), 500),
}


def stop(*_: object) -> None:
    """Ends the case as an error would, so that its machines are switched off."""
    raise Failure("stopped by the test runner")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("name", choices=CASES)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, stop)
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        CASES[options.name].run(Context(options.build.resolve(), options.folder.resolve()))
    except Skip as skip:
        print(skip)
        return SKIPPED
    except (Failure, MachineError) as failure:
        print(failure)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
