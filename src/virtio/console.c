/*
 * The console device; see console.h. State: struct virtio_console. On the exit path but for
 * virtio_console_init.
 */
#include "virtio/console.h"
#include "base/mem.h"

#define CLASS_SERIAL 0x0780u /* communication controller, other */

static struct virtio_console *of_virtio(struct virtio *t)
{
	return container_of(t, struct virtio_console, virtio);
}

/* Prints up to budget bytes of the request under way, and gives it back at its end. */
static size_t print_some(struct virtio_console *c, size_t budget)
{
	struct virtq *q = &c->virtio.queue[CONSOLE_OUTPUT];
	uint8_t text[VIRTIO_CONSOLE_TURN];
	size_t len = (size_t)min_u64(c->output.readable_len - c->printed, budget);

	if (virtq_read(q, &c->output, c->printed, text, len)) {
		q->broken = true;
		return budget;
	}
	if (len)
		c->ops->write(c->arg, text, len);
	c->printed += len;
	c->bytes_out += len;
	if (c->printed == c->output.readable_len) {
		c->printing = false;
		virtq_push(q, &c->output, 0);
		virtio_used(&c->virtio, CONSOLE_OUTPUT);
	}
	return len;
}

/* Requests without text count as well, so that a turn ends. */
static void print(struct virtio_console *c)
{
	struct virtq *q = &c->virtio.queue[CONSOLE_OUTPUT];
	size_t budget = VIRTIO_CONSOLE_TURN;

	while (budget && !q->broken) {
		if (!c->printing) {
			if (!virtq_pop(q, &c->output))
				break;
			c->printing = true;
			c->printed = 0;
			c->virtio.requests++;
		}
		budget -= (size_t)max_u64(print_some(c, budget), 1);
	}
	c->virtio.dev.busy = !q->broken && (c->printing || virtq_has_work(q));
}

/* Keys are taken only when the guest has room for some. */
static void take_keys(struct virtio_console *c)
{
	struct virtq *q = &c->virtio.queue[CONSOLE_INPUT];
	size_t len;

	if (!virtq_has_work(q))
		return;
	if (!c->keys)
		c->keys = c->ops->read(c->arg, c->key, sizeof(c->key));
	if (!c->keys || !virtq_pop(q, &c->input))
		return;
	len = (size_t)min_u64(c->input.writable_len, c->keys);
	if (virtq_write(q, &c->input, 0, c->key, len)) {
		q->broken = true;
		return;
	}
	c->keys -= len;
	memmove(c->key, c->key + len, c->keys);
	c->bytes_in += len;
	virtq_push(q, &c->input, (uint32_t)len);
	virtio_used(&c->virtio, CONSOLE_INPUT);
}

static void console_notify(struct virtio *t, unsigned n)
{
	if (n == CONSOLE_OUTPUT)
		print(of_virtio(t));
}

static void console_poll(struct virtio *t)
{
	print(of_virtio(t));
	take_keys(of_virtio(t));
}

static void console_reset(struct virtio *t)
{
	of_virtio(t)->printing = false;
	of_virtio(t)->keys = 0;
	t->dev.busy = false;
}

static const struct virtio_model console_model = {
	.name = "virtio-console",
	.id = VIRTIO_ID_CONSOLE,
	.class = CLASS_SERIAL,
	.queues = CONSOLE_QUEUES,
	.reset = console_reset,
	.notify = console_notify,
	.poll = console_poll,
};

void virtio_console_init(struct virtio_console *c, struct vm *vm, uint8_t irq,
	const struct virtio_console_ops *ops, void *arg, uint16_t cols, uint16_t rows)
{
	struct virtio_console_config config = {.cols = cols, .rows = rows, .max_ports = 1};

	memset(c, 0, sizeof(*c));
	c->ops = ops;
	c->arg = arg;
	c->virtio.offered = CONSOLE_F_SIZE;
	_Static_assert(sizeof(config) <= VIRTIO_CONFIG_MAX, "configuration");
	memcpy(c->virtio.config, &config, sizeof(config));
	c->virtio.config_size = sizeof(config);
	virtio_init(&c->virtio, vm, &console_model, irq, "virtio-console");
}
