/*
 * posternctl: the guest's way to talk to Postern.
 *
 * A static program without dependencies, for the initramfs of any guest. `uptime` also works outside
 * of Postern; the demo's host OS uses it.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <termios.h>
#include <unistd.h>
#include <x86intrin.h>

#include "guest/hypercall_abi.h"

#define CPUID_1_ECX_HYPERVISOR (1u << 31)

enum exit_code {
	EXIT_CALL = 1,	/* Postern refused */
	EXIT_USAGE = 2, /* the command line is wrong */
	EXIT_SETUP = 3, /* not under Postern, not root, ... */
};

static const char help[] =
	"usage: posternctl COMMAND\n"
	"\n"
	"  boot              hand the machine back and boot what Postern's configuration names\n"
	"  boot --path PATH  ... or the EFI program PATH on the ESP, such as "
	"\\EFI\\Linux\\host.efi\n"
	"  boot --next       ... or the firmware's next boot option\n"
	"  fail              hand the machine back: the authentication failed\n"
	"  fail --other      ... or something else did\n"
	"  log TEXT          put a line into Postern's log\n"
	"  exits             put the counts of this guest's exits into Postern's log\n"
	"  info              print the hypervisor's signature and the version of its calls\n"
	"  uptime [--khz N]  print the seconds since power-on, counted by the TSC\n"
	"\n"
	"All but info and uptime need root.\n";

static _Noreturn void die(enum exit_code code, const char *message, const char *detail)
{
	fprintf(stderr, "posternctl: %s%s%s\n", message, detail ? ": " : "", detail ? detail : "");
	exit(code);
}

static bool hypervisor_read(char ret_signature[13], uint32_t *ret_abi)
{
	uint32_t eax, ebx, ecx, edx, max_leaf;

	__cpuid(1, eax, ebx, ecx, edx);
	if (!(ecx & CPUID_1_ECX_HYPERVISOR))
		return false;
	__cpuid(POSTERN_CPUID_SIGNATURE, max_leaf, ebx, ecx, edx);
	memcpy(ret_signature, &ebx, 4);
	memcpy(ret_signature + 4, &ecx, 4);
	memcpy(ret_signature + 8, &edx, 4);
	ret_signature[12] = '\0';
	*ret_abi = 0;
	if (ebx == POSTERN_SIGNATURE_EBX && ecx == POSTERN_SIGNATURE_ECX &&
		edx == POSTERN_SIGNATURE_EDX && max_leaf >= POSTERN_CPUID_ABI)
		__cpuid(POSTERN_CPUID_ABI, *ret_abi, ebx, ecx, edx);
	return true;
}

/* On another machine the port could be anything, so this comes before every call. */
static void require_postern(void)
{
	char signature[13];
	uint32_t abi;

	if (!hypervisor_read(signature, &abi) || abi == 0)
		die(EXIT_SETUP, "this machine doesn't run under Postern", NULL);
	if (abi != POSTERN_ABI_VERSION)
		die(EXIT_SETUP, "this Postern speaks another version of the calls", NULL);
	if (ioperm(POSTERN_CALL_PORT, 4, 1) < 0)
		die(EXIT_SETUP, "can't use the hypercall port",
			errno == EPERM ? "not root" : strerror(errno));
}

static int32_t call(uint32_t function, uint64_t rbx, const void *rcx, uint64_t rsi)
{
	int32_t result = (int32_t)function;

	__asm__ volatile("outl %%eax, %%dx"
			 : "+a"(result)
			 : "d"(POSTERN_CALL_PORT), "b"(rbx), "c"(rcx), "S"(rsi), "D"(0)
			 : "memory");
	return result;
}

/* The guest ends here: what it printed has to have left its UART, if that is where it prints. */
static void drain_output(void)
{
	sync();
	(void)tcdrain(STDOUT_FILENO);
}

static int report(int32_t result)
{
	if (result >= 0)
		return 0;
	die(EXIT_CALL, "Postern refused", strerror(-result));
}

static int command_boot(int argc, char **argv)
{
	enum postern_boot_target target = POSTERN_BOOT_DEFAULT;
	const char *path = "";

	if (argc == 1 && strcmp(argv[0], "--next") == 0) {
		target = POSTERN_BOOT_NEXT;
	} else if (argc == 2 && strcmp(argv[0], "--path") == 0) {
		target = POSTERN_BOOT_PATH;
		path = argv[1];
		if (path[0] != '\\' || strlen(path) > POSTERN_BOOT_PATH_MAX)
			die(EXIT_USAGE, "not a path of at most 512 bytes that begins with \\",
				path);
	} else if (argc > 0) {
		die(EXIT_USAGE, "boot takes --next or --path PATH, not", argv[0]);
	}
	require_postern();
	drain_output();
	return report(call(POSTERN_CALL_BOOT, target, path, strlen(path)));
}

static int command_fail(int argc, char **argv)
{
	enum postern_fail_reason reason = POSTERN_FAIL_AUTHENTICATION;

	if (argc == 1 && strcmp(argv[0], "--other") == 0)
		reason = POSTERN_FAIL_OTHER;
	else if (argc > 0)
		die(EXIT_USAGE, "fail takes --other, not", argv[0]);
	require_postern();
	drain_output();
	return report(call(POSTERN_CALL_FAIL, reason, NULL, 0));
}

static int command_log(int argc, char **argv)
{
	if (argc != 1 || strlen(argv[0]) > POSTERN_LOG_LINE_MAX)
		die(EXIT_USAGE, "log takes one line of at most 256 bytes", NULL);
	require_postern();
	return report(call(POSTERN_CALL_LOG, 0, argv[0], strlen(argv[0])));
}

static int command_exits(int argc, char **argv)
{
	if (argc > 0)
		die(EXIT_USAGE, "exits takes no argument, not", argv[0]);
	require_postern();
	return report(call(POSTERN_CALL_EXITS, 0, NULL, 0));
}

static int command_info(int argc, char **argv)
{
	char signature[13];
	uint32_t abi;

	if (argc > 0)
		die(EXIT_USAGE, "info takes no argument, not", argv[0]);
	if (!hypervisor_read(signature, &abi)) {
		puts("no hypervisor");
	} else {
		printf("hypervisor %s", signature);
		if (abi != 0)
			printf(", calls version %u", abi);
		putchar('\n');
	}
	return 0;
}

/* The kernel prints the rate of the TSC as the CPU's clock when it doesn't manage that clock. */
static double cpuinfo_khz(void)
{
	char line[256];
	double mhz = 0;
	FILE *file = fopen("/proc/cpuinfo", "re");

	if (!file)
		return 0;
	while (mhz == 0 && fgets(line, sizeof(line), file)) {
		const char *colon = strchr(line, ':');

		if (colon && strncmp(line, "cpu MHz", 7) == 0)
			mhz = strtod(colon + 1, NULL);
	}
	fclose(file);
	return mhz * 1000;
}

static int command_uptime(int argc, char **argv)
{
	double khz;

	if (argc == 2 && strcmp(argv[0], "--khz") == 0)
		khz = strtod(argv[1], NULL);
	else if (argc == 0)
		khz = cpuinfo_khz();
	else
		die(EXIT_USAGE, "uptime takes --khz N, not", argv[0]);
	if (!(khz > 0))
		die(EXIT_SETUP, "no TSC frequency: not in /proc/cpuinfo, or --khz isn't a number",
			NULL);
	printf("%.2f\n", (double)__rdtsc() / (khz * 1000));
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{"boot", command_boot},
		{"fail", command_fail},
		{"log", command_log},
		{"exits", command_exits},
		{"info", command_info},
		{"uptime", command_uptime},
	};

	if (argc < 2) {
		fputs(help, stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		fputs(help, stdout);
		return 0;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 2, argv + 2);
	}
	die(EXIT_USAGE, "unknown command, see --help", argv[1]);
}
