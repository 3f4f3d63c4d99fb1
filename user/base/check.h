/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdnoreturn.h>

/*
 * CHECK is only for bugs of this program: for conditions that no input, peer, configuration or lack of memory
 * can make false. It stays enabled in release builds, because a gateway that continues with a broken
 * invariant may send one client's bytes to another. For anything that the outside world can cause, return an
 * error instead.
 */
noreturn void check_failed(const char *file, int line, const char *what);

#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (__builtin_expect(!(condition), 0))                                                       \
			check_failed(__FILE__, __LINE__, #condition);                                        \
	} while (0)

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
