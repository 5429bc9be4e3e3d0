"""Checks that read the source tree and build nothing. Each returns what is wrong, one line each."""

from __future__ import annotations

import concurrent.futures
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Which rooms the files of a room may include. Arrows point up only; src/efi is on top of all. The CPU
# back ends see no more of core than the contract and what belongs to it.
ROOMS: dict[str, set[str]] = {
    "base": set(),
    "hw": {"base"},
    "core": {"base", "hw"},
    "vmx": {"base", "hw", "core/vcpu.h", "core/fpu.h", "core/slpt.h", "core/msr.h"},
    "svm": {"base", "hw", "core/vcpu.h", "core/fpu.h", "core/slpt.h", "core/msr.h"},
    "mmio": {"base", "core"},
    # Ports that are forwarded to the real 8042 and UART need hw.
    "pio": {"base", "core", "hw"},
    "pci": {"base", "core", "hw"},
    "irq": {"base", "core", "hw"},
    "iommu": {"base", "hw"},
    "dma": {"base", "core", "hw", "iommu"},
    "virtio": {"base", "core", "pci"},
    "guest": {"base", "core"},
}
ROOMS["efi"] = set(ROOMS)

# What freestanding code may have from outside the tree: headers without a library behind them.
COMPILER_HEADERS = {"stdarg.h", "stdbool.h", "stddef.h", "stdint.h"}

# The only files of src/efi that tests build on a host see no UEFI header either.
PURE_EFI = {f"{name}.{kind}" for name in ("config", "ramplan", "stages", "terminal") for kind in "ch"}

# Stand in for the C library where a library of others' wants its headers.
C_LIBRARIES = ("src/efi/inih/", "src/mmio/capstone/")

# The only file that sees Capstone's header, and the table of names that is made from it.
CAPSTONE_USER = "second.c"
CAPSTONE_HEADERS = {"capstone/capstone.h", "capstone_names.inc"}

# Put together here, so that this file doesn't find itself.
MARKS = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]))


def tracked(*patterns: str) -> list[Path]:
    """Files of the tree that git knows, or would add; by glob on the name."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    return [ROOT / name for name in listing if (ROOT / name).is_file()]


def c_files() -> list[Path]:
    return tracked("*.c", "*.h")


def run(command: Iterable[str | Path]) -> list[str]:
    """The output of a checker that failed, line by line."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return []
    return done.stdout.splitlines() or [f"{command} failed without a word"]


def check_format() -> list[str]:
    return run(["clang-format", "--dry-run", "--Werror", *c_files()])


def includes_of(path: Path) -> list[tuple[int, str, str]]:
    """Line, kind of quote and name of each #include."""
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if match := re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line):
            found.append((number, match[1], match[2]))
    return found


# A program of its own, which runs in the guest: it speaks UEFI, and nothing of Postern's core is there.
GUEST_FIRMWARE = ROOT / "src/guest/firmware"


def is_allowed(room: str, path: Path, quote: str, name: str) -> bool:
    if path.parent == GUEST_FIRMWARE:
        return name == "efi.h" if quote == "<" else name.split("/")[0] in {"base", "guest"}
    if quote == "<":
        if name in COMPILER_HEADERS:
            return True
        if room == "mmio" and path.name == CAPSTONE_USER:
            return name in CAPSTONE_HEADERS
        if room != "efi":
            return False
        return name == "ini.h" if path.name in PURE_EFI else name.startswith("efi")
    other = name.split("/")[0]
    if other == room:
        return not (path.name in PURE_EFI and name == "efi/uefi.h")
    return other in ROOMS[room] or name in ROOMS[room]


def is_c_library(path: Path) -> bool:
    return path.relative_to(ROOT).as_posix().startswith(C_LIBRARIES)


def check_includes() -> list[str]:
    problems = []
    for path in tracked("src/*.c", "src/*.h", "src/*.S"):
        parts = path.relative_to(ROOT / "src").parts
        room = parts[0]
        if is_c_library(path):
            continue
        for number, quote, name in includes_of(path):
            if room not in ROOMS or not is_allowed(room, path, quote, name):
                problems.append(f"{path.relative_to(ROOT)}:{number}: {room} may not include {name}")
    return problems


def check_marks() -> list[str]:
    problems = []
    for path in tracked("*.c", "*.h", "*.S", "*.py", "*.sh", "CMakeLists.txt", "*.cmake", "tools/*"):
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
            if MARKS.search(line):
                problems.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    return problems


def check_shell() -> list[str]:
    scripts = []
    for path in tracked():
        with path.open("rb") as stream:
            first = stream.readline(64)
        if re.match(rb"#!\s*/bin/(ba)?sh\b", first):
            scripts.append(path)
    return run(["shellcheck", "--external-sources", *scripts])


def check_cppcheck() -> list[str]:
    return run(
        [
            "cppcheck",
            "--quiet",
            "--std=c11",
            "--platform=unix64",
            "--enable=warning,portability",
            "--inline-suppr",
            # Takes any test of a remainder for a test of its divisor.
            "--suppress=zerodivcond",
            "--suppress=missingInclude",
            "--suppress=missingIncludeSystem",
            "--error-exitcode=1",
            "-j2",
            "-Isrc",
            *[path for path in tracked("src/*.c") if not is_c_library(path)],
        ]
    )


# Name, the program that it needs (None: none), and the check.
def check_manual() -> list[str]:
    """The page is sound, and speaks of each key and each command that a configuration may name."""
    page = ROOT / "src/efi/postern.conf.5"
    text = page.read_text()
    keys = re.findall(
        r'(?:KEY\(\s*|\{)"(?:postern|guest|boot|device)",\s*"(\w+)"', (ROOT / "src/efi/config.c").read_text()
    )
    commands = re.findall(r'\[POLICY_\w+\] = "([^"]+)"', (ROOT / "src/core/policy.c").read_text())
    if len(keys) < 30 or len(commands) < 10:
        return ["style: finds no keys in config.c, or no commands in policy.c"]
    wrong = run(["mandoc", "-T", "lint", "-W", "warning", page])
    for key in keys:
        if not re.search(rf"^\.It Ic (?:\w+ , )*{key}\b", text, re.MULTILINE):
            wrong.append(f"{page.relative_to(ROOT)}: the key {key} is missing")
    for name in commands:
        if f".It Cm {name} Ta" not in text:
            wrong.append(f"{page.relative_to(ROOT)}: the command {name} is missing")
    return wrong


def check_tidy() -> list[str]:
    """clang-tidy over the sources of the program, two at a time; .clang-tidy says what it looks for."""
    with tempfile.TemporaryDirectory() as folder:
        # Its own compile database: clang-tidy doesn't know all of GCC's options.
        configure = ["cmake", "-S", str(ROOT), "-B", folder, "-G", "Ninja"]
        configure += ["-DCMAKE_C_COMPILER=clang", "-DBUILD_TESTING=OFF"]
        if problems := run(configure):
            return problems
        sources = [str(path) for path in tracked("src/*.c")]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            halves = (sources[0::2], sources[1::2])
            found = pool.map(lambda half: run(["clang-tidy", "--quiet", "-p", folder, *half]), halves)
            return [line for lines in found for line in lines]


CHECKS: dict[str, tuple[str | None, Callable[[], list[str]]]] = {
    "style/format": ("clang-format", check_format),
    "style/includes": (None, check_includes),
    "style/marks": (None, check_marks),
    "style/shellcheck": ("shellcheck", check_shell),
    "style/manual": ("mandoc", check_manual),
    "style/cppcheck": ("cppcheck", check_cppcheck),
    "style/tidy": ("clang-tidy", check_tidy),
}


def missing_program(name: str) -> str | None:
    return None if shutil.which(name) else f"{name} isn't installed"


def skip_reason(name: str) -> str | None:
    program = CHECKS[name][0]
    return missing_program(program) if program else None


def main() -> int:
    """Usage: style.py NAME: prints what is wrong."""
    problems = CHECKS[sys.argv[1]][1]()
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
