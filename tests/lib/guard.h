/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/lib/test.h"

/*
 * Bytes that lie against a page nobody may touch: a parser that reads one byte too far, or one byte before
 * the start, dies at that instruction. One object serves any number of inputs, one at a time; what was placed
 * before is gone (overwritten with 0xa5) when the next input is placed.
 *
 *	struct guard guard;
 *	guard_init(&guard, 64 * 1024);
 *	const char *head = guard_end(&guard, text, len);    reading head[len] crashes
 *	const char *same = guard_start(&guard, text, len);  reading same[-1] crashes
 *	guard_done(&guard);
 *
 * Failures of mmap end the test program: there is nothing to test then.
 */
struct guard {
	char *map; /* owner: [forbidden page][room][forbidden page] */
	char *room;
	size_t room_bytes;
	size_t page_bytes;
};

void guard_init(struct guard *guard, size_t max_bytes);
void guard_done(struct guard *guard);
/* A writable copy of len bytes whose last byte is the last one before the forbidden page. */
char *guard_end(struct guard *guard, const void *data, size_t len);
/* A writable copy of len bytes whose first byte follows the forbidden page. */
char *guard_start(struct guard *guard, const void *data, size_t len);

/* The guard of all tests of a file, also in their *state, and their TEST_GROUP. */
#define TEST_GUARD(object, max_bytes)                                                                        \
	static struct guard object;                                                                          \
	static int object##_make(void **state)                                                               \
	{                                                                                                    \
		guard_init(&object, max_bytes);                                                              \
		*state = &object;                                                                            \
		return 0;                                                                                    \
	}                                                                                                    \
	static int object##_drop(void **state __attribute__((unused)))                                       \
	{                                                                                                    \
		guard_done(&object);                                                                         \
		return 0;                                                                                    \
	}                                                                                                    \
	TEST_GROUP(object##_make, object##_drop)
