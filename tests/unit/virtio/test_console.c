/* The console device, over a screen and a keyboard in memory. */
#include "virtio/console.h"
#include "test.h"
#include "virtio/driver.h"

static struct virtio_console console;
static char screen[8192];
static size_t shown, longest;
static const char *typed;
static unsigned asked;

static void screen_write(void *arg, const uint8_t *text, size_t len)
{
	CHECK(arg == screen);
	if (len > longest)
		longest = len;
	for (size_t i = 0; i < len && shown < sizeof(screen) - 1; i++)
		screen[shown++] = (char)text[i];
}

static size_t keyboard_read(void *arg, uint8_t *ret_text, size_t max)
{
	size_t n = strlen(typed);

	CHECK(arg == screen);
	asked++;
	if (n > max)
		n = max;
	memcpy(ret_text, typed, n);
	typed += n;
	return n;
}

static const struct virtio_console_ops ops = {screen_write, keyboard_read};

static void start(void)
{
	driver_reset();
	memset(screen, 0, sizeof(screen));
	shown = longest = 0;
	typed = "";
	asked = 0;
	virtio_console_init(&console, &driver.vm, 10, &ops, screen, 80, 25);
	CHECK_EQ(virtio_show(&console.virtio, &driver.filter), 0);
	driver_find(&console.virtio);
	CHECK_EQ(driver_start(CONSOLE_F_SIZE), 15);
}

static void poll(void)
{
	console.virtio.dev.ops->poll(&console.virtio.dev);
}

static void its_size(void)
{
	start();
	CHECK_EQ(fake_vm_read(&driver.vm, false, driver.bar + 0x2000, 4), 25u << 16 | 80);
}

static void output(void)
{
	start();
	memcpy(ram + DATA, "hello, world", 12);
	chain_begin();
	chain_put(1, DATA, 5, 0);
	chain_put(1, DATA + 5, 7, 0);
	chain_give(1);
	driver_kick(1);
	CHECK(!strcmp(screen, "hello, world"));
	CHECK_EQ(used_index(1), 1);
	CHECK_EQ(used_get(1, 0).len, 0);
	CHECK(fake_irqchip.line[10]);
}

static void long_output_takes_turns(void)
{
	start();
	memset(ram + DATA, 'x', 1000);
	chain_begin();
	chain_put(1, DATA, 1000, 0);
	chain_give(1);
	driver_kick(1);
	CHECK_EQ(shown, VIRTIO_CONSOLE_TURN);
	CHECK(console.virtio.dev.busy);
	CHECK_EQ(used_index(1), 0);
	for (unsigned i = 0; i < 3; i++)
		poll();
	CHECK_EQ(shown, 1000);
	CHECK_EQ(longest, VIRTIO_CONSOLE_TURN);
	CHECK(!console.virtio.dev.busy);
	CHECK_EQ(used_index(1), 1);
}

/* Nothing in a request is a request, but a turn has an end. */
static void empty_output(void)
{
	start();
	for (unsigned i = 0; i < QUEUE_LEN; i++) {
		chain_begin();
		chain_put(1, DATA, 0, 0);
		chain_give(1);
	}
	driver_kick(1);
	CHECK_EQ(used_index(1), QUEUE_LEN);
	CHECK_EQ(shown, 0);
}

static void output_from_nowhere(void)
{
	start();
	chain_begin();
	chain_put(1, RAM_SIZE - 1, 2, 0);
	chain_give(1);
	driver_kick(1);
	CHECK_EQ(common_get(0x14, 1), 0x4f);
	CHECK_EQ(driver_start(0), 15);
	CHECK(!console.printing);
}

static void give_room(uint32_t len)
{
	chain_begin();
	chain_put(0, DATA, len, VIRTQ_DESC_WRITE);
	chain_give(0);
	driver_kick(0);
}

static void input(void)
{
	start();
	typed = "abc";
	poll();
	CHECK_EQ(asked, 0);
	give_room(2);
	poll();
	CHECK_EQ(used_index(0), 1);
	CHECK_EQ(used_get(0, 0).len, 2);
	CHECK(!memcmp(ram + DATA, "ab", 2));
	/* What had no room comes next, before anything newer. */
	typed = "d";
	give_room(64);
	poll();
	CHECK_EQ(used_get(0, 1).len, 1);
	CHECK_EQ(ram[DATA], 'c');
	give_room(64);
	poll();
	CHECK_EQ(ram[DATA], 'd');
	give_room(64);
	poll();
	CHECK_EQ(used_index(0), 3);
}

static void input_to_nowhere(void)
{
	start();
	typed = "abc";
	chain_begin();
	chain_put(0, RAM_SIZE, 8, VIRTQ_DESC_WRITE);
	chain_give(0);
	poll();
	CHECK_EQ(common_get(0x14, 1), 0x4f);
	/* Room for nothing is given back, and no key is lost. */
	CHECK_EQ(driver_start(0), 15);
	typed = "z";
	chain_begin();
	chain_put(0, DATA, 8, 0);
	chain_give(0);
	poll();
	CHECK_EQ(used_index(0), 1);
	CHECK_EQ(used_get(0, 0).len, 0);
	give_room(8);
	poll();
	CHECK_EQ(ram[DATA], 'z');
}

int main(void)
{
	RUN(its_size);
	RUN(output);
	RUN(long_output_takes_turns);
	RUN(empty_output);
	RUN(output_from_nowhere);
	RUN(input);
	RUN(input_to_nowhere);
	return TEST_RESULT();
}
