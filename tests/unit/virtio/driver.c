/* See driver.h. */
#include "virtio/driver.h"
#include "base/error.h"
#include "fakes/fake_hw.h"

#include <stdlib.h>
#include <string.h>

struct driver driver;
uint8_t ram[RAM_SIZE] __attribute__((aligned(4096)));
static uint8_t pool[512 * 1024] __attribute__((aligned(4096)));

void driver_reset(void)
{
	fake_hw_reset();
	fake_gmem_reset();
	memset(&driver, 0, sizeof(driver));
	memset(ram, 0, sizeof(ram));
	fake_vm_init(&driver.vm);
	if (gmem_add(&driver.vm.gmem, (struct gmem_run){gpa(0), hpa(0), RAM_SIZE, ram}))
		abort();
	arena_init(&driver.arena, pool, hpa(0), sizeof(pool));
	memset(pool, 0, sizeof(pool));
	fake_pci_q35();
	if (pci_filter_init(&driver.filter, &driver.vm, &driver.arena, gpa(0), 0))
		abort();
}

static void config_write(pci_bdf_t bdf, unsigned offset, unsigned size, uint32_t value)
{
	fake_vm_write(
		&driver.vm, true, 0xcf8, 4, 0x80000000u | (uint32_t)bdf << 8 | (offset & ~3u));
	fake_vm_write(&driver.vm, true, 0xcfc + (offset & 3), size, value);
}

static uint32_t config_read(pci_bdf_t bdf, unsigned offset, unsigned size)
{
	fake_vm_write(
		&driver.vm, true, 0xcf8, 4, 0x80000000u | (uint32_t)bdf << 8 | (offset & ~3u));
	return (uint32_t)fake_vm_read(&driver.vm, true, 0xcfc + (offset & 3), size);
}

void driver_find(struct virtio *t)
{
	driver.t = t;
	config_write(t->dev.bdf, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	driver.bar = config_read(t->dev.bdf, PCI_BAR0, 4) & ~15u;
}

uint64_t common_get(unsigned reg, unsigned size)
{
	return fake_vm_read(&driver.vm, false, driver.bar + reg, size);
}

void common_set(unsigned reg, unsigned size, uint64_t value)
{
	fake_vm_write(&driver.vm, false, driver.bar + reg, size, value);
}

static void start_queue(unsigned n)
{
	common_set(0x16, 2, n);
	common_set(0x18, 2, QUEUE_LEN);
	common_set(0x20, 4, DESC(n));
	common_set(0x24, 4, 0);
	common_set(0x28, 8, AVAIL(n));
	common_set(0x30, 8, USED(n));
	common_set(0x1c, 2, 1);
	driver.avail[n] = 0;
	memset(ram + DESC(n), 0, 0x3000);
}

uint8_t driver_start(uint64_t features)
{
	common_set(0x14, 1, 0);
	common_set(0x14, 1, 3);
	common_set(0x08, 4, 0);
	common_set(0x0c, 4, (uint32_t)features);
	common_set(0x08, 4, 1);
	common_set(0x0c, 4, 1 | features >> 32);
	common_set(0x14, 1, 11);
	for (unsigned n = 0; n < common_get(0x12, 2); n++)
		start_queue(n);
	common_set(0x14, 1, 15);
	driver.next_desc = 0;
	return (uint8_t)common_get(0x14, 1);
}

struct virtq_desc *desc_at(unsigned queue, unsigned n)
{
	return (struct virtq_desc *)(void *)(ram + DESC(queue)) + n;
}

uint16_t *avail_word(unsigned queue, unsigned n)
{
	return (uint16_t *)(void *)(ram + AVAIL(queue)) + n;
}

void chain_begin(void)
{
	driver.next_desc %= QUEUE_LEN;
	driver.head = ~0u;
}

void chain_put(unsigned queue, uint64_t at, uint32_t len, uint16_t flags)
{
	unsigned n = driver.next_desc++ % QUEUE_LEN;

	*desc_at(queue, n) = (struct virtq_desc){.addr = at, .len = len, .flags = flags};
	if (driver.head == ~0u) {
		driver.head = n;
		return;
	}
	desc_at(queue, (n + QUEUE_LEN - 1) % QUEUE_LEN)->next = (uint16_t)n;
	desc_at(queue, (n + QUEUE_LEN - 1) % QUEUE_LEN)->flags |= VIRTQ_DESC_NEXT;
}

void chain_give(unsigned queue)
{
	*avail_word(queue, 2 + driver.avail[queue]++ % QUEUE_LEN) = (uint16_t)driver.head;
	*avail_word(queue, 1) = driver.avail[queue];
}

void driver_kick(unsigned queue)
{
	fake_gmem_forget();
	fake_vm_write(&driver.vm, false, driver.bar + 0x3000 + queue * 4, 2, queue);
}

uint16_t used_index(unsigned queue)
{
	uint16_t index;

	memcpy(&index, ram + USED(queue) + 2, sizeof(index));
	return index;
}

struct virtq_used_elem used_get(unsigned queue, unsigned n)
{
	struct virtq_used_elem e;

	memcpy(&e, ram + USED(queue) + 4 + n % QUEUE_LEN * sizeof(e), sizeof(e));
	return e;
}
