/* postern.conf, as anyone could have written it. */
#include "efi/config.h"
#include "base/bits.h"
#include "core/trace.h"
#include "fuzz.h"

static bool ends(const char *s, size_t size)
{
	return memchr(s, '\0', size) != NULL;
}

static void check_config(const struct config *c)
{
	MUST(c->on_failure <= ACTION_MENU && c->on_time_limit <= ACTION_MENU);
	MUST(ends(c->kernel, sizeof(c->kernel)) && c->kernel[0] == '\\');
	MUST(ends(c->initramfs, sizeof(c->initramfs)) && ends(c->boot_path, sizeof(c->boot_path)));
	MUST(ends(c->cmdline, sizeof(c->cmdline)));
	MUST(c->memory >= CONFIG_MEMORY_MIN && c->memory <= CONFIG_MEMORY_MAX);
	MUST(is_aligned(c->memory, PAGE_SIZE));
	MUST(c->trace_to <= CONFIG_TRACE_SERIAL);
	MUST(c->trace_size >= TRACE_SIZE_MIN && c->trace_size <= TRACE_SIZE_MAX);
	MUST(c->device_count <= CONFIG_DEVICES);
	for (unsigned i = 0; i < c->device_count; i++) {
		MUST(c->device[i].match.kind != MATCH_NONE);
		MUST(ends(c->device[i].name, sizeof(c->device[i].name)) && c->device[i].name[0]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config config;
	struct config_error error;
	char line[300], *text = malloc(size + 1);

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	if (config_parse(&config, text, size, &error) == 0) {
		check_config(&config);
	} else {
		MUST(error.text[0] && ends(error.text, sizeof(error.text)));
		MUST(ends(error.key, sizeof(error.key)));
		config_error_print(&error, "f", line, sizeof(line));
		for (const char *s = line; *s; s++)
			MUST(*s >= ' ' || *s == '\t');
	}
	MUST(config.on_failure <= ACTION_MENU && config.on_reset <= ACTION_MENU);
	free(text);
	return 0;
}
