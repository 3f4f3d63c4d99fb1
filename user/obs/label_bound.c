/* SPDX-License-Identifier: Apache-2.0 */
#include "user/obs/label_bound.h"

#include "user/base/limits.h"
#include "user/base/mem.h"

struct label_values {
	uint64_t name; /* hash */
	uint32_t count;
	uint64_t values[LIMIT_METRIC_VALUES]; /* hashes */
};

struct label_bound {
	struct siphash_key key;
	uint32_t count;
	uint32_t oldest; /* is replaced next, when all are in use */
	struct label_values list[LIMIT_METRIC_LABELS];
};

struct label_bound *label_bound_create(const struct siphash_key *key)
{
	struct label_bound *bound = hg_calloc(1, sizeof(*bound));

	if (bound)
		bound->key = *key;
	return bound;
}

void label_bound_free(struct label_bound *bound)
{
	hg_free(bound);
}

static uint64_t hash_of(const struct label_bound *bound, struct span s)
{
	struct siphash hash;

	siphash_start(&hash, &bound->key);
	siphash_add(&hash, s);
	return siphash_end(&hash).low;
}

static struct label_values *values_of(struct label_bound *bound, uint64_t name)
{
	struct label_values *values;

	for (uint32_t i = 0; i < bound->count; i++)
		if (bound->list[i].name == name)
			return &bound->list[i];
	if (bound->count < LIMIT_METRIC_LABELS) {
		values = &bound->list[bound->count++];
	} else {
		values = &bound->list[bound->oldest];
		bound->oldest = (bound->oldest + 1) % LIMIT_METRIC_LABELS;
	}
	values->name = name;
	values->count = 0;
	return values;
}

struct span label_bound_value(struct label_bound *bound, struct span name, struct span value)
{
	struct label_values *values = values_of(bound, hash_of(bound, name));
	uint64_t hash = hash_of(bound, value);

	for (uint32_t i = 0; i < values->count; i++)
		if (values->values[i] == hash)
			return value;
	if (values->count == LIMIT_METRIC_VALUES)
		return SPAN("other");
	values->values[values->count++] = hash;
	return value;
}
