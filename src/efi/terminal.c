/*
 * The guest's terminal; see terminal.h. State is the caller's. Runs while the guest waits. ECMA-48, 5th
 * edition, names the sequences; UEFI Specification 2.10, "Simple Text Output Protocol" and "Simple Text
 * Input Protocol", what the console takes and gives.
 */
#include "efi/terminal.h"
#include "base/bits.h"
#include "base/mem.h"

#define ESC	     0x1bu
#define PARAM_MAX    9999u
#define TAB_STOPS    8u
#define UNSHOWABLE   '?'

#define COLOR_TEXT   7u /* light gray on black */
#define COLOR_BACK   0u
#define COLOR_BRIGHT 8u
#define SCAN_ESCAPE  0x17u

void terminal_init(struct terminal *t, const struct terminal_screen *screen, void *arg)
{
	*t = (struct terminal){
		.screen = screen, .arg = arg, .text = COLOR_TEXT, .background = COLOR_BACK};
}

static void flush(struct terminal *t)
{
	if (!t->length)
		return;
	t->run[t->length] = 0;
	t->length = 0;
	t->screen->print(t->arg, t->run);
}

static void put(struct terminal *t, uint16_t c)
{
	if (t->length == TERMINAL_RUN)
		flush(t);
	t->run[t->length++] = c;
}

static struct terminal_position where(struct terminal *t)
{
	flush(t);
	return t->screen->where(t->arg);
}

/* ---- sequences ---- */

/* Spaces from the cursor up to a column; the last one stays free, as the screen would go on. */
static void put_spaces(struct terminal *t, const struct terminal_position *p, unsigned end)
{
	for (unsigned col = p->col; col < end && col + 1 < p->cols; col++)
		put(t, ' ');
}

static void tabulate(struct terminal *t)
{
	struct terminal_position p = where(t);

	put_spaces(t, &p, (p.col / TAB_STOPS + 1) * TAB_STOPS);
}

static void move(struct terminal *t, const struct terminal_position *p, int cols, int rows)
{
	int col = (int)p->col + cols, row = (int)p->row + rows;

	if (!p->cols || !p->rows)
		return;
	col = col < 0 ? 0 : col >= (int)p->cols ? (int)p->cols - 1 : col;
	row = row < 0 ? 0 : row >= (int)p->rows ? (int)p->rows - 1 : row;
	t->screen->move(t->arg, (unsigned)col, (unsigned)row);
}

/* To the end of the line. The whole line isn't asked for by anybody who knows where he is. */
static void erase_line(struct terminal *t, unsigned how)
{
	struct terminal_position p = where(t);

	if (how)
		return;
	put_spaces(t, &p, p.cols);
	flush(t);
	move(t, &p, 0, 0);
}

/* All of it; or what follows the cursor, of which only the line is erased but at the first place. */
static void erase_screen(struct terminal *t, unsigned how)
{
	struct terminal_position p = where(t);

	if (how == 2 || how == 3 || (!how && !p.col && !p.row))
		t->screen->clear(t->arg);
	else
		erase_line(t, how);
	if (how == 2)
		move(t, &p, 0, 0);
}

static void set_color(struct terminal *t)
{
	unsigned text = t->text | (t->bright ? COLOR_BRIGHT : 0), back = t->background;

	flush(t);
	if (t->reverse)
		t->screen->color(t->arg, back, text & 7u);
	else
		t->screen->color(t->arg, text, back);
}

/* The order of ECMA-48 has red as bit 0, UEFI's blue. */
static unsigned swap_color(unsigned n)
{
	return (n & 2u) | (n & 1u) << 2 | (n & 4u) >> 2;
}

static void select_rendition(struct terminal *t, unsigned n)
{
	if (n == 0) {
		t->bright = t->reverse = false;
		t->text = COLOR_TEXT;
		t->background = COLOR_BACK;
	} else if (n == 1 || n == 22) {
		t->bright = n == 1;
	} else if (n == 7 || n == 27) {
		t->reverse = n == 7;
	} else if (n >= 30 && n <= 37) {
		t->text = swap_color(n - 30);
	} else if (n == 39) {
		t->text = COLOR_TEXT;
	} else if (n >= 40 && n <= 47) {
		t->background = swap_color(n - 40);
	} else if (n == 49) {
		t->background = COLOR_BACK;
	} else if (n >= 90 && n <= 97) {
		t->text = swap_color(n - 90) | COLOR_BRIGHT;
	}
}

/* A parameter that counts: 0 and none are 1. */
static int count_of(const struct terminal *t, unsigned n)
{
	return n < t->params && t->param[n] ? (int)t->param[n] : 1;
}

static void move_by(struct terminal *t, int cols, int rows)
{
	struct terminal_position p = where(t);

	move(t, &p, cols, rows);
}

static void move_to(struct terminal *t)
{
	struct terminal_position p = where(t);

	p.col = p.row = 0;
	move(t, &p, count_of(t, 1) - 1, count_of(t, 0) - 1);
}

static void move_to_column(struct terminal *t)
{
	struct terminal_position p = where(t);

	p.col = 0;
	move(t, &p, count_of(t, 0) - 1, 0);
}

/* The end of a control sequence. What isn't named has no effect. */
static void control(struct terminal *t, uint8_t final)
{
	int n = count_of(t, 0);

	if (t->is_private)
		return;
	switch (final) {
	case 'A':
		move_by(t, 0, -n);
		break;
	case 'B':
		move_by(t, 0, n);
		break;
	case 'C':
		move_by(t, n, 0);
		break;
	case 'D':
		move_by(t, -n, 0);
		break;
	case 'G':
		move_to_column(t);
		break;
	case 'H':
	case 'f':
		move_to(t);
		break;
	case 'J':
		erase_screen(t, t->param[0]);
		break;
	case 'K':
		erase_line(t, t->param[0]);
		break;
	case 'm':
		for (unsigned i = 0; i < t->params; i++)
			select_rendition(t, t->param[i]);
		set_color(t);
		break;
	default:
		break;
	}
}

static void control_byte(struct terminal *t, uint8_t b)
{
	unsigned *last = &t->param[t->params - 1];

	if (b >= '0' && b <= '9') {
		*last = (unsigned)min_u64(*last * 10 + (b - '0'), PARAM_MAX);
	} else if (b == ';') {
		/* Of too many the last ones share a place. */
		if (t->params < TERMINAL_PARAMS)
			t->params++;
		t->param[t->params - 1] = 0;
	} else if (b >= 0x40 && b < 0x7f) {
		t->state = TERMINAL_TEXT;
		control(t, b);
	} else {
		t->is_private = true; /* of a terminal's own, or with an intermediate byte */
	}
}

static void escape_byte(struct terminal *t, uint8_t b)
{
	switch (b) {
	case '[':
		memset(t->param, 0, sizeof(t->param));
		t->params = 1;
		t->is_private = false;
		t->state = TERMINAL_CSI;
		break;
	case ']':
	case 'P':
	case 'X':
	case '^':
	case '_':
		t->state = TERMINAL_STRING;
		break;
	case '(':
	case ')':
	case '#':
	case '%':
		t->state = TERMINAL_CHARSET;
		break;
	default:
		t->state = TERMINAL_TEXT;
		break;
	}
}

/* ---- characters ---- */

static void character(struct terminal *t, uint32_t c)
{
	bool is_surrogate = c >= 0xd800 && c <= 0xdfff;

	if (c >= 0x80 && c < 0xa0)
		return;
	put(t, c < 0xffff && !is_surrogate ? (uint16_t)c : UNSHOWABLE);
}

/* A control character ends whatever was incomplete, and all but these have no effect. */
static void control_character(struct terminal *t, uint8_t b)
{
	if (b == ESC) {
		/* In a string it begins the end of it. */
		t->state = TERMINAL_ESCAPE;
		return;
	}
	if (t->state == TERMINAL_STRING && b != '\a')
		return;
	t->state = TERMINAL_TEXT;
	if (b == '\t')
		tabulate(t);
	else if (b == '\n' || b == '\r' || b == '\b')
		put(t, b);
}

/* RFC 3629: how many bytes follow, and the least code for which it takes so many. */
static void begin_character(struct terminal *t, uint8_t b)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};

	t->more = b < 0x80 ? 0 : b < 0xc0 ? 4 : b < 0xe0 ? 1 : b < 0xf0 ? 2 : b < 0xf8 ? 3 : 4;
	if (t->more == 4) {
		t->more = 0;
		put(t, UNSHOWABLE);
	} else if (!t->more) {
		character(t, b);
	} else {
		t->code = b & (0x3fu >> t->more);
		t->least = least[t->more];
	}
}

static void text_byte(struct terminal *t, uint8_t b)
{
	if (t->more && (b & 0xc0) == 0x80) {
		t->code = t->code << 6 | (b & 0x3f);
		if (!--t->more)
			character(t, t->code < t->least ? 0xffff : t->code);
		return;
	}
	if (t->more) {
		t->more = 0;
		put(t, UNSHOWABLE);
	}
	begin_character(t, b);
}

static void take(struct terminal *t, uint8_t b)
{
	if (b < 0x20 || b == 0x7f) {
		t->more = 0;
		control_character(t, b);
		return;
	}
	switch (t->state) {
	case TERMINAL_TEXT:
		text_byte(t, b);
		break;
	case TERMINAL_ESCAPE:
		escape_byte(t, b);
		break;
	case TERMINAL_CSI:
		control_byte(t, b);
		break;
	case TERMINAL_CHARSET:
		t->state = TERMINAL_TEXT;
		break;
	case TERMINAL_STRING:
		break;
	}
}

void terminal_write(struct terminal *t, const uint8_t *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		take(t, text[i]);
	flush(t);
}

/* ---- keys ---- */

static size_t encode(uint16_t c, uint8_t *out)
{
	if (c < 0x80) {
		out[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (uint8_t)(0xc0 | c >> 6);
		out[1] = (uint8_t)(0x80 | (c & 0x3f));
		return 2;
	}
	out[0] = (uint8_t)(0xe0 | c >> 12);
	out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	out[2] = (uint8_t)(0x80 | (c & 0x3f));
	return 3;
}

size_t terminal_key(uint16_t scan, uint16_t character_code, uint8_t ret_text[static TERMINAL_KEY])
{
	/* As xterm and the Linux console send them, by scan code. */
	static const char *const sequences[] = {"", "[A", "[B", "[C", "[D", "[H", "[F", "[2~",
		"[3~", "[5~", "[6~", "OP", "OQ", "OR", "OS", "[15~", "[17~", "[18~", "[19~", "[20~",
		"[21~", "[23~", "[24~"};
	size_t len;

	/* What Linux's terminals take for the key that erases. */
	if (character_code == '\b')
		character_code = 0x7f;
	if (character_code)
		return encode(character_code, ret_text);
	if (!scan || (scan >= array_size(sequences) && scan != SCAN_ESCAPE))
		return 0;
	ret_text[0] = ESC;
	if (scan == SCAN_ESCAPE)
		return 1;
	len = strlen(sequences[scan]);
	memcpy(ret_text + 1, sequences[scan], len);
	return len + 1;
}
