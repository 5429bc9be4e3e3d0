/* The guest's terminal on a screen of 20 by 5 that writes down what it is told. */
#include "efi/terminal.h"
#include "test.h"

static struct terminal terminal;
static struct terminal_position cursor;
static char said[2048];
static size_t used;

#define SAY(...) (used += (size_t)snprintf(said + used, sizeof(said) - used, __VA_ARGS__))

/* Printable characters as they are, others in brackets. */
static void print(void *arg, const uint16_t *text)
{
	CHECK(arg == said);
	for (unsigned i = 0; text[i]; i++) {
		CHECK(i < TERMINAL_RUN);
		if (text[i] >= 0x20 && text[i] < 0x7f)
			SAY("%c", text[i]);
		else
			SAY("<%x>", text[i]);
		if (text[i] == '\r')
			cursor.col = 0;
		else if (text[i] == '\n')
			cursor.row++;
		else if (text[i] == '\b')
			cursor.col--;
		else
			cursor.col++;
	}
}

static void move(void *arg, unsigned col, unsigned row)
{
	(void)arg;
	CHECK(col < cursor.cols && row < cursor.rows);
	cursor.col = col;
	cursor.row = row;
	SAY("{%u,%u}", col, row);
}

static void clear(void *arg)
{
	(void)arg;
	cursor.col = cursor.row = 0;
	SAY("{clear}");
}

static void color(void *arg, unsigned text, unsigned background)
{
	(void)arg;
	CHECK(text < 16 && background < 8);
	SAY("{%u/%u}", text, background);
}

static struct terminal_position where(void *arg)
{
	(void)arg;
	return cursor;
}

static const struct terminal_screen screen = {print, move, clear, color, where};

static void start(void)
{
	cursor = (struct terminal_position){0, 0, 20, 5};
	memset(said, 0, sizeof(said));
	used = 0;
	terminal_init(&terminal, &screen, said);
}

static void check(int line, const char *text, const char *expected)
{
	start();
	terminal_write(&terminal, (const uint8_t *)text, strlen(text));
	if (strcmp(said, expected) == 0)
		return;
	printf("  line %d: \"%s\", expected \"%s\"\n", line, said, expected);
	test_case_failures++;
}

#define CHECK_SHOWS(text, expected) check(__LINE__, text, expected)

static void characters(void)
{
	CHECK_SHOWS("a b~", "a b~");
	CHECK_SHOWS("\xc3\xa4\xe2\x82\xac", "<e4><20ac>");
	CHECK_SHOWS("a\r\nb\b", "a<d><a>b<8>");
	CHECK_SHOWS("\a\x7f\x0e\x01x", "x");
	CHECK_SHOWS("0123456789012345678901234567890123456789",
		"0123456789012345678901234567890123456789");
}

static void characters_that_are_wrong(void)
{
	/* Beyond UCS-2, overlong, a surrogate, cut, alone, impossible, a C1 control. */
	CHECK_SHOWS("\xf0\x9f\x98\x80x", "?x");
	CHECK_SHOWS("\xc0\xafx", "?x");
	CHECK_SHOWS("\xe0\x80\xafx", "?x");
	CHECK_SHOWS("\xed\xa0\x80x", "?x");
	CHECK_SHOWS("\xe2\x82x", "?x");
	CHECK_SHOWS("\xe2\x82\nx", "<a>x");
	CHECK_SHOWS("\x80x", "?x");
	CHECK_SHOWS("\xffx", "?x");
	CHECK_SHOWS("\xc2\x9b"
		    "2Jx",
		"2Jx");
	CHECK_SHOWS("\xef\xbf\xbfx", "?x");
}

/* In the middle of anything a call may end. */
static void pieces(void)
{
	const char *text = "\x1b[1;31m\xe2\x82\xac\x1b]0;title\x1b\\x";

	start();
	for (size_t i = 0; i < strlen(text); i++)
		terminal_write(&terminal, (const uint8_t *)text + i, 1);
	CHECK(!strcmp(said, "{12/0}<20ac>x"));
}

static void tabulators(void)
{
	CHECK_SHOWS("ab\tc\td", "ab      c       d");
	CHECK_SHOWS("\t\t\t\tx", "                   x");
}

static void movement(void)
{
	CHECK_SHOWS("ab\x1b[D", "ab{1,0}");
	CHECK_SHOWS("ab\x1b[9D\x1b[C\x1b[2B\x1b[A", "ab{0,0}{1,0}{1,2}{1,1}");
	CHECK_SHOWS("\x1b[3;4H\x1b[H\x1b[99;99f", "{3,2}{0,0}{19,4}");
	CHECK_SHOWS("\x1b[99999999999999999999C", "{19,0}");
	CHECK_SHOWS("abc\x1b[2G", "abc{1,0}");
}

static void erasing(void)
{
	CHECK_SHOWS("\x1b[2J", "{clear}{0,0}");
	CHECK_SHOWS("ab\x1b[2J", "ab{clear}{2,0}");
	CHECK_SHOWS("\x1b[J", "{clear}");
	CHECK_SHOWS("0123456789abcdef\x1b[K", "0123456789abcdef   {16,0}");
	CHECK_SHOWS("0123456789abcdef\x1b[J", "0123456789abcdef   {16,0}");
	CHECK_SHOWS("ab\x1b[1K", "ab");
}

static void colors(void)
{
	CHECK_SHOWS("\x1b[31m", "{4/0}");
	CHECK_SHOWS("\x1b[1;33;44m", "{14/1}");
	CHECK_SHOWS("\x1b[7m\x1b[m", "{0/7}{7/0}");
	CHECK_SHOWS("\x1b[94;99m", "{9/0}");
	CHECK_SHOWS("\x1b[1;1;1;1;1;1;1;1;1;31m", "{12/0}");
}

static void sequences_without_effect(void)
{
	CHECK_SHOWS("\x1b[6n\x1b[?25lx\x1b[>cx\x1b[1 qx", "xxx");
	CHECK_SHOWS("\x1b"
		    "7\x1b"
		    "8\x1b"
		    "cx\x1b(Bx",
		"xx");
	CHECK_SHOWS("\x1b]0;a\xc3\xa4 b\nc\ax\x1bPabc\x1b\\x", "xx");
	/* A control character ends a sequence; another ESC begins anew. */
	CHECK_SHOWS("\x1b[3\nx\x1b[3\x1b[4;1Hx", "<a>x{0,3}x");
}

static void a_screen_without_size(void)
{
	start();
	cursor.cols = cursor.rows = 0;
	terminal_write(&terminal, (const uint8_t *)"\x1b[3;3H\t\x1b[K\x1b[Ax", 14);
	CHECK(!strcmp(said, "x"));
}

static void check_key(int line, uint16_t scan, uint16_t code, const char *expected)
{
	uint8_t text[TERMINAL_KEY + 1] = {0};
	size_t len = terminal_key(scan, code, text);

	if (len == strlen(expected) && memcmp(text, expected, len) == 0)
		return;
	printf("  line %d: %zu bytes \"%s\"\n", line, len, (char *)text + 1);
	test_case_failures++;
}

static void keys(void)
{
	check_key(__LINE__, 0, 'a', "a");
	check_key(__LINE__, 0, '\r', "\r");
	check_key(__LINE__, 0, '\b', "\x7f");
	check_key(__LINE__, 0, 3, "\x03");
	check_key(__LINE__, 0, 0xe4, "\xc3\xa4");
	check_key(__LINE__, 0, 0x20ac, "\xe2\x82\xac");
	check_key(__LINE__, 1, 0, "\x1b[A");
	check_key(__LINE__, 4, 0, "\x1b[D");
	check_key(__LINE__, 8, 0, "\x1b[3~");
	check_key(__LINE__, 0x0b, 0, "\x1bOP");
	check_key(__LINE__, 0x16, 0, "\x1b[24~");
	check_key(__LINE__, 0x17, 0, "\x1b");
	check_key(__LINE__, 0x18, 0, "");
	check_key(__LINE__, 0xffff, 0, "");
	check_key(__LINE__, 0, 0, "");
}

int main(void)
{
	RUN(characters);
	RUN(characters_that_are_wrong);
	RUN(pieces);
	RUN(tabulators);
	RUN(movement);
	RUN(erasing);
	RUN(colors);
	RUN(sequences_without_effect);
	RUN(a_screen_without_size);
	RUN(keys);
	return TEST_RESULT();
}
