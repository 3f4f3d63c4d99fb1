/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/kernel/sockmap/direction.h"

/*
 * The words of a source that outlive its process (struct gate_journal in bpf/abi.h, read by adopt.c). Each is
 * stored when it is true: what a process that is killed between two of them leaves behind is either the state
 * before, which TCP's own numbers bring up to date, or one that says that it is busy.
 *
 * Internal to this directory.
 */
enum journal_busy {
	JOURNAL_STARTING = 1, /* the words below are being written */
	JOURNAL_READING = 2, /* a recv() may have taken bytes that are not counted yet */
	JOURNAL_TAKING = 4, /* the caller has bytes in its memory: until the direction ends */
	JOURNAL_COMMITTING = 8, /* of a body in chunks: where it stands, and how much that is */
};

static inline struct gate_journal *journal_of(const struct gate_socket *source)
{
	return &gate_socket_record(source)->journal;
}

/* What follows in the code is done behind it, as a successor sees it. */
static inline void journal_begin(const struct gate_socket *source, enum journal_busy what)
{
	struct gate_journal *journal = journal_of(source);

	journal->busy |= (__u8)what;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline void journal_end(const struct gate_socket *source, enum journal_busy what)
{
	struct gate_journal *journal = journal_of(source);

	__atomic_thread_fence(__ATOMIC_RELEASE);
	journal->busy &= (__u8)~what;
}

static inline void journal_phase(const struct gate_socket *source, enum gate_direction_state state)
{
	__atomic_store_n(&journal_of(source)->phase, (__u8)state, __ATOMIC_RELEASE);
}
