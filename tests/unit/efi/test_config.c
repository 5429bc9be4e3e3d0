/* The parser of postern.conf: what each key means, and each way in which a file can be wrong. */
#include "base/bits.h"
#include "efi/config.h"
#include "base/error.h"
#include "test.h"

static struct config config;
static struct config_error error;

static int parse(const char *text)
{
	return config_parse(&config, text, strlen(text), &error);
}

/* Parses a file that is wrong, and compares the whole message. */
static void check_error(int at, const char *text, const char *expected)
{
	char got[400] = "";

	CHECK_EQ(parse(text), -E_INVAL);
	config_error_print(&error, "f", got, sizeof(got));
	if (strcmp(got, expected) == 0)
		return;
	printf("  line %d: got \"%s\", expected \"%s\"\n", at, got, expected);
	test_case_failures++;
}

#define CHECK_ERROR(text, message) check_error(__LINE__, text, message)

#define MINIMAL			   "[guest]\nkernel = \\k\n"

static void test_defaults(void)
{
	CHECK_EQ(parse(MINIMAL), 0);
	CHECK_EQ(config.on_failure, ACTION_CONTINUE);
	CHECK_EQ(config.on_time_limit, ACTION_CONTINUE);
	CHECK_EQ(config.time_limit, 0);
	CHECK_EQ(config.log, CONFIG_LOG_SERIAL | CONFIG_LOG_CONSOLE);
	CHECK(!strcmp(config.kernel, "\\k"));
	CHECK(!*config.initramfs && !*config.cmdline && !*config.boot_path);
	CHECK_EQ(config.memory, 512 * MIB);
	CHECK(config.framebuffer && config.acpi);
	CHECK_EQ(config.time_limit_grace, 10);
	CHECK_EQ(config.boot, CONFIG_BOOT_AUTO);
	CHECK_EQ(config.variables.count, 3);
	CHECK(!strcmp(config.variables.item[2].name, "BootCurrent"));
	CHECK_EQ(config.variables.item[2].guid[0], 0x61);
	CHECK_EQ(config.trace_to, CONFIG_TRACE_FILE);
	CHECK_EQ(config.trace_size, 8 * MIB);
	CHECK(!config_wants_trace(&config));
	CHECK_EQ(config.device_count, 0);
	CHECK_EQ(config.line[CONFIG_KERNEL], 2);
	CHECK_EQ(config.line[CONFIG_MEMORY], 0);
}

static void test_variables(void)
{
	static const uint8_t guid[16] = {0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99,
		0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};

	CHECK_EQ(parse(MINIMAL "variables = Boot0001\tA-00112233-4455-6677-8899-aABBccddeeff "
			       "B-00112233-4455-6677-8899-aabbccddeefg"),
		0);
	CHECK_EQ(config.variables.count, 3);
	CHECK(!strcmp(config.variables.item[0].name, "Boot0001"));
	CHECK(!strcmp(config.variables.item[1].name, "A"));
	CHECK(!memcmp(config.variables.item[1].guid, guid, sizeof(guid)));
	/* Not quite a GUID: a part of the name, and the GUID is UEFI's. */
	CHECK_EQ(config.variables.item[2].guid[0], 0x61);
	CHECK(!strcmp(config.variables.item[2].name, "B-00112233-4455-6677-8899-aabbccddeefg"));
	CHECK_EQ(parse(MINIMAL "boot = efi\nvariables ="), 0);
	CHECK_EQ(config.boot, CONFIG_BOOT_EFI);
	CHECK_EQ(config.variables.count, 0);
	CHECK_EQ(parse(MINIMAL "variables = "
			       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
		-E_INVAL);
}

static void test_everything(void)
{
	CHECK_EQ(parse("\xef\xbb\xbf# comment\r\n"
		       "[postern]\r\n"
		       "on_failure=next\r\n"
		       "on_reset = shutdown\r\n"
		       "on_poweroff : menu\r\n"
		       "time_limit = 90\r\n"
		       "time_limit_grace = 20\r\n"
		       "log = serial\r\n"
		       "\r\n"
		       "[guest]\r\n"
		       "  kernel = \\EFI\\postern\\bzImage  \r\n"
		       "initramfs = \\EFI\\postern\\initramfs\r\n"
		       "cmdline = quiet root=x:y ; dyndbg=\"file a.c +p\" # all of it\r\n"
		       "memory = 65536K\r\n"
		       "display = none\r\n"
		       "acpi = off\r\n"
		       "; comment\r\n"
		       "[boot]\r\n"
		       "path = \\EFI\\Linux\\host os.efi\r\n"
		       "[device disk]\r\n"
		       "match = class:010802\r\n"
		       "mode = restricted\r\n"
		       "[device net]\r\n"
		       "match = id:8086:10D3\r\n"
		       "[device other]\r\n"
		       "match = pci:00:1f.5\r\n"
		       "mode = hidden\r\n"
		       "[device ide]\r\n"
		       "match = class:0101"),
		0);
	CHECK_EQ(config.on_failure, ACTION_NEXT);
	CHECK_EQ(config.on_reset, ACTION_SHUTDOWN);
	CHECK_EQ(config.on_poweroff, ACTION_MENU);
	CHECK_EQ(config.on_triple_fault, ACTION_NEXT);
	CHECK_EQ(config.time_limit, 90);
	CHECK_EQ(config.log, CONFIG_LOG_SERIAL);
	CHECK(!strcmp(config.kernel, "\\EFI\\postern\\bzImage"));
	CHECK(!strcmp(config.cmdline, "quiet root=x:y ; dyndbg=\"file a.c +p\" # all of it"));
	CHECK_EQ(config.memory, 64 * MIB);
	CHECK(!config.framebuffer && !config.acpi);
	CHECK_EQ(config.time_limit_grace, 20);
	CHECK(!strcmp(config.boot_path, "\\EFI\\Linux\\host os.efi"));
	CHECK_EQ(config.device_count, 4);
	CHECK(!strcmp(config.device[0].name, "disk"));
	CHECK_EQ(config.device[0].mode, DEVICE_RESTRICTED);
	CHECK_EQ(config.device[0].line, 21);
	CHECK_EQ(config.device[1].mode, DEVICE_HIDDEN);
	CHECK_EQ(config.line[CONFIG_BOOT_PATH], 19);
}

static void test_trace(void)
{
	CHECK_EQ(parse("[postern]\ntrace_to = serial\ntrace_size = 1M\n" MINIMAL
		       "[device a]\nmatch = class:0108\nmode = restricted\ntrace = off\n"
		       "[device b]\ntrace = on\nmode = restricted\nmatch = class:0101\n"),
		0);
	CHECK_EQ(config.trace_to, CONFIG_TRACE_SERIAL);
	CHECK_EQ(config.trace_size, MIB);
	CHECK(!config.device[0].trace && config.device[1].trace && config_wants_trace(&config));
	CHECK_EQ(parse("[postern]\ntrace_size = 262144\ntrace_to = file\n" MINIMAL), 0);
	CHECK_EQ(config.trace_size, 256 * KIB);
	CHECK_ERROR(MINIMAL "[device a]\nmatch = class:0108\ntrace = on\n",
		"f: [device a]: trace = on needs mode = restricted");
	CHECK_ERROR(MINIMAL "[device a]\ntrace = on\nmode = restricted\n",
		"f: [device a]: match is missing");
	CHECK_ERROR(MINIMAL "[device a]\ntrace = yes\n", "f:4: trace: \"yes\" isn't on or off");
	CHECK_ERROR(MINIMAL "[device a]\ntrace = on\ntrace = on\n", "f:5: trace: is set twice");
	CHECK_ERROR("[postern]\ntrace = on\n" MINIMAL, "f:2: trace: unknown key in this section");
}

#define DISK "[device d]\nmode = firmware\nmatch = "

static void test_firmware_disk(void)
{
	static const uint8_t guid[] = {0x74, 0x73, 0x6f, 0x70, 0x72, 0x65, 0x00, 0x4e, 0x80, 0x00,
		0x00, 0x11, 0x22, 0x33, 0xaa, 0xbb};
	const struct config_device *d = config.device;

	CHECK_EQ(parse(MINIMAL DISK "disk:boot\n"), 0);
	CHECK(d->mode == DEVICE_FIRMWARE && d->match.kind == MATCH_BOOT_DISK);
	CHECK(!d->write && !d->window.count && config_match_is_disk(&d->match));
	CHECK(!config_match_device(&d->match, 0, 0, 0, 0));
	CHECK_EQ(parse(MINIMAL DISK "partition:706f7374-6572-4e00-8000-00112233AABB\n"
				    "write = yes\nwindow = 0-33 , 2048-4095,7-7\n"),
		0);
	CHECK_EQ(d->match.kind, MATCH_PARTITION);
	CHECK(!memcmp(d->match.partition, guid, sizeof(guid)));
	CHECK(d->write && d->window.count == 3 && d->window_line == 7);
	CHECK(d->window.range[0].blocks.first == 0 && d->window.range[0].blocks.last == 33);
	CHECK(d->window.range[1].blocks.first == 2048 && d->window.range[1].blocks.last == 4095);
	CHECK(d->window.range[2].blocks.first == 7 && d->window.range[2].blocks.last == 7);
	CHECK_EQ(parse(MINIMAL DISK "pci:00:1f.2\nwrite = no\n"), 0);
	CHECK(!config_match_is_disk(&d->match));
}

static void test_firmware_disk_errors(void)
{
	static const char *const partitions[] = {"", "706f7374-6572-4e00-8000-00112233aab",
		"706f7374-6572-4e00-8000-00112233aabbc", "706f7374x6572-4e00-8000-00112233aabb",
		"706f737465724e00800000112233aabb", "{706f7374-6572-4e00-8000-00112233aabb}"};
	static const char *const windows[] = {"", "1", "1-", "-1", "2-1", "1 - 2", "1-2,",
		"1-2 3-4", "1-2;3-4", "0x1-2", "1-18446744073709551616", ",1-2"};
	char text[300];

	for (unsigned i = 0; i < array_size(partitions); i++) {
		snprintf(text, sizeof(text), MINIMAL DISK "partition:%s\n", partitions[i]);
		CHECK_EQ(parse(text), -E_INVAL);
		CHECK_EQ(error.line, 5);
	}
	for (unsigned i = 0; i < array_size(windows); i++) {
		snprintf(text, sizeof(text), MINIMAL DISK "disk:boot\nwindow = %s\n", windows[i]);
		CHECK_EQ(parse(text), -E_INVAL);
		CHECK_EQ(error.line, 6);
	}
	CHECK_EQ(parse(MINIMAL DISK "disk:other\n"), -E_INVAL);
	CHECK_ERROR(MINIMAL DISK "disk:boot\nwindow = 1-1,2-2,3-3,4-4,5-5\n",
		"f:6: window: more than 4 windows");
	CHECK_ERROR(MINIMAL DISK "disk:boot\nwrite = on\n", "f:6: write: \"on\" isn't yes or no");
	CHECK_ERROR(MINIMAL "[device d]\nmatch = disk:boot\nmode = restricted\n",
		"f: [device d]: match = disk: or partition: needs mode = firmware");
	CHECK_ERROR(MINIMAL "[device d]\nmatch = class:0108\nmode = restricted\nwrite = yes\n",
		"f: [device d]: write needs mode = firmware; mode = restricted has policy");
	CHECK_ERROR(MINIMAL "[device d]\nmatch = class:0108\nwindow = 0-1\n",
		"f: [device d]: window needs mode = restricted or firmware");
	CHECK_ERROR(MINIMAL DISK "disk:boot\ntrace = on\n",
		"f: [device d]: trace = on needs mode = restricted");
	CHECK_EQ(parse(MINIMAL DISK "disk:boot\nwindow = 0-1\n"), 0);
	config_error_in(&config.device[0], config.device[0].window_line, "window", "why", &error);
	config_error_print(&error, "f", text, sizeof(text));
	CHECK(!strcmp(text, "f:6: [device d]: window: why"));
}

#define RESTRICTED MINIMAL "[device d]\nmode = restricted\nmatch = class:0108\n"

static void test_policy(void)
{
	static const uint8_t guid[] = {0x74, 0x73, 0x6f, 0x70, 0x72, 0x65, 0x00, 0x4e, 0x80, 0x00,
		0x00, 0x11, 0x22, 0x33, 0xaa, 0xbb};
	const struct config_device *d = config.device;
	struct policy p;

	CHECK_EQ(parse(RESTRICTED), 0);
	p = config_policy(d);
	CHECK_EQ(p.allowed, policy_read_only.allowed);
	CHECK_EQ(p.queues, 4);
	CHECK_EQ(p.transfer, 131072);
	CHECK(!p.windows && !config_names_policy(d));
	CHECK_EQ(parse(RESTRICTED "deny = flush,set-features\nqueues = 1\ntransfer = 8K\n"
				  "allow = write , flush\n"),
		0);
	p = config_policy(d);
	CHECK_EQ(p.queues, 1);
	CHECK_EQ(p.transfer, 8192);
	CHECK(config_names_policy(d));
	CHECK(policy_allows(&p, POLICY_READ) && policy_allows(&p, POLICY_WRITE));
	CHECK(!policy_allows(&p, POLICY_FLUSH) && !policy_allows(&p, POLICY_SET_EVENTS));
	CHECK_EQ(parse(RESTRICTED "policy = unlock\nallow = write\n"), 0);
	p = config_policy(d);
	CHECK_EQ(p.allowed, policy_find_profile("unlock") | BIT(POLICY_WRITE));
	CHECK_EQ(parse(RESTRICTED "window = 0-2047:r, partition:2 ,"
				  "partition:706f7374-6572-4e00-8000-00112233AABB:r\n"),
		0);
	CHECK_EQ(d->window.count, 3);
	CHECK(d->window.range[0].kind == WINDOW_BLOCKS && d->window.range[0].blocks.read_only);
	CHECK(d->window.range[1].kind == WINDOW_NUMBER && d->window.range[1].number == 2);
	CHECK(!d->window.range[1].blocks.read_only);
	CHECK(d->window.range[2].kind == WINDOW_GUID && d->window.range[2].blocks.read_only);
	CHECK(!memcmp(d->window.range[2].partition, guid, sizeof(guid)));
}

static void test_policy_errors(void)
{
	static const char *const windows[] = {"partition:", "partition:0", "partition:x",
		"partition:4294967296", "1-2:w", "1-2:r:r", "partition:2r", "1-2:rw", ":r",
		"partition:706f7374-6572-4e00-8000-00112233aab"};
	char text[300];

	for (unsigned i = 0; i < array_size(windows); i++) {
		snprintf(text, sizeof(text), RESTRICTED "window = %s\n", windows[i]);
		CHECK_EQ(parse(text), -E_INVAL);
		CHECK_EQ(error.line, 6);
	}
	CHECK_ERROR(RESTRICTED "policy = all\n",
		"f:6: policy: \"all\" isn't read-only, unlock or full");
	CHECK_ERROR(RESTRICTED "allow = read,reboot\n", "f:6: allow: \"reboot\" isn't a command");
	CHECK_ERROR(RESTRICTED "deny =\n", "f:6: deny: \"\" isn't a command");
	CHECK_ERROR(RESTRICTED "deny = read,\n", "f:6: deny: \"\" isn't a command");
	CHECK_ERROR(RESTRICTED "deny = read write\n",
		"f:6: deny: \"read write\" isn't COMMAND, or several with commas");
	CHECK_ERROR(RESTRICTED "queues = 0\n", "f:6: queues: \"0\" isn't a number from 1 to 4");
	CHECK_ERROR(RESTRICTED "queues = 5\n", "f:6: queues: \"5\" isn't a number from 1 to 4");
	CHECK_ERROR(RESTRICTED "transfer = 12K\n", "f:6: transfer: \"12K\" isn't a power of two");
	CHECK_ERROR(
		RESTRICTED "transfer = 256K\n", "f:6: transfer: \"256K\" isn't from 4K to 128K");
	CHECK_ERROR(MINIMAL DISK "disk:boot\npolicy = full\n",
		"f: [device d]: policy, allow, deny, queues and transfer need mode = restricted");
	CHECK_ERROR(MINIMAL DISK "disk:boot\nwindow = partition:1\n",
		"f: [device d]: window = partition: needs mode = restricted");
}

static void test_console(void)
{
	CHECK_EQ(parse(MINIMAL "console = none\n"), 0);
	CHECK(!config.firmware_console && config.framebuffer);
	CHECK_EQ(parse(MINIMAL "console = firmware\n"), 0);
	CHECK(config.firmware_console && !config.framebuffer);
	CHECK_EQ(parse(MINIMAL "console = firmware\ndisplay = none\n"), 0);
	CHECK_ERROR(MINIMAL "console = firmware\ndisplay = framebuffer\n",
		"f:3: console: console = firmware and display = framebuffer draw on the same "
		"screen");
	CHECK_ERROR(MINIMAL "console = ttyS0\n", "f:3: console: \"ttyS0\" isn't none or firmware");
}

static void test_match(void)
{
	CHECK_EQ(parse(MINIMAL "[device a]\nmatch=class:010802\n[device b]\nmatch=class:0101\n"
			       "[device c]\nmatch=id:8086:10d3\n[device d]\nmatch=pci:12:1f.5\n"),
		0);
	const struct config_device *d = config.device;

	CHECK(config_match_device(&d[0].match, 0, 1, 2, 0x010802));
	CHECK(!config_match_device(&d[0].match, 0, 1, 2, 0x010801));
	CHECK(config_match_device(&d[1].match, 0, 1, 2, 0x010180));
	CHECK(!config_match_device(&d[1].match, 0, 1, 2, 0x010280));
	CHECK(config_match_device(&d[2].match, 0, 0x8086, 0x10d3, 0));
	CHECK(!config_match_device(&d[2].match, 0, 0x8086, 0x10d4, 0));
	CHECK(config_match_device(&d[3].match, PCI_BDF(0x12, 31, 5), 0, 0, 0));
	CHECK(!config_match_device(&d[3].match, PCI_BDF(0x12, 31, 4), 0, 0, 0));
	CHECK(!config_match_device(&(struct config_match){0}, 0, 0, 0, 0));
}

static void test_bad_structure(void)
{
	CHECK_ERROR("", "f: kernel: missing in [guest]");
	CHECK_ERROR("[guest]\n", "f: kernel: missing in [guest]");
	CHECK_ERROR("[guest]\nkernel\n", "f:2: neither a [section] nor KEY = VALUE");
	CHECK_ERROR("[guest\nkernel=\\k\n", "f:1: [guest: a section needs a ] at its end");
	CHECK_ERROR("\n[gues]\n", "f:2: [gues]: unknown section");
	CHECK_ERROR("[guest] kernel=\\k\n", "f:1: [guest]: text behind a section");
	CHECK_ERROR("kernel = \\k\n", "f:1: kernel: stands before the first [section]");
	CHECK_ERROR("[guest]\nkernle = \\k\n", "f:2: kernle: unknown key in this section");
	CHECK_ERROR("[postern]\nkernel = \\k\n", "f:2: kernel: unknown key in this section");
	CHECK_ERROR(MINIMAL "kernel = \\l\n", "f:3: kernel: is set twice");
	CHECK_ERROR(MINIMAL "[guest]\nmemory=64M\nmemory=64M\n", "f:5: memory: is set twice");
	CHECK_ERROR("[aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\n",
		"f:1: [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: "
		"a section's name has at most 40 characters");
}

static void test_bad_values(void)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"on_failure = reboot",
			"on_failure: \"reboot\" isn't continue, next, shutdown or menu"},
		{"on_reset =", "on_reset: \"\" isn't continue, next, shutdown or menu"},
		{"time_limit = -1", "time_limit: \"-1\" isn't a number of seconds"},
		{"time_limit = 1s", "time_limit: \"1s\" isn't a number of seconds"},
		{"time_limit = 86401", "time_limit: \"86401\" isn't at most 86400 seconds, a day"},
		{"time_limit = 99999999999999999999999", "time_limit: \"99999999999999999999999\" "
							 "isn't at most 86400 seconds, a day"},
		{"trace_to = disk", "trace_to: \"disk\" isn't file or serial"},
		{"trace_to =", "trace_to: \"\" isn't file or serial"},
		{"trace_size = 255K", "trace_size: \"255K\" isn't from 256K to 64M"},
		{"trace_size = 65M", "trace_size: \"65M\" isn't from 256K to 64M"},
		{"trace_size = 300000", "trace_size: \"300000\" isn't a multiple of 4K"},
		{"trace_size = 99999999999G", "trace_size: \"99999999999G\" "
					      "isn't from 256K to 64M"},
		{"trace_size = big",
			"trace_size: \"big\" isn't a size in bytes, or with K, M or G behind it"},
		{"log = file", "log: \"file\" isn't serial, console or serial,console"},
		{"[guest]\nkernel = ", "kernel: a path on the ESP is missing"},
		{"[guest]\nkernel = k", "kernel: \"k\" isn't a path on the ESP, beginning with \\"},
		{"[guest]\nkernel = \\a/b",
			"kernel: a path can't contain '/'; the separator is \\"},
		{"[guest]\nkernel = \\a?b", "kernel: a path can't contain '?'"},
		{"[guest]\nmemory = 1", "memory: \"1\" isn't from 32M to 2G"},
		{"[guest]\nmemory = 31M", "memory: \"31M\" isn't from 32M to 2G"},
		{"[guest]\nmemory = 3G", "memory: \"3G\" isn't from 32M to 2G"},
		{"[guest]\nmemory = 18446744073709551615G",
			"memory: \"18446744073709551615G\" isn't from 32M to 2G"},
		{"[guest]\nmemory = 17179869185G", "memory: \"17179869185G\" isn't from 32M to 2G"},
		{"[guest]\nmemory = 33554433", "memory: \"33554433\" isn't a multiple of 4K"},
		{"[guest]\nmemory = 64MB",
			"memory: \"64MB\" isn't a size in bytes, or with K, M or G behind it"},
		{"[guest]\nmemory = M",
			"memory: \"M\" isn't a size in bytes, or with K, M or G behind it"},
		{"[guest]\nboot = bios", "boot: \"bios\" isn't auto, linux or efi"},
		{"[guest]\nvariables = a b c d e f g h i j k l m n o p q",
			"variables: more than 16 variables"},
		{"[guest]\ndisplay = vga", "display: \"vga\" isn't framebuffer or none"},
		{"[boot]\npath = /EFI",
			"path: \"/EFI\" isn't a path on the ESP, beginning with \\"},
	};

	for (unsigned i = 0; i < array_size(cases); i++) {
		char text[256], message[256];

		snprintf(text, sizeof(text), "[postern]\n%s\n", cases[i].text);
		snprintf(message, sizeof(message), "f:%d: %s", strchr(cases[i].text, '[') ? 3 : 2,
			cases[i].message);
		CHECK_ERROR(text, message);
	}
}

static void test_bad_devices(void)
{
#define MATCH_WRONG(v)                                                                             \
	CHECK_ERROR(MINIMAL "[device d]\nmatch = " v "\n",                                         \
		"f:4: match: \"" v                                                                 \
		"\" isn't class:CCSS[PP], id:VVVV:DDDD, pci:BB:DD.F, disk:boot or partition:GUID")
	MATCH_WRONG("class:01");
	MATCH_WRONG("class:01080");
	MATCH_WRONG("class:0108022");
	MATCH_WRONG("class:01g8");
	MATCH_WRONG("id:8086");
	MATCH_WRONG("id:8086:1");
	MATCH_WRONG("id:8086:12345");
	MATCH_WRONG("pci:00:20.0");
	MATCH_WRONG("pci:00:1f.8");
	MATCH_WRONG("pci:00:1f");
	MATCH_WRONG("nvme");
	MATCH_WRONG("");
	CHECK_ERROR(MINIMAL "[device]\n", "f:3: [device]: a device needs a name: [device NAME]");
	CHECK_ERROR(MINIMAL "[device \t]\n", "f:3: [device \t]: unknown section");
	CHECK_ERROR(MINIMAL "[devices x]\n", "f:3: [devices x]: unknown section");
	CHECK_ERROR(MINIMAL "[device x]\n", "f: [device x]: match is missing");
	CHECK_ERROR(
		MINIMAL "[device x]\nmode = hidden\nmode = hidden\n", "f:5: mode: is set twice");
	CHECK_ERROR(MINIMAL "[device x]\nmode = passthrough\n",
		"f:4: mode: \"passthrough\" isn't hidden, restricted or firmware");
	CHECK_ERROR(MINIMAL "[device x]\nirq = 1\n", "f:4: irq: unknown key in this section");
	CHECK_ERROR(MINIMAL "[device aaaaaaaaaaaaaaaaaaaaaaaa]\n",
		"f:3: [device aaaaaaaaaaaaaaaaaaaaaaaa]: a device's name has at most 23 "
		"characters");
	CHECK_ERROR(MINIMAL "[device 1]\n[device 2]\n[device 3]\n[device 4]\n[device 5]\n"
			    "[device 6]\n[device 7]\n[device 8]\n[device 9]\n",
		"f:11: [device 9]: more than 8 devices");
	CHECK_EQ(parse(MINIMAL "[device x]\nmode=restricted\n[guest]\n[device x]\nmatch=id:0:0\n"),
		-E_INVAL);
	CHECK_EQ(parse(MINIMAL "[device x]\nmode=restricted\n[guest]\n[device x]\n"
			       "match=id:0000:0000\n"),
		0);
	CHECK_EQ(config.device_count, 1);
}

static void test_bad_bytes(void)
{
	static const char nul[] = "[postern]\non_failure = menu\n[guest]\nkernel = \\k\0x\n";

	CHECK_ERROR(
		"[guest]\nkernel = \\\xc3\xa9\n", "f:2: byte 0xc3 in column 11 isn't ASCII text");
	CHECK_ERROR("[guest]\n\x1b[2J\n", "f:2: byte 0x1b in column 1 isn't ASCII text");
	CHECK_ERROR("[gu\rest]\n", "f:1: byte 0x0d in column 4 isn't ASCII text");
	CHECK_EQ(config_parse(&config, nul, sizeof(nul) - 1, &error), -E_INVAL);
	CHECK_EQ(error.line, 4);
	CHECK(!strcmp(error.text, "byte 0x00 in column 12 isn't ASCII text"));
	CHECK_EQ(config.on_failure, ACTION_MENU);
}

static char big[CONFIG_SIZE_MAX + 64];

/* A file whose third line is a value of n letters. */
static int parse_long(const char *key, size_t n, size_t *ret_line)
{
	size_t at = (size_t)sprintf(big, "[guest]\nkernel=\\k\n%s=\\", key);

	memset(big + at, 'a', n - 1);
	strcpy(big + at + n - 1, "\n");
	*ret_line = strlen(key) + 1 + n;
	return parse(big);
}

static void test_lengths(void)
{
	size_t line;

	CHECK_EQ(parse_long("cmdline", CONFIG_CMDLINE_MAX, &line), 0);
	CHECK_EQ(strlen(config.cmdline), CONFIG_CMDLINE_MAX);
	CHECK_EQ(parse_long("cmdline", CONFIG_CMDLINE_MAX + 1, &line), -E_INVAL);
	CHECK(!strcmp(error.text, "the command line is longer than 1920 characters"));
	CHECK_EQ(parse_long("initramfs", CONFIG_PATH_MAX, &line), 0);
	CHECK_EQ(parse_long("initramfs", CONFIG_PATH_MAX + 1, &line), -E_INVAL);
	CHECK(!strcmp(error.text, "the path is longer than 255 characters"));
	CHECK_EQ(parse_long("#", CONFIG_LINE_MAX - 2, &line), 0);
	CHECK_EQ(line, CONFIG_LINE_MAX);
	CHECK_EQ(parse_long("#", CONFIG_LINE_MAX - 1, &line), -E_INVAL);
	CHECK_EQ(error.line, 3);
	CHECK(!strcmp(error.text, "the line is longer than 2045 characters"));

	memset(big, '\n', sizeof(big));
	memcpy(big, MINIMAL, strlen(MINIMAL));
	big[CONFIG_SIZE_MAX] = '\0';
	CHECK_EQ(config_parse(&config, big, CONFIG_SIZE_MAX, &error), 0);
	big[CONFIG_SIZE_MAX] = '\n';
	big[CONFIG_SIZE_MAX + 1] = '\0';
	CHECK_EQ(config_parse(&config, big, CONFIG_SIZE_MAX + 1, &error), -E_INVAL);
}

/* on_failure holds even when the file is wrong before or behind it. */
static void test_on_failure_first(void)
{
	CHECK_EQ(parse("[bad]\n[postern]\non_failure = shutdown\n"), -E_INVAL);
	CHECK_EQ(config.on_failure, ACTION_SHUTDOWN);
	CHECK_EQ(config.on_reset, ACTION_SHUTDOWN);
	CHECK_EQ(parse("[postern]\non_failure = next\n[guest]\nmemory = 1\n"), -E_INVAL);
	CHECK_EQ(config.on_failure, ACTION_NEXT);
	CHECK_EQ(parse("\x80\n[boot]\npath = \\a\n[postern]\non_failure = menu\n"), -E_INVAL);
	CHECK_EQ(config.on_failure, ACTION_MENU);
	CHECK(!strcmp(config.boot_path, "\\a"));
	CHECK_EQ(parse("[boot]\npath = a\n"), -E_INVAL);
	CHECK(!*config.boot_path);
	CHECK_EQ(parse("[postern]\non_failure = nxt\n"), -E_INVAL);
	CHECK_EQ(config.on_failure, ACTION_CONTINUE);
}

static void test_first_error_wins(void)
{
	CHECK_ERROR(
		"[guest]\nmemory = 1\nkernle = \\k\n", "f:2: memory: \"1\" isn't from 32M to 2G");
	CHECK_ERROR("[guest]\nnonsense\nmemory = 1\n", "f:2: neither a [section] nor KEY = VALUE");
	CHECK_ERROR("[guest]\nmemory = 1\nnonsense\n", "f:2: memory: \"1\" isn't from 32M to 2G");
}

/* Every prefix of a file is a file or an error, and never a crash. */
static void test_truncated(void)
{
	static const char text[] = "[postern]\non_failure = next\n" MINIMAL
				   "[device d]\nmatch = pci:00:1f.2\nmode = restricted\n";
	char cut[sizeof(text)];

	for (size_t n = 0; n < sizeof(text); n++) {
		memcpy(cut, text, n);
		cut[n] = '\0';
		error.line = ~0u;
		if (config_parse(&config, cut, n, &error) != 0)
			CHECK(error.line <= 8 && *error.text);
		else
			CHECK(!strncmp(config.kernel, "\\", 1));
	}
}

static void test_actions(void)
{
	CHECK_EQ(parse("[postern]\non_failure=menu\non_reset=next\non_poweroff=shutdown\n"
		       "on_triple_fault=continue\non_time_limit=next\n" MINIMAL),
		0);
	CHECK_EQ(config_action_for(&config, STOP_BOOT), ACTION_CONTINUE);
	CHECK_EQ(config_action_for(&config, STOP_GUEST_FAILED), ACTION_MENU);
	CHECK_EQ(config_action_for(&config, STOP_RESET), ACTION_NEXT);
	CHECK_EQ(config_action_for(&config, STOP_POWEROFF), ACTION_SHUTDOWN);
	CHECK_EQ(config_action_for(&config, STOP_TRIPLE_FAULT), ACTION_CONTINUE);
	CHECK_EQ(config_action_for(&config, STOP_TIME_LIMIT), ACTION_NEXT);
	CHECK_EQ(config_action_for(&config, STOP_ENTRY_FAILED), ACTION_MENU);
	CHECK(!strcmp(config_action_name(ACTION_MENU), "menu"));
	CHECK(!strcmp(config_action_name((enum config_action)99), "?"));
}

static void test_error_at(void)
{
	char text[100];

	CHECK_EQ(parse(MINIMAL), 0);
	config_error_at(&config, CONFIG_KERNEL, "no such file", &error);
	config_error_print(&error, "postern.conf", text, sizeof(text));
	CHECK(!strcmp(text, "postern.conf:2: kernel: no such file"));
	config_error_at(&config, CONFIG_MEMORY, "too much", &error);
	config_error_print(&error, "postern.conf", text, sizeof(text));
	CHECK(!strcmp(text, "postern.conf: memory: too much"));
	config_error_print(&error, "postern.conf", text, 8);
	CHECK(!strcmp(text, "postern"));
}

int main(void)
{
	RUN(test_defaults);
	RUN(test_everything);
	RUN(test_variables);
	RUN(test_trace);
	RUN(test_firmware_disk);
	RUN(test_firmware_disk_errors);
	RUN(test_policy);
	RUN(test_policy_errors);
	RUN(test_console);
	RUN(test_match);
	RUN(test_bad_structure);
	RUN(test_bad_values);
	RUN(test_bad_devices);
	RUN(test_bad_bytes);
	RUN(test_lengths);
	RUN(test_on_failure_first);
	RUN(test_first_error_wins);
	RUN(test_truncated);
	RUN(test_actions);
	RUN(test_error_at);
	return TEST_RESULT();
}
