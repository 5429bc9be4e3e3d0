"""Whole emulated machines, for the demo and for the system tests.

A Machine is started, watched and steered through its serial console:

    with Qemu(folder, image, bus="nvme") as machine:
        machine.expect(r"Passphrase: ", timeout=60)
        machine.send("postern\n")
        machine.expect(r"postern-host: user space", timeout=60)
        assert machine.wait(timeout=30) is Ending.OFF

Everything that a machine writes goes into its folder: serial.log and what the emulator says. A
machine ends when it is left, and no other process is ever touched.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

FIRMWARE_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
FIRMWARE_VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
# Bochs 2.7 takes 2 MiB of firmware at most.
FIRMWARE_BOCHS = Path("/usr/share/ovmf/OVMF.fd")
VGA_BIOS = Path("/usr/share/vgabios/vgabios.bin")

# Where the PIIX controller sits in QEMU, and its register with the decode bits of both channels.
PIIX_SLOT = 4
PIIX_IDETIM = 0x40

# What terminals act on and readers of a log don't want to see.
_ESCAPES = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]|\r")


class Ending(enum.Enum):
    """How a machine came to its end."""

    OFF = "it switched itself off"
    RESET = "it was reset"
    STOPPED = "it was stopped from outside"
    DIED = "the emulator gave up"


class MachineError(Exception):
    """Something that was waited for didn't come."""


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of the serial console, and when its end arrived, in seconds since power-on."""

    time: float
    text: str


class Console:
    """A serial console: remembers all output, lets threads wait for it, and passes input on."""

    def __init__(self, connection: socket.socket, log: Path, mirror: BinaryIO | None) -> None:
        self._connection = connection
        self._log = log.open("wb", buffering=0)
        self._mirror = mirror
        self._start = time.monotonic()
        self._changed = threading.Condition()
        self._output = bytearray()
        # Where each line ends, and when that came. The last line may be open; its end moves.
        self._line_ends: list[tuple[int, float]] = []
        self.closed = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while data := self._connection.recv(4096):
                self._take(data)
        except OSError:
            pass
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def _take(self, data: bytes) -> None:
        now = time.monotonic() - self._start
        self._log.write(data)
        if self._mirror:
            self._mirror.write(data)
            self._mirror.flush()
        with self._changed:
            position = len(self._output)
            self._output += data
            if self._line_ends and self._output[position - 1] != 0x0A:
                self._line_ends.pop()
            ends = [position + found.end() for found in re.finditer(rb"\n", data)]
            if not data.endswith(b"\n"):
                ends.append(len(self._output))
            self._line_ends += [(end, now) for end in ends]
            self._changed.notify_all()

    def text(self, start: int = 0) -> str:
        """The output from a byte position on."""
        with self._changed:
            return self._output[start:].decode("latin-1")

    def lines(self) -> list[Line]:
        with self._changed:
            starts = [0] + [end for end, _ in self._line_ends]
            return [
                Line(when, _ESCAPES.sub("", self._output[start:end].decode("latin-1")).rstrip())
                for start, (end, when) in zip(starts, self._line_ends)
            ]

    def wait_for(self, pattern: re.Pattern[str], start: int, timeout: float) -> re.Match[str] | None:
        """The first match from a byte position on, or None when none can come any more."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                match = pattern.search(self._output[start:].decode("latin-1"))
                left = deadline - time.monotonic()
                if match or self.closed or left <= 0:
                    return match
                self._changed.wait(left)

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def close(self) -> None:
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join(timeout=5)
        self._connection.close()
        self._log.close()


class Machine:
    """What all machines have in common. Subclasses start the emulator and tell how it ended."""

    # Seconds that pass between two characters that are typed: a UART without flow control loses
    # what comes faster than its reader reads.
    typing_delay = 0.01

    def __init__(self, folder: Path, mirror: BinaryIO | None = None) -> None:
        self.folder = folder
        self.log = folder / "serial.log"
        self._mirror = mirror
        self._process: subprocess.Popen[bytes] | None = None
        self._console: Console | None = None
        self._position = 0
        self._stopped = False
        self.started = 0.0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def console(self) -> Console:
        if self._console is None:
            raise MachineError("the machine was never started")
        return self._console

    @property
    def process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise MachineError("the machine was never started")
        return self._process

    def start(self) -> Self:
        """Switches the machine on. Its files are those of this run only."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.started = time.monotonic()
        connection = self._launch()
        self._console = Console(connection, self.log, self._mirror)
        return self

    def _spawn(self, command: Sequence[str], descriptors: Sequence[int] = ()) -> None:
        """Starts the emulator, in a session of its own so that the terminal's signals miss it."""
        (self.folder / "command").write_text("\n".join(command) + "\n")
        with (self.folder / "emulator.log").open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                pass_fds=descriptors,
                start_new_session=True,
            )

    def _launch(self) -> socket.socket:
        """Starts the emulator and returns the connection to its first serial port."""
        raise NotImplementedError

    def _was_reset(self) -> bool:
        """Whether the machine was reset so far."""
        raise NotImplementedError

    def _ending(self) -> Ending:
        """OFF or DIED, asked once the emulator is gone by itself and there was no reset."""
        raise NotImplementedError

    def expect(self, pattern: str, timeout: float) -> re.Match[str]:
        """Waits until the output has what the regular expression says, after what was expected before."""
        match = self.console.wait_for(re.compile(pattern), self._position, timeout)
        if match is None:
            state = "the machine ended" if self.console.closed else f"{timeout:g} s passed"
            raise MachineError(
                f"{state} without {pattern!r}; the last output in {self.log}:\n{self._last_output()}"
            )
        self._position += match.end()
        return match

    def send(self, text: str) -> None:
        """Types on the serial console."""
        for byte in text.encode("latin-1"):
            self.console.send(bytes([byte]))
            time.sleep(self.typing_delay)

    def text(self) -> str:
        """All output, without what only terminals act on."""
        return _ESCAPES.sub("", self.console.text())

    def lines(self) -> list[Line]:
        return self.console.lines()

    def first_line(self, pattern: str) -> Line | None:
        """The first line that has what the regular expression says."""
        return next((line for line in self.lines() if re.search(pattern, line.text)), None)

    def wait(self, timeout: float) -> Ending:
        """Waits for the machine's own end. A reset is an end, and stops a machine that goes on."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            if self._was_reset():
                self.stop()
            elif time.monotonic() > deadline:
                raise MachineError(
                    f"the machine still ran after {timeout:g} s; the last output in {self.log}:\n"
                    f"{self._last_output()}"
                )
            else:
                time.sleep(0.05)
        if self._was_reset():
            return Ending.RESET
        return Ending.STOPPED if self._stopped else self._ending()

    def stop(self) -> None:
        """Ends the machine if it still runs, and closes the console."""
        if self._process and self._process.poll() is None:
            self._stopped = True
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._console:
            self._console.close()

    def _last_output(self) -> str:
        lines = [line.text for line in self.lines()]
        said = (self.folder / "emulator.log").read_text("latin-1").strip().splitlines()
        return "\n".join(["  | " + text for text in lines[-12:] + said[-3:]])


class Monitor:
    """QEMU's machine protocol: commands, and the events that tell why a machine ended."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._changed = threading.Condition()
        self._answers: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.execute("qmp_capabilities")

    def _read(self) -> None:
        try:
            with self._connection.makefile("rb") as stream:
                for line in stream:
                    message = json.loads(line)
                    with self._changed:
                        if "event" in message:
                            self.events.append(message)
                        elif "QMP" not in message:
                            self._answers.append(message)
                        self._changed.notify_all()
        except OSError:
            pass

    def execute(self, command: str, **arguments: Any) -> Any:
        request = {"execute": command, "arguments": arguments}
        with self._changed:
            self._answers.clear()
            self._connection.sendall(json.dumps(request).encode())
            if not self._changed.wait_for(lambda: self._answers, timeout=10):
                raise MachineError(f"QEMU doesn't answer {command}")
            answer = self._answers.pop()
        if "error" in answer:
            raise MachineError(f"QEMU refuses {command}: {answer['error']['desc']}")
        return answer["return"]

    def close(self) -> None:
        """Waits for the last events of a QEMU that is gone."""
        self._thread.join(timeout=5)
        self._connection.close()


# QEMU's -icount: an instruction takes 2^4 ns, and the TSC counts each nanosecond.
TSC_SHIFT = 4


class Qemu(Machine):
    """QEMU's q35: SVM under TCG, or what the host nests under KVM; Intel's IOMMU either way.

    A reset ends the machine: -no-reboot.
    """

    def __init__(
        self,
        folder: Path,
        image: Path | None = None,
        *,
        bus: str = "nvme",
        memory: int = 1024,
        accel: str = "tcg",
        cpu: str | None = None,
        iommu: str | None = "intremap=on",
        display: str | None = "bochs-display",
        options: Sequence[str] = (),
        counted: bool = False,
        mirror: BinaryIO | None = None,
        keep: bool = False,
    ) -> None:
        """bus: nvme, ide (PIIX) or ahci.

        memory is in MiB. options are more of QEMU's own, such as ("-kernel", "program.efi"). With
        counted the machine's time is its instructions (TSC_SHIFT), however busy this one is; TCG only.
        The image is never written to, what the machine writes is forgotten at its end; with keep it
        is kept.
        """
        super().__init__(folder, mirror)
        self._image = image
        self._snapshot = "off" if keep else "on"
        self._bus = bus
        self._memory = memory
        self._accel = accel
        self._cpu = cpu or {"tcg": "EPYC,+svm,+npt", "kvm": "host"}[accel]
        self._iommu = iommu
        self._display = display
        self._options = options
        self._counted = counted
        self._monitor: Monitor | None = None

    def _disk_arguments(self) -> list[str]:
        controllers = {
            "nvme": ["-device", "nvme,drive=disk,serial=postern"],
            "ide": [
                *("-device", f"piix3-ide,id=pata,addr={PIIX_SLOT}"),
                *("-device", "ide-hd,drive=disk,bus=pata.0"),
            ],
            "ahci": ["-device", "ide-hd,drive=disk,bus=ide.0"],
        }
        if self._image is None:
            return []
        drive = f"if=none,id=disk,format=raw,snapshot={self._snapshot},file={self._image.resolve()}"
        return ["-drive", drive, *controllers[self._bus]]

    def _arguments(self) -> list[str]:
        variables = self.folder / "variables.fd"
        shutil.copyfile(FIRMWARE_VARIABLES, variables)
        flash = "if=pflash,format=raw"
        # QEMU wants the IOMMU before the devices behind it.
        return [
            *("-machine", "q35,kernel-irqchip=split" if self._accel == "kvm" else "q35"),
            *("-accel", self._accel, "-cpu", self._cpu, "-m", str(self._memory)),
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-S"),
            *("-drive", f"{flash},unit=0,readonly=on,file={FIRMWARE_CODE}"),
            *("-drive", f"{flash},unit=1,file={variables.resolve()}"),
            *(("-device", f"intel-iommu,{self._iommu}") if self._iommu else ()),
            *(("-device", self._display) if self._display else ()),
            *(("-icount", f"shift={TSC_SHIFT},sleep=off", "-rtc", "clock=vm") if self._counted else ()),
            *self._disk_arguments(),
            *self._options,
        ]

    def _launch(self) -> socket.socket:
        serial, serial_qemu = socket.socketpair()
        monitor, monitor_qemu = socket.socketpair()
        channels = [
            *("-chardev", f"socket,id=serial,fd={serial_qemu.fileno()}", "-serial", "chardev:serial"),
            *("-chardev", f"socket,id=monitor,fd={monitor_qemu.fileno()}"),
            *("-mon", "chardev=monitor,mode=control"),
        ]
        with serial_qemu, monitor_qemu:
            self._spawn(
                ["qemu-system-x86_64", *self._arguments(), *channels],
                (serial_qemu.fileno(), monitor_qemu.fileno()),
            )
        try:
            self._monitor = Monitor(monitor)
        except (MachineError, OSError):
            self.process.kill()
            self.process.wait()
            said = (self.folder / "emulator.log").read_text("latin-1")
            raise MachineError(f"QEMU doesn't start: {said.strip()}") from None
        if self._bus == "ide":
            self._enable_piix_channels()
        self._monitor.execute("cont")
        return serial

    def _enable_piix_channels(self) -> None:
        """Sets the decode bits in IDETIM, as a PC's firmware does.

        OVMF doesn't, since the controller isn't q35's own. QEMU decodes the ports regardless, but
        Linux takes a channel without its bit for switched off.
        """
        address = 0x80000000 | PIIX_SLOT << 11 | PIIX_IDETIM
        for port, value in ((0xCF8, address), (0xCFC, 0x80008000), (0xCF8, 0)):
            command = f"o /w {port:#x} {value:#x}"
            self.monitor.execute("human-monitor-command", **{"command-line": command})

    @property
    def monitor(self) -> Monitor:
        if self._monitor is None:
            raise MachineError("the machine was never started")
        return self._monitor

    def screendump(self, target: Path, kind: str = "png") -> None:
        """Saves a picture of the display, as png or ppm."""
        self.monitor.execute("screendump", filename=str(target.resolve()), format=kind)

    def _shutdown_reasons(self) -> list[str]:
        if self.process.poll() is not None:
            self.monitor.close()
        return [
            event["data"]["reason"] for event in self.monitor.events if event["event"] == "SHUTDOWN"
        ]

    def _was_reset(self) -> bool:
        return "guest-reset" in self._shutdown_reasons()

    def _ending(self) -> Ending:
        return Ending.OFF if "guest-shutdown" in self._shutdown_reasons() else Ending.DIED

    def stop(self) -> None:
        super().stop()
        if self._monitor:
            self._monitor.close()


class Bochs(Machine):
    """Bochs 2.7: VMX with EPT and unrestricted guests, PIIX IDE, no IOMMU, no ACPI.

    A guest switches it off by writing the letters of "Shutdown" to port 8900h. Its exit status says
    nothing, so its log tells how it ended.
    """

    typing_delay = 0.1

    def __init__(
        self,
        folder: Path,
        image: Path,
        *,
        memory: int = 512,
        cpu: str = "corei7_haswell_4770",
        sync: str = "none",
        lines: Sequence[str] = (),
        mirror: BinaryIO | None = None,
    ) -> None:
        """lines are more of Bochs's configuration. With Haswell, Linux measures the TSC right.

        sync="none" counts time in instructions, so that a run repeats exactly, and skips the time
        that a halted CPU waits. With sync="slowdown" time never runs ahead of the wall clock, which
        a machine needs that waits for a human.
        """
        super().__init__(folder, mirror)
        self._image = image
        self._memory = memory
        self._cpu = cpu
        self._sync = sync
        self._lines = lines

    def _configuration(self, port: int) -> str:
        geometry = Path(f"{self._image}.geometry").read_text().split()
        cylinders, heads, sectors = (int(word) for word in geometry)
        return "\n".join(
            [
                "plugin_ctrl: unmapped=true, biosdev=true, speaker=false, parallel=true, "
                "serial=true, iodebug=true",
                "config_interface: textconfig",
                'display_library: rfb, options="timeout=0"',
                f"cpu: model={self._cpu}, count=1, ips=50000000, reset_on_triple_fault=0",
                f"memory: guest={self._memory}, host={self._memory}",
                f"romimage: file={FIRMWARE_BOCHS}, address=0xffe00000",
                f"vgaromimage: file={VGA_BIOS}",
                "vga: extension=vbe",
                "pci: enabled=1, chipset=i440fx",
                "boot: disk",
                f"clock: sync={self._sync}, time0=1700000000",
                "ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14",
                # volatile: what is written is forgotten, and no lock file outlives a kill.
                f"ata0-master: type=disk, mode=volatile, path={self._image.resolve()}, "
                f"cylinders={cylinders}, heads={heads}, spt={sectors}",
                f"com1: enabled=1, mode=socket-client, dev=localhost:{port}",
                "port_e9_hack: enabled=1",
                "log: bochs.log",
                "panic: action=fatal",
                "error: action=report",
                "info: action=report",
                "debug: action=ignore",
                *self._lines,
                "",
            ]
        )

    def _launch(self) -> socket.socket:
        with socket.create_server(("localhost", 0)) as server:
            server.settimeout(30)
            port = server.getsockname()[1]
            (self.folder / "bochsrc").write_text(self._configuration(port))
            # Debian's build always has its debugger, which waits for a command.
            (self.folder / "debugger").write_text("c\n")
            self._spawn(["bochs-bin", "-q", "-f", "bochsrc", "-rc", "debugger"])
            try:
                connection, _ = server.accept()
            except TimeoutError:
                self.process.kill()
                self.process.wait()
                raise MachineError(f"Bochs doesn't start, see {self.folder}/bochs.log") from None
        return connection

    def _said(self) -> str:
        log = self.folder / "bochs.log"
        return log.read_text("latin-1") if log.exists() else ""

    def _was_reset(self) -> bool:
        # The first one is power-on. The ways to reset differ in what stands between the brackets.
        return self._said().count("bx_pc_system_c::Reset(") > 1

    def _ending(self) -> Ending:
        return Ending.OFF if "Shutdown port: shutdown requested" in self._said() else Ending.DIED


def kvm_problem() -> str | None:
    """Why ACCEL=kvm can't work on this machine, or None when it can."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "there is no /dev/kvm that this user may use"
    flags = Path("/proc/cpuinfo").read_text()
    if not re.search(r"^flags\s.*\b(vmx|svm)\b", flags, re.MULTILINE):
        return "this CPU offers neither VMX nor SVM"
    return None
