/*
 * The guest's console on the firmware's; see guestcon.h. State is the caller's. Runs while the guest
 * waits: each call goes to the firmware in its own context, at the application's TPL.
 */
#include "efi/guestcon.h"
#include "base/bits.h"
#include "base/mem.h"
#include "efi/ticks.h"

#define COLS_DEFAULT 80u
#define ROWS_DEFAULT 25u

/* ---- the screen, in firmware context ---- */

/* What the devices can't show they would leave out; a mark is better. */
static void screen_print(void *arg, const uint16_t *text)
{
	SIMPLE_TEXT_OUTPUT_INTERFACE *out = efi_st->ConOut;
	CHAR16 copy[TERMINAL_RUN + 1];
	unsigned n = 0;

	(void)arg;
	for (; n < TERMINAL_RUN && text[n]; n++)
		copy[n] = text[n];
	copy[n] = 0;
	if (EFI_ERROR(out->TestString(out, copy)))
		for (unsigned i = 0; i < n; i++)
			copy[i] = copy[i] < 0x80 ? copy[i] : '?';
	out->OutputString(out, copy);
}

static void screen_move(void *arg, unsigned col, unsigned row)
{
	(void)arg;
	efi_st->ConOut->SetCursorPosition(efi_st->ConOut, col, row);
}

static void screen_clear(void *arg)
{
	(void)arg;
	efi_st->ConOut->ClearScreen(efi_st->ConOut);
}

static void screen_color(void *arg, unsigned text, unsigned background)
{
	(void)arg;
	efi_st->ConOut->SetAttribute(efi_st->ConOut, EFI_TEXT_ATTR(text, background));
}

static struct terminal_position screen_where(void *arg)
{
	const SIMPLE_TEXT_OUTPUT_MODE *mode = efi_st->ConOut->Mode;
	UINTN cols = COLS_DEFAULT, rows = ROWS_DEFAULT;

	(void)arg;
	if (EFI_ERROR(efi_st->ConOut->QueryMode(efi_st->ConOut, (UINTN)mode->Mode, &cols, &rows)))
		cols = COLS_DEFAULT, rows = ROWS_DEFAULT;
	return (struct terminal_position){(unsigned)mode->CursorColumn, (unsigned)mode->CursorRow,
		(unsigned)min_u64(cols, UINT16_MAX), (unsigned)min_u64(rows, UINT16_MAX)};
}

static const struct terminal_screen screen = {
	.print = screen_print,
	.move = screen_move,
	.clear = screen_clear,
	.color = screen_color,
	.where = screen_where,
};

/* ---- the seam ---- */

struct write_call {
	struct guestcon *console;
	const uint8_t *text;
	size_t len;
};

static void call_write(void *arg)
{
	const struct write_call *c = arg;

	terminal_write(&c->console->terminal, c->text, c->len);
}

static void guestcon_write(void *arg, const uint8_t *text, size_t len)
{
	struct guestcon *console = arg;
	struct write_call c = {console, text, len};

	vcpu_call_firmware(console->vcpu, call_write, &c);
}

struct read_call {
	uint8_t *text;
	size_t max, len;
};

/* Whole keys only. */
static void call_read(void *arg)
{
	struct read_call *c = arg;
	EFI_INPUT_KEY key;

	while (c->max - c->len >= TERMINAL_KEY &&
		!EFI_ERROR(efi_st->ConIn->ReadKeyStroke(efi_st->ConIn, &key)))
		c->len += terminal_key(key.ScanCode, key.UnicodeChar, c->text + c->len);
}

static size_t guestcon_read(void *arg, uint8_t *ret_text, size_t max)
{
	struct guestcon *console = arg;
	struct read_call c = {ret_text, max, 0};
	uint64_t tick = ticks_count();

	if (!efi_st->ConIn || tick == console->seen_tick)
		return 0;
	console->seen_tick = tick;
	vcpu_call_firmware(console->vcpu, call_read, &c);
	return c.len;
}

const struct virtio_console_ops guestcon_ops = {guestcon_write, guestcon_read};

/* ---- before and after the guest ---- */

int guestcon_take(struct guestcon *c, struct vcpu *v, uint16_t *ret_cols, uint16_t *ret_rows)
{
	struct terminal_position p;

	if (!efi_st->ConOut || !efi_st->ConOut->Mode)
		return -E_NOENT;
	*c = (struct guestcon){.vcpu = v,
		.attribute = efi_st->ConOut->Mode->Attribute,
		.cursor = efi_st->ConOut->Mode->CursorVisible,
		.taken = true};
	terminal_init(&c->terminal, &screen, c);
	efi_st->ConOut->EnableCursor(efi_st->ConOut, TRUE);
	p = screen_where(c);
	*ret_cols = (uint16_t)p.cols;
	*ret_rows = (uint16_t)p.rows;
	return 0;
}

void guestcon_leave(struct guestcon *c)
{
	if (!c->taken)
		return;
	efi_st->ConOut->SetAttribute(efi_st->ConOut, (UINTN)c->attribute);
	efi_st->ConOut->EnableCursor(efi_st->ConOut, c->cursor);
	c->taken = false;
}
