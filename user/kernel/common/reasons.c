/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/common/reasons.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>

#include "user/base/check.h"
#include "user/base/mem.h"

#define ROW(id, text, is_integrity_error, explanation) { text, explanation, is_integrity_error },
#define SOCKMAP_REASON ROW
#define LOCAL_REASON ROW
static const struct reason sockmap_rows[] = {
#include "bpf/sockmap_reasons.def"
};
static const struct reason local_rows[] = {
#include "bpf/local_reasons.def"
};
#undef LOCAL_REASON
#undef SOCKMAP_REASON
#undef ROW

const struct reason_table sockmap_reasons = { sockmap_rows, ARRAY_LEN(sockmap_rows) };
const struct reason_table local_reasons = { local_rows, ARRAY_LEN(local_rows) };

const struct reason *reason_row(const struct reason_table *table, uint32_t number)
{
	CHECK(number < table->count);
	return &table->rows[number];
}

int reason_counts(const struct reason_table *table, int map_fd, const atomic_uint_fast64_t *found,
		  uint64_t *ret_counts)
{
	int cpu_count = libbpf_num_possible_cpus();
	uint64_t *per_cpu;
	int error = 0;

	if (cpu_count < 0)
		return cpu_count;
	per_cpu = hg_calloc((size_t)cpu_count, sizeof(*per_cpu));
	if (!per_cpu)
		return -ENOMEM;
	for (uint32_t number = 0; number < table->count && !error; number++) {
		ret_counts[number] = found ? atomic_load(&found[number]) : 0;
		error = bpf_map_lookup_elem(map_fd, &number, per_cpu);
		for (int cpu = 0; cpu < cpu_count && !error; cpu++)
			ret_counts[number] += per_cpu[cpu];
	}
	hg_free(per_cpu);
	return error;
}
