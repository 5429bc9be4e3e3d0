# Capstone, the second opinion on each instruction (src/mmio/second.c), from Debian's source package: the
# library package uses vector registers and has engines for twelve processors. tools/debsource fetches
# it once.
option(POSTERN_CAPSTONE "Capstone as the decoder's second opinion in postern.efi" ON)
if(NOT POSTERN_CAPSTONE)
	return()
endif()

set(CAPSTONE_DIR ${CMAKE_BINARY_DIR}/third_party/capstone)
if(NOT EXISTS ${CAPSTONE_DIR}/cs.c)
	execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/debsource capstone ${CAPSTONE_DIR}
		COMMAND_ERROR_IS_FATAL ANY)
endif()
# The table of known defects, and the memory that Capstone gets, are those of one version.
file(STRINGS ${CAPSTONE_DIR}/pkgconfig.mk version REGEX "^PKG_(MAJOR|MINOR|EXTRA) = [0-9]+$")
if(NOT version MATCHES "MAJOR = 4;PKG_MINOR = 0;PKG_EXTRA = 2")
	message(FATAL_ERROR "Capstone 4.0.2 (Debian 12) is needed, found: ${version}. "
		"Look through src/mmio/second.c before you take another one, or set POSTERN_CAPSTONE=OFF.")
endif()

set(CAPSTONE_SOURCES cs.c utils.c SStream.c MCInst.c MCInstrDesc.c MCRegisterInfo.c)
foreach(file Disassembler DisassemblerDecoder IntelInstPrinter Mapping Module)
	list(APPEND CAPSTONE_SOURCES arch/X86/X86${file}.c)
endforeach()
list(TRANSFORM CAPSTONE_SOURCES PREPEND ${CAPSTONE_DIR}/)

# The diet build has no texts. For logs the names of instructions come from those of the enumerators.
set(CAPSTONE_GENERATED ${CMAKE_BINARY_DIR}/generated/capstone)
function(capstone_names)
	file(STRINGS ${CAPSTONE_DIR}/include/capstone/x86.h lines REGEX "^[ \t]*X86_INS_")
	set(text "/* By cmake/capstone.cmake from capstone/x86.h: in the order of enum x86_insn. */\n")
	foreach(line ${lines})
		if(NOT line MATCHES "^[ \t]*X86_INS_([A-Z0-9_]+)( = 0)?,")
			message(FATAL_ERROR "capstone/x86.h: not an enumerator: ${line}")
		endif()
		if(NOT CMAKE_MATCH_1 STREQUAL "ENDING")
			string(TOLOWER ${CMAKE_MATCH_1} name)
			string(APPEND text "\"${name}\",\n")
		endif()
	endforeach()
	file(CONFIGURE OUTPUT ${CAPSTONE_GENERATED}/capstone_names.inc CONTENT "${text}" @ONLY)
endfunction()
capstone_names()

set(CAPSTONE_DEFINITIONS CAPSTONE_HAS_X86 CAPSTONE_X86_ATT_DISABLE)

# Without CAPSTONE_USE_SYS_DYN_MEM it names no allocator: second.c gives it one. There is no floating
# point in it but for two helpers that nobody calls.
add_library(room_capstone STATIC ${CAPSTONE_SOURCES} ${CMAKE_SOURCE_DIR}/src/mmio/capstone/libc.c)
target_include_directories(room_capstone SYSTEM BEFORE PUBLIC ${CMAKE_SOURCE_DIR}/src/mmio/capstone
	${CAPSTONE_DIR}/include ${CAPSTONE_GENERATED})
target_include_directories(room_capstone PRIVATE ${CMAKE_SOURCE_DIR}/src)
target_compile_definitions(room_capstone PRIVATE ${CAPSTONE_DEFINITIONS} CAPSTONE_DIET double=long
	float=int)
target_compile_options(room_capstone PRIVATE ${POSTERN_FREESTANDING} -Os -w)

# With texts and the C library: for tests and tools.
add_library(hosted_capstone STATIC EXCLUDE_FROM_ALL ${CAPSTONE_SOURCES})
target_include_directories(hosted_capstone SYSTEM BEFORE PUBLIC ${CAPSTONE_DIR}/include
	${CAPSTONE_GENERATED})
target_compile_definitions(hosted_capstone PRIVATE ${CAPSTONE_DEFINITIONS} CAPSTONE_USE_SYS_DYN_MEM)
target_compile_options(hosted_capstone PRIVATE ${POSTERN_HOSTED} -w)

# What postern.efi has, as objects, so that it takes precedence over the library in a program that
# wants it.
add_library(hosted_capstone_diet OBJECT EXCLUDE_FROM_ALL ${CAPSTONE_SOURCES}
	${CMAKE_SOURCE_DIR}/src/mmio/capstone/libc.c)
target_include_directories(hosted_capstone_diet SYSTEM BEFORE PRIVATE ${CAPSTONE_DIR}/include)
target_include_directories(hosted_capstone_diet PRIVATE ${CMAKE_SOURCE_DIR}/src)
target_compile_definitions(hosted_capstone_diet PRIVATE ${CAPSTONE_DEFINITIONS} CAPSTONE_DIET)
target_compile_options(hosted_capstone_diet PRIVATE ${POSTERN_HOSTED} -w)
