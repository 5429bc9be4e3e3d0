/*
 * A minimal harness for hosted tests: CHECK records a failure and goes on, RUN names a case. A
 * program prints one line per case and exits 1 if any failed.
 */
#ifndef POSTERN_TEST_H
#define POSTERN_TEST_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int test_failures, test_case_failures;

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			printf("  %s:%d: %s\n", __FILE__, __LINE__, #cond);                        \
			test_case_failures++;                                                      \
		}                                                                                  \
	} while (0)

#define CHECK_EQ(got, want)                                                                        \
	do {                                                                                       \
		uint64_t got_ = (uint64_t)(got), want_ = (uint64_t)(want);                         \
		if (got_ != want_) {                                                               \
			printf("  %s:%d: %s is %#" PRIx64 ", expected %#" PRIx64 "\n", __FILE__,   \
				__LINE__, #got, got_, want_);                                      \
			test_case_failures++;                                                      \
		}                                                                                  \
	} while (0)

#define RUN(fn)                                                                                    \
	do {                                                                                       \
		test_case_failures = 0;                                                            \
		fn();                                                                              \
		printf("%s %s\n", test_case_failures ? "FAIL" : "PASS", #fn);                      \
		test_failures += test_case_failures != 0;                                          \
	} while (0)

#define TEST_RESULT() (test_failures ? EXIT_FAILURE : EXIT_SUCCESS)

#endif
