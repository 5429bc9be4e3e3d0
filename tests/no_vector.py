#!/usr/bin/env python3
"""Usage: tests/no_vector.py FILE: fails if the program has an instruction that it must not have.

Under the firmware the vector and x87 registers are the guest's or the firmware's, and %fs and %gs have
no memory behind them: a compiler option or a library that brings one in is found here.
"""

import re
import subprocess
import sys

# A register of the vector or x87 unit, or memory by way of %fs or %gs. Segment selectors, which the
# back ends save, and XSAVE and its like, which name none, are fine.
FORBIDDEN = re.compile(r"%([xyz]?mm\d|st\b|[fg]s:)")
INSTRUCTION = re.compile(r"^\s*[0-9a-f]+:\t")
FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
ALLOWED = "hw_vector_"


def main() -> int:
    listing = subprocess.run(
        ["objdump", "--disassemble", "--no-show-raw-insn", sys.argv[1]],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    instructions = []
    function = ""
    for line in listing:
        if name := FUNCTION.match(line):
            function = name[1]
        elif INSTRUCTION.match(line) and not function.startswith(ALLOWED):
            instructions.append(line)
    found = [line for line in instructions if FORBIDDEN.search(line)]
    print(*found[:20], sep="\n")
    print(f"{len(instructions)} instructions, {len(found)} that must not be")
    # Far fewer than the program has would mean that objdump didn't see the code.
    return 1 if found or len(instructions) < 10000 else 0


sys.exit(main())
