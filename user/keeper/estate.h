/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "user/base/limits.h"
#include "user/keeper/crash.h"
#include "user/obs/trace.h"

/*
 * Memory that outlives a gateway: made by the keeper before the first one, shared by all that follow. Pages
 * nobody writes to cost nothing, so the tables are as large as they may ever have to be.
 */
enum estate_phase {
	ESTATE_STARTING,
	ESTATE_READY, /* it serves */
	ESTATE_ENDING, /* it was told to end */
};

enum estate_mark {
#define ESTATE_MARK(id, name) ESTATE_MARK_##id,
#include "user/keeper/marks.def"
#undef ESTATE_MARK
	ESTATE_MARK_COUNT,
};

enum {
	ESTATE_DESCRIPTORS = 1 << 20, /* above: not marked, not adopted */
	ESTATE_KEPT = 1 << 16, /* descriptors that were there before the first gateway */
};

struct estate {
	atomic_uint phase; /* enum estate_phase, of the gateway that runs */
	uint64_t lives; /* gateways that were started; written by the keeper, while none runs */
	atomic_uint_fast64_t deaths; /* written by the keeper */
	uint32_t worker_count; /* of the first gateway that was ready; 0: none was */
	pid_t upgraded_from; /* the keeper whose sockets we have; 0: none, or it was told that we are ready */
	atomic_bool is_handed_over; /* our sockets: another program has them */
	uint32_t kept_count;
	int kept[ESTATE_KEPT];
	/* Over all lives; written by the main thread of the gateway. */
	uint64_t listeners_adopted;
	uint64_t clients_adopted;
	uint64_t not_adopted[ESTATE_MARK_COUNT]; /* client connections, by their mark */
	struct crash crash;
	struct trace traces[LIMIT_WORKERS];
	atomic_uchar marks[ESTATE_DESCRIPTORS];
};

const char *estate_mark_name(enum estate_mark mark);
/* NULL without memory. */
struct estate *estate_create(void);
void estate_free(struct estate *estate);
/* Notes what is open now: a successor leaves that alone. 0, -E2BIG, or -errno of /proc. */
int estate_keep_descriptors(struct estate *estate);
bool estate_keeps(const struct estate *estate, int fd);

/* By the thread that owns the descriptor. estate: NULL does nothing. */
static inline void estate_mark(struct estate *estate, int fd, enum estate_mark mark)
{
	if (estate && fd >= 0 && fd < ESTATE_DESCRIPTORS)
		atomic_store_explicit(&estate->marks[fd], (unsigned char)mark, memory_order_relaxed);
}

static inline enum estate_mark estate_mark_of(const struct estate *estate, int fd)
{
	if (fd < 0 || fd >= ESTATE_DESCRIPTORS)
		return ESTATE_MARK_NONE;
	return (enum estate_mark)atomic_load_explicit(&estate->marks[fd], memory_order_relaxed);
}

static inline void estate_set_phase(struct estate *estate, enum estate_phase phase)
{
	if (estate)
		atomic_store_explicit(&estate->phase, phase, memory_order_release);
}
