/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "user/base/log_writer.h"

noreturn void check_failed(const char *file, int line, const char *what)
{
	char words[512];
	int len = snprintf(words, sizeof(words), "%s:%d: broken invariant: %s\n", file, line, what);

	log_writer_last_words(span_of(words, (size_t)len < sizeof(words) ? (size_t)len : sizeof(words) - 1));
	abort();
}
