/*
 * What a guest prints, as far as the firmware's console can show it: UTF-8 and the escape sequences of
 * ECMA-48 that shells and editors of lines use, in; runs of UCS-2 characters, cursor movement and colours
 * out. No other control character gets through. And the other way, keys of the firmware as a terminal
 * would send them. Knows nothing of UEFI's headers, so that it is tested on a host.
 */
#ifndef POSTERN_EFI_TERMINAL_H
#define POSTERN_EFI_TERMINAL_H

#include "base/types.h"

#define TERMINAL_RUN	32u
#define TERMINAL_PARAMS 8u
#define TERMINAL_KEY	8u /* bytes that a key is at most */

struct terminal_position {
	unsigned col, row, cols, rows; /* from 0; the screen's size */
};

struct terminal_screen {
	/* Characters, carriage returns, line feeds and backspaces; ends with a 0. */
	void (*print)(void *arg, const uint16_t *text);
	void (*move)(void *arg, unsigned col, unsigned row); /* on the screen */
	void (*clear)(void *arg);
	void (*color)(void *arg, unsigned text, unsigned background); /* UEFI's: 0 to 15, 0 to 7 */
	struct terminal_position (*where)(void *arg);
};

struct terminal {
	const struct terminal_screen *screen;
	void *arg;
	uint16_t run[TERMINAL_RUN + 1];
	unsigned length;
	/* A character that isn't complete yet. */
	uint32_t code, least;
	unsigned more;
	/* An escape sequence that isn't. */
	enum {
		TERMINAL_TEXT,
		TERMINAL_ESCAPE,
		TERMINAL_CSI,
		TERMINAL_STRING,
		TERMINAL_CHARSET
	} state;
	unsigned param[TERMINAL_PARAMS], params;
	bool is_private;
	/* UEFI's numbers. */
	unsigned text, background;
	bool bright, reverse;
};

void terminal_init(struct terminal *t, const struct terminal_screen *screen, void *arg);

/* All that is complete is on the screen at the return. Takes time in proportion to len. */
void terminal_write(struct terminal *t, const uint8_t *text, size_t len);

/* The bytes of a key, by UEFI's scan code and character; 0: a key that terminals don't have. */
size_t terminal_key(uint16_t scan, uint16_t character, uint8_t ret_text[static TERMINAL_KEY]);

#endif
