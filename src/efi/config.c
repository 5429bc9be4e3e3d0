/*
 * The parser of postern.conf. inih cuts lines into section, key and value; what it would let pass
 * or cut silently (long lines, text behind a section, bytes that aren't text) a scan finds first.
 *
 * Owns no state. Runs before the guest only.
 */
#include "efi/config.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/fmt.h"
#include "base/mem.h"
#include "core/trace.h"

#include <ini.h>

#define SECTION_MAX 40u /* inih cuts longer ones at 49 */

#define DEVICE_KEYS 10u

struct parser {
	struct config *c;
	struct config_error error;
	bool failed;
	bool device_seen[CONFIG_DEVICES][DEVICE_KEYS];
};

/* Reads a value into a field of struct config; on failure says why. */
typedef bool (*value_reader)(const char *value, void *field, char *why);

static void why_say(char *why, const char *text)
{
	fmt_print(why, CONFIG_TEXT_MAX + 1, "%s", text);
}

/* Text from the file for a message: short, and with an end. */
static void why_value(char *why, const char *value, const char *expected)
{
	bool is_long = strlen(value) > 40;

	fmt_print(why, CONFIG_TEXT_MAX + 1, "\"%.40s%s\" isn't %s", value, is_long ? "..." : "",
		expected);
}

/* ---- values ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static const char *const action_names[] = {
	[ACTION_CONTINUE] = "continue",
	[ACTION_NEXT] = "next",
	[ACTION_SHUTDOWN] = "shutdown",
	[ACTION_MENU] = "menu",
};

static bool read_action(const char *value, void *field, char *why)
{
	enum config_action *action = field;

	for (unsigned i = 0; i < array_size(action_names); i++) {
		if (strcmp(value, action_names[i]) == 0) {
			*action = (enum config_action)i;
			return true;
		}
	}
	why_value(why, value, "continue, next, shutdown or menu");
	return false;
}

/* Decimal digits up to another character; saturates. The number of digits, 0 if there is none. */
static size_t parse_decimal(const char *s, uint64_t *ret)
{
	uint64_t v = 0;
	size_t n = 0;

	for (; s[n] >= '0' && s[n] <= '9'; n++) {
		unsigned digit = (unsigned)(s[n] - '0');

		v = v > (UINT64_MAX - digit) / 10 ? UINT64_MAX : v * 10 + digit;
	}
	*ret = v;
	return n;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Exactly n hexadecimal digits at *s, which moves behind them. */
static bool parse_hex(const char **s, unsigned n, uint32_t *ret)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < n; i++) {
		int digit = hex_digit((*s)[i]);

		if (digit < 0)
			return false;
		v = v << 4 | (uint32_t)digit;
	}
	*s += n;
	*ret = v;
	return true;
}

#define TIME_LIMIT_MAX 86400u

static bool read_seconds(const char *value, void *field, char *why)
{
	uint32_t *seconds = field;
	uint64_t v;
	size_t n = parse_decimal(value, &v);

	if (!n || value[n]) {
		why_value(why, value, "a number of seconds");
		return false;
	}
	if (v > TIME_LIMIT_MAX) {
		why_value(why, value, "at most 86400 seconds, a day");
		return false;
	}
	*seconds = (uint32_t)v;
	return true;
}

static bool read_log(const char *value, void *field, char *why)
{
	uint32_t *log = field;

	if (strcmp(value, "serial") == 0)
		*log = CONFIG_LOG_SERIAL;
	else if (strcmp(value, "console") == 0)
		*log = CONFIG_LOG_CONSOLE;
	else if (strcmp(value, "serial,console") == 0 || strcmp(value, "console,serial") == 0)
		*log = CONFIG_LOG_SERIAL | CONFIG_LOG_CONSOLE;
	else {
		why_value(why, value, "serial, console or serial,console");
		return false;
	}
	return true;
}

static bool read_path_or_empty(const char *value, void *field, char *why)
{
	if (strlen(value) > CONFIG_PATH_MAX) {
		why_say(why, "the path is longer than 255 characters");
		return false;
	}
	if (*value && *value != '\\') {
		why_value(why, value, "a path on the ESP, beginning with \\");
		return false;
	}
	for (const char *s = value; *s; s++) {
		if (strchr("\"*/:<>?|\t", *s)) {
			fmt_print(why, CONFIG_TEXT_MAX + 1, "a path can't contain '%c'%s", *s,
				*s == '/' ? "; the separator is \\" : "");
			return false;
		}
	}
	memcpy(field, value, strlen(value) + 1);
	return true;
}

static bool read_path(const char *value, void *field, char *why)
{
	if (!*value) {
		why_say(why, "a path on the ESP is missing");
		return false;
	}
	return read_path_or_empty(value, field, why);
}

static bool read_cmdline(const char *value, void *field, char *why)
{
	if (strlen(value) > CONFIG_CMDLINE_MAX) {
		why_say(why, "the command line is longer than 1920 characters");
		return false;
	}
	memcpy(field, value, strlen(value) + 1);
	return true;
}

/* The power of two behind a number's suffix; false if it isn't one. */
static bool suffix_shift(const char *s, unsigned *ret)
{
	static const char suffixes[] = "KMG";
	const char *at;

	if (!*s) {
		*ret = 0;
		return true;
	}
	at = strchr(suffixes, *s);
	if (!at || s[1])
		return false;
	*ret = 10 * (unsigned)(at - suffixes + 1);
	return true;
}

/* A number of bytes from min to max, in whole pages; limits says which in words. */
static bool read_size(
	const char *value, uint64_t min, uint64_t max, const char *limits, uint64_t *ret, char *why)
{
	uint64_t v;
	unsigned shift;
	size_t n = parse_decimal(value, &v);

	if (!n || !suffix_shift(value + n, &shift)) {
		why_value(why, value, "a size in bytes, or with K, M or G behind it");
		return false;
	}
	v = v > (UINT64_MAX >> shift) ? UINT64_MAX : v << shift;
	if (v < min || v > max) {
		why_value(why, value, limits);
		return false;
	}
	if (!is_aligned(v, PAGE_SIZE)) {
		why_value(why, value, "a multiple of 4K");
		return false;
	}
	*ret = v;
	return true;
}

static bool read_memory(const char *value, void *field, char *why)
{
	return read_size(value, CONFIG_MEMORY_MIN, CONFIG_MEMORY_MAX, "from 32M to 2G", field, why);
}

static bool read_trace_size(const char *value, void *field, char *why)
{
	return read_size(value, TRACE_SIZE_MIN, TRACE_SIZE_MAX, "from 256K to 64M", field, why);
}

static bool read_trace_to(const char *value, void *field, char *why)
{
	enum config_trace *to = field;

	if (strcmp(value, "file") == 0)
		*to = CONFIG_TRACE_FILE;
	else if (strcmp(value, "serial") == 0)
		*to = CONFIG_TRACE_SERIAL;
	else {
		why_value(why, value, "file or serial");
		return false;
	}
	return true;
}

static bool read_switch(const char *value, void *field, char *why)
{
	bool *on = field;

	*on = strcmp(value, "on") == 0;
	if (!*on && strcmp(value, "off") != 0) {
		why_value(why, value, "on or off");
		return false;
	}
	return true;
}

static bool read_display(const char *value, void *field, char *why)
{
	bool *framebuffer = field;

	if (strcmp(value, "framebuffer") == 0)
		*framebuffer = true;
	else if (strcmp(value, "none") == 0)
		*framebuffer = false;
	else {
		why_value(why, value, "framebuffer or none");
		return false;
	}
	return true;
}

static bool read_console(const char *value, void *field, char *why)
{
	bool *firmware = field;

	*firmware = strcmp(value, "firmware") == 0;
	if (!*firmware && strcmp(value, "none") != 0) {
		why_value(why, value, "none or firmware");
		return false;
	}
	return true;
}

static bool read_boot(const char *value, void *field, char *why)
{
	enum config_boot *boot = field;

	if (strcmp(value, "auto") == 0)
		*boot = CONFIG_BOOT_AUTO;
	else if (strcmp(value, "linux") == 0)
		*boot = CONFIG_BOOT_LINUX;
	else if (strcmp(value, "efi") == 0)
		*boot = CONFIG_BOOT_EFI;
	else {
		why_value(why, value, "auto, linux or efi");
		return false;
	}
	return true;
}

/* UEFI specification 2.10, "Globally Defined Variables": EFI_GLOBAL_VARIABLE, in memory. */
static const uint8_t global_guid[16] = {0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d,
	0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c};

#define GUID_TEXT 36u /* 8-4-4-4-12 digits */

/*
 * UEFI Specification 2.10, "GUID and Time Formats": the first three fields of the text are numbers,
 * which are stored with their low byte first. *s moves behind it; *ret_guid is set only if it is one.
 */
static bool parse_guid(const char **s, uint8_t ret_guid[static CONFIG_GUID])
{
	static const uint8_t place[CONFIG_GUID] = {
		3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
	uint8_t guid[CONFIG_GUID];
	const char *at = *s;
	uint32_t byte;

	for (unsigned i = 0; i < CONFIG_GUID; i++) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && *at++ != '-')
			return false;
		if (!parse_hex(&at, 2, &byte))
			return false;
		guid[place[i]] = (uint8_t)byte;
	}
	memcpy(ret_guid, guid, sizeof(guid));
	*s = at;
	return true;
}

/* One word of the list, of len characters: a name, or NAME-GUID. */
static bool parse_variable(const char *word, size_t len, struct config_variable *ret)
{
	struct config_variable v = {0};

	memcpy(v.guid, global_guid, sizeof(v.guid));
	if (len > GUID_TEXT + 1 && word[len - GUID_TEXT - 1] == '-') {
		const char *guid = word + len - GUID_TEXT;

		if (parse_guid(&guid, v.guid))
			len -= GUID_TEXT + 1;
	}
	if (!len || len > CONFIG_VARIABLE_NAME)
		return false;
	memcpy(v.name, word, len);
	*ret = v;
	return true;
}

static bool read_variables(const char *value, void *field, char *why)
{
	struct config_variables list = {0};
	size_t len;

	for (; *value; value += len) {
		while (*value == ' ' || *value == '\t')
			value++;
		for (len = 0; value[len] && value[len] != ' ' && value[len] != '\t';)
			len++;
		if (!len)
			break;
		if (list.count == CONFIG_VARIABLES) {
			why_say(why, "more than 16 variables");
			return false;
		}
		if (!parse_variable(value, len, &list.item[list.count++])) {
			why_value(why, value, "a variable's name of at most 63 characters");
			return false;
		}
	}
	memcpy(field, &list, sizeof(list));
	return true;
}

/* If s begins with prefix, what follows it. */
static const char *after_prefix(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

static bool parse_class(const char *s, struct config_match *m)
{
	uint32_t class_code, interface;

	if (!parse_hex(&s, 4, &class_code))
		return false;
	*m = (struct config_match){
		.kind = MATCH_CLASS, .class_code = class_code << 8, .class_mask = 0xffff00};
	if (!*s)
		return true;
	if (!parse_hex(&s, 2, &interface) || *s)
		return false;
	m->class_code |= interface;
	m->class_mask = 0xffffff;
	return true;
}

static bool parse_id(const char *s, struct config_match *m)
{
	uint32_t vendor, device;

	if (!parse_hex(&s, 4, &vendor) || *s++ != ':' || !parse_hex(&s, 4, &device) || *s)
		return false;
	*m = (struct config_match){
		.kind = MATCH_ID, .vendor = (uint16_t)vendor, .device = (uint16_t)device};
	return true;
}

static bool parse_pci(const char *s, struct config_match *m)
{
	uint32_t bus, dev, fn;

	if (!parse_hex(&s, 2, &bus) || *s++ != ':' || !parse_hex(&s, 2, &dev) || *s++ != '.' ||
		!parse_hex(&s, 1, &fn) || *s)
		return false;
	if (dev > 31 || fn > 7)
		return false;
	*m = (struct config_match){.kind = MATCH_PCI, .bdf = PCI_BDF(bus, dev, fn)};
	return true;
}

static bool parse_disk(const char *s, struct config_match *m)
{
	*m = (struct config_match){.kind = MATCH_BOOT_DISK};
	return strcmp(s, "boot") == 0;
}

static bool parse_partition(const char *s, struct config_match *m)
{
	*m = (struct config_match){.kind = MATCH_PARTITION};
	return parse_guid(&s, m->partition) && !*s;
}

static bool read_match(const char *value, void *field, char *why)
{
	static const struct {
		const char *prefix;
		bool (*parse)(const char *s, struct config_match *m);
	} kinds[] = {{"class:", parse_class}, {"id:", parse_id}, {"pci:", parse_pci},
		{"disk:", parse_disk}, {"partition:", parse_partition}};

	for (unsigned i = 0; i < array_size(kinds); i++) {
		const char *rest = after_prefix(value, kinds[i].prefix);
		struct config_match m;

		if (!rest || !kinds[i].parse(rest, &m))
			continue;
		memcpy(field, &m, sizeof(m));
		return true;
	}
	why_value(why, value,
		"class:CCSS[PP], id:VVVV:DDDD, pci:BB:DD.F, disk:boot or partition:GUID");
	return false;
}

/* Which words exist is for the session to say. */
static bool read_word(const char *value, void *field, char *why)
{
	size_t len = strlen(value);

	if (len > CONFIG_WORD_MAX) {
		why_value(why, value, "a shorter word");
		return false;
	}
	memcpy(field, value, len + 1);
	return true;
}

static bool read_mode(const char *value, void *field, char *why)
{
	enum device_mode *mode = field;

	if (strcmp(value, "hidden") == 0)
		*mode = DEVICE_HIDDEN;
	else if (strcmp(value, "restricted") == 0)
		*mode = DEVICE_RESTRICTED;
	else if (strcmp(value, "firmware") == 0)
		*mode = DEVICE_FIRMWARE;
	else {
		why_value(why, value, "hidden, restricted or firmware");
		return false;
	}
	return true;
}

static bool read_yes(const char *value, void *field, char *why)
{
	bool *yes = field;

	*yes = strcmp(value, "yes") == 0;
	if (!*yes && strcmp(value, "no") != 0) {
		why_value(why, value, "yes or no");
		return false;
	}
	return true;
}

static bool parse_number(const char **s, uint64_t *ret)
{
	size_t n = parse_decimal(*s, ret);

	*s += n;
	return n && *ret != UINT64_MAX;
}

/* Behind a comma between two elements of a list; false: *s isn't at one. Blanks around it only. */
static bool skip_comma(const char **s)
{
	while (is_blank(**s))
		++*s;
	if (**s != ',')
		return false;
	do
		++*s;
	while (is_blank(**s));
	return true;
}

/* "GUID" or "NUMBER" of a partition. */
static bool parse_window_partition(const char **s, struct config_window *r)
{
	uint64_t number;

	if (parse_guid(s, r->partition)) {
		r->kind = WINDOW_GUID;
		return true;
	}
	r->kind = WINDOW_NUMBER;
	if (!parse_number(s, &number) || !number || number > UINT32_MAX)
		return false;
	r->number = (uint32_t)number;
	return true;
}

static bool parse_window(const char **s, struct config_window *ret)
{
	struct config_window r = {.kind = WINDOW_BLOCKS};
	const char *partition = after_prefix(*s, "partition:");

	if (partition) {
		*s = partition;
		if (!parse_window_partition(s, &r))
			return false;
	} else if (!parse_number(s, &r.blocks.first) || *(*s)++ != '-' ||
		   !parse_number(s, &r.blocks.last) || r.blocks.first > r.blocks.last) {
		return false;
	}
	if ((*s)[0] == ':' && (*s)[1] == 'r') {
		r.blocks.read_only = true;
		*s += 2;
	}
	*ret = r;
	return true;
}

static bool read_window(const char *value, void *field, char *why)
{
	struct config_windows *w = field;
	const char *s = value;

	*w = (struct config_windows){.count = 0};
	do {
		struct config_window r;

		if (!parse_window(&s, &r))
			break;
		if (w->count == CONFIG_WINDOWS) {
			why_say(why, "more than 4 windows");
			return false;
		}
		w->range[w->count++] = r;
		if (!*s)
			return true;
	} while (skip_comma(&s));
	why_value(why, value,
		"FIRST-LAST in blocks or partition:GUID or partition:NUMBER, each perhaps with :r, "
		"or several with commas");
	return false;
}

/* ---- policies ---- */

static bool read_policy(const char *value, void *field, char *why)
{
	uint64_t *profile = field;

	*profile = policy_find_profile(value);
	if (!*profile)
		why_value(why, value, "read-only, unlock or full");
	return *profile != 0;
}

static bool read_commands(const char *value, void *field, char *why)
{
	uint64_t *commands = field;
	const char *s = value;

	*commands = 0;
	do {
		size_t len = 0;
		uint64_t found;

		while (s[len] && s[len] != ',' && !is_blank(s[len]))
			len++;
		found = policy_find_command(s, len);
		if (!found) {
			fmt_print(why, CONFIG_TEXT_MAX + 1, "\"%.*s\" isn't a command",
				(int)min_u64(len, 40), s);
			return false;
		}
		*commands |= found;
		s += len;
	} while (skip_comma(&s));
	if (*s)
		why_value(why, value, "COMMAND, or several with commas");
	return !*s;
}

static bool read_queues(const char *value, void *field, char *why)
{
	uint32_t *queues = field;
	uint64_t v;
	size_t n = parse_decimal(value, &v);

	if (!n || value[n] || !v || v > POLICY_QUEUES) {
		why_value(why, value, "a number from 1 to 4");
		return false;
	}
	*queues = (uint32_t)v;
	return true;
}

static bool read_transfer(const char *value, void *field, char *why)
{
	uint32_t *transfer = field;
	uint64_t v;

	if (!read_size(value, PAGE_SIZE, POLICY_TRANSFER, "from 4K to 128K", &v, why))
		return false;
	if (v & (v - 1)) {
		why_value(why, value, "a power of two");
		return false;
	}
	*transfer = (uint32_t)v;
	return true;
}

/* ---- keys ---- */

struct key {
	const char *section, *name;
	value_reader read;
	size_t field; /* offset in struct config, or in struct config_device */
};

#define KEY(section, name, read, field)                                                            \
	{                                                                                          \
		section, name, read, offsetof(struct config, field)                                \
	}

static const struct key keys[CONFIG_KEYS] = {
	[CONFIG_ON_FAILURE] = KEY("postern", "on_failure", read_action, on_failure),
	[CONFIG_ON_RESET] = KEY("postern", "on_reset", read_action, on_reset),
	[CONFIG_ON_POWEROFF] = KEY("postern", "on_poweroff", read_action, on_poweroff),
	[CONFIG_ON_TRIPLE_FAULT] = KEY("postern", "on_triple_fault", read_action, on_triple_fault),
	[CONFIG_ON_TIME_LIMIT] = KEY("postern", "on_time_limit", read_action, on_time_limit),
	[CONFIG_TIME_LIMIT] = KEY("postern", "time_limit", read_seconds, time_limit),
	[CONFIG_TIME_LIMIT_GRACE] = KEY(
		"postern", "time_limit_grace", read_seconds, time_limit_grace),
	[CONFIG_LOG] = KEY("postern", "log", read_log, log),
	[CONFIG_REHEARSE] = KEY("postern", "rehearse", read_word, rehearse),
	[CONFIG_TRACE_TO] = KEY("postern", "trace_to", read_trace_to, trace_to),
	[CONFIG_TRACE_SIZE] = KEY("postern", "trace_size", read_trace_size, trace_size),
	[CONFIG_KERNEL] = KEY("guest", "kernel", read_path, kernel),
	[CONFIG_BOOT] = KEY("guest", "boot", read_boot, boot),
	[CONFIG_INITRAMFS] = KEY("guest", "initramfs", read_path_or_empty, initramfs),
	[CONFIG_CMDLINE] = KEY("guest", "cmdline", read_cmdline, cmdline),
	[CONFIG_MEMORY] = KEY("guest", "memory", read_memory, memory),
	[CONFIG_DISPLAY] = KEY("guest", "display", read_display, framebuffer),
	[CONFIG_ACPI] = KEY("guest", "acpi", read_switch, acpi),
	[CONFIG_APIC] = KEY("guest", "apic", read_switch, apic),
	[CONFIG_CONSOLE] = KEY("guest", "console", read_console, firmware_console),
	[CONFIG_VARIABLE_LIST] = KEY("guest", "variables", read_variables, variables),
	[CONFIG_BOOT_PATH] = KEY("boot", "path", read_path_or_empty, boot_path),
};

static const struct key device_keys[DEVICE_KEYS] = {
	{"device", "match", read_match, offsetof(struct config_device, match)},
	{"device", "mode", read_mode, offsetof(struct config_device, mode)},
	{"device", "trace", read_switch, offsetof(struct config_device, trace)},
	{"device", "write", read_yes, offsetof(struct config_device, write)},
	{"device", "window", read_window, offsetof(struct config_device, window)},
	{"device", "policy", read_policy, offsetof(struct config_device, profile)},
	{"device", "allow", read_commands, offsetof(struct config_device, allow)},
	{"device", "deny", read_commands, offsetof(struct config_device, deny)},
	{"device", "queues", read_queues, offsetof(struct config_device, queues)},
	{"device", "transfer", read_transfer, offsetof(struct config_device, transfer)},
};

/* Of several errors the first in the file stays. */
static void parser_fail(struct parser *p, unsigned line, const char *key, const char *text)
{
	if (p->failed && p->error.line <= line)
		return;
	p->failed = true;
	p->error.line = line;
	fmt_print(p->error.key, sizeof(p->error.key), "%s", key);
	fmt_print(p->error.text, sizeof(p->error.text), "%s", text);
}

/* Reads a value, or records what is wrong with it. */
static bool key_read(struct parser *p, const struct key *k, void *base, unsigned line, bool again,
	const char *value)
{
	char why[CONFIG_TEXT_MAX + 1] = "";

	if (again)
		why_say(why, "is set twice");
	else if (k->read(value, (char *)base + k->field, why))
		return true;
	parser_fail(p, line, k->name, why);
	return false;
}

/* The name in "device NAME", or NULL. */
static const char *section_device(const char *section)
{
	const char *name = after_prefix(section, "device");

	if (!name || (*name != ' ' && *name != '\t'))
		return NULL;
	while (*name == ' ' || *name == '\t')
		name++;
	return *name ? name : NULL;
}

static struct config_device *find_device(struct config *c, const char *name)
{
	for (unsigned i = 0; i < c->device_count; i++) {
		if (strcmp(c->device[i].name, name) == 0)
			return &c->device[i];
	}
	return NULL;
}

static bool handle_device(
	struct parser *p, const char *device, const char *name, const char *value, unsigned line)
{
	struct config_device *d = find_device(p->c, device);

	if (!d)
		return false; /* the scan has refused the section already */
	for (unsigned i = 0; i < array_size(device_keys); i++) {
		bool *seen = &p->device_seen[d - p->c->device][i];

		if (strcmp(name, device_keys[i].name) != 0)
			continue;
		if (!key_read(p, &device_keys[i], d, line, *seen, value))
			return false;
		*seen = true;
		if (i == 0)
			d->line = line;
		if (device_keys[i].read == read_window)
			d->window_line = line;
		return true;
	}
	parser_fail(p, line, name, "unknown key in this section");
	return false;
}

/* inih calls this for each key; a return of 0 is an error. */
static int handle_key(void *user, const char *section, const char *name, const char *value, int at)
{
	struct parser *p = user;
	unsigned line = (unsigned)at;
	const char *device = section_device(section);

	if (device)
		return handle_device(p, device, name, value, line);
	for (unsigned i = 0; i < CONFIG_KEYS; i++) {
		if (strcmp(section, keys[i].section) != 0 || strcmp(name, keys[i].name) != 0)
			continue;
		if (!key_read(p, &keys[i], p->c, line, p->c->line[i] != 0, value))
			return 0;
		p->c->line[i] = line;
		return 1;
	}
	parser_fail(p, line, name,
		*section ? "unknown key in this section" : "stands before the first [section]");
	return 0;
}

/* The first pass: what a failure needs, on_failure and the path that it may boot; no complaints. */
static int handle_failure_key(
	void *user, const char *section, const char *name, const char *value, int line)
{
	static const enum config_key wanted[] = {CONFIG_ON_FAILURE, CONFIG_BOOT_PATH};
	struct config *c = user;
	char why[CONFIG_TEXT_MAX + 1];

	(void)line;
	for (unsigned i = 0; i < array_size(wanted); i++) {
		const struct key *k = &keys[wanted[i]];

		if (strcmp(section, k->section) == 0 && strcmp(name, k->name) == 0)
			(void)k->read(value, (char *)c + k->field, why);
	}
	return 1;
}

/* ---- the scan of lines ---- */

/* A section that the file opens: is it one of ours? Devices get their entry here. */
static const char *section_open(struct config *c, const char *section)
{
	const char *name = section_device(section);
	struct config_device *d;

	if (!name) {
		for (unsigned i = 0; i < CONFIG_KEYS; i++) {
			if (strcmp(section, keys[i].section) == 0)
				return NULL;
		}
		return strcmp(section, "device") == 0 ? "a device needs a name: [device NAME]"
						      : "unknown section";
	}
	if (strlen(name) >= DEVICE_NAME_MAX)
		return "a device's name has at most 23 characters";
	if (find_device(c, name))
		return NULL;
	if (c->device_count == CONFIG_DEVICES)
		return "more than 8 devices";
	d = &c->device[c->device_count++];
	memcpy(d->name, name, strlen(name) + 1);
	return NULL;
}

/* A line that begins with '['. inih ignores what stands behind the ']'. */
static const char *scan_section(
	struct parser *p, const char *text, size_t len, char ret_section[static SECTION_MAX + 3])
{
	char section[SECTION_MAX + 1];
	size_t n = 1;

	while (n < len && text[n] != ']')
		n++;
	fmt_print(
		ret_section, SECTION_MAX + 3, "%.*s", (int)min_u64(n + 1, min_u64(len, 42)), text);
	if (n == len)
		return "a section needs a ] at its end";
	if (n - 1 > SECTION_MAX)
		return "a section's name has at most 40 characters";
	memcpy(section, text + 1, n - 1);
	section[n - 1] = '\0';
	for (size_t i = n + 1; i < len; i++) {
		if (!is_blank(text[i]))
			return "text behind a section";
	}
	return section_open(p->c, section);
}

static void scan_line(struct parser *p, unsigned line, const char *text, size_t len)
{
	char why[CONFIG_TEXT_MAX + 1], section[SECTION_MAX + 3];
	const char *wrong;

	if (len > CONFIG_LINE_MAX) {
		parser_fail(p, line, "", "the line is longer than 2045 characters");
		return;
	}
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)text[i];

		if ((c >= ' ' && c < 0x7f) || c == '\t')
			continue;
		fmt_print(why, sizeof(why), "byte 0x%02x in column %u isn't ASCII text", c,
			(unsigned)i + 1);
		parser_fail(p, line, "", why);
		return;
	}
	while (len && is_blank(*text))
		text++, len--;
	if (!len || *text != '[')
		return;
	wrong = scan_section(p, text, len, section);
	if (wrong)
		parser_fail(p, line, section, wrong);
}

static void scan_lines(struct parser *p, const char *text, size_t len)
{
	size_t start = 0;

	for (unsigned line = 1; start < len && !p->failed; line++) {
		size_t end = start, n;

		while (end < len && text[end] != '\n')
			end++;
		n = end - start;
		scan_line(p, line, text + start, n && text[end - 1] == '\r' ? n - 1 : n);
		start = end + 1;
	}
}

/* ---- the whole ---- */

bool config_names_policy(const struct config_device *d)
{
	return d->profile || d->allow || d->deny || d->queues || d->transfer;
}

static bool names_partition(const struct config_windows *w)
{
	for (unsigned i = 0; i < w->count; i++)
		if (w->range[i].kind != WINDOW_BLOCKS)
			return true;
	return false;
}

/* What is wrong with a section as a whole, or NULL. */
static const char *device_problem(const struct config_device *d)
{
	if (d->match.kind == MATCH_NONE)
		return "match is missing";
	if (d->trace && d->mode != DEVICE_RESTRICTED)
		return "trace = on needs mode = restricted";
	if (d->mode != DEVICE_RESTRICTED && config_names_policy(d))
		return "policy, allow, deny, queues and transfer need mode = restricted";
	if (d->mode == DEVICE_FIRMWARE)
		return names_partition(&d->window) ? "window = partition: needs mode = restricted"
						   : NULL;
	if (config_match_is_disk(&d->match))
		return "match = disk: or partition: needs mode = firmware";
	if (d->write)
		return "write needs mode = firmware; mode = restricted has policy";
	if (d->window.count && d->mode != DEVICE_RESTRICTED)
		return "window needs mode = restricted or firmware";
	return NULL;
}

/* The firmware's console and the guest's own picture would be drawn over one another. */
static void check_console(struct parser *p)
{
	struct config *c = p->c;

	if (!c->firmware_console)
		return;
	if (!c->line[CONFIG_DISPLAY])
		c->framebuffer = false;
	if (c->framebuffer)
		parser_fail(p, c->line[CONFIG_CONSOLE], "console",
			"console = firmware and display = framebuffer draw on the same screen");
}

static void check_required(struct parser *p)
{
	const struct config *c = p->c;

	if (!c->line[CONFIG_KERNEL])
		parser_fail(p, 0, "kernel", "missing in [guest]");
	check_console(p);
	for (unsigned i = 0; i < c->device_count; i++) {
		const struct config_device *d = &c->device[i];
		const char *wrong = device_problem(d);
		char section[DEVICE_NAME_MAX + 10];

		fmt_print(section, sizeof(section), "[device %s]", d->name);
		if (wrong)
			parser_fail(p, 0, section, wrong);
	}
}

struct policy config_policy(const struct config_device *d)
{
	struct policy p = policy_read_only;

	if (d->profile)
		p.allowed = d->profile;
	p.allowed = (p.allowed | d->allow) & ~d->deny;
	if (d->queues)
		p.queues = (uint16_t)d->queues;
	if (d->transfer)
		p.transfer = d->transfer;
	return p;
}

bool config_wants_trace(const struct config *c)
{
	for (unsigned i = 0; i < c->device_count; i++) {
		if (c->device[i].trace)
			return true;
	}
	return false;
}

void config_init(struct config *c)
{
	char why[CONFIG_TEXT_MAX + 1];

	memset(c, 0, sizeof(*c));
	c->log = CONFIG_LOG_SERIAL | CONFIG_LOG_CONSOLE;
	c->trace_size = 8 * MIB;
	c->memory = 512 * MIB;
	c->framebuffer = true;
	c->acpi = true;
	c->time_limit_grace = 10;
	c->apic = true;
	(void)read_variables("SecureBoot SetupMode BootCurrent", &c->variables, why);
}

static void parse_keys(struct parser *p, const char *text)
{
	int line = ini_parse_string(text, handle_key, p);

	if (line > 0)
		parser_fail(p, (unsigned)line, "", "neither a [section] nor KEY = VALUE");
	if (!p->failed)
		check_required(p);
}

int config_parse(struct config *c, const char *text, size_t len, struct config_error *ret_error)
{
	struct parser p = {.c = c};

	config_init(c);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3, len -= 3;
	if (len > CONFIG_SIZE_MAX) {
		parser_fail(&p, 0, "", "the file is larger than 64 KiB");
		goto failed;
	}
	(void)ini_parse_string(text, handle_failure_key, c);
	c->on_reset = c->on_poweroff = c->on_triple_fault = c->on_time_limit = c->on_failure;
	scan_lines(&p, text, len);
	if (!p.failed)
		parse_keys(&p, text);
	if (!p.failed)
		return 0;
failed:
	*ret_error = p.error;
	return -E_INVAL;
}

void config_error_at(const struct config *c, enum config_key key, const char *text,
	struct config_error *ret_error)
{
	ret_error->line = key < CONFIG_KEYS ? c->line[key] : 0;
	fmt_print(ret_error->key, sizeof(ret_error->key), "%s", config_key_name(key));
	fmt_print(ret_error->text, sizeof(ret_error->text), "%s", text);
}

void config_error_in(const struct config_device *d, unsigned line, const char *key,
	const char *text, struct config_error *ret_error)
{
	ret_error->line = line;
	fmt_print(ret_error->key, sizeof(ret_error->key), "[device %s]: %s", d->name, key);
	fmt_print(ret_error->text, sizeof(ret_error->text), "%s", text);
}

void config_error_print(const struct config_error *e, const char *file, char *out, size_t size)
{
	char line[16] = "";

	if (e->line)
		fmt_print(line, sizeof(line), ":%u", e->line);
	fmt_print(out, size, "%s%s: %s%s%s", file, line, e->key, *e->key ? ": " : "", e->text);
}

const char *config_key_name(enum config_key key)
{
	return key < CONFIG_KEYS ? keys[key].name : "";
}

enum config_action config_action_for(const struct config *c, enum vm_stop_reason reason)
{
	switch (reason) {
	case STOP_BOOT:
		return ACTION_CONTINUE;
	case STOP_RESET:
		return c->on_reset;
	case STOP_POWEROFF:
		return c->on_poweroff;
	case STOP_TRIPLE_FAULT:
		return c->on_triple_fault;
	case STOP_TIME_LIMIT:
		return c->on_time_limit;
	default:
		return c->on_failure;
	}
}

const char *config_action_name(enum config_action action)
{
	return action < array_size(action_names) ? action_names[action] : "?";
}

bool config_match_is_disk(const struct config_match *m)
{
	return m->kind == MATCH_BOOT_DISK || m->kind == MATCH_PARTITION;
}

bool config_match_device(const struct config_match *m, pci_bdf_t bdf, uint16_t vendor,
	uint16_t device, uint32_t class_code)
{
	switch (m->kind) {
	case MATCH_CLASS:
		return (class_code & m->class_mask) == m->class_code;
	case MATCH_ID:
		return vendor == m->vendor && device == m->device;
	case MATCH_PCI:
		return bdf == m->bdf;
	default:
		return false;
	}
}
