# postern_efi(NAME sources... LIBS libs...): an EFI application NAME.efi in the build's root.
#
# gnu-efi's start-up code and relocator, a linker script of ours (4 KiB sections, none both
# writable and executable), and objcopy to PE32+.
set(GNUEFI_LIB /usr/lib)
set(GNUEFI_INCLUDE /usr/include/efi)
set(POSTERN_LDS ${CMAKE_SOURCE_DIR}/src/efi/postern.lds)

set(EFI_COMPILE ${POSTERN_FREESTANDING} -fshort-wchar)
set(EFI_DEFINITIONS GNU_EFI_USE_MS_ABI)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
	list(APPEND EFI_COMPILE -maccumulate-outgoing-args)
endif()

# UEFI's headers and calling convention, for hosted tests too.
function(postern_efi_headers target)
	target_include_directories(${target} SYSTEM PUBLIC ${GNUEFI_INCLUDE} ${GNUEFI_INCLUDE}/x86_64)
	target_compile_definitions(${target} PRIVATE ${EFI_DEFINITIONS})
endfunction()

function(postern_efi_options target)
	postern_efi_headers(${target})
	target_compile_options(${target} PRIVATE ${EFI_COMPILE})
endfunction()

function(postern_efi name)
	cmake_parse_arguments(E "" "" "SOURCES;LIBS" ${ARGN})
	add_executable(${name}.so ${E_SOURCES})
	postern_efi_options(${name}.so)
	target_compile_options(${name}.so PRIVATE ${POSTERN_WARNINGS})
	target_include_directories(${name}.so PRIVATE ${CMAKE_SOURCE_DIR}/src)
	target_link_libraries(${name}.so PRIVATE ${E_LIBS} ${GNUEFI_LIB}/libgnuefi.a)
	set_target_properties(${name}.so PROPERTIES SUFFIX "" LINK_DEPENDS ${POSTERN_LDS})
	target_link_options(${name}.so PRIVATE -nostdlib -nostartfiles -shared -O2 ${EFI_COMPILE}
		-Wl,-Bsymbolic,-znocombreloc,-zmax-page-size=4096,--gc-sections,--no-undefined,--build-id=none
		-Wl,-T,${POSTERN_LDS} ${GNUEFI_LIB}/crt0-efi-x86_64.o -fuse-ld=bfd)
	add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/${name}.efi
		COMMAND objcopy -j .text -j .rodata -j .data -j .dynamic -j .dynsym -j .rela -j .reloc
			--target=efi-app-x86_64 $<TARGET_FILE:${name}.so> ${CMAKE_BINARY_DIR}/${name}.efi
		DEPENDS ${name}.so VERBATIM)
	add_custom_target(${name}.efi ALL DEPENDS ${CMAKE_BINARY_DIR}/${name}.efi)
endfunction()
