/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match/regex_union.h"

#include <errno.h>

#include "user/base/limits.h"
#include "user/base/mem.h"

struct regex_union {
	struct regex_engine_union *engine; /* owner */
	size_t longest; /* longest value in bytes */
	size_t size; /* sum of instructions */
};

/* Returns the sum of instructions, and the maximum length of a value. */
static size_t sizes_of(struct match_regex *const *list, size_t count, size_t *ret_longest)
{
	size_t total = 0, largest = 1;

	for (size_t i = 0; i < count; i++) {
		size_t size = match_regex_size(list[i]);

		total += size;
		if (size > largest)
			largest = size;
	}
	*ret_longest = LIMIT_REGEX_UNION_STEPS / (total + 1);
	if (*ret_longest > LIMIT_REGEX_STEPS / largest)
		*ret_longest = LIMIT_REGEX_STEPS / largest;
	return total;
}

int regex_union_create(struct match_regex *const *list, size_t count, size_t *bytes_left,
		       struct regex_union **ret_union)
{
	size_t longest, size = sizes_of(list, count, &longest);
	size_t bytes = size * LIMIT_REGEX_UNION_BYTES + LIMIT_REGEX_MEMORY_BYTES;
	const struct regex_engine **engines;
	struct regex_union *many;
	int result;

	if (bytes > *bytes_left)
		return -E2BIG;
	engines = hg_calloc(count, sizeof(*engines));
	many = hg_calloc(1, sizeof(*many));
	if (engines && many) {
		for (size_t i = 0; i < count; i++)
			engines[i] = match_regex_engine(list[i]);
		many->longest = longest;
		many->size = size;
		result = regex_engine_union_create(engines, count, bytes, &many->engine);
	} else {
		result = -ENOMEM;
	}
	hg_free(engines);
	if (result < 0) {
		hg_free(many);
		return result;
	}
	*bytes_left -= bytes;
	*ret_union = many;
	return 0;
}

void regex_union_free(void *object)
{
	struct regex_union *many = object;

	if (!many)
		return;
	regex_engine_union_free(many->engine);
	hg_free(many);
}

int regex_union_run(const struct regex_union *many, struct span value, uint32_t *fits,
		    struct regex_budget *budget)
{
	if (value.len > many->longest || !regex_budget_take(budget, value.len, many->size))
		return -E2BIG;
	return regex_engine_union_run(many->engine, value.len ? value.data : "", value.len, fits,
				      LIMIT_ROUTE_FITS);
}
