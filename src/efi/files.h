/* Files on the volume that Postern was started from. */
#ifndef POSTERN_EFI_FILES_H
#define POSTERN_EFI_FILES_H

#include "efi/uefi.h"

struct file {
	void *data; /* whole pages of boot-services data; a NUL follows the contents */
	uint64_t size;
};

/*
 * Reads a whole file, by its path from the volume's root in UTF-8. -E_NOENT, -E_NOMEM, -E_IO,
 * -E_TRUNCATED (the volume gave less than its directory says), -E_RANGE (over 2 GiB).
 */
int file_read(EFI_HANDLE volume, const char *path, struct file *ret_file) must_check;
/*
 * Writes a file anew, from pieces one behind the other; its folder must be there. The errors of
 * file_read, and -E_DENIED. What is there after an error is a part of the file, or none.
 */
struct file_piece {
	const void *data;
	uint64_t size;
};
int file_write(EFI_HANDLE volume, const char *path, const struct file_piece *pieces,
	size_t count) must_check;

void file_free(struct file *f);

/* Is there such a file? */
bool file_exists(EFI_HANDLE volume, const char *path);

#endif
