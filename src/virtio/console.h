/*
 * A console for the guest with one port, over a seam of two functions, behind which in Postern are the
 * firmware's console devices.
 */
#ifndef POSTERN_VIRTIO_CONSOLE_H
#define POSTERN_VIRTIO_CONSOLE_H

#include "virtio/transport.h"

#define VIRTIO_CONSOLE_TURN 256u /* bytes of output in one turn; screens may be slow */
#define VIRTIO_CONSOLE_KEYS 32u	 /* bytes of input in one turn */

struct virtio_console_ops {
	void (*write)(void *arg, const uint8_t *text, size_t len);
	/* What was typed so far, at most max bytes; 0: nothing. Doesn't wait. */
	size_t (*read)(void *arg, uint8_t *ret_text, size_t max);
};

struct virtio_console {
	struct virtio virtio;
	const struct virtio_console_ops *ops;
	void *arg;
	bool printing;
	uint64_t printed; /* bytes of the request under way */
	struct virtq_chain output, input;
	uint8_t key[VIRTIO_CONSOLE_KEYS]; /* typed, and not given to the guest yet */
	size_t keys;
	uint64_t bytes_out, bytes_in;
};

/* Before virtio_show. The size is in characters. */
void virtio_console_init(struct virtio_console *c, struct vm *vm, uint8_t irq,
	const struct virtio_console_ops *ops, void *arg, uint16_t cols, uint16_t rows);

#endif
