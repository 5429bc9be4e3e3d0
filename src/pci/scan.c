/* The walk over the real buses; see scan.h. No state. Not on the exit path. */
#include "pci/scan.h"
#include "base/bits.h"
#include "base/error.h"
#include "pci/layout.h"

#define BUSES 256u

struct walk {
	int (*visit)(void *arg, const struct pci_seen *fn);
	void *arg;
	bool seen[BUSES];
	/* Buses still to be walked, each once, and the bridge that leads there. */
	uint8_t queue[BUSES];
	pci_bdf_t bridge[BUSES];
	unsigned head, tail;
};

static void walk_enqueue(struct walk *w, uint8_t bus, pci_bdf_t bridge)
{
	if (w->seen[bus])
		return;
	w->seen[bus] = true;
	w->queue[w->tail] = bus;
	w->bridge[w->tail++] = bridge;
}

static bool function_present(pci_bdf_t bdf)
{
	uint32_t vendor = hw_pci_read(bdf, PCI_VENDOR_ID, 2);

	return vendor != 0xffff && vendor != 0;
}

static int walk_function(struct walk *w, pci_bdf_t bdf, pci_bdf_t bridge, uint8_t *ret_header)
{
	struct pci_seen fn = {
		.bdf = bdf,
		.bridge = bridge,
		.class = (uint16_t)hw_pci_read(bdf, PCI_CLASS + 1, 1),
		.prog_if = (uint8_t)hw_pci_read(bdf, PCI_CLASS, 1),
		.header = (uint8_t)hw_pci_read(bdf, PCI_HEADER_TYPE, 1),
	};

	fn.class |= (uint16_t)(hw_pci_read(bdf, PCI_CLASS + 2, 1) << 8);
	*ret_header = fn.header;
	if ((fn.header & PCI_HEADER_KIND) == PCI_HEADER_BRIDGE) {
		fn.secondary = (uint8_t)hw_pci_read(bdf, PCI_BRIDGE_SECONDARY, 1);
		/* 0 before the firmware has numbered it; then nothing behind it answers. */
		if (fn.secondary)
			walk_enqueue(w, fn.secondary, bdf);
	}
	return w->visit(w->arg, &fn);
}

static int walk_device(struct walk *w, unsigned bus, unsigned dev, pci_bdf_t bridge)
{
	unsigned functions = 1;

	for (unsigned n = 0; n < functions; n++) {
		uint8_t header;
		int err;

		if (!function_present(PCI_BDF(bus, dev, n)))
			continue;
		err = walk_function(w, PCI_BDF(bus, dev, n), bridge, &header);
		if (err)
			return err;
		if (n == 0 && (header & PCI_HEADER_MULTI))
			functions = 8;
	}
	return 0;
}

int pci_scan(int (*visit)(void *arg, const struct pci_seen *fn), void *arg)
{
	struct walk w = {.visit = visit, .arg = arg};

	walk_enqueue(&w, 0, PCI_NO_BRIDGE);
	for (; w.head < w.tail; w.head++)
		for (unsigned dev = 0; dev < 32; dev++) {
			int err = walk_device(&w, w.queue[w.head], dev, w.bridge[w.head]);

			if (err)
				return err;
		}
	return 0;
}

static int topology_add(void *arg, const struct pci_seen *fn)
{
	struct pci_topology *t = arg;

	if (t->count == PCI_FUNCTIONS_MAX)
		return -E_NOMEM;
	t->fn[t->count++] = *fn;
	return 0;
}

int pci_topology_read(struct pci_topology *ret)
{
	ret->count = 0;
	return pci_scan(topology_add, ret);
}

const struct pci_seen *pci_topology_find(const struct pci_topology *t, pci_bdf_t bdf)
{
	for (unsigned i = 0; i < t->count; i++)
		if (t->fn[i].bdf == bdf)
			return &t->fn[i];
	return NULL;
}
