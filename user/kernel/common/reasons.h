/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "bpf/local_abi.h"

/* Why a gate closed (bpf/sockmap_reasons.def), or why a message left its lane (bpf/local_reasons.def). */
struct reason {
	const char *text; /* label value such as "credit"; static, like the explanation */
	const char *explanation;
	bool is_integrity_error; /* integrity error: reset both connections */
};

struct reason_table {
	const struct reason *rows;
	uint32_t count;
};

extern const struct reason_table sockmap_reasons; /* by enum sockmap_reason */
extern const struct reason_table local_reasons; /* by enum local_reason */

const struct reason *reason_row(const struct reason_table *table, uint32_t number);

/*
 * How often each reason occurred since the programs were loaded: the counts of the per-CPU map plus `found`,
 * the integrity errors that user space of this process found; NULL: it finds none. Returns 0 or -errno.
 */
int reason_counts(const struct reason_table *table, int map_fd, const atomic_uint_fast64_t *found,
		  uint64_t *ret_counts);

static inline const char *sockmap_reason_text(enum sockmap_reason reason)
{
	return reason_row(&sockmap_reasons, reason)->text;
}

static inline const char *sockmap_reason_explanation(enum sockmap_reason reason)
{
	return reason_row(&sockmap_reasons, reason)->explanation;
}

static inline const char *local_reason_text(enum local_reason reason)
{
	return reason_row(&local_reasons, reason)->text;
}

static inline const char *local_reason_explanation(enum local_reason reason)
{
	return reason_row(&local_reasons, reason)->explanation;
}
