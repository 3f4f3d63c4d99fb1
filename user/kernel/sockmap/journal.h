/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/kernel/sockmap/direction.h"

/*
 * The state of a source that outlives its process (struct sockmap_journal in bpf/abi.h, read by resume.c).
 * Each member is stored when it becomes true: a process that crashes between two stores leaves either the
 * previous state, which TCP's own numbers bring up to date, or one that is marked busy.
 *
 * Private to this directory.
 */
enum journal_busy {
	JOURNAL_STARTING = 1, /* the members below are being written */
	JOURNAL_READING = 2, /* a recv() may have read bytes that are not counted yet */
	JOURNAL_TAKING = 4, /* the caller has bytes in its memory, until the direction ends */
	JOURNAL_COMMITTING = 8, /* chunked body: position and framing bytes are being written */
};

static inline struct sockmap_journal *journal_of(const struct sockmap_socket *source)
{
	return &sockmap_socket_record(source)->journal;
}

/* The operation that follows in the code becomes visible to a resuming process after this store. */
static inline void journal_begin(const struct sockmap_socket *source, enum journal_busy what)
{
	struct sockmap_journal *journal = journal_of(source);

	journal->busy |= (__u8)what;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline void journal_end(const struct sockmap_socket *source, enum journal_busy what)
{
	struct sockmap_journal *journal = journal_of(source);

	__atomic_thread_fence(__ATOMIC_RELEASE);
	journal->busy &= (__u8)~what;
}

static inline void journal_phase(const struct sockmap_socket *source, enum sockmap_direction_state state)
{
	__atomic_store_n(&journal_of(source)->phase, (__u8)state, __ATOMIC_RELEASE);
}
