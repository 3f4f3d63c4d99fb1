/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/local/local_programs.h"

#include <bpf/bpf.h>
#include <string.h>

#include "user/kernel/local/local_internal.h"

/* The record of what the gateway sends to this socket; NULL: it does not bypass TCP, and never has. */
static const struct local_record *record_to(const struct local *local, uint64_t cookie)
{
	const struct local_record *in;
	struct local_handle slot;

	if (bpf_map_lookup_elem(local->map_fds[LOCAL_MAP_BYPASS_OF], &cookie, &slot) ||
	    slot.index >= local->slot_count)
		return NULL;
	in = &local->records[slot.index];
	/* It may stop meanwhile; then the answer is of a moment ago. */
	return in->user.back.index < local->slot_count ? &local->records[in->user.back.index] : NULL;
}

static struct local_program row_of(const struct local *local, uint64_t cookie, const struct local_end *end)
{
	const struct local_record *record = record_to(local, cookie);
	struct local_program row = { .is_client = end->is_client, .connections = 1 };

	local_end_program(end, row.name);
	if (record) {
		row.bypasses = __atomic_load_n(&record->user.mode, __ATOMIC_RELAXED) != LOCAL_MODE_CLOSED;
		if (!row.bypasses)
			row.reason = (enum local_reason)record->kernel.reason;
	} else if (end->blocks) {
		row.reason = LOCAL_REASON_BLOCKING;
	}
	return row;
}

static bool is_same(const struct local_program *a, const struct local_program *b)
{
	return a->is_client == b->is_client && a->bypasses == b->bypasses && a->reason == b->reason &&
	       strcmp(a->name, b->name) == 0;
}

static bool row_add(struct local_program *rows, size_t *count, const struct local_program *row)
{
	size_t i = 0;

	while (i < *count && !is_same(&rows[i], row))
		i++;
	if (i < *count) {
		rows[i].connections++;
		return true;
	}
	if (i == LOCAL_PROGRAMS_MAX)
		return false;
	rows[(*count)++] = *row;
	return true;
}

bool local_programs(const struct local *local, struct local_program ret_rows[LOCAL_PROGRAMS_MAX],
		    size_t *ret_count)
{
	int ends = local->map_fds[LOCAL_MAP_ENDS];
	uint64_t cookie, before;
	bool is_first = true, is_cut = false;

	*ret_count = 0;
	for (int i = 0; bpf_map_get_next_key(ends, is_first ? NULL : &before, &cookie) == 0; i++) {
		struct local_program row;
		struct local_end end;

		is_first = false;
		before = cookie;
		if (i == LOCAL_PROGRAM_CONNECTIONS_MAX)
			return true;
		if (local_end_find(local, cookie, &end) || !end.is_local)
			continue;
		row = row_of(local, cookie, &end);
		if (!row_add(ret_rows, ret_count, &row))
			is_cut = true;
	}
	return is_cut;
}
