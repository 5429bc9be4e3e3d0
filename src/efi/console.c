/* Log sinks; see console.h. Owns nothing but whether the firmware's console may be used. */
#include "efi/console.h"
#include "base/log.h"
#include "efi/uefi.h"
#include "hw/port.h"
#include "hw/time.h"

/* 16550 UART: National Semiconductor PC16550D data sheet, "Registers". */
#define COM1	   0x3f8u
#define UART_LSR   (COM1 + 5)
#define LSR_THRE   0x20u
#define LSR_TEMT   0x40u
#define NO_UART	   0xffu
#define CHAR_LIMIT 20000u /* us; a character takes 10 ms at 960 baud */

static const char prefix[] = "postern: ";
static bool firmware_paused;

static bool line_status_has(void *bits)
{
	return hw_port_read(UART_LSR, 1) & *(const uint32_t *)bits;
}

static void serial_write(const char *text)
{
	uint32_t ready = LSR_THRE;

	for (; *text; text++) {
		if (hw_poll(line_status_has, &ready, CHAR_LIMIT))
			return;
		hw_port_write(COM1, 1, (uint8_t)*text);
	}
}

/* The guest may have seen an empty transmitter just before: it is empty again afterwards. */
static void serial_sink(const char *line)
{
	uint32_t idle = LSR_TEMT;

	if (hw_port_read(UART_LSR, 1) == NO_UART)
		return;
	serial_write(prefix);
	serial_write(line);
	serial_write("\r\n");
	if (hw_poll(line_status_has, &idle, CHAR_LIMIT))
		return;
}

static void console_write(const char *text)
{
	CHAR16 wide[LOG_LINE_MAX + 1];

	uefi_widen(wide, LOG_LINE_MAX, text);
	efi_st->ConOut->OutputString(efi_st->ConOut, wide);
}

static void console_sink(const char *line)
{
	if (firmware_paused || !efi_st->ConOut)
		return;
	console_write(prefix);
	console_write(line);
	console_write("\r\n");
}

void console_init(bool serial, bool firmware)
{
	log_reset();
	if (serial)
		log_add_sink(serial_sink);
	if (firmware)
		log_add_sink(console_sink);
}

void console_pause(bool paused)
{
	firmware_paused = paused;
}
