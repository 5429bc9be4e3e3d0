"""The demo's machine at a terminal, or by itself with --auto. Started by ./run."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import select
import sys
import termios
import tty
from pathlib import Path

from machine import Bochs, Ending, Machine, MachineError, Qemu, kvm_problem

PASSPHRASE = "postern"
QUIT = b"\x1d"  # Ctrl-]

HOST_UP = r"postern-host: user space, root mounted"


@dataclasses.dataclass(frozen=True)
class Milestone:
    name: str
    pattern: str
    """What the line on the serial console has."""
    bare: bool
    """Whether it also comes without Postern."""


MILESTONES = (
    Milestone("firmware starts the boot loader", r"BdsDxe: starting Boot", True),
    Milestone("Postern's first line", r"postern: starting", False),
    Milestone("guest: user space", r"postern-guest: user space", False),
    Milestone("guest: volume unlocked", r"postern-guest: volume unlocked", False),
    Milestone("Postern hands the machine back", r"postern: .*handed back", False),
    Milestone("host OS: user space, root mounted", HOST_UP, True),
)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machine", choices=("qemu", "bochs"), default="qemu")
    parser.add_argument("--disk", choices=("nvme", "ide"))
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--auto", action="store_true")
    parser.add_argument("--bare", action="store_true", help="there is no Postern on the image")
    return parser.parse_args()


def make_machine(arguments: argparse.Namespace) -> Machine:
    mirror = sys.stdout.buffer
    if arguments.machine == "bochs":
        return Bochs(arguments.folder, arguments.image, sync="slowdown", mirror=mirror)
    accel = os.environ.get("ACCEL", "tcg")
    if accel not in ("tcg", "kvm"):
        raise MachineError(f"ACCEL is {accel}, and not tcg or kvm")
    if accel == "kvm" and (problem := kvm_problem()):
        raise MachineError(f"ACCEL=kvm: {problem}")
    bus = arguments.disk or "nvme"
    return Qemu(arguments.folder, arguments.image, bus=bus, accel=accel, mirror=mirror)


def print_timeline(machine: Machine, bare: bool) -> None:
    print("\nseconds since power-on")
    for milestone in MILESTONES:
        if bare and not milestone.bare:
            continue
        line = machine.first_line(milestone.pattern)
        print(f"  {line.time:7.2f}  {milestone.name}" if line else f"        -  {milestone.name}")


def print_clock_warning(machine: Machine) -> None:
    """Says when the host OS's clock is off, since its line then is no measurement.

    Linux measures the TSC's rate itself, and on a busy machine or a disturbed PIT gets it wrong. Bochs
    is left out: its time isn't the wall clock's.
    """
    line = machine.first_line(HOST_UP)
    said = re.search(r"([0-9.]+) s after power-on", line.text) if line else None
    if not line or not said or not isinstance(machine, Qemu):
        return
    if abs(float(said[1]) - line.time) > 0.1 * line.time:
        print(f"note: the host OS took {line.time:.2f} s for {said[1]} s: it measured the TSC wrong")


def find_problems(machine: Machine, ending: Ending, bare: bool) -> list[str]:
    """What contradicts a boot of the host OS without a reset in between."""
    problems = []
    if ending is not Ending.OFF:
        problems.append(f"the machine ended, but not as it should: {ending.value}")
    if not machine.first_line(HOST_UP):
        problems.append("the host OS didn't reach user space")
    for milestone in MILESTONES:
        if bare and not milestone.bare:
            continue
        times = len(re.findall(milestone.pattern, machine.text()))
        if milestone.name.startswith(("firmware", "Postern's first")) and times != 1:
            problems.append(f"{milestone.name}: {times} times instead of once")
    return problems


def run_alone(machine: Machine, bare: bool, patience: int = 1) -> list[str]:
    """Types the passphrase, waits for the end, and returns what went wrong."""
    with machine:
        try:
            if not bare:
                machine.expect(r"Passphrase: ", timeout=180 * patience)
                machine.send(PASSPHRASE + "\n")
            machine.expect(HOST_UP, timeout=180 * patience)
            problems = find_problems(machine, machine.wait(timeout=60), bare)
        except MachineError as error:
            problems = [str(error)]
        print_timeline(machine, bare)
        print_clock_warning(machine)
    return problems


def forward_terminal(machine: Machine) -> bool:
    """Passes keys on until the machine ends; False when the user ended the demo before."""
    while machine.process.poll() is None:
        if select.select([sys.stdin], [], [], 0.2)[0]:
            keys = os.read(sys.stdin.fileno(), 256)
            if not keys or QUIT in keys:
                return False
            machine.console.send(keys)
    return True


def run_at_terminal(machine: Machine, bare: bool) -> list[str]:
    if not sys.stdin.isatty():
        raise MachineError("standard input is no terminal; use --auto")
    print(f'The passphrase is "{PASSPHRASE}". Ctrl-] ends the demo.\n', flush=True)
    saved = termios.tcgetattr(sys.stdin)
    with machine:
        try:
            tty.setraw(sys.stdin)
            ended = forward_terminal(machine)
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, saved)
        if not ended:
            print("\nended by Ctrl-]")
            return []
        problems = find_problems(machine, machine.wait(timeout=10), bare)
        print_timeline(machine, bare)
        print_clock_warning(machine)
    return problems


def main() -> int:
    arguments = parse_arguments()
    try:
        machine = make_machine(arguments)
        run = run_alone if arguments.auto else run_at_terminal
        problems = run(machine, arguments.bare)
    except MachineError as error:
        problems = [str(error)]
    for problem in problems:
        print(f"demo: {problem}", file=sys.stderr)
    if arguments.auto and not problems:
        print("demo: passed, without a reset of the machine")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
