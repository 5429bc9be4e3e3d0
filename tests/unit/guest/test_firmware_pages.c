/* The memory map of the guest's firmware, and its table of handles. */
#include "guest/firmware/handles.h"
#include "guest/firmware/pages.h"
#include "base/bits.h"
#include "base/error.h"
#include "test.h"

static struct page_map map;
static struct handle_table handles;

static void set_up(void)
{
	memset(&map, 0, sizeof(map));
	CHECK_EQ(pages_add(&map, 0, 0xa0000, EfiConventionalMemory), 0);
	CHECK_EQ(pages_add(&map, 0x100000, 0x100000, EfiConventionalMemory), 0);
}

/* Ascending, without overlap, whole, and neighbours of one type are one. */
static void check_map(uint64_t free_pages)
{
	uint64_t end = 0, free = 0, total = 0;

	for (unsigned i = 0; i < map.count; i++) {
		const struct page_range *r = &map.range[i];

		CHECK(r->pages && r->base >= end);
		CHECK(i == 0 || r->base > end || r->type != r[-1].type);
		end = r->base + r->pages * PAGE_SIZE;
		total += r->pages;
		free += r->type == EfiConventionalMemory ? r->pages : 0;
	}
	CHECK_EQ(total, 0xa0 + 0x100);
	CHECK_EQ(free, free_pages);
}

static void test_take(void)
{
	uint64_t at = 0, key;

	set_up();
	key = map.key;
	CHECK_EQ(pages_take(&map, 3, PAGE_SIZE, ~0ull, EfiLoaderData, &at), 0);
	CHECK_EQ(at, 0x1fd000);
	CHECK(map.key != key);
	CHECK_EQ(pages_take(&map, 1, 0x10000, ~0ull, EfiLoaderData, &at), 0);
	CHECK_EQ(at, 0x1f0000);
	CHECK_EQ(pages_take(&map, 1, PAGE_SIZE, 0xfffff, EfiLoaderCode, &at), 0);
	CHECK_EQ(at, 0x9f000);
	CHECK_EQ(pages_take(&map, 1, PAGE_SIZE, 0x4fff, EfiLoaderCode, &at), 0);
	CHECK_EQ(at, 0x4000);
	check_map(0x1a0 - 6);
	CHECK_EQ(pages_take(&map, 1, PAGE_SIZE, 0xffe, EfiLoaderCode, &at), -E_NOMEM);
	CHECK_EQ(pages_take(&map, 0x101, PAGE_SIZE, ~0ull, EfiLoaderCode, &at), -E_NOMEM);
	CHECK_EQ(pages_take(&map, 0, PAGE_SIZE, ~0ull, EfiLoaderCode, &at), -E_INVAL);
	CHECK_EQ(pages_take(&map, ~0ull >> 4, PAGE_SIZE, ~0ull, EfiLoaderCode, &at), -E_INVAL);
	CHECK_EQ(pages_take(&map, ~0ull >> 13, PAGE_SIZE, ~0ull, EfiLoaderCode, &at), -E_NOMEM);
	CHECK_EQ(at, 0x4000);
	check_map(0x1a0 - 6);
}

static void test_change_and_free(void)
{
	set_up();
	CHECK_EQ(pages_change(&map, 0x2000, 2, EfiConventionalMemory, EfiLoaderData), 0);
	CHECK_EQ(pages_change(&map, 0x3000, 2, EfiConventionalMemory, EfiLoaderData), -E_NOENT);
	CHECK_EQ(pages_change(&map, 0x4000, 2, EfiConventionalMemory, EfiLoaderData), 0);
	CHECK_EQ(map.count, 4);
	CHECK_EQ(pages_free(&map, 0x3000, 2), 0);
	check_map(0x1a0 - 2);
	CHECK_EQ(pages_free(&map, 0x3000, 1), -E_NOENT);
	CHECK_EQ(pages_free(&map, 0x2001, 1), -E_INVAL);
	CHECK_EQ(pages_free(&map, 0x2000, 0), -E_INVAL);
	CHECK_EQ(pages_free(&map, 0x2000, ~0ull), -E_INVAL);
	CHECK_EQ(pages_free(&map, 0xff000, 1), -E_NOENT);
	CHECK_EQ(pages_free(&map, ~0ull - 0xfff, 1), -E_INVAL);
	CHECK_EQ(pages_free(&map, 0x2000, 1), 0);
	CHECK_EQ(pages_free(&map, 0x5000, 1), 0);
	CHECK_EQ(map.count, 2);
	check_map(0x1a0);
}

/* Every other page: the table of ranges fills up, and nothing is lost. */
static void test_full(void)
{
	uint64_t taken = 0;

	memset(&map, 0, sizeof(map));
	CHECK_EQ(pages_add(&map, 0, 0xa0000, EfiConventionalMemory), 0);
	CHECK_EQ(pages_add(&map, 0x100000, 0x100000, EfiConventionalMemory), 0);
	for (uint64_t at = 0x1000; at < 0x200000; at += 0x2000)
		taken += !pages_change(&map, at, 1, EfiConventionalMemory, EfiLoaderData);
	CHECK(taken > 100 && map.count <= PAGE_RANGES);
	check_map(0x1a0 - taken);
	for (uint64_t at = 0x1000; at < 0x200000; at += 0x2000)
		taken -= !pages_free(&map, at, 1);
	CHECK_EQ(taken, 0);
	check_map(0x1a0);
	CHECK_EQ(pages_add(&map, 0, PAGE_SIZE, EfiLoaderData), -E_INVAL);
}

static void test_handles(void)
{
	EFI_GUID one = {1, 0, 0, {0}}, two = {2, 0, 0, {0}};
	EFI_HANDLE h = NULL, bad = (uint8_t *)handles.handle + 1;
	void *got;
	int a, b;

	memset(&handles, 0, sizeof(handles));
	CHECK(handle_install(&handles, &h, &one, &a) == EFI_SUCCESS);
	CHECK(handle_install(&handles, &h, &one, &b) == EFI_INVALID_PARAMETER);
	CHECK(handle_install(&handles, &h, &two, &b) == EFI_SUCCESS);
	CHECK(handle_install(&handles, &bad, &two, &b) == EFI_INVALID_PARAMETER);
	CHECK(handle_protocol(&handles, h, &two, &got) == EFI_SUCCESS && got == &b);
	CHECK(handle_protocol(&handles, &a, &two, &got) == EFI_INVALID_PARAMETER);
	CHECK(!handle_check(&handles, handles.handle + HANDLES));
	CHECK(!handle_check(&handles, handles.handle + 1));
	CHECK(handle_uninstall(&handles, h, &one, &b) == EFI_NOT_FOUND);
	CHECK(handle_uninstall(&handles, h, &one, &a) == EFI_SUCCESS);
	CHECK(handle_next(&handles, NULL, &one) == NULL);
	CHECK(handle_next(&handles, NULL, &two) == h);
	CHECK(handle_next(&handles, h, NULL) == NULL);
	CHECK(handle_uninstall(&handles, h, &two, &b) == EFI_SUCCESS);
	CHECK(handle_protocol(&handles, h, &two, &got) == EFI_INVALID_PARAMETER);
}

static void test_handles_full(void)
{
	EFI_GUID guid = {0, 0, 0, {0}};
	EFI_HANDLE h = NULL;
	EFI_STATUS status;
	unsigned n = 0;
	int a;

	memset(&handles, 0, sizeof(handles));
	do {
		guid.Data1++;
		status = handle_install(&handles, &h, &guid, &a);
	} while (!EFI_ERROR(status));
	CHECK(status == EFI_OUT_OF_RESOURCES);
	CHECK_EQ(guid.Data1, HANDLE_PROTOCOLS + 1);
	do {
		h = NULL;
		n++;
		status = handle_install(&handles, &h, &guid, &a);
	} while (!EFI_ERROR(status));
	CHECK(status == EFI_OUT_OF_RESOURCES && n == HANDLES);
}

int main(void)
{
	RUN(test_take);
	RUN(test_change_and_free);
	RUN(test_full);
	RUN(test_handles);
	RUN(test_handles_full);
	return TEST_RESULT();
}
