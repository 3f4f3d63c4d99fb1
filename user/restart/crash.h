/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct restart_state;

/*
 * The crash report: where a gateway was when it died of a fatal signal of its own. The crashing thread writes
 * it, the keeper reads it. A kill from outside leaves none.
 */
enum { CRASH_FRAMES = 48, CRASH_EVENTS = 12 };

enum crash_state {
	CRASH_NONE,
	CRASH_WRITING, /* by the first thread that crashed; writing may have crashed, too */
	CRASH_WHOLE,
};

struct crash {
	atomic_uint state; /* enum crash_state */
	int code; /* si_code */
	uintptr_t address; /* si_addr */
	char thread[16];
	uint32_t frame_count;
	void *frames[CRASH_FRAMES]; /* as from backtrace(3), innermost first */
};

/*
 * Installs handlers that write the report before the process dies of SIGSEGV, SIGBUS, SIGFPE, SIGILL or
 * SIGABRT. Does nothing under AddressSanitizer, which has its own report.
 */
void crash_watch(struct crash *crash);
/*
 * Gives the calling thread a stack for these handlers, for when its own has overflowed. Call it when a thread
 * starts. Never freed.
 */
void crash_watch_thread(void);
/* Logs the report as error lines. The keeper's side calls it after the crash. */
void crash_report(const struct restart_state *restart_state, int pid, int signal);
