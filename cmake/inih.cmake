# inih, the INI parser, from Debian's source package: its header wants stdio, which freestanding
# code has not, so that the library package doesn't fit. tools/debsource fetches it once.
set(INIH_DIR ${CMAKE_BINARY_DIR}/third_party/libinih)
if(NOT EXISTS ${INIH_DIR}/ini.c)
	execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/debsource libinih ${INIH_DIR}
		COMMAND_ERROR_IS_FATAL ANY)
endif()

# No file functions, no heap: a line buffer on the stack and ini_parse_string only. No comments behind
# a value, so that a command line may hold any text.
set(INIH_DEFINITIONS INI_USE_STACK=1 INI_MAX_LINE=2048 INI_ALLOW_MULTILINE=0 INI_ALLOW_REALLOC=0
	INI_HANDLER_LINENO=1 INI_STOP_ON_FIRST_ERROR=0 INI_ALLOW_INLINE_COMMENTS=0)
add_library(room_inih STATIC ${INIH_DIR}/ini.c)
target_include_directories(room_inih SYSTEM BEFORE PUBLIC
	${CMAKE_SOURCE_DIR}/src/efi/inih ${INIH_DIR} PRIVATE ${CMAKE_SOURCE_DIR}/src)
target_compile_definitions(room_inih PUBLIC ${INIH_DEFINITIONS})
target_compile_options(room_inih PRIVATE ${POSTERN_FREESTANDING} -w)
add_library(hosted_inih STATIC EXCLUDE_FROM_ALL ${INIH_DIR}/ini.c)
target_include_directories(hosted_inih SYSTEM PUBLIC ${INIH_DIR})
target_compile_definitions(hosted_inih PUBLIC ${INIH_DEFINITIONS})
target_compile_options(hosted_inih PRIVATE ${POSTERN_HOSTED} -w)
