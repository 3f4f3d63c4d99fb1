/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "bpf/near_abi.h"

/* Why a gate closed (bpf/gate_reasons.def), or why a message left its lane (bpf/near_reasons.def). */
struct reason {
	const char *text; /* label value such as "credit"; static, like the explanation */
	const char *explanation;
	bool is_poison; /* integrity error: reset both connections */
};

struct reason_table {
	const struct reason *rows;
	uint32_t count;
};

extern const struct reason_table gate_reasons; /* by enum gate_reason */
extern const struct reason_table near_reasons; /* by enum near_reason */

const struct reason *reason_row(const struct reason_table *table, uint32_t number);

/*
 * How often each reason occurred since the programs were loaded: the counts of the per-CPU map plus `found`,
 * the integrity errors that user space of this process found; NULL: it finds none. Returns 0 or -errno.
 */
int reason_counts(const struct reason_table *table, int map_fd, const atomic_uint_fast64_t *found,
		  uint64_t *ret_counts);

static inline const char *gate_reason_text(enum gate_reason reason)
{
	return reason_row(&gate_reasons, reason)->text;
}

static inline const char *gate_reason_explanation(enum gate_reason reason)
{
	return reason_row(&gate_reasons, reason)->explanation;
}

static inline const char *near_reason_text(enum near_reason reason)
{
	return reason_row(&near_reasons, reason)->text;
}

static inline const char *near_reason_explanation(enum near_reason reason)
{
	return reason_row(&near_reasons, reason)->explanation;
}
