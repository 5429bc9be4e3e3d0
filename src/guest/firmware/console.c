/*
 * "Simple Text Output Protocol" and "Simple Text Input Protocol" on the guest's first serial port. Runs
 * in the guest.
 */
#include "guest/firmware/firmware.h"

#define COM1	   0x3f8u
#define COM1_LSR   (COM1 + 5)
#define LSR_DR	   0x01u
#define LSR_THRE   0x20u
#define SEND_TRIES 100000u

static uint8_t in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static void put(char c)
{
	for (unsigned i = 0; i < SEND_TRIES && !(in8(COM1_LSR) & LSR_THRE); i++)
		__asm__ volatile("pause");
	out8(COM1, (uint8_t)c);
}

static SIMPLE_TEXT_OUTPUT_MODE mode = {.MaxMode = 1, .CursorVisible = TRUE};

static EFI_STATUS EFIAPI reset_output(SIMPLE_TEXT_OUTPUT_INTERFACE *self, BOOLEAN extended)
{
	(void)self;
	(void)extended;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI output_string(SIMPLE_TEXT_OUTPUT_INTERFACE *self, CHAR16 *text)
{
	(void)self;
	if (!text)
		return EFI_INVALID_PARAMETER;
	for (; *text; text++)
		put(*text < 0x7f ? (char)*text : '?');
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI test_string(SIMPLE_TEXT_OUTPUT_INTERFACE *self, CHAR16 *text)
{
	(void)self;
	for (; *text; text++)
		if (*text >= 0x7f)
			return EFI_UNSUPPORTED;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI query_mode(
	SIMPLE_TEXT_OUTPUT_INTERFACE *self, UINTN number, UINTN *columns, UINTN *rows)
{
	(void)self;
	if (number || !columns || !rows)
		return EFI_UNSUPPORTED;
	*columns = 80;
	*rows = 25;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI set_mode(SIMPLE_TEXT_OUTPUT_INTERFACE *self, UINTN number)
{
	(void)self;
	return number ? EFI_UNSUPPORTED : EFI_SUCCESS;
}

/* A serial line has no colours, no screen to clear and no cursor; programs needn't care. */
static EFI_STATUS EFIAPI set_attribute(SIMPLE_TEXT_OUTPUT_INTERFACE *self, UINTN attribute)
{
	self->Mode->Attribute = (INT32)attribute;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI clear_screen(SIMPLE_TEXT_OUTPUT_INTERFACE *self)
{
	(void)self;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI set_cursor(SIMPLE_TEXT_OUTPUT_INTERFACE *self, UINTN column, UINTN row)
{
	(void)self;
	(void)column;
	(void)row;
	return EFI_UNSUPPORTED;
}

static EFI_STATUS EFIAPI enable_cursor(SIMPLE_TEXT_OUTPUT_INTERFACE *self, BOOLEAN enable)
{
	(void)self;
	(void)enable;
	return EFI_UNSUPPORTED;
}

static EFI_STATUS EFIAPI reset_input(SIMPLE_INPUT_INTERFACE *self, BOOLEAN extended)
{
	(void)self;
	(void)extended;
	while (in8(COM1_LSR) != 0xff && (in8(COM1_LSR) & LSR_DR))
		in8(COM1);
	return EFI_SUCCESS;
}

static bool has_input(void)
{
	uint8_t status = in8(COM1_LSR);

	/* All ones: there is no port. */
	return status != 0xff && (status & LSR_DR);
}

static EFI_STATUS EFIAPI read_key(SIMPLE_INPUT_INTERFACE *self, EFI_INPUT_KEY *key)
{
	(void)self;
	if (!key)
		return EFI_INVALID_PARAMETER;
	if (!has_input())
		return EFI_NOT_READY;
	*key = (EFI_INPUT_KEY){.ScanCode = SCAN_NULL, .UnicodeChar = in8(COM1)};
	return EFI_SUCCESS;
}

static void EFIAPI find_key(EFI_EVENT event, VOID *context)
{
	(void)context;
	if (has_input())
		firmware.boot.SignalEvent(event);
}

static SIMPLE_TEXT_OUTPUT_INTERFACE output;
static SIMPLE_INPUT_INTERFACE input;

void console_init(EFI_SYSTEM_TABLE *st)
{
	static EFI_GUID output_guid = SIMPLE_TEXT_OUTPUT_PROTOCOL;
	static EFI_GUID input_guid = SIMPLE_TEXT_INPUT_PROTOCOL;
	EFI_HANDLE handle = NULL;

	output = (SIMPLE_TEXT_OUTPUT_INTERFACE){
		.Reset = reset_output,
		.OutputString = output_string,
		.TestString = test_string,
		.QueryMode = query_mode,
		.SetMode = set_mode,
		.SetAttribute = set_attribute,
		.ClearScreen = clear_screen,
		.SetCursorPosition = set_cursor,
		.EnableCursor = enable_cursor,
		.Mode = &mode,
	};
	input = (SIMPLE_INPUT_INTERFACE){
		.Reset = reset_input,
		.ReadKeyStroke = read_key,
		.WaitForKey = event_create_wait(find_key),
	};
	protocol_offer(&handle, &output_guid, &output);
	protocol_offer(&handle, &input_guid, &input);
	st->ConsoleInHandle = st->ConsoleOutHandle = st->StandardErrorHandle = handle;
	st->ConIn = &input;
	st->ConOut = st->StdErr = &output;
}
