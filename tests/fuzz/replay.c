/* Runs a fuzz target over every file of a folder, and over every prefix of the short ones. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>

#define FILE_MAX (1u << 20)
#define PREFIXES 2048u /* bytes; longer files are run whole, and cut at each 997th byte */

/* A copy of just this length, so that a read behind its end is caught. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static int replay(const char *folder, const char *name)
{
	static uint8_t data[FILE_MAX];
	char path[4096];
	size_t size;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "rb");
	if (!f) {
		perror(path);
		return EXIT_FAILURE;
	}
	size = fread(data, 1, sizeof(data), f);
	fclose(f);
	for (size_t n = 0; n < size; n += size <= PREFIXES ? 1 : 997)
		run(data, n);
	run(data, size);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	int result = EXIT_SUCCESS;
	unsigned count = 0;
	struct dirent *entry;
	DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;

	if (!folder) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return EXIT_FAILURE;
	}
	while ((entry = readdir(folder))) {
		if (entry->d_name[0] == '.')
			continue;
		result |= replay(argv[1], entry->d_name);
		count++;
	}
	closedir(folder);
	printf("%u files\n", count);
	return count ? result : EXIT_FAILURE;
}
