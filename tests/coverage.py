"""How much of each room's hosted code the unit tests and corpora run: lines "coverage ROOM PERCENT".

    coverage.py FOLDER

builds with GCC's coverage in FOLDER and runs all hosted tests there.
"""

from __future__ import annotations

import collections
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def build_and_run(folder: Path) -> None:
    options = ["-DPOSTERN_COVERAGE=ON", "-DPOSTERN_SANITIZE=OFF"]
    subprocess.run(["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", *options], check=True)
    for old in folder.rglob("*.gcda"):
        old.unlink()
    ctest = ["ctest", "--test-dir", str(folder)]
    listing = subprocess.run([*ctest, "--show-only=json-v1"], check=True, capture_output=True)
    targets = [
        label
        for test in json.loads(listing.stdout)["tests"]
        for item in test["properties"]
        if item["name"] == "LABELS"
        for label in item["value"]
    ]
    subprocess.run(["ninja", "-C", folder, *targets], check=True)
    subprocess.run([*ctest, "-j2"], check=True)


def count_lines(folder: Path) -> dict[str, tuple[int, int]]:
    """Lines that ran, and lines, by room. A line counts once, in however many programs it is."""
    ran: dict[tuple[str, int], bool] = collections.defaultdict(bool)
    for data in (folder / "src").rglob("*.gcda"):
        done = subprocess.run(
            ["gcov", "--json-format", "--stdout", str(data.resolve())],
            cwd=folder,
            check=True,
            capture_output=True,
        )
        for source in json.loads(done.stdout)["files"]:
            path = Path(source["file"])
            if ROOT / "src" not in path.parents or path.suffix != ".c":
                continue
            name = str(path.relative_to(ROOT / "src"))
            for line in source["lines"]:
                ran[name, line["line_number"]] |= line["count"] > 0
    totals: dict[str, tuple[int, int]] = {}
    for (name, _), hit in ran.items():
        room = name.split("/")[0]
        hits, lines = totals.get(room, (0, 0))
        totals[room] = (hits + hit, lines + 1)
    return totals


def main() -> int:
    folder = Path(sys.argv[1]).resolve()
    build_and_run(folder)
    for room, (hits, lines) in sorted(count_lines(folder).items()):
        print(f"coverage {room} {100 * hits / lines:.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
