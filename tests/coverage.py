"""Line coverage of the rooms that face the guest, by the hosted tests. Started by ./check coverage.

Prints a line per room, a line per file, and the lines of src/mmio that no test reaches. Fails if less
of src/mmio is covered than its goal.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("mmio", "pio", "dma", "iommu", "pci")
GOAL_ROOM = "mmio"
GOAL = 95.0
# The tests against Capstone and Unicorn repeat what the one against the CPU covers.
LEFT_OUT = "^diff/(capstone|unicorn)"

Lines = dict[str, dict[int, bool]]
"""For each file, the lines that have code, and whether they ran."""


def run(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def run_tests(build: Path) -> None:
    options = ["-DPOSTERN_COVERAGE=ON", "-DPOSTERN_SANITIZE=OFF", "-DCMAKE_C_COMPILER=gcc"]
    run("cmake", "-S", ROOT, "-B", build, "-G", "Ninja", *options)
    for data in build.rglob("*.gcda"):
        data.unlink()
    # Each test's label is what to build for it.
    listing = subprocess.run(
        ["ctest", "--test-dir", str(build), "-E", LEFT_OUT, "--show-only=json-v1"],
        check=True,
        capture_output=True,
    ).stdout
    targets = set()
    for test in json.loads(listing)["tests"]:
        for item in test["properties"]:
            if item["name"] == "LABELS":
                targets.update(item["value"])
    run("ninja", "-C", build, *sorted(targets))
    run("ctest", "--test-dir", build, "-j", "2", "-E", LEFT_OUT, "--timeout", "600")


def read_lines(build: Path) -> Lines:
    """What gcov says about the files of src, from all objects that have them."""
    lines: Lines = defaultdict(dict)
    for data in sorted((build / "src").rglob("*.gcda")):
        command = ["gcov", "--json-format", "--stdout", str(data)]
        output = subprocess.run(command, check=True, capture_output=True, cwd=build).stdout
        for report in output.splitlines():
            for file in json.loads(report)["files"]:
                path = Path(file["file"])
                if not path.is_relative_to(ROOT / "src"):
                    continue
                known = lines[str(path.relative_to(ROOT))]
                for line in file["lines"]:
                    number = line["line_number"]
                    known[number] = known.get(number, False) or line["count"] > 0
    return lines


def percent(lines: Iterable[bool]) -> tuple[float, int]:
    ran = list(lines)
    return (100 * sum(ran) / len(ran) if ran else 0.0), len(ran)


def print_missed(name: str, lines: dict[int, bool]) -> None:
    text = (ROOT / name).read_text("utf-8").splitlines()
    for number in sorted(lines):
        if not lines[number]:
            print(f"missed {name}:{number}: {text[number - 1].strip()}")


def report(build: Path) -> int:
    run_tests(build)
    lines = read_lines(build)
    result = 0
    for room in ROOMS:
        files = {name: lines[name] for name in sorted(lines) if name.startswith(f"src/{room}/")}
        if not files:
            continue
        share, count = percent(ran for file in files.values() for ran in file.values())
        print(f"coverage src/{room} {share:.1f} % of {count} lines")
        for name, file in files.items():
            part, count = percent(file.values())
            print(f"coverage {name} {part:.1f} % of {count} lines")
        if room == GOAL_ROOM:
            for name, file in files.items():
                print_missed(name, file)
            if share < GOAL:
                print(f"coverage: src/{room} is below its goal of {GOAL:g} %", file=sys.stderr)
                result = 1
    return result


if __name__ == "__main__":
    sys.exit(report(Path(sys.argv[1]).resolve()))
