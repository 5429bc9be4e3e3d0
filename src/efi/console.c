/* Log sinks; see console.h. Owns what the user wants where, and whether the firmware may be called. */
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
#define SLOW_LIMIT 1000000u

static const char prefix[] = "postern: ";
static bool want_serial, want_firmware, firmware_paused;

static bool firmware_prints(bool alert)
{
	return (want_firmware || alert) && !firmware_paused && efi_st->ConOut;
}

/*
 * Does one of the firmware's active console devices lie behind a serial port? The protocol that marks
 * them is EDK2's, and so is every firmware that has one.
 */
static bool firmware_console_is_serial(void)
{
	EFI_GUID marker = {
		0xd3b36f2c, 0xd551, 0x11d4, {0x9a, 0x46, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d}};
	EFI_GUID path_guid = EFI_DEVICE_PATH_PROTOCOL_GUID;
	EFI_DEVICE_PATH *path;
	EFI_HANDLE *handles;
	bool found = false;
	UINTN count;

	if (uefi_handles(&marker, &handles, &count))
		return false;
	for (UINTN i = 0; i < count && !found; i++)
		found = !EFI_ERROR(
				efi_bs->HandleProtocol(handles[i], &path_guid, (void **)&path)) &&
			uefi_path_has(path, MESSAGING_DEVICE_PATH, MSG_UART_DP);
	if (handles)
		efi_bs->FreePool(handles);
	return found;
}

static bool line_status_has(void *bits)
{
	return hw_port_read(UART_LSR, 1) & *(const uint32_t *)bits;
}

/* limit: microseconds that a character may take. */
static int serial_write(const char *text, uint64_t limit)
{
	uint32_t ready = LSR_THRE;

	for (; *text; text++) {
		int err = hw_poll(line_status_has, &ready, limit);

		if (err)
			return err;
		hw_port_write(COM1, 1, (uint8_t)*text);
	}
	return 0;
}

/* The guest may have seen an empty transmitter just before: it is empty again afterwards. */
static void serial_sink(const char *line, bool alert)
{
	uint32_t idle = LSR_TEMT;

	if (!want_serial && !alert)
		return;
	if (firmware_prints(alert) && firmware_console_is_serial())
		return;
	if (hw_port_read(UART_LSR, 1) == NO_UART)
		return;
	if (serial_write(prefix, CHAR_LIMIT) || serial_write(line, CHAR_LIMIT) ||
		serial_write("\r\n", CHAR_LIMIT) || hw_poll(line_status_has, &idle, CHAR_LIMIT))
		return;
}

int console_serial_line(const char *text)
{
	int err;

	if (hw_port_read(UART_LSR, 1) == NO_UART)
		return -E_NOENT;
	err = serial_write(text, SLOW_LIMIT);
	return err ? err : serial_write("\r\n", SLOW_LIMIT);
}

static void console_write(const char *text)
{
	CHAR16 wide[LOG_LINE_MAX + 1];

	uefi_widen(wide, LOG_LINE_MAX, text);
	efi_st->ConOut->OutputString(efi_st->ConOut, wide);
}

static void console_sink(const char *line, bool alert)
{
	if (!firmware_prints(alert))
		return;
	console_write(prefix);
	console_write(line);
	console_write("\r\n");
}

void console_init(bool serial, bool firmware)
{
	want_serial = serial;
	want_firmware = firmware;
	log_reset();
	log_add_sink(serial_sink);
	log_add_sink(console_sink);
}

void console_pause(bool paused)
{
	firmware_paused = paused;
}
