# Compiler flags by kind of code. Warnings are errors under both compilers.
set(POSTERN_WARNINGS
	-Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
	-Wvla -Wundef -Wpointer-arith -Wwrite-strings -Wcast-qual -Wimplicit-fallthrough
	-Wnull-dereference -Wformat=2)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
	list(APPEND POSTERN_WARNINGS -Wlogical-op -Wduplicated-cond -Wduplicated-branches)
endif()

# Code that runs under the firmware: no libc, no red zone, no SSE or x87, position independent.
set(POSTERN_FREESTANDING
	-ffreestanding -fpic -fvisibility=hidden -fno-stack-protector -mno-red-zone -mgeneral-regs-only
	-fno-strict-aliasing -fcf-protection=none -fno-asynchronous-unwind-tables
	-ffunction-sections -fdata-sections
	-ffile-prefix-map=${CMAKE_SOURCE_DIR}=. -ffile-prefix-map=${CMAKE_BINARY_DIR}=.)

set(POSTERN_HOSTED -fno-strict-aliasing)
set(POSTERN_HOSTED_LINK "")
if(POSTERN_SANITIZE)
	set(san -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
	list(APPEND POSTERN_HOSTED ${san})
	list(APPEND POSTERN_HOSTED_LINK ${san})
endif()
if(POSTERN_FUZZ)
	list(APPEND POSTERN_HOSTED -fsanitize=fuzzer-no-link)
endif()
if(POSTERN_COVERAGE)
	list(APPEND POSTERN_HOSTED --coverage -O0)
	list(APPEND POSTERN_HOSTED_LINK --coverage)
endif()
