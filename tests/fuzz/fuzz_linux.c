/* A file that claims to be a Linux kernel: its header is the input, guest memory what it may not leave. */
#include "guest/linux.h"
#include "fuzz.h"

#define SIZE GUEST_SIZE_MIN

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t *memory;
	static struct gmem gmem;
	struct guest_linux_params p = {.kernel = data,
		.kernel_len = size,
		.cmdline = "quiet",
		.initramfs = data,
		.initramfs_len = size,
		.tsc_khz = 1};
	struct guest_map map;
	struct guest_entry entry;
	struct guest_error error;

	if (!memory) {
		memory = calloc(1, SIZE);
		MUST(memory && !gmem_add(&gmem, (struct gmem_run){gpa(0), hpa(0), SIZE, memory}));
	}
	MUST(guest_map_init(&map, SIZE) == 0);
	if (guest_load_linux(&gmem, &map, &p, &entry, &error) == 0) {
		MUST(map.kernel.base >= GUEST_HIGH_BASE);
		MUST(map.kernel.base + map.kernel.len <= map.initramfs.base);
		MUST(map.initramfs.base + map.initramfs.len <= SIZE);
		MUST(entry.rip == map.kernel.base + 0x200);
	} else {
		MUST(error.text[0] && memchr(error.text, '\0', sizeof(error.text)));
	}
	return 0;
}
