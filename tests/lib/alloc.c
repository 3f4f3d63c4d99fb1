/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/alloc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "user/base/mem.h"

unsigned long alloc_fail_each(int (*run)(void *context), void *context)
{
	unsigned long count;
	int result;

	mem_fail_nth(0);
	result = run(context);
	count = mem_count();
	if (result != 0)
		fail_msg("returned %d although no allocation failed", result);
	for (unsigned long nth = 1; nth <= count; nth++) {
		mem_fail_nth(nth);
		result = run(context);
		mem_fail_nth(0);
		if (result != 0 && result != -ENOMEM)
			fail_msg("returned %d, not -ENOMEM, when allocation %lu of %lu failed", result, nth,
				 count);
	}
	return count;
}
