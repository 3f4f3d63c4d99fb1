/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/lib/test.h"
#include "user/base/arena.h"

/* The arena of all tests of a file, and their TEST_GROUP. It is emptied at the end. */
#define TEST_ARENA(object, block_bytes)                                                                      \
	static struct arena object;                                                                          \
	static int object##_make(void **state __attribute__((unused)))                                       \
	{                                                                                                    \
		arena_init(&object, block_bytes);                                                            \
		return 0;                                                                                    \
	}                                                                                                    \
	static int object##_drop(void **state __attribute__((unused)))                                       \
	{                                                                                                    \
		arena_done(&object);                                                                         \
		return 0;                                                                                    \
	}                                                                                                    \
	TEST_GROUP(object##_make, object##_drop)
