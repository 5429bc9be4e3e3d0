/* pio: CMOS: what may be read, that nothing is written, and the way back. */
#include "pio/cmos.h"
#include "pio/guest_port.h"
#include "fakes/fake_hw.h"
#include "test.h"

static struct fake_guest g;
static struct fake_lines lines;
static struct cmos cmos;
static uint8_t real[128], real_index, writes_to_data;
static bool index_reads_back;

static uint32_t port_read(uint16_t port, unsigned size)
{
	(void)size;
	if (port == 0x70)
		return index_reads_back ? real_index : 0xff;
	return port == 0x71 ? real[real_index & 0x7f] : 0xff;
}

static void port_write(uint16_t port, unsigned size, uint32_t value)
{
	(void)size;
	if (port == 0x70)
		real_index = (uint8_t)value;
	else
		writes_to_data++;
}

static void setup(void)
{
	fake_hw_reset();
	fake_hw.port_read = port_read;
	fake_hw.port_write = port_write;
	start_guest(&g, &lines);
	for (unsigned i = 0; i < 128; i++)
		real[i] = (uint8_t)(0x80 | i);
	real_index = 0x8f;
	index_reads_back = true;
	writes_to_data = 0;
	cmos_init(&cmos, &g.vm);
	CHECK_EQ(cmos.dev.ops->attach(&cmos.dev, NULL), 0);
}

static uint8_t read_cmos(uint8_t index)
{
	guest_out(&g, 0x70, 1, index);
	return (uint8_t)guest_in(&g, 0x71, 1);
}

static void clock_is_real_and_the_rest_is_zero(void)
{
	static const uint8_t open[] = {0, 2, 4, 6, 7, 8, 9, 0xa, 0xd, 0x32};

	setup();
	for (unsigned i = 0; i < 128; i++) {
		uint8_t want = 0;

		if (memchr(open, (int)i, sizeof(open)))
			want = (uint8_t)(0x80 | i);
		if (i == 0x0b)
			want = 0x0b;
		CHECK_EQ(read_cmos((uint8_t)i), want);
		CHECK_EQ(read_cmos((uint8_t)(i | 0x80)), want);
	}
}

static void interrupt_bits_of_status_b_are_hidden(void)
{
	setup();
	real[0x0b] = 0xff;
	CHECK_EQ(read_cmos(0x0b), 0x0f);
}

static void nothing_is_written(void)
{
	setup();
	for (unsigned i = 0; i < 256; i++) {
		guest_out(&g, 0x70, 1, i);
		guest_out(&g, 0x71, 1, 0x55);
	}
	/* Index and data in one access. */
	guest_out(&g, 0x70, 2, 0x5502);
	CHECK_EQ(guest_in(&g, 0x70, 2), 0x8202);
	CHECK_EQ(writes_to_data, 0);
	CHECK_EQ(cmos.dev.denied, 257);
}

static void nmi_bit_and_index_stay_the_firmwares(void)
{
	setup();
	read_cmos(0x04);
	CHECK_EQ(real_index, 0x84);
	CHECK_EQ(guest_in(&g, 0x70, 1), 0x04);
	cmos.dev.ops->detach(&cmos.dev);
	CHECK_EQ(real_index, 0x8f);
	/* Twice is once. */
	real_index = 1;
	cmos.dev.ops->detach(&cmos.dev);
	CHECK_EQ(real_index, 1);
}

static void write_only_index_port(void)
{
	setup();
	start_guest(&g, &lines);
	index_reads_back = false;
	cmos_init(&cmos, &g.vm);
	CHECK_EQ(cmos.dev.ops->attach(&cmos.dev, NULL), 0);
	read_cmos(0x02);
	CHECK_EQ(real_index, 0x02);
	cmos.dev.ops->detach(&cmos.dev);
	CHECK_EQ(real_index, 0x0d);
}

static void attach_fails_where_something_is(void)
{
	struct cmos second;

	setup();
	cmos_init(&second, &g.vm);
	CHECK(second.dev.ops->attach(&second.dev, NULL) < 0);
	real_index = 0x22;
	second.dev.ops->detach(&second.dev);
	CHECK_EQ(real_index, 0x22);
}

int main(void)
{
	RUN(clock_is_real_and_the_rest_is_zero);
	RUN(interrupt_bits_of_status_b_are_hidden);
	RUN(nothing_is_written);
	RUN(nmi_bit_and_index_stay_the_firmwares);
	RUN(write_only_index_port);
	RUN(attach_fails_where_something_is);
	return TEST_RESULT();
}
