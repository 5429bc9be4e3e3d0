/* postern-trace: shows, counts, replays and converts the traces that Postern records. */
#include "commands.h"
#include "base/error.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (1ull << 30)

static const char usage[] =
	"usage: postern-trace COMMAND [OPTION]... FILE\n"
	"\n"
	"  print    each exit with its instruction, accesses and outcome\n"
	"  replay   runs the exits again and reports each difference; exit status 1 if there is "
	"one\n"
	"  stats    counts by device, place and instruction\n"
	"  filter   writes the selected exits to the file of -o\n"
	"  export   a timeline for Perfetto or chrome://tracing (JSON)\n"
	"\n"
	"FILE is a trace, a log with a trace in it, or - for standard input. Options select "
	"exits:\n"
	"\n"
	"  --device TEXT    of devices with TEXT in their name\n"
	"  --offset NUMBER  of this register, port, or place in configuration space\n"
	"  --insn TEXT      of instructions with TEXT in their name (mov, rep movs, in...)\n"
	"  --reads, --writes\n"
	"  --first NUMBER   from this record on\n"
	"  --count NUMBER   so many at most\n"
	"  -o FILE          output, instead of standard output\n";

static const struct {
	const char *name;
	int (*run)(struct trace_input *in, FILE *out);
} commands[] = {{"print", command_print}, {"replay", command_replay}, {"stats", command_stats},
	{"filter", command_filter}, {"export", command_export}};

static bool parse_number(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 0);
	return !errno && *text >= '0' && *text <= '9' && !*end;
}

/* Options of the command line; false if one is wrong. */
static bool parse_options(int argc, char **argv, struct selection *s, const char **ret_output)
{
	static const struct option options[] = {{"device", required_argument, NULL, 'd'},
		{"offset", required_argument, NULL, 'a'}, {"insn", required_argument, NULL, 'i'},
		{"reads", no_argument, NULL, 'r'}, {"writes", no_argument, NULL, 'w'},
		{"first", required_argument, NULL, 'f'}, {"count", required_argument, NULL, 'c'},
		{NULL, 0, NULL, 0}};
	bool ok = true;
	int option;

	*s = (struct selection){.count = UINT64_MAX};
	while (ok && (option = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		switch (option) {
		case 'd':
			s->device = optarg;
			break;
		case 'a':
			s->has_offset = true;
			ok = parse_number(optarg, &s->offset);
			break;
		case 'i':
			s->insn = optarg;
			break;
		case 'r':
			s->reads = true;
			break;
		case 'w':
			s->writes = true;
			break;
		case 'f':
			ok = parse_number(optarg, &s->first);
			break;
		case 'c':
			ok = parse_number(optarg, &s->count);
			break;
		case 'o':
			*ret_output = optarg;
			break;
		default:
			ok = false;
		}
	}
	return ok;
}

static uint8_t *read_stream(FILE *f, size_t *ret_size)
{
	size_t size = 0, room = 1u << 20;
	uint8_t *data = malloc(room);

	while (data) {
		size_t n = fread(data + size, 1, room - size, f);
		uint8_t *more;

		size += n;
		if (!n)
			break;
		if (size < room)
			continue;
		more = room < INPUT_MAX ? realloc(data, room * 2) : NULL;
		if (!more) {
			free(data);
			return NULL;
		}
		data = more;
		room *= 2;
	}
	*ret_size = size;
	return data;
}

/* A whole file, or NULL with a message. A log becomes the trace that is in it. */
static uint8_t *read_input(const char *name, size_t *ret_size)
{
	FILE *f = strcmp(name, "-") ? fopen(name, "rb") : stdin;
	uint8_t *data;
	int err;

	if (!f) {
		perror(name);
		return NULL;
	}
	data = read_stream(f, ret_size);
	if (f != stdin)
		fclose(f);
	if (!data) {
		fprintf(stderr, "%s: too large\n", name);
		return NULL;
	}
	err = trace_text_decode(data, *ret_size, data, ret_size);
	if (!err || err == -E_NOENT)
		return data;
	fprintf(stderr, "%s: the text of the trace is damaged\n", name);
	free(data);
	return NULL;
}

static int run(
	int (*command)(struct trace_input *, FILE *), struct trace_input *in, const char *output)
{
	FILE *out = output ? fopen(output, "wb") : stdout;
	int result;

	if (!out) {
		perror(output);
		return EXIT_FAILURE;
	}
	result = command(in, out);
	if (fflush(out) || ferror(out)) {
		perror(output ? output : "standard output");
		result = EXIT_FAILURE;
	}
	if (output)
		fclose(out);
	return result;
}

int main(int argc, char **argv)
{
	struct trace_input in = {.name = NULL};
	const char *output = NULL, *why = NULL;
	size_t command = 0, size;
	uint8_t *data;
	int result = 2;

	while (argc > 1 && command < array_size(commands) &&
		strcmp(argv[1], commands[command].name))
		command++;
	if (argc < 3 || command == array_size(commands) ||
		!parse_options(argc - 1, argv + 1, &in.select, &output) || optind != argc - 2) {
		fputs(usage, stderr);
		return 2;
	}
	in.name = argv[argc - 1];
	data = read_input(in.name, &size);
	if (!data)
		return EXIT_FAILURE;
	if (trace_file_open(data, size, &in.file, &why)) {
		fprintf(stderr, "%s: %s\n", in.name, why);
		result = EXIT_FAILURE;
	} else {
		result = run(commands[command].run, &in, output);
	}
	free(data);
	return result;
}
