"""Runs the tests; started by ./check.

    ./check            all tests
    ./check WORD...    those whose name contains a WORD; "unit" stands for all hosted unit tests
    ./check --list     their names
    ./check bench      measurements instead: lines "bench NAME VALUE UNIT"
    ./check coverage   lines of src that the hosted tests reach instead, by room

Builds only what the chosen tests need. The last line is "N passed, N failed, N skipped".
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import bench
import coverage
import style

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/system"))

import cases  # noqa: E402 (it lives in a folder of its own)

PARALLEL = 2
UNIT_TIMEOUT = 60
STYLE_TIMEOUT = 600
BUILD_TIMEOUT = 1200
# The guest's kernel takes 8 minutes on two idle cores.
IMAGE_TIMEOUT = 3000
# For each target, and for building it.
FUZZ_SECONDS = int(os.environ.get("POSTERN_FUZZ_SECONDS", "60"))
FUZZ_BUILD_TIMEOUT = 600
# After SIGTERM, for a case to switch its machines off.
GRACE = 15


@dataclasses.dataclass(frozen=True)
class Outcome:
    result: str
    """passed, failed or skipped."""
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Test:
    name: str
    kind: str
    """unit, fuzz, diff, fuzzing, style, build or system."""
    command: tuple[str, ...]
    targets: tuple[str, ...] = ()
    """What has to be built before; "image" is the demo's disk."""
    timeout: float = UNIT_TIMEOUT
    skip: str | None = None


PASSED = Outcome("passed")


# ---- running programs ----


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends a program of ours that takes too long: it and its group, gently first."""
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def run_logged(command: Sequence[str], log: Path, timeout: float) -> int | None:
    """Runs a program in a group of its own, all output in a log. Its exit code, or None: timeout."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            end_group(process)
            return None
        except BaseException:
            end_group(process)
            raise


def skip_reason(test: Test, code: int, log: Path) -> str | None:
    """Why a test that has run says that it can't, or None."""
    if test.kind == "system":
        return last_line(log) if code == cases.SKIPPED else None
    text = log.read_text("utf-8", "replace")
    if "***Skipped" not in text:
        return None
    # ctest puts the test's number before its output.
    said = re.findall(r"^\d+: (\S.*)$", text, re.MULTILINE)
    return said[-1] if said else "it didn't say why"


def last_line(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "no output"


# ---- building ----


class Build:
    """The build folder for one compiler."""

    def __init__(self, folder: Path, logs: Path, compiler: str | None = None) -> None:
        self.folder = folder
        self._logs = logs
        self._compiler = compiler
        self._failed: dict[str, str] = {}

    def configure(self) -> str | None:
        """What went wrong, or None."""
        log = self._logs / f"configure-{self.folder.name}.log"
        command = ["cmake", "-S", str(ROOT), "-B", str(self.folder), "-G", "Ninja"]
        if self._compiler:
            command.append(f"-DCMAKE_C_COMPILER={self._compiler}")
        if (self.folder / "build.ninja").exists():
            # Only if a CMakeLists.txt has changed.
            command = ["ninja", "-C", str(self.folder), "build.ninja"]
        code = run_logged(command, log, BUILD_TIMEOUT)
        return None if code == 0 else f"cmake failed, see {log}"

    def make(self, targets: Sequence[str], name: str) -> str | None:
        """Builds as much of the targets as can be built. What went wrong, or None."""
        log = self._logs / f"build-{name}.log"
        code = run_logged(
            ["ninja", "-C", str(self.folder), "-k", "0", *targets], log, BUILD_TIMEOUT
        )
        return None if code == 0 else f"the build failed, see {log}"

    def make_all(self, targets: Sequence[str]) -> None:
        """Builds all targets, and one by one when that fails, to know which ones can't be built."""
        if not targets or self.make(targets, "all") is None:
            return
        for target in targets:
            if problem := self.make([target], target.replace("/", "-")):
                self._failed[target] = problem

    def problem(self, targets: Sequence[str]) -> str | None:
        return next((self._failed[target] for target in targets if target in self._failed), None)

    def fail(self, target: str, problem: str) -> None:
        self._failed[target] = problem


def make_image(build: Build, logs: Path) -> None:
    """The demo's disk, kernel and all."""
    log = logs / "build-image.log"
    print(f"making the demo's disk; a new kernel takes minutes, see {log}", flush=True)
    command = [str(ROOT / "guest-image/build"), str(build.folder / "postern.efi")]
    if run_logged(command, log, IMAGE_TIMEOUT) != 0:
        build.fail("image", f"guest-image/build failed, see {log}")


# ---- the list of tests ----


def ctest_tests(build: Build) -> list[Test]:
    """The hosted tests that CMake knows: unit tests, and the corpora of the fuzz targets."""
    ctest = ["ctest", "--test-dir", str(build.folder)]
    listing = subprocess.run([*ctest, "--show-only=json-v1"], check=True, capture_output=True)
    tests = []
    for entry in json.loads(listing.stdout)["tests"]:
        name = entry["name"]
        command = (*ctest, "--verbose", "--no-tests=error", "-R", f"^{re.escape(name)}$")
        # The label is what to build; whoever gives none gets everything.
        labels = [item["value"] for item in entry["properties"] if item["name"] == "LABELS"]
        limits = [item["value"] for item in entry["properties"] if item["name"] == "TIMEOUT"]
        room = name.split("/")[0]
        kind = room if room in ("fuzz", "diff") else "unit"
        targets = tuple(labels[0]) if labels else ("all",)
        tests.append(Test(name, kind, command, targets, max([UNIT_TIMEOUT, *limits])))
    return tests


def fuzz_tests(seconds: int) -> list[Test]:
    """Each fuzz target for a while, looking for what its corpus doesn't have."""
    script = str(ROOT / "tests/fuzz/run")
    skip = style.missing_program("clang")
    return [
        Test(
            f"fuzzing/{folder.name}-{seconds}s",
            "fuzzing",
            (script, folder.name, str(seconds)),
            (),
            seconds + FUZZ_BUILD_TIMEOUT,
            skip,
        )
        for folder in sorted((ROOT / "tests/fuzz/corpus").iterdir())
    ]


def style_tests() -> list[Test]:
    script = str(ROOT / "tests/style.py")
    return [
        Test(name, "style", (sys.executable, script, name), (), STYLE_TIMEOUT, style.skip_reason(name))
        for name in style.CHECKS
    ]


def build_tests(clang: Build) -> list[Test]:
    skip = style.missing_program("clang")
    command = ("ninja", "-C", str(clang.folder), "-k", "0", "all")
    coverage = (sys.executable, str(ROOT / "tests/coverage.py"), str(clang.folder.parent / "coverage"))
    return [
        Test("build/clang", "build", command, (), BUILD_TIMEOUT, skip),
        Test("build/coverage", "build", coverage, (), BUILD_TIMEOUT),
    ]


def system_tests(build: Build, logs: Path) -> list[Test]:
    script = str(ROOT / "tests/system/cases.py")
    tests = []
    for name, case in cases.CASES.items():
        folder = logs / "machines" / name.split("/")[1]
        command = (sys.executable, script, name, "--build", str(build.folder), "--folder", str(folder))
        tests.append(Test(name, "system", command, case.needs, case.timeout))
    return tests


def backend_tests(build: Build) -> list[Test]:
    """The CPU back ends' own test: an EFI application that runs guests without the rest of Postern."""
    program = "backend-test.efi"
    return [
        Test(
            f"{room}/backend",
            "system",
            (sys.executable, str(ROOT / "tests/backend" / runner), str(build.folder / program)),
            (program,),
            240,
        )
        for room, runner in (("svm", "run-qemu"), ("vmx", "run-bochs"))
    ]


def image_tests() -> list[Test]:
    """Two builds, one hash; of the kernel, the second is the one whose hash is recorded."""
    command = str(ROOT / "guest-image/check-reproducible")
    return [
        Test(f"guest-image/{what}", "system", (command, what), ("image",), 240)
        for what in ("initramfs", "kernel")
    ]


def choose(tests: Sequence[Test], words: Sequence[str]) -> list[Test]:
    if not words:
        return list(tests)
    hosted = ("unit", "fuzz")
    return [
        test
        for test in tests
        if any(word in test.name or (word == "unit" and test.kind in hosted) for word in words)
    ]


# ---- running tests ----


def run_test(test: Test, build: Build, logs: Path) -> Outcome:
    if test.skip:
        return Outcome("skipped", test.skip)
    if problem := build.problem(test.targets):
        return Outcome("failed", problem)
    log = logs / (test.name.replace("/", "-") + ".log")
    code = run_logged(test.command, log, test.timeout)
    if code is None:
        return Outcome("failed", f"no end after {test.timeout:g} s, see {log}")
    if skip := skip_reason(test, code, log):
        return Outcome("skipped", skip)
    return PASSED if code == 0 else Outcome("failed", f"exit code {code}: {last_line(log)}; see {log}")


def report_coverage(logs: Path) -> None:
    """What build/coverage has found out, if it has run."""
    log = logs / "build-coverage.log"
    if log.exists():
        lines = log.read_text("utf-8", "replace").splitlines()
        print("\n".join(line for line in lines if re.match(r"coverage src/\w+ ", line)))


def report(test: Test, outcome: Outcome, seconds: float) -> None:
    word = {"passed": "PASS", "failed": "FAIL", "skipped": "SKIP"}[outcome.result]
    why = f": {outcome.why}" if outcome.why else ""
    print(f"{word} {test.name} ({seconds:.1f} s){why}", flush=True)


def run_tests(tests: Sequence[Test], build: Build, logs: Path) -> dict[str, int]:
    counts = {"passed": 0, "failed": 0, "skipped": 0}

    def run_one(test: Test) -> tuple[Test, Outcome, float]:
        start = time.monotonic()
        outcome = run_test(test, build, logs)
        return test, outcome, time.monotonic() - start

    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        for future in concurrent.futures.as_completed([pool.submit(run_one, test) for test in tests]):
            test, outcome, seconds = future.result()
            report(test, outcome, seconds)
            counts[outcome.result] += 1
    return counts


def prepare(tests: Sequence[Test], build: Build, clang: Build, logs: Path) -> None:
    """Builds what the tests need."""
    targets = sorted({target for test in tests for target in test.targets} - {"image"})
    if targets:
        print(f"building {len(targets)} targets", flush=True)
    build.make_all(targets)
    if any("image" in test.targets for test in tests) and not build.problem(["postern.efi"]):
        make_image(build, logs)
    if any(test.name == "build/clang" and not test.skip for test in tests):
        clang.configure()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    logs = arguments.build / "test-logs"
    build = Build(arguments.build, logs)
    clang = Build(arguments.build / "clang", logs, "clang")
    if problem := build.configure():
        print(problem)
        return 1
    if arguments.words == ["bench"]:
        return bench.run(build.folder, logs)
    if arguments.words == ["coverage"]:
        return coverage.report((build.folder / "coverage").resolve())
    everything = [
        *ctest_tests(build),
        *fuzz_tests(FUZZ_SECONDS),
        *style_tests(),
        *build_tests(clang),
        *backend_tests(build),
        *image_tests(),
        *system_tests(build, logs),
    ]
    tests = choose(everything, arguments.words)
    if arguments.list:
        print("\n".join(test.name for test in tests))
        return 0
    if not tests:
        print(f"no test has {' or '.join(arguments.words)} in its name; see --list")
        return 1
    prepare(tests, build, clang, logs)
    counts = run_tests(tests, build, logs)
    if any(test.name == "build/coverage" for test in tests):
        report_coverage(logs)
    print(", ".join(f"{counts[result]} {result}" for result in ("passed", "failed", "skipped")))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
