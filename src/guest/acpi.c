/*
 * The guest's ACPI tables; see acpi.h. No state. Runs before the guest only.
 *
 *   GUEST_ACPI_BASE    RSDP, FADT, MADT and MCFG where the machine has them, DSDT, XSDT
 *   GUEST_ACPI_NVS     FACS, which the specification wants out of the memory that an OS may reuse
 */
#include "guest/acpi.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/mem.h"
#include "guest/acpi_tables.h"
#include "guest/aml.h"

#define TABLES_SIZE  (GUEST_ACPI_NVS - GUEST_ACPI_BASE)
#define TABLES_MAX   4u
#define TABLE_ALIGN  16u

#define PM1_CONTROL  4u /* behind the event block */

#define PCI_DEVICES  32u
#define PCI_PINS     4u
#define ISA_IRQS     16u
/* Ports that the PCI root passes on: all but its own CF8h to CFFh. */
#define IO_LOW_LAST  0x0cf7u
#define IO_HIGH_BASE 0x0d00u
/* MC146818A's register of the century, by the convention of PCs. */
#define RTC_CENTURY  0x32u

struct builder {
	const struct guest_acpi *m;
	uint8_t *out;
	size_t len;
	uint64_t table[TABLES_MAX]; /* what the XSDT lists */
	size_t table_count;
	uint64_t dsdt;
};

/* ---- the description ---- */

static int insert_window(struct guest_acpi *m, uint64_t base, uint64_t len)
{
	if (m->window_count == GUEST_ACPI_WINDOWS)
		return -E_NOMEM;
	m->window[m->window_count++] = (struct guest_range){base, len};
	return 0;
}

int guest_acpi_add_window(struct guest_acpi *m, uint64_t base, uint64_t len)
{
	if (!len || !range_fits(base, len, GUEST_ADDRESS_END))
		return -E_RANGE;
	return insert_window(m, base, len);
}

int guest_acpi_cut_windows(struct guest_acpi *m, uint64_t base, uint64_t len)
{
	unsigned kept = 0, old = m->window_count;
	struct guest_range rest[GUEST_ACPI_WINDOWS], *w = m->window;
	unsigned rests = 0;

	if (!len || !range_fits(base, len, GUEST_ADDRESS_END))
		return -E_RANGE;
	/* Only a window that lies around the range falls in two; they may overlap, so several can. */
	for (unsigned i = 0; i < old; i++)
		rests += w[i].base < base && w[i].base + w[i].len > base + len;
	if (old + rests > GUEST_ACPI_WINDOWS)
		return -E_NOMEM;
	rests = 0;
	for (unsigned i = 0; i < old; i++) {
		struct guest_range r = w[i];
		uint64_t end = r.base + r.len;

		if (!ranges_overlap(r.base, r.len, base, len)) {
			w[kept++] = r;
			continue;
		}
		if (r.base < base)
			w[kept++] = (struct guest_range){r.base, base - r.base};
		if (end <= base + len)
			continue;
		if (r.base < base)
			rest[rests++] = (struct guest_range){base + len, end - base - len};
		else
			w[kept++] = (struct guest_range){base + len, end - base - len};
	}
	for (unsigned i = 0; i < rests; i++)
		w[kept++] = rest[i];
	m->window_count = kept;
	return 0;
}

int guest_acpi_add_route(struct guest_acpi *m, uint8_t device, uint8_t pin, uint8_t gsi)
{
	if (device >= PCI_DEVICES || pin >= PCI_PINS)
		return -E_RANGE;
	for (unsigned i = 0; i < m->route_count; i++) {
		const struct guest_acpi_route *r = &m->route[i];

		if (r->device == device && r->pin == pin)
			return r->gsi == gsi ? 0 : -E_EXIST;
	}
	if (m->route_count == GUEST_ACPI_ROUTES)
		return -E_NOMEM;
	m->route[m->route_count++] = (struct guest_acpi_route){device, pin, gsi};
	return 0;
}

static int check_machine(const struct guest_acpi *m)
{
	uint64_t ecam_len = (m->last_bus + 1ull) * MIB;

	if (m->window_count > GUEST_ACPI_WINDOWS || m->route_count > GUEST_ACPI_ROUTES ||
		m->override_count > GUEST_ACPI_OVERRIDES)
		return -E_RANGE;
	if (m->sci >= ISA_IRQS || m->s5_type > 7 || !range_fits(m->ecam_base, ecam_len, 4 * GIB))
		return -E_RANGE;
	/* The fixed hardware is not optional, and the bits below an ECAM window's size are the bus. */
	if (!m->pm_port || !is_aligned(m->ecam_base, MIB))
		return -E_INVAL;
	return 0;
}

/* ---- tables ---- */

static void sum_up(void *table, size_t len, uint8_t *checksum)
{
	const uint8_t *bytes = table;
	unsigned sum = 0;

	*checksum = 0;
	for (size_t i = 0; i < len; i++)
		sum += bytes[i];
	*checksum = (uint8_t)-sum;
}

static struct acpi_header header(const char signature[static 4], uint8_t revision, size_t length)
{
	struct acpi_header h = {.length = (uint32_t)length,
		.revision = revision,
		.oem = {'P', 'S', 'T', 'E', 'R', 'N'},
		.oem_table = {'P', 'O', 'S', 'T', 'E', 'R', 'N', ' '},
		.oem_revision = 1,
		.creator = {'P', 'S', 'T', 'N'},
		.creator_revision = 1};

	memcpy(h.signature, signature, sizeof(h.signature));
	return h;
}

/* Puts a table, whose header says its length, behind the others. */
static int put_table(struct builder *b, struct acpi_header *table, uint64_t *ret_at)
{
	size_t at = align_up(b->len, TABLE_ALIGN);

	if (!range_fits(at, table->length, TABLES_SIZE))
		return -E_NOMEM;
	sum_up(table, table->length, &table->checksum);
	memcpy(b->out + at, table, table->length);
	b->len = at + table->length;
	*ret_at = GUEST_ACPI_BASE + at;
	return 0;
}

static int put_listed(struct builder *b, struct acpi_header *table)
{
	if (b->table_count == TABLES_MAX)
		return -E_NOMEM;
	return put_table(b, table, &b->table[b->table_count++]);
}

static int put_facs(struct builder *b)
{
	struct acpi_facs f = {.signature = "FACS", .length = sizeof(f), .version = 2};

	memcpy(b->out + TABLES_SIZE, &f, sizeof(f));
	return 0;
}

static struct acpi_gas io_register(uint16_t port, unsigned bytes, uint8_t access)
{
	return (struct acpi_gas){ACPI_SPACE_IO, (uint8_t)(bytes * 8), 0, access, port};
}

static uint16_t boot_flags(const struct guest_acpi *m)
{
	return (uint16_t)(FADT_BOOT_NO_VGA | FADT_BOOT_NO_ASPM |
			  (m->uart || m->pit || m->pic ? FADT_BOOT_LEGACY : 0) |
			  (m->keyboard ? FADT_BOOT_8042 : 0) | (m->rtc ? 0 : FADT_BOOT_NO_RTC) |
			  (m->msi ? 0 : FADT_BOOT_NO_MSI));
}

static int put_fadt(struct builder *b)
{
	const struct guest_acpi *m = b->m;
	uint16_t control = m->pm_port + PM1_CONTROL;
	struct acpi_fadt f = {.header = header("FACP", FADT_REVISION, sizeof(f)),
		.facs = GUEST_ACPI_NVS,
		.dsdt = (uint32_t)b->dsdt,
		.sci = m->sci,
		.pm1a_event = m->pm_port,
		.pm1a_control = control,
		.pm1_event_len = 4,
		.pm1_control_len = 2,
		.c2_latency = FADT_NO_C2,
		.c3_latency = FADT_NO_C3,
		.century = m->rtc ? RTC_CENTURY : 0,
		.boot_flags = boot_flags(m),
		.flags = FADT_WBINVD | FADT_C1 | FADT_NO_SLEEP | FADT_NO_RTC_WAKE |
			 (m->reset_port ? FADT_RESET : 0),
		.reset_value = m->reset_value,
		.minor = FADT_MINOR,
		.x_dsdt = b->dsdt,
		.x_pm1a_event = io_register(m->pm_port, 4, ACPI_ACCESS_WORD),
		.x_pm1a_control = io_register(control, 2, ACPI_ACCESS_WORD)};

	if (m->reset_port)
		f.reset = io_register(m->reset_port, 1, ACPI_ACCESS_BYTE);
	return put_listed(b, &f.header);
}

static uint16_t override_flags(const struct guest_acpi_override *o)
{
	return (o->active_low ? MADT_POLARITY_LOW : MADT_POLARITY_HIGH) |
	       (o->level ? MADT_TRIGGER_LEVEL : MADT_TRIGGER_EDGE);
}

static int put_madt(struct builder *b)
{
	const struct guest_acpi *m = b->m;
	struct {
		struct acpi_madt madt;
		struct acpi_madt_lapic lapic;
		struct acpi_madt_ioapic ioapic;
		struct acpi_madt_override override[GUEST_ACPI_OVERRIDES];
	} PACKED t = {.lapic = {MADT_LAPIC, sizeof(t.lapic), 0, 0, MADT_LAPIC_ENABLED},
		.ioapic = {MADT_IOAPIC, sizeof(t.ioapic), m->ioapic_id, 0, m->ioapic_base, 0}};

	if (!m->apic)
		return 0;
	for (unsigned i = 0; i < m->override_count; i++) {
		const struct guest_acpi_override *o = &m->override[i];

		t.override[i] = (struct acpi_madt_override){
			MADT_OVERRIDE, sizeof(t.override[i]), 0, o->irq, o->gsi, override_flags(o)};
	}
	t.madt = (struct acpi_madt){
		.header = header("APIC", 5,
			sizeof(t) - sizeof(t.override) + m->override_count * sizeof(t.override[0])),
		.lapic_base = m->lapic_base,
		.flags = m->pic ? MADT_PCAT : 0};
	return put_listed(b, &t.madt.header);
}

static int put_mcfg(struct builder *b)
{
	struct acpi_mcfg t = {.header = header("MCFG", 1, sizeof(t)),
		.ecam_base = b->m->ecam_base,
		.last_bus = b->m->last_bus};

	return b->m->ecam_base ? put_listed(b, &t.header) : 0;
}

static int put_xsdt(struct builder *b)
{
	struct {
		struct acpi_header header;
		uint64_t table[TABLES_MAX];
	} PACKED t = {.header = header("XSDT", 1, sizeof(t.header) + b->table_count * 8)};
	struct acpi_rsdp r = {.signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '},
		.revision = 2,
		.length = sizeof(r)};
	uint64_t at;
	int err;

	memcpy(r.oem, t.header.oem, sizeof(r.oem));
	memcpy(t.table, b->table, sizeof(b->table));
	err = put_table(b, &t.header, &at);
	if (err)
		return err;
	r.xsdt = at;
	sum_up(&r, ACPI_RSDP_FIRST, &r.checksum);
	sum_up(&r, sizeof(r), &r.extended_checksum);
	memcpy(b->out, &r, sizeof(r));
	return 0;
}

/* ---- the DSDT: devices that can't be found by asking them ---- */

static void begin_device(struct aml *a, const char *name, const char *id, unsigned uid)
{
	aml_device(a, name);
	aml_name(a, "_HID");
	aml_eisa_id(a, id);
	aml_name(a, "_UID");
	aml_integer(a, uid);
}

static void put_root_resources(struct aml *a, const struct guest_acpi *m)
{
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_bus_window(a, 0, m->last_bus);
	aml_io_window(a, 0, IO_LOW_LAST);
	aml_io_window(a, IO_HIGH_BASE, 0xffff);
	for (unsigned i = 0; i < m->window_count; i++)
		aml_memory_window(a, m->window[i].base, m->window[i].base + m->window[i].len - 1);
	aml_close(a);
}

/* The number of an input means the same for PIC and IOAPIC, so that no _PIC method has to tell. */
static void put_routes(struct aml *a, const struct guest_acpi *m)
{
	/* ACPICA warns of an empty one. */
	if (!m->route_count)
		return;
	aml_name(a, "_PRT");
	aml_package(a);
	for (unsigned i = 0; i < m->route_count; i++) {
		aml_package(a);
		aml_integer(a, (uint64_t)m->route[i].device << 16 | 0xffff); /* any function */
		aml_integer(a, m->route[i].pin);
		aml_integer(a, 0); /* no link device: the next is the GSI */
		aml_integer(a, m->route[i].gsi);
		aml_close(a);
	}
	aml_close(a);
}

static void put_root(struct aml *a, const struct guest_acpi *m)
{
	begin_device(a, "PCI0", m->ecam_base ? "PNP0A08" : "PNP0A03", 0);
	if (m->ecam_base) {
		aml_name(a, "_CID");
		aml_eisa_id(a, "PNP0A03");
	}
	aml_name(a, "_BBN");
	aml_integer(a, 0);
	put_root_resources(a, m);
	put_routes(a, m);
	aml_close(a);
}

/* Up to two runs of ports and an interrupt. */
struct legacy_part {
	const char *name, *id;
	uint16_t port[2];
	uint8_t len[2];
	int8_t irq; /* -1: none */
	bool present;
};

static void put_legacy(struct aml *a, const struct guest_acpi *m)
{
	const struct legacy_part parts[] = {
		{"PIC", "PNP0000", {0x20, 0xa0}, {2, 2}, 2, m->pic},
		{"TMR", "PNP0100", {0x40}, {4}, 0, m->pit},
		{"RTC", "PNP0B00", {0x70}, {2}, 8, m->rtc},
		{"KBD", "PNP0303", {0x60, 0x64}, {1, 1}, 1, m->keyboard},
		{"COM1", "PNP0501", {0x3f8}, {8}, 4, m->uart},
		/* The PIC's level registers belong to nobody by name. */
		{"ELCR", "PNP0C02", {0x4d0}, {2}, -1, m->pic},
	};

	for (size_t i = 0; i < array_size(parts); i++) {
		const struct legacy_part *p = &parts[i];

		if (!p->present)
			continue;
		begin_device(a, p->name, p->id, 0);
		aml_name(a, "_CRS");
		aml_resources(a);
		for (size_t n = 0; n < array_size(p->port) && p->len[n]; n++)
			aml_io(a, p->port[n], p->len[n]);
		if (p->irq >= 0)
			aml_irq(a, (unsigned)p->irq);
		aml_close(a);
		aml_close(a);
	}
}

/* Linux uses no ECAM window that isn't said to be taken. */
static void put_ecam(struct aml *a, const struct guest_acpi *m)
{
	if (!m->ecam_base)
		return;
	begin_device(a, "ECAM", "PNP0C02", 1);
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_memory(a, (uint32_t)m->ecam_base, (m->last_bus + 1u) * (uint32_t)MIB);
	aml_close(a);
	aml_close(a);
}

/* What the MADT calls processor 0. */
static void put_processor(struct aml *a, const struct guest_acpi *m)
{
	if (!m->apic)
		return;
	aml_device(a, "CPU0");
	aml_name(a, "_HID");
	aml_string(a, "ACPI0007");
	aml_name(a, "_UID");
	aml_integer(a, 0);
	aml_close(a);
}

static int put_dsdt(struct builder *b)
{
	struct {
		struct acpi_header header;
		uint8_t code[TABLES_SIZE / 2];
	} t;
	struct aml a;
	size_t len;
	int err;

	aml_init(&a, t.code, sizeof(t.code));
	aml_scope(&a, "\\_SB");
	put_root(&a, b->m);
	put_legacy(&a, b->m);
	put_ecam(&a, b->m);
	put_processor(&a, b->m);
	aml_close(&a);
	aml_name(&a, "\\_S5");
	aml_package(&a);
	aml_integer(&a, b->m->s5_type);
	for (unsigned i = 1; i < 4; i++)
		aml_integer(&a, 0); /* PM1b's, and two reserved */
	aml_close(&a);
	err = aml_finish(&a, &len);
	if (err)
		return err;
	t.header = header("DSDT", 2, sizeof(t.header) + len);
	return put_table(b, &t.header, &b->dsdt);
}

int guest_acpi_build(const struct guest_acpi *m, uint8_t ret_tables[static GUEST_ACPI_SIZE])
{
	static int (*const steps[])(struct builder *) = {
		put_dsdt, put_fadt, put_madt, put_mcfg, put_facs, put_xsdt};
	struct builder b = {.m = m, .out = ret_tables, .len = sizeof(struct acpi_rsdp)};
	int err = check_machine(m);

	if (err)
		return err;
	memset(ret_tables, 0, GUEST_ACPI_SIZE);
	for (size_t i = 0; i < array_size(steps) && !err; i++)
		err = steps[i](&b);
	return err;
}
