# postern_room(NAME [HOSTED file...] [FREESTANDING file...] [USES room...])
#
# HOSTED files are built twice: freestanding into room_NAME, and for tests into hosted_NAME.
# FREESTANDING files (privileged instructions, UEFI) exist only in room_NAME; tests bring doubles.
function(postern_room name)
	cmake_parse_arguments(R "" "" "HOSTED;FREESTANDING;USES" ${ARGN})
	add_library(room_${name} STATIC ${R_HOSTED} ${R_FREESTANDING})
	target_include_directories(room_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
	target_compile_options(room_${name} PRIVATE ${POSTERN_WARNINGS} ${POSTERN_FREESTANDING})
	# The exit path crosses rooms: optimised as one program it is a tenth shorter. Clang's objects
	# would need another linker.
	if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
		set_target_properties(room_${name} PROPERTIES INTERPROCEDURAL_OPTIMIZATION ON)
	endif()
	if(R_HOSTED)
		add_library(hosted_${name} STATIC EXCLUDE_FROM_ALL ${R_HOSTED})
		target_include_directories(hosted_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
		target_compile_options(hosted_${name} PRIVATE ${POSTERN_WARNINGS} ${POSTERN_HOSTED})
	else()
		add_library(hosted_${name} INTERFACE)
	endif()
	foreach(room ${R_USES})
		target_link_libraries(room_${name} PUBLIC room_${room})
		if(R_HOSTED)
			target_link_libraries(hosted_${name} PUBLIC hosted_${room})
		endif()
	endforeach()
endfunction()
