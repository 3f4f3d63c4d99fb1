/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct restart_state;

/*
 * Where a gateway was when it died of a signal of its own making: written by the thread that died, read by
 * the keeper. A kill from outside leaves none.
 */
enum { CRASH_FRAMES = 48, CRASH_EVENTS = 12 };

enum crash_state {
	CRASH_NONE,
	CRASH_WRITING, /* by the first thread that came; it may have died of that */
	CRASH_WHOLE,
};

struct crash {
	atomic_uint state; /* enum crash_state */
	int code; /* si_code */
	uintptr_t address; /* si_addr */
	char thread[16];
	uint32_t frame_count;
	void *frames[CRASH_FRAMES]; /* as backtrace(3) gives them, innermost first */
};

/*
 * From now on SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT of this process are written down before it dies of
 * them. Nothing under AddressSanitizer, which has a report of its own.
 */
void crash_watch(struct crash *crash);
/* A stack for that, when the thread's own has run out: each thread, at its begin. Freed with the process. */
void crash_watch_thread(void);
/* By the keeper's side, after the crash: what there is to say, as error lines of the log. */
void crash_report(const struct restart_state *restart_state, int pid, int signal);
