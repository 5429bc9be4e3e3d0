/* Saving a trace; see tracefile.h. No state. Not on the exit path. */
#include "efi/tracefile.h"
#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/trace.h"
#include "efi/console.h"
#include "efi/files.h"

#define LINE_BYTES 57u /* of the trace in a line of text: 76 characters */

static int save_to_file(const struct trace_piece *trace, const struct boot_origin *o)
{
	struct file_piece pieces[TRACE_PIECES];
	EFI_HANDLE volume;
	int err = boot_origin_volume(o, &volume);

	for (unsigned i = 0; i < TRACE_PIECES; i++)
		pieces[i] = (struct file_piece){trace[i].data, trace[i].size};
	return err ? err : file_write(volume, TRACE_FILE, pieces, TRACE_PIECES);
}

/* RFC 4648 "Base 64 Encoding". */
static void encode(const uint8_t *data, size_t len, char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		unsigned left = (unsigned)min_u64(len - i, 3);
		uint32_t v = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
			     (left > 2 ? data[i + 2] : 0);

		for (unsigned k = 0; k < 4; k++)
			*out++ = k <= left ? digits[v >> (18 - 6 * k) & 63] : '=';
	}
	*out = '\0';
}

struct line {
	uint8_t data[LINE_BYTES];
	size_t filled;
};

static int line_send(struct line *l)
{
	char text[sizeof(TRACE_LINE) + LINE_BYTES / 3 * 4] = TRACE_LINE;

	encode(l->data, l->filled, text + strlen(TRACE_LINE));
	l->filled = 0;
	return console_serial_line(text);
}

/* Lines run over the ends of pieces, so that only the last one is padded. */
static int save_to_serial(const struct trace_piece *trace)
{
	struct line l = {.filled = 0};

	for (unsigned i = 0; i < TRACE_PIECES; i++) {
		const uint8_t *data = trace[i].data;

		for (size_t at = 0, n; at < trace[i].size; at += n) {
			int err = l.filled == LINE_BYTES ? line_send(&l) : 0;

			if (err)
				return err;
			n = min_u64(trace[i].size - at, LINE_BYTES - l.filled);
			memcpy(l.data + l.filled, data + at, n);
			l.filled += n;
		}
	}
	return line_send(&l);
}

void trace_file_save(struct vm *vm, const struct config *c, const struct boot_origin *o)
{
	struct trace_counts count = trace_count(vm);
	struct trace_piece trace[TRACE_PIECES];
	int err;

	if (!vm->trace)
		return;
	trace_contents(vm, trace);
	err = c->trace_to == CONFIG_TRACE_SERIAL ? save_to_serial(trace) : save_to_file(trace, o);
	log_line("trace: %lu exits in %lu KiB to %s: %s", count.records, count.bytes / KIB,
		c->trace_to == CONFIG_TRACE_SERIAL ? "the serial port" : TRACE_FILE,
		err ? error_string(err) : "saved");
	if (count.lost)
		log_line("trace: %lu older exits are lost, a larger trace_size keeps them",
			count.lost);
}
