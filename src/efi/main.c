/*
 * Postern's entry from the firmware: configuration, session, and what comes after it. Whatever
 * fails, the machine goes on booting.
 */
#include "base/log.h"
#include "base/mem.h"
#include "efi/boot.h"
#include "efi/config.h"
#include "efi/console.h"
#include "efi/files.h"
#include "efi/session.h"
#include "efi/ticks.h"
#include "efi/uefi.h"
#include "hw/time.h"

#define CONFIG_FILE "\\EFI\\postern\\postern.conf"
#define LINE_MAX    512u

static struct config config;
static struct boot_origin origin;

static int report(const struct config_error *e)
{
	char line[LINE_MAX];

	config_error_print(e, CONFIG_FILE, line, sizeof(line));
	log_alert("%s", line);
	return -E_INVAL;
}

static int load_config(void)
{
	struct config_error e = {0};
	struct file f = {0};
	EFI_HANDLE volume;
	int err;

	config_init(&config);
	err = boot_origin_init(&origin);
	if (!err)
		err = boot_origin_volume(&origin, &volume);
	if (!err)
		err = file_read(volume, CONFIG_FILE, &f);
	if (err) {
		log_alert("%s: %s", CONFIG_FILE, error_string(err));
		return err;
	}
	err = config_parse(&config, f.data, f.size, &e);
	file_free(&f);
	return err ? report(&e) : 0;
}

static EFI_STATUS after_guest(const struct vm_stop *stop)
{
	EFI_STATUS status;
	int err;

	if (stop->reason != STOP_BOOT)
		return boot_action(&origin, &config, config_action_for(&config, stop->reason));
	if (stop->target == BOOT_NEXT)
		return boot_action(&origin, &config, ACTION_NEXT);
	if (stop->target == BOOT_DEFAULT)
		return boot_action(&origin, &config, ACTION_CONTINUE);
	err = boot_path(&origin, stop->path, &status);
	if (!err)
		return status;
	log_alert("%s: %s", stop->path, error_string(err));
	return boot_action(&origin, &config, config.on_failure);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st);

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *st)
{
	struct vm_stop stop = {0};
	int err;

	uefi_init(image, st);
	console_init(true, false);
	/* The boot manager's watchdog would reset the machine under a user who thinks. */
	efi_bs->SetWatchdogTimer(0, 0, 0, NULL);
	hw_time_init(ticks_measure_tsc_khz());
	log_line("starting, version %s", POSTERN_VERSION);
	err = load_config();
	console_init(config.log & CONFIG_LOG_SERIAL, config.log & CONFIG_LOG_CONSOLE);
	if (!err)
		err = session_run(&config, &origin, &stop);
	if (err)
		return boot_action(&origin, &config, config.on_failure);
	return after_guest(&stop);
}
